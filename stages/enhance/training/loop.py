"""The training loop: what is learned is a `Recipe`'s business, devices and precision are Lightning Fabric's."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rawpipe import FormatError, StageError

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
CURVE = "curve.csv"
PICTURE = "validation.png"


class Judged(NamedTuple):
    """What a validation found.

    Args:
        figures: named numbers, the same names every time.
        picture: to look at, display-referred (3, H, W) in 0..1.
    """

    figures: dict[str, float]
    picture: Tensor


class Recipe(Protocol):
    """What a model learns by."""

    def build(self) -> nn.Module:
        """The network, with fresh weights."""

    def loss(self, network: Callable[..., Any], batch: Any, index: int) -> Tensor:
        """The loss of batch number `index`, from which all that is random follows."""

    def judge(self, network: Callable[..., Any]) -> Judged:
        """Validate."""


@dataclass(frozen=True)
class Settings:
    """How long and how fast it is trained.

    Args:
        steps: batches in all.
        rate: Adam's rate at its highest.
        warmup: steps over which the rate rises from 0.
        decay: share of the steps, at the end, over which it falls to a hundredth, as a cosine.
        average: decay of the moving average of the weights, which is what is kept.
        clip: longest gradient.
        precision: of Lightning Fabric: "32-true", "bf16-mixed", "16-mixed".
        accelerator: of Lightning Fabric: "auto", "cpu", "cuda".
        devices: how many of them.
        workers: processes that make batches; 0 = the training process.
        checkpoint_every: steps between checkpoints.
        judge_every: steps between validations.
        seed: of the weights and the batches.
    """

    steps: int
    rate: float = 1e-3
    warmup: int = 500
    decay: float = 0.5
    average: float = 0.999
    clip: float = 1.0
    precision: str = "bf16-mixed"
    accelerator: str = "auto"
    devices: int = 1
    workers: int = 0
    checkpoint_every: int = 1000
    judge_every: int = 1000
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Adam's rate at a step, counted from 0."""
        rising = min(1.0, (step + 1) / max(self.warmup, 1))
        start = self.steps * (1 - self.decay)
        falling = min(max((step - start) / max(self.steps - start, 1), 0.0), 1.0)
        return self.rate * rising * (0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2)


class Progress(Protocol):
    """Told of every step."""

    def __call__(self, step: int, loss: float) -> None:
        """`step` of the steps are done, the last one with this loss."""


def train(
    recipe: Recipe,
    data: Dataset[Any],
    settings: Settings,
    folder: Path,
    identity: str,
    start: Mapping[str, Tensor] | None = None,
    progress: Progress = lambda step, loss: None,
) -> dict[str, Tensor]:
    """The averaged weights after all steps; a training that was killed goes on where its last checkpoint stands.

    Writes `checkpoint.pt`, `curve.csv` and `validation.png` into the folder.

    Args:
        recipe: model and loss.
        data: batch number i for every i.
        settings: how long and how fast.
        folder: created if missing.
        identity: of configuration and data; a checkpoint of another one is refused.
        start: weights to start from.
        progress: told of every step.

    Raises:
        FormatError: the folder holds another training, or a damaged checkpoint.
        StageError: the loss is not finite; or Lightning Fabric isn't installed.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise StageError('training needs Lightning Fabric: pip install "rawpipe-isp[train]"') from error
    fabric = Fabric(accelerator=settings.accelerator, devices=settings.devices, precision=settings.precision)  # type: ignore[arg-type]
    fabric.launch()
    torch.manual_seed(settings.seed)
    bare = recipe.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        bare.load_state_dict(start)
    network, optimizer = fabric.setup(bare, torch.optim.Adam(bare.parameters(), settings.rate, fused=True))
    average = {name: value.detach().clone() for name, value in network.module.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    done = _resume(folder, identity, network.module, optimizer, average)
    _cut_curve(folder / CURVE, done)

    ranks = range(done * fabric.world_size + fabric.global_rank, settings.steps * fabric.world_size, fabric.world_size)
    loader = fabric.setup_dataloaders(
        DataLoader(data, batch_size=None, sampler=ranks, num_workers=settings.workers), use_distributed_sampler=False
    )
    for step, (index, batch) in enumerate(zip(ranks, loader, strict=True), done):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(step)
        loss = recipe.loss(network, batch, index)
        if not bool(loss.isfinite()):
            raise StageError(
                f"got a loss of {loss.item()} at step {step}; expected a finite one: look for NaN in the "
                f"data, or lower `rate`. The checkpoint in {folder} stands where it was"
            )
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(network, optimizer, max_norm=settings.clip)
        optimizer.step()
        _follow(average, network.module, min(settings.average, (step + 1) / (step + 10)))
        progress(step + 1, loss.item())
        last = step + 1 == settings.steps
        if fabric.is_global_zero and (last or (step + 1) % settings.judge_every == 0):
            _judge(recipe, fabric, network, average, folder, step + 1, loss.item())
        if fabric.is_global_zero and (last or (step + 1) % settings.checkpoint_every == 0):
            state = {"identity": identity, "step": step + 1, "model": network.module.state_dict()}
            _save({**state, "optimizer": optimizer.state_dict(), "average": average}, folder / CHECKPOINT)
    return {name: value.detach().cpu().contiguous() for name, value in average.items()}


def _follow(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        now = network.state_dict()
        torch._foreach_lerp_([average[name] for name in now], list(now.values()), 1 - decay)


def _judge(
    recipe: Recipe, fabric: Any, network: Any, average: dict[str, Tensor], folder: Path, step: int, loss: float
) -> None:
    kept = {name: value.clone() for name, value in network.module.state_dict().items()}
    network.module.load_state_dict(average)
    with torch.no_grad():
        judged = recipe.judge(network)
    network.module.load_state_dict(kept)
    path = folder / CURVE
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "loss", *judged.figures])
        writer.writerow([step, f"{loss:.5g}", *(f"{value:.4f}" for value in judged.figures.values())])
    pixels = (judged.picture.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
    part = folder / f"{PICTURE}.part"
    Image.fromarray(np.ascontiguousarray(pixels)).save(part, format="PNG")
    part.replace(folder / PICTURE)


def _save(state: Mapping[str, Any], path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(dict(state), part)
    part.replace(path)


def _resume(folder: Path, identity: str, network: nn.Module, optimizer: Any, average: dict[str, Tensor]) -> int:
    """Load the checkpoint, if there is one; the answer is the steps that are done."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, step = state["identity"], int(state["step"])
    except Exception as error:
        raise FormatError(
            f"got {path}, which is no checkpoint of a training or is damaged; remove it to start again"
        ) from error
    if found != identity:
        raise FormatError(
            f"got {folder}, which holds the training of another configuration or other data; name another folder"
        )
    network.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for name, value in state["average"].items():
        average[name].copy_(value)
    return step


def _cut_curve(path: Path, done: int) -> None:
    """Forget figures of steps behind the checkpoint: they come again."""
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows if row and (not row[0].isdigit() or int(row[0]) <= done)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(kept if done else [])
        if not done:
            path.unlink()
