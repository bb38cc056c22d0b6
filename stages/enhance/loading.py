"""How learned models get at their weights: sets that come with rawpipe, files, and published checkpoints."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rawpipe import FormatError, RawpipeWarning, StageError
from rawpipe._errors import unknown
from rawpipe.stages.enhance.about import bundled
from rawpipe.stages.enhance.weights import Weights

_Network = TypeVar("_Network", bound=nn.Module)
_Design = TypeVar("_Design")
_Loaded = TypeVar("_Loaded")

_AUTO = "auto"
_PRECISIONS = (_AUTO, "float32", "bfloat16")


def check_precision(precision: str) -> None:
    """Refuse what networks can't compute in.

    Raises:
        StageError: it isn't "auto", "float32" or "bfloat16".
    """
    if precision not in _PRECISIONS:
        raise StageError(f"got precision {precision!r}; expected {', '.join(_PRECISIONS[:-1])} or {_PRECISIONS[-1]}")


def in_half(precision: str, device: torch.device) -> bool:
    """Whether networks compute in bfloat16: if told to, or with "auto" where the device has instructions for it."""
    if precision == _AUTO:
        return _HAVE_HALF[device.type]() if device.type in _HAVE_HALF else False
    return precision == "bfloat16"


def _cpu_has_half() -> bool:
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check is not None and check() for check in checks)


_HAVE_HALF: Mapping[str, Callable[[], bool]] = {
    "cpu": cache(_cpu_has_half),
    "cuda": cache(lambda: torch.cuda.is_bf16_supported(including_emulation=False)),
}


def located(weights: str, enhancer: str) -> Path:
    """The file of a set, or the one at a path.

    Raises:
        FormatError: there is no such set or file.
    """
    sets = bundled(enhancer)
    if weights in sets:
        return sets[weights]
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise FormatError(f"got weights {path}, a folder; name the .safetensors file in it")
    if not path.suffix:
        raise FormatError(unknown("set of weights", weights, sets) + ", or the path of a file")
    raise FormatError(f"got weights {path}; there is no such file")


def opened(path: Path, enhancer: str) -> Weights:
    """What `rawpipe train` wrote for an enhancer; warns once of weights that are for research only.

    Raises:
        FormatError: it is something else, or for another enhancer.
    """
    weights = Weights.read(path)
    if weights.enhancer != enhancer:
        raise FormatError(f"got {path}, which holds weights of {weights.enhancer}; expected {enhancer}")
    if weights.research_only:
        _warn_once(f"the weights {weights.name!r} are for research only: they learned from {weights.learned_from}")
    return weights


def designed(weights: Weights, design: Callable[..., _Design], path: Path) -> _Design:
    """The network's design that a file of weights names.

    Raises:
        FormatError: this rawpipe doesn't know it.
    """
    try:
        return design(**weights.model)
    except (TypeError, StageError) as error:
        raise FormatError(f"got {path} of a model that this rawpipe doesn't know ({error}); upgrade it") from error


def kept(read: Callable[[Path, torch.device], _Loaded], path: Path, device: torch.device) -> _Loaded:
    """What `read` makes of a file on a device; read again only when the file has changed."""
    status = path.stat()
    found: _Loaded = _kept(read, path, status.st_mtime_ns, status.st_size, device)
    return found


@lru_cache(maxsize=4)
def _kept(read: Callable[[Path, torch.device], Any], path: Path, _: int, __: int, device: torch.device) -> Any:
    return read(path, device)


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, RawpipeWarning, stacklevel=2)


def published(path: Path, known_by: Collection[str], network: str) -> dict[str, Tensor]:
    """The state dict in a PyTorch checkpoint, float32, without running code from it.

    Args:
        path: of the checkpoint.
        known_by: keys any of which tells that a dictionary is the network's.
        network: what to call it: "UNet or NAFNet".

    Raises:
        FormatError: it can't be read, holds more than tensors, or no such network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"got {path}, which holds code or is damaged; rawpipe reads tensors only: save its state_dict again"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise FormatError(f"got {path}, which is no PyTorch checkpoint or is damaged") from error
    found = _state_dict(content, set(known_by))
    if found is None:
        raise FormatError(
            f"got {path}, which holds no {network}; expected a state dict with keys as {' or '.join(known_by)}, by "
            "itself or under a name as netG"
        )
    return {key: value.float() for key, value in found.items()}


def _state_dict(content: Any, known_by: set[str]) -> Mapping[str, Tensor] | None:
    """The first dictionary of tensors, at any depth, that has a known key; names without `module.`."""
    if not isinstance(content, Mapping):
        return None
    tensors = {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    if known_by & tensors.keys():
        return tensors
    return next((found for value in content.values() if (found := _state_dict(value, known_by)) is not None), None)


def said_of(path: Path) -> str:
    """The line that says what a published checkpoint is."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{digest[:12]} {path.name}, a published checkpoint, licence unknown"


def fitted(module: _Network, tensors: Mapping[str, Tensor], path: Path, network: str) -> _Network:
    """The network with the tensors of a file, to run and not to train.

    Raises:
        FormatError: they don't fit it, or aren't finite.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise FormatError(
            f"got {path}, whose tensors don't fit a {network}: {str(error).splitlines()[1].strip()[:200]}"
        ) from error
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise FormatError(f"got {path}, which holds NaN or infinity; it is damaged, or its training diverged")
    module.requires_grad_(False).eval()
    return module
