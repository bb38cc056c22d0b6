"""What noise a model leaves, by trying it on flat fields.

A two-parameter model can't say what is left in texture, or how it is correlated. The rule: the variance that is left on
a flat field, without light and at a fifth of saturation, through which a line is drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance.enhancer import Run

_SHAPE = (4, 1024, 96)  # tall: rows that a model has smoothed are few independent ones
_LEVEL = 0.2  # of saturation
_SEED = 2013


def left(run: Run, noise: Noise, white: Tensor) -> Noise:
    """Noise behind `run` of flat fields that have `noise` before it, per site (4).

    Args:
        run: the model.
        noise: noise of its input.
        white: saturation above black per site (4).
    """
    level = (_LEVEL * white)[:, None, None]
    dark, lit = (_tried(run, noise, at) for at in (torch.zeros_like(level), level))
    row2 = (dark[1] + lit[1]) / 2
    shot = ((lit[0] - dark[0]) / level[:, 0, 0]).clamp(min=0)
    return Noise(shot, (dark[0] - row2).clamp(min=0).sqrt(), row2.sqrt())


def _tried(run: Run, noise: Noise, level: Tensor) -> tuple[Tensor, Tensor]:
    """Variance of the result and of the part that its rows share, per site (4)."""
    generator = torch.Generator().manual_seed(_SEED)
    pixel = torch.randn(_SHAPE, generator=generator)
    row = torch.randn(2, _SHAPE[1], 1, generator=generator)[[0, 0, 1, 1]]  # R and Gr share theirs, Gb and B
    pixel, row = pixel.to(level), row.to(level)
    shot, read, rows = (values[:, None, None] for values in (noise.shot, noise.read, noise.row))
    planes = level + pixel * (shot * level + read**2).sqrt() + row * rows
    result = run(planes)
    rest = result - result.mean(dim=(1, 2), keepdim=True)
    third = _SHAPE[2] // 3  # the outer ones are too far apart to share anything but their rows
    row2 = (rest[..., :third].mean(dim=2) * rest[..., -third:].mean(dim=2)).mean(dim=1).clamp(min=0)
    return rest.square().mean(dim=(1, 2)), torch.where(noise.row > 0, row2, 0)
