"""Weights from the room, from `rawpipe train`, or from a published checkpoint of the user's own."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rawpipe import FormatError, RawpipeWarning, StageError
from rawpipe._errors import unknown
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.weights import Weights

_PUBLISHED_STEPS = 3
_PUBLISHED_SIDE = 512  # of the packed patches that the published networks learned on
_ROOM = "rawpipe.stages.enhance.exposure_diffusion"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network ready to run, the sentence that says what it is, and the steps of the trajectories that it learned."""

    design: Design
    module: nn.Module
    said: str
    steps: int


@cache
def bundled() -> Mapping[str, Path]:
    """The sets of weights that come with rawpipe, by name."""
    folder = Path(str(files(_ROOM))) / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def loaded(weights: str, device: torch.device) -> Loaded:
    """The network with these weights on a device: the name of a set, or the path of a file.

    Raises:
        FormatError: there is no such set or file, or it isn't one for this model.
    """
    path = bundled().get(weights)
    if path is None:
        path = Path(weights).expanduser()
        if path.is_dir():
            raise FormatError(f"got weights {path}, a folder; name the .safetensors file in it")
        if not path.suffix:
            raise FormatError(unknown("set of weights", weights, bundled()) + ", or the path of a file")
        if not path.is_file():
            raise FormatError(f"got weights {path}; there is no such file")
    status = path.stat()
    return _loaded(path, status.st_mtime_ns, status.st_size, device)


@lru_cache(maxsize=4)
def _loaded(path: Path, _: int, __: int, device: torch.device) -> Loaded:
    if path.suffix == ".safetensors":
        weights = Weights.read(path)
        if weights.enhancer != "exposure_diffusion":
            raise FormatError(f"got {path}, which holds weights of {weights.enhancer}; expected exposure_diffusion")
        try:
            design, tensors = Design(**weights.model), weights.tensors
        except (TypeError, StageError) as error:
            raise FormatError(f"got {path} of a model that this rawpipe doesn't know ({error}); upgrade it") from error
        said = f"{weights.sha256[:12]} {weights.name}, {weights.licence}, learned from {weights.learned_from}"
        process = weights.training.get("config", {}).get("process", {})
        steps = int(process.get("steps", _PUBLISHED_STEPS))
        if weights.research_only:
            _warn_once(f"the weights {weights.name!r} are for research only: they learned from {weights.learned_from}")
    else:
        tensors = published(path)
        design = design_of(tensors, path)
        tensors = reordered(tensors)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        said = f"{digest[:12]} {path.name}, a published checkpoint, licence unknown"
        steps = _PUBLISHED_STEPS
    module = built(design, tensors, path).to(device)
    return Loaded(design, module.to(memory_format=torch.channels_last), said, steps)  # type: ignore[call-overload]


def built(design: Design, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network with the tensors of a file, to run and not to train.

    Raises:
        FormatError: they don't fit it, or aren't finite.
    """
    module = design.build()
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise FormatError(
            f"got {path}, whose tensors don't fit a {design.backbone} of width {design.width}: "
            f"{str(error).splitlines()[1].strip()[:200]}"
        ) from error
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise FormatError(f"got {path}, which holds NaN or infinity; it is damaged, or its training diverged")
    return module.requires_grad_(False).eval()


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, RawpipeWarning, stacklevel=2)


def published(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a PyTorch checkpoint, without running code from it.

    Raises:
        FormatError: it can't be read, holds more than tensors, or no network of ours.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"got {path}, which holds code or is damaged; rawpipe reads tensors only: save its state_dict again"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise FormatError(f"got {path}, which is no PyTorch checkpoint or is damaged") from error
    found = _state_dict(content)
    if found is None:
        raise FormatError(
            f"got {path}, which holds no UNet or NAFNet; expected a state dict with keys as conv1_1.weight or "
            "intro.weight, by itself or under a name as netG"
        )
    return {key: value.float() for key, value in found.items()}


def _state_dict(content: Any) -> Mapping[str, Tensor] | None:
    """The first dictionary of tensors, at any depth, that is one of a known network; names without `module.`."""
    if not isinstance(content, Mapping):
        return None
    tensors = {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}
    if {"conv10_1.weight", "intro.weight"} & tensors.keys():
        return tensors
    return next((found for value in content.values() if (found := _state_dict(value)) is not None), None)


def design_of(tensors: Mapping[str, Tensor], path: Path) -> Design:
    """What the published network with this state dict is shown, from the shape of its first and last layer."""
    first, last = _ends(tensors)
    unet = first == "conv1_1"
    blocks = len({key.split(".")[1] for key in tensors if key.startswith("middle_blks.")})
    backbone = "unet" if unet else {1: "nafnet-1", 12: "nafnet-2"}.get(blocks)
    if backbone is None:
        raise FormatError(f"got {path}, a NAFNet with {blocks} blocks in its middle; expected 1 or 12")
    shapes = {key: tuple(tensors[key].shape) for key in (f"{first}.weight", f"{last}.weight") if key in tensors}
    if len(shapes) < 2 or not all(len(shape) == 4 for shape in shapes.values()) or f"{last}.bias" not in tensors:
        raise FormatError(
            f"got {path}, whose first or last layer is missing or of another shape; expected {first} and {last}, with "
            "weights of four dimensions and biases"
        )
    (width, inputs, _, _), (outputs, *_) = shapes.values()
    if inputs not in (4, 8, 12) or outputs not in (4, 9):
        raise FormatError(
            f"got {path}, a network of {inputs} channels in and {outputs} out; expected 4, 8 or 12, and 4 or 9"
        )
    window = None if unet else _PUBLISHED_SIDE
    return Design(backbone, width, inputs > 4, inputs > 8, sigma=False, head=outputs == 9, clipped=True, window=window)


def reordered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict for planes R, Gr, Gb, B: the published order is R, Gr, B, Gb.

    The first layer takes groups of four planes; the last one gives M, X and R, or one group of planes.
    """
    first, last = _ends(tensors)
    planes = torch.tensor([0, 1, 3, 2])
    into = torch.arange(tensors[f"{first}.weight"].shape[1]).reshape(-1, 4)[:, planes].flatten()
    outputs = len(tensors[f"{last}.weight"])
    mask = outputs % 4
    out = torch.cat([torch.arange(mask), torch.arange(mask, outputs).reshape(-1, 4)[:, planes].flatten()])
    moved = {f"{first}.weight": tensors[f"{first}.weight"][:, into]}
    moved |= {key: tensors[key][out] for key in (f"{last}.weight", f"{last}.bias")}
    return {**tensors, **moved}


def _ends(tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """Names of the first and the last layer."""
    return ("conv1_1", "conv10_1") if "conv10_1.weight" in tensors else ("intro", "ending")
