"""Where a model is not to be believed: above saturation, and where it changes more than noise explains."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Noise, StageError

HIGHLIGHT_RADIUS = 2
_DETAIL_RADIUS, _AREA_RADIUS = 4, 32
GUARD_RADIUS = _DETAIL_RADIUS + _AREA_RADIUS
_FROM, _TO = 0.85, 0.95  # of saturation
_SIGMAS = 4.0
_TAILS = 3.0
_SEEN_SIGMAS = 5.0


def check_guard(sigmas: object) -> None:
    """Refuse what no guard can work with.

    Raises:
        StageError: it isn't a number, or below 0.
    """
    if not (isinstance(sigmas, int | float) and 0 <= sigmas < math.inf):
        raise StageError(f"got guard {sigmas!r}; expected standard deviations, 0 or more")


def passed_through(planes: Tensor, result: Tensor, noise: Noise) -> Tensor:
    """The result, but the input where a cell of it passes 0.95, blended from 0.85: a lamp keeps its shape.

    A cell counts as bright as it is for certain: four standard deviations of noise are taken off its own value and
    off the mean of the 5x5 cells around it, or else noise itself would pass.

    Args:
        planes: the input (..., 4, h, w), at the brightness of the result.
        result: of the model, the same shape.
        noise: of the input, per site (4).
    """
    shot, read, row = _laid_out(noise, planes)
    pixel = shot * planes.clamp(min=0) + read.square()
    mean, of_mean = _box(planes, pixel, row, HIGHLIGHT_RADIUS)
    certain = torch.maximum(planes - _SIGMAS * (pixel + row.square()).sqrt(), mean - _SIGMAS * of_mean)
    share = ((certain.amax(-3, keepdim=True) - _FROM) / (_TO - _FROM)).clamp(0, 1)
    return result + share * (planes - result)


def guarded(planes: Tensor, result: Tensor, noise: Noise, sigmas: float) -> Tensor:
    """The result, with given back what it changed beyond what noise explains.

    Three times: in the mean over 9x9 cells beyond `sigmas` standard deviations, so that no detail is washed away; in
    the mean over 65x65 cells beyond a fourth as many, so that no area changes its colour; and in every pixel beyond
    three times as many, since read noise has tails: a star that the model takes for noise stays. The noise is that of
    the cleaned brightness; of the offsets of rows a mean has less the more rows it has. What a mean had too much of is
    given back smoothed over the same cells.

    Args:
        planes: the input (..., 4, h, w).
        result: of the model, the same shape.
        noise: of the input, per site (4).
        sigmas: limit of the change.
    """
    shot, read, row = _laid_out(noise, result)
    for radius, share in ((_DETAIL_RADIUS, 1.0), (_AREA_RADIUS, 0.25)):
        change, of_change = _box(planes - result, shot * result.clamp(min=0) + read.square(), row, radius)
        limit = share * sigmas * of_change
        result = result + change - change.clamp(-limit, limit)
    change = planes - result
    limit = _TAILS * sigmas * (shot * result.clamp(min=0) + read.square() + row.square()).sqrt()
    return result + change - change.clamp(-limit, limit)


def brightest_seen(shot: Tensor, read: Tensor) -> Tensor:
    """The brightest that a model gets to see: five standard deviations above saturation.

    Args:
        shot: variance of the input per signal.
        read: its standard deviation without light, rows included, of the same shape.
    """
    return 1 + _SEEN_SIGMAS * (shot + read.square()).sqrt()


def believed(planes: Tensor, result: Tensor, noise: Noise, sigmas: float, top: Tensor) -> Tensor:
    """`guarded`, or with 0 for `sigmas` the result as it is.

    What is above `top`, the brightest that the model saw, counts as unchanged: a lamp, which the stage passes through,
    must not shine on its surroundings through their means.
    """
    if not sigmas:
        return result
    return guarded(torch.where(planes > top, result, planes), result, noise, sigmas)


def _laid_out(noise: Noise, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shot, read, row = (one.to(like.dtype)[:, None, None] for one in (noise.shot, noise.read, noise.row))
    return shot, read, row


def _box(planes: Tensor, variance: Tensor, row: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Means over the cells within `radius`, fewer at the edge, and the standard deviation of the means.

    Args:
        planes: what is averaged (..., 4, h, w).
        variance: of every pixel by itself.
        row: standard deviation of what a row shares.
        radius: cells to each side.
    """
    height, width = planes.shape[-2:]
    rows, columns = (
        (at + radius).clamp(max=length - 1) - (at - radius).clamp(min=0) + 1
        for length in (height, width)
        for at in (torch.arange(length, device=planes.device),)
    )
    count = (rows[:, None] * columns).to(planes.dtype)
    side = 2 * radius + 1

    def mean(values: Tensor) -> Tensor:
        flat = values.reshape(-1, 1, height, width)
        for window, padding in (((side, 1), (radius, 0)), ((1, side), (0, radius))):
            flat = F.avg_pool2d(flat, window, stride=1, padding=padding, count_include_pad=False)
        return flat.reshape(values.shape)

    return mean(planes), (mean(variance) / count + row.square() / rows[:, None]).sqrt()
