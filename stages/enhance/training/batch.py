"""Batches of dim, noisy pictures beside the clean ones, drawn over virtual cameras, gains and exposure ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rawpipe import NoiseModel, bayer

_PHASE = "RGGB"  # of planes laid out as a mosaic
_STRIDE = 0x9E3779B1  # 2**32 / golden ratio: PyTorch's generator on the CPU uses the lower 32 bits of a seed alone


class Batch(NamedTuple):
    """Pictures at the reference brightness, at which 1 is saturation.

    Args:
        clean: packed planes (n, 4, h, w).
        dim: the same exposed `ratio` times shorter, noisy, and multiplied by the ratio; not clipped.
        ratio: (n, 1, 1, 1), 1 or more.
        shot: variance of `dim` per signal (n, 4, 1, 1).
        read: standard deviation of `dim` without light (n, 4, 1, 1), row noise included.
    """

    clean: Tensor
    dim: Tensor
    ratio: Tensor
    shot: Tensor
    read: Tensor


class Patches(Protocol):
    """A source of clean packed patches."""

    @property
    def sha256(self) -> str:
        """Of all its content."""

    def patches(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Packed patches (count, 4, side, side) in 0..1."""


@dataclass(frozen=True, eq=False)
class Synthetic(Dataset[Batch]):
    """Batch number i is the same whenever it is asked for: it depends on the seed and on i alone.

    Args:
        source: clean patches.
        batch: pictures in a batch.
        side: height and width of a packed patch.
        ratios: least and greatest exposure ratio.
        skew: 1 = their logarithm is uniform; 2 = the greater the logarithm, the more likely.
        gains: least and greatest gain in DN per electron, logarithmically uniform.
        cameras: published cameras; None = the five of ELD.
        seed: of the whole run.
    """

    source: Patches
    batch: int = 8
    side: int = 64
    ratios: tuple[float, float] = (1.0, 300.0)
    skew: float = 2.0
    gains: tuple[float, float] = (0.1, 30.0)
    cameras: Sequence[str] | None = None
    seed: int = 0

    def __getitem__(self, index: int) -> Batch:
        """Batch number `index`."""
        generator = numbered(self.seed, index)
        clean = self.source.patches(self.batch, self.side, generator)
        low, high = self.ratios
        ratio = low * (high / low) ** torch.rand(self.batch, generator=generator) ** (1 / self.skew)
        model = NoiseModel.random(self.batch, generator, self.cameras, self.gains)
        return exposed(clean, ratio, model, generator)


def numbered(seed: int, index: int) -> torch.Generator:
    """A generator for batch `index` of a run; runs of different seeds have no batch in common for a long time."""
    return torch.Generator().manual_seed((index + seed * _STRIDE) % 2**32)


def exposed(clean: Tensor, ratio: Tensor, model: NoiseModel, generator: torch.Generator | None = None) -> Batch:
    """Clean packed planes (n, 4, h, w) exposed `ratio` (n) times shorter by the sensors of `model` (n or one)."""
    height, width = (2 * length for length in clean.shape[-2:])
    times = ratio[:, None, None, None].to(clean)
    white = model.saturation_dn[..., None, None]
    signal = bayer.unpack(clean * white / times, _PHASE, height, width)
    counts = model.sample(signal, _PHASE, generator)
    summary = model.summary()
    shot = summary.shot[..., None, None] / white * times
    read = (summary.read**2 + summary.row**2).sqrt()[..., None, None] / white * times
    return Batch(clean, bayer.pack(counts, _PHASE) / white * times, times, shot.expand(-1, 4, 1, 1), read)
