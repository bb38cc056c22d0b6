"""Where a model is not to be believed: above saturation, and where it changes more than noise explains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Noise, StageError, kernels
from rawpipe.stages.enhance.bands import in_bands, looked_at

HIGHLIGHT_RADIUS = 2
_DETAIL_RADIUS, _AREA_RADIUS = 4, 32
_MEANS = ((_DETAIL_RADIUS, 1.0), (_AREA_RADIUS, 0.25))
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

    def blended(planes: Tensor, result: Tensor) -> Tensor:
        if looked_at(planes) and float(planes.detach().amax()) <= _FROM:  # then the share is 0 everywhere
            return result
        certain = torch.stack([_certain(plane, *site) for plane, site in _each(planes, noise)])
        certain = certain.reshape(planes.shape).amax(-3, keepdim=True)
        return torch.lerp(result, planes, ((certain - _FROM) / (_TO - _FROM)).clamp(0, 1))

    return in_bands(blended, planes, result, halo=HIGHLIGHT_RADIUS)


def _certain(plane: Tensor, shot: Tensor, read: Tensor, row: Tensor) -> Tensor:
    """How bright the pixels of one site are at least (h, w)."""
    around = _Around.of(plane, HIGHLIGHT_RADIUS)
    light = plane.clamp(min=0)
    least = around.mean(plane) - around.limit(light, shot, read, row, _SIGMAS)
    return torch.maximum(least, plane - _SIGMAS * torch.add(read.square() + row.square(), shot * light).sqrt())


def guarded(planes: Tensor, result: Tensor, noise: Noise, sigmas: float) -> Tensor:
    """The result, with given back what it changed beyond what noise explains.

    Three times: in the mean over 9x9 cells beyond `sigmas` standard deviations, so that no detail is washed away; in
    the mean over 65x65 cells beyond a fourth as many, so that no area changes its colour; and in every pixel beyond
    three times as many, since read noise has tails: a star that the model takes for noise stays. The noise is that of
    the cleaned brightness; of the offsets of rows a mean has less the more rows it has. What a mean had too much of is
    given back smoothed over the same cells. By the kernels it is the same but for rounding, 2e-7 of the brightness.

    Args:
        planes: the input (..., 4, h, w).
        result: of the model, the same shape.
        noise: of the input, per site (4).
        sigmas: limit of the change.
    """
    if _compiled(planes, result, noise):
        from rawpipe.kernels import compiled

        variances = torch.stack([noise.shot, noise.read.square(), noise.row.square()])
        limits = [share * sigmas for _, share in _MEANS] + [_TAILS * sigmas]
        return compiled.guarded(planes, result, variances, (_DETAIL_RADIUS, _AREA_RADIUS), limits)
    found = [
        _guarded(plane, one, *site, sigmas)
        for (plane, site), one in zip(_each(planes, noise), result.reshape(-1, *result.shape[-2:]), strict=True)
    ]
    return torch.stack(found).reshape(result.shape)


def _guarded(plane: Tensor, result: Tensor, shot: Tensor, read: Tensor, row: Tensor, sigmas: float) -> Tensor:
    """`guarded` for the pixels of one site (h, w)."""
    for radius, share in _MEANS:
        around = _Around.of(plane, radius)
        change = around.mean(plane - result)
        limit = around.limit(result.clamp(min=0), shot, read, row, share * sigmas)
        result = result + (change - change.clamp(-limit, limit))
    change = plane - result
    limit = _TAILS * sigmas * (shot * result.clamp(min=0) + (read.square() + row.square())).sqrt()
    return result + (change - change.clamp(-limit, limit))


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

    def seen(planes: Tensor, result: Tensor) -> Tensor:
        if looked_at(planes) and bool(planes.detach().amax() <= top.amin()):
            return planes
        return torch.where(planes > top, result, planes)

    if _compiled(planes, result, noise):
        return guarded(in_bands(seen, planes, result), result, noise, sigmas)
    return in_bands(lambda *both: guarded(seen(*both), both[1], noise, sigmas), planes, result, halo=GUARD_RADIUS)


def _compiled(planes: Tensor, result: Tensor, noise: Noise) -> bool:
    """Whether the guard is computed by the kernels, which go through the planes in tiles themselves."""
    return all(map(kernels.usable, (planes, result, noise.shot, noise.read, noise.row)))


def _each(planes: Tensor, noise: Noise) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor, Tensor]]]:
    """One plane (h, w) of (..., 4, h, w) after the other, with shot, read and row noise of its site.

    One by one, since what is done to a plane then stays in the cache, and in memory that was in use before.
    """
    shot, read, row = (one.to(planes.dtype) for one in (noise.shot, noise.read, noise.row))
    for number, plane in enumerate(planes.reshape(-1, *planes.shape[-2:])):
        site = number % len(shot)
        yield plane, (shot[site], read[site], row[site])


class _Around(NamedTuple):
    """Means over the pixels of a plane within a radius, fewer at the edge.

    Args:
        radius: to each side, a power of two.
        rows: the share of one row in a mean (h, 1).
        columns: the share of one column (w).
    """

    radius: int
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, plane: Tensor, radius: int) -> _Around:
        """For planes of one size."""
        rows, columns = (
            1 / ((at + radius).clamp(max=length - 1) - (at - radius).clamp(min=0) + 1).to(plane.dtype)
            for length in plane.shape
            for at in (torch.arange(length, device=plane.device),)
        )
        return cls(radius, rows[:, None], columns)

    def mean(self, plane: Tensor) -> Tensor:
        """The means (h, w)."""
        return self._summed(self._summed(plane, -2) * self.rows, -1) * self.columns

    def limit(self, light: Tensor, shot: Tensor, read: Tensor, row: Tensor, sigmas: float) -> Tensor:
        """Standard deviations of the noise of the means (h, w), where `light` is the brightness."""
        variance = self._summed(self._summed(light, -2) * self.rows.square(), -1) * (shot * self.columns.square())
        return sigmas * torch.addcmul(variance, self.rows, read.square() * self.columns + row.square()).sqrt()

    def _summed(self, plane: Tensor, dim: int) -> Tensor:
        """Sums along a dimension; always in the same order, so that tiles agree."""
        length, step = plane.shape[dim], 1
        part = padded = F.pad(plane, (self.radius,) * 2 if dim == -1 else (0, 0, *(self.radius,) * 2))
        while step <= self.radius:
            rest = part.shape[dim] - step
            part = part.narrow(dim, 0, rest) + part.narrow(dim, step, rest)
            step *= 2
        return part.narrow(dim, 0, length) + padded.narrow(dim, step, length)
