"""What noise a model leaves, by trying it on flat fields.

A two-parameter model can't say what is left in texture, or how it is correlated. The rule: the variance that is left on
neutral flat fields, without light and at half of saturation, through which a line is drawn. A network leaves more than
that in deep shadows, and where it begins to pass through what is bright.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance.enhancer import Run

TRIAL = (1024, 96)  # tall: rows that a model has smoothed are few independent ones
_ORDERS = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))  # in all, R and Gr share their rows, Gb and B
_LEVEL = 0.5  # of saturation; what is much brighter begins to be passed through
_SEED = 2013


def left(run: Run, noise: Noise, grey: Tensor, size: tuple[int, int] = TRIAL) -> Noise:
    """Noise behind `run` of flat fields that have `noise` before it, per site (4).

    Every site gets the draws of every other one in turn: what little chance is left in them is the same for all.

    Args:
        run: the model.
        noise: noise of its input.
        grey: a neutral field that just doesn't saturate, per site (4): a model may treat other colours otherwise.
        size: packed rows and columns of the fields.
    """
    level = (_LEVEL * grey)[:, None, None]
    dark, lit = (_tried(run, noise, at, size) for at in (torch.zeros_like(level), level))
    row2 = torch.minimum((dark[1] + lit[1]) / 2, dark[0])
    shot = ((lit[0] - dark[0]) / level[:, 0, 0]).clamp(min=0)
    return Noise(shot, (dark[0] - row2).sqrt(), row2.sqrt())


def _tried(run: Run, noise: Noise, level: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Variance of the result and of the part that its rows share, per site (4)."""
    generator = torch.Generator().manual_seed(_SEED)
    pixels = torch.randn((4, *size), generator=generator).to(level)
    offsets = torch.randn(2, size[0], 1, generator=generator)[[0, 0, 1, 1]].to(level)
    shot, read, rows = (values[:, None, None] for values in (noise.shot, noise.read, noise.row))
    third = size[1] // 3  # the outer ones are too far apart to share anything but their rows
    place = torch.zeros(2, dtype=torch.int64, device=level.device)
    variance, shared = torch.zeros_like(noise.read), torch.zeros_like(noise.read)
    for order in _ORDERS:
        planes = level + pixels[order, :] * (shot * level + read**2).sqrt() + offsets[order, :] * rows
        result = run(planes, place)
        rest = result - result.mean(dim=(1, 2), keepdim=True)
        variance += rest.square().mean(dim=(1, 2)) / len(_ORDERS)
        shared += (rest[..., :third].mean(dim=2) * rest[..., -third:].mean(dim=2)).mean(dim=1) / len(_ORDERS)
    return variance, torch.where(noise.row > 0, shared.clamp(min=0), 0)
