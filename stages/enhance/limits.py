"""Where a model is not to be believed: above saturation, and where it changes more than noise explains."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Noise

HIGHLIGHT_RADIUS = 2
GUARD_RADIUS = 4
_FROM, _TO = 0.85, 0.95  # of saturation
_SIGMAS = 4.0


def passed_through(planes: Tensor, result: Tensor, noise: Noise) -> Tensor:
    """The result, but the input where a cell of it passes 0.95, blended from 0.85: a lamp keeps its shape.

    A cell counts as bright as it is for certain: four standard deviations of noise are taken off its own value and
    off the mean of the 5x5 cells around it, or else noise itself would pass.

    Args:
        planes: the input (..., 4, h, w), at the brightness of the result.
        result: of the model, the same shape.
        noise: of the input, per site (4).
    """
    shot, read, row = (one.to(planes.dtype)[:, None, None] for one in (noise.shot, noise.read, noise.row))
    variance = shot * planes.clamp(min=0) + read.square() + row.square()
    side = 2 * HIGHLIGHT_RADIUS + 1
    mean, of_mean = (_mean(one, side) for one in (planes, variance))
    # Near the edge fewer pixels are averaged; counting them as a full square errs towards the input.
    certain = torch.maximum(planes - _SIGMAS * variance.sqrt(), mean - _SIGMAS * of_mean.sqrt() / side)
    share = ((certain.amax(-3, keepdim=True) - _FROM) / (_TO - _FROM)).clamp(0, 1)
    return result + share * (planes - result)


def guarded(planes: Tensor, result: Tensor, noise: Noise, sigmas: float) -> Tensor:
    """The result with its change limited to `sigmas` standard deviations of the noise it claims to have removed.

    Twice: the mean change over 9x9 cells, whose noise is nine times less, so that no shadow is lifted and no colour
    bent; and the change of every pixel, so that a star that the model takes for noise stays. The noise is that of
    the cleaned brightness; the offset of a row counts fully in a pixel and by a third in the mean of nine rows.

    Args:
        planes: the input (..., 4, h, w).
        result: of the model, the same shape.
        noise: of the input, per site (4).
        sigmas: limit of the change.
    """
    shot, read, row = (one.to(result.dtype)[:, None, None] for one in (noise.shot, noise.read, noise.row))
    side = 2 * GUARD_RADIUS + 1
    pixel = shot * result.clamp(min=0) + read.square()
    change = _mean(planes - result, side)
    limit = sigmas * (_mean(pixel, side) / side**2 + row.square() / side).sqrt()
    result = result + change - change.clamp(-limit, limit)
    change = planes - result
    limit = sigmas * (shot * result.clamp(min=0) + read.square() + row.square()).sqrt()
    return result + change - change.clamp(-limit, limit)


def _mean(planes: Tensor, side: int) -> Tensor:
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    averaged: Tensor = F.avg_pool2d(flat, side, stride=1, padding=side // 2, count_include_pad=False)
    return averaged.reshape(planes.shape)
