"""The training loop: what is learned is a `Recipe`'s business, devices and precision are Lightning Fabric's."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rawpipe import FormatError, StageError
from rawpipe._errors import unknown
from rawpipe.io.atomic import replacing
from rawpipe.stages.enhance.training import curve
from rawpipe.stages.enhance.training.muon import Muon

CHECKPOINT = "checkpoint.pt"
PICTURE = "validation.png"
BESIDE = "beside."
"""How the names begin of what is learned beside the network and isn't part of its weights."""

_PRECISIONS = ("bf16-mixed", "32-true")
_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, rate, fused=True),
    "muon": Muon,
}


class Judged(NamedTuple):
    """What a validation found.

    Args:
        figures: named numbers, the same names every time.
        picture: to look at, display-referred (3, H, W) in 0..1.
    """

    figures: dict[str, float]
    picture: Tensor


class Recipe(Protocol):
    """What a model learns by.

    A field or attribute `calls` may name methods of the network that run its layers, beside calling it.
    """

    def build(self) -> nn.Module:
        """The network, with fresh weights; a module `beside` may hold what else is learned."""

    def loss(self, network: Callable[..., Any], batch: Any, index: int) -> Tensor:
        """The loss of batch number `index`, a tuple of tensors, from which all that is random follows."""

    def judge(self, network: Callable[..., Any], device: torch.device) -> Judged:
        """Validate."""


@runtime_checkable
class Widened(Protocol):
    """A network that can take over what a narrower one learned."""

    def widened(self, narrow: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights with which it gives what that one gave.

        Raises:
            FormatError: they aren't those of a narrower one.
        """


@dataclass(frozen=True)
class Settings:
    """How long and how fast it is trained.

    Args:
        steps: batches in all, per device.
        rate: the optimizer's at its highest.
        warmup: steps over which the rate rises from 0.
        decay: share of the steps, at the end, over which it falls to a hundredth, as a cosine.
        optimizer: "adam" or "muon", whose steps take longer and lead further.
        average: decay of the moving average of the weights, which is what is kept.
        clip: longest gradient.
        precision: of Lightning Fabric: "32-true" or "bf16-mixed".
        accelerator: of Lightning Fabric: "auto", "cpu", "cuda".
        devices: how many of them; of a CPU, processes.
        workers: processes that make batches, per device; 0 = the training process.
        checkpoint_every: steps between checkpoints.
        judge_every: steps between validations.
        seed: of the weights.

    Raises:
        StageError: a number is out of range, or the precision or optimizer isn't known.
    """

    steps: int
    rate: float = 1e-3
    warmup: int = 500
    decay: float = 0.5
    optimizer: str = "adam"
    average: float = 0.999
    clip: float = 1.0
    precision: str = "bf16-mixed"
    accelerator: str = "auto"
    devices: int = 1
    workers: int = 0
    checkpoint_every: int = 1000
    judge_every: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "devices", "checkpoint_every", "judge_every"):
            if getattr(self, name) < 1:
                raise StageError(f"got {name} {getattr(self, name)}; expected 1 or more")
        for name in ("warmup", "workers", "seed"):
            if getattr(self, name) < 0:
                raise StageError(f"got {name} {getattr(self, name)}; expected 0 or more")
        for name in ("rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise StageError(f"got {name} {getattr(self, name)}; expected a number above 0")
        for name in ("decay", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise StageError(f"got {name} {getattr(self, name)}; expected a number from 0 to 1")
        if self.optimizer not in _OPTIMIZERS:
            raise StageError(unknown("optimizer", self.optimizer, _OPTIMIZERS))
        if self.precision not in _PRECISIONS:
            raise StageError(f"got precision {self.precision!r}; expected {' or '.join(_PRECISIONS)}")

    def rate_at(self, step: int) -> float:
        """The optimizer's rate at a step, counted from 0."""
        rising = min(1.0, (step + 1) / max(self.warmup, 1))
        start = self.steps * (1 - self.decay)
        falling = min(max((step - start) / max(self.steps - start, 1), 0.0), 1.0)
        return self.rate * rising * (0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2)


def train(
    recipe: Recipe,
    data: Dataset[Any],
    settings: Settings,
    folder: Path,
    identity: str,
    start: Mapping[str, Tensor] | None = None,
    progress: Callable[[int, float], None] = lambda step, loss: None,
    validated: Callable[[int, Mapping[str, float]], None] = lambda step, figures: None,
) -> dict[str, Tensor]:
    """The averaged weights after all steps; a training that was killed goes on where its last checkpoint stands.

    Writes `checkpoint.pt`, `curve.csv`, `curve.svg` and `validation.png` into the folder. On a CPU, the result is the
    same bit for bit however often it was killed. With several devices, Lightning Fabric starts the running command
    once more for each: the function returns in all processes (`first_process` says where), but only the first one
    validates, writes and is told of progress.

    Args:
        recipe: model and loss.
        data: batch number i for every i.
        settings: how long and how fast.
        folder: created if missing.
        identity: of configuration and data; a checkpoint of another one is refused.
        start: weights to start from.
        progress: told the number of steps that are done, and the loss of the last one.
        validated: told the number of steps and the figures of every validation.

    Raises:
        FormatError: the folder holds another training or a damaged checkpoint, or can't be written to; or `start` is
            of another model.
        StageError: data, a loss or a gradient are not finite; or Lightning Fabric isn't installed.
    """
    state = _checkpoint(folder, identity)
    fabric = _launched(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        bare = recipe.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        _begin(bare, start)
    network, optimizer = fabric.setup(bare, _OPTIMIZERS[settings.optimizer](bare.parameters(), settings.rate))
    for name in getattr(recipe, "calls", ()):
        network.mark_forward_method(name)
    average = {name: value.detach().clone() for name, value in network.module.state_dict().items()}
    done = 0
    if state is not None:
        done = state["step"]
        network.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in average.items():
            value.copy_(state["average"][name])
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        curve.cut(folder, done)

    numbers = range(
        done * fabric.world_size + fabric.global_rank, settings.steps * fabric.world_size, fabric.world_size
    )
    loader = DataLoader(
        data, batch_size=None, sampler=numbers, num_workers=settings.workers, generator=torch.Generator()
    )
    loader = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    for step, (number, batch) in enumerate(zip(numbers, loader, strict=True), done):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(step)
        finite = torch.stack([value.isfinite().all() for value in batch]).all()
        if not bool(fabric.all_reduce(finite.float(), reduce_op="mean") == 1):  # then all devices stop here
            raise StageError(
                f"got NaN or infinity in the data at step {step}; expected finite pictures: look at what [data] names. "
                "The checkpoint stands where it was"
            )
        loss = recipe.loss(network, batch, number)
        optimizer.zero_grad()
        fabric.backward(loss)
        length = fabric.clip_gradients(network, optimizer, max_norm=settings.clip, error_if_nonfinite=False)
        if not bool(length.isfinite() & loss.isfinite()):  # of all devices together
            raise StageError(
                f"got a loss of {loss.item():.4g} and a gradient of length {length.item():.4g} at step {step}; "
                "expected finite ones: lower `rate`. The checkpoint stands where it was"
            )
        optimizer.step()
        _follow(average, network.module, min(settings.average, (step + 1) / (step + 10)))
        if fabric.is_global_zero:
            now = step + 1
            progress(now, loss.item())
            if now == settings.steps or now % settings.judge_every == 0:
                judged = _judge(recipe, network, average, fabric.device)
                _draw(judged.picture, folder / PICTURE)
                curve.append(folder, now, loss.item(), judged.figures)
                validated(now, judged.figures)
            if now == settings.steps or now % settings.checkpoint_every == 0:
                state = {"identity": identity, "step": now, "model": network.module.state_dict()}
                _save({**state, "optimizer": optimizer.state_dict(), "average": average}, folder / CHECKPOINT)
    return {name: value.cpu().contiguous() for name, value in average.items() if not name.startswith(BESIDE)}


def first_process() -> bool:
    """Whether this process is the one that writes."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def _launched(settings: Settings) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its imports do in an old way is none of the user's business
            from lightning_fabric import Fabric
    except ImportError as error:
        raise StageError('training needs Lightning Fabric: pip install "rawpipe-isp[train]"') from error
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # it tells what precision was asked for
    try:
        fabric = Fabric(accelerator=settings.accelerator, devices=settings.devices, precision=settings.precision)  # type: ignore[arg-type]
    except Exception as error:  # it has no tree of its own
        raise StageError(
            f"got {settings.devices} x {settings.accelerator!r}, which Lightning Fabric can't use: {error}; set "
            "`accelerator` and `devices`"
        ) from error
    fabric.launch()
    return fabric


def _begin(network: nn.Module, start: Mapping[str, Tensor]) -> None:
    own = {name: value.shape for name, value in network.state_dict().items() if not name.startswith(BESIDE)}
    if own != {name: value.shape for name, value in start.items()}:
        if not isinstance(network, Widened):
            raise FormatError(
                "got weights to start from that are of another network; expected those of the same [model]"
            )
        start = network.widened(start)
    network.load_state_dict(start, strict=False)


def _follow(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        now = network.state_dict()
        torch._foreach_lerp_([average[name] for name in now], list(now.values()), 1 - decay)


def _judge(recipe: Recipe, network: Any, average: dict[str, Tensor], device: torch.device) -> Judged:
    """The validation of the averaged weights."""
    kept = {name: value.clone() for name, value in network.module.state_dict().items()}
    network.module.load_state_dict(average)
    try:
        with torch.no_grad():
            return recipe.judge(network, device)
    finally:
        network.module.load_state_dict(kept)


def _draw(picture: Tensor, path: Path) -> None:
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary)


def _save(state: Mapping[str, Any], path: Path) -> None:
    content = BytesIO()  # of a full disk torch.save would say something unclear
    torch.save(dict(state), content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _checkpoint(folder: Path, identity: str) -> dict[str, Any] | None:
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
        if not {"step", "model", "optimizer", "average"} <= state.keys():
            raise KeyError
    except Exception as error:
        raise FormatError(
            f"got {path}, which is no checkpoint of a training or is damaged; remove it to start again"
        ) from error
    if found != identity:
        raise FormatError(
            f"got {folder}, which holds the training of another configuration or other data; name another folder"
        )
    return state
