"""Row offsets from the masked border: pixels that see no light, in the same sensor rows as the picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rawpipe import Shot

COLUMNS = 16  # of masked pixels in every row, at least
_MARGIN = 8  # columns beside the picture or the sensor's edge that light and readout disturb
_CLIP = 4.0  # in standard deviations: hot pixels


@dataclass(frozen=True, eq=False)
class Border:
    """What the border says of every row of the whole sensor.

    Args:
        offset_dn: mean of the row's masked pixels against that of all rows (H), in DN.
        error_dn: standard deviation of `offset_dn` without row noise, from the scatter within the rows (scalar).
        row_dn: standard deviation of the row noise itself, 0 if the rows scatter no more than their pixels explain.
    """

    offset_dn: Tensor
    error_dn: float
    row_dn: float


def columns_of(shot: Shot, area: tuple[int, int, int, int] | None) -> list[tuple[int, int]]:
    """First and last column of the masked areas that stand beside all rows of the picture.

    Args:
        shot: the shot.
        area: top, left, bottom, right of the masked pixels in the whole sensor; None for those that the file names,
            or else the border on the left.
    """
    top, left, bottom, _ = shot.active_area
    areas = (area,) if area is not None else shot.masked_areas
    beside = [(one[1], one[3]) for one in areas if one[0] <= top and one[2] >= bottom]
    if not areas and left >= 2 * _MARGIN + COLUMNS:
        beside = [(_MARGIN, left - _MARGIN)]
    return beside


def measured(shot: Shot, area: tuple[int, int, int, int] | None = None) -> Border | None:
    """Offsets of the picture's rows; None if the masked pixels are too few, or constant."""
    beside = columns_of(shot, area)
    if shot.sensor is None or sum(right - left for left, right in beside) < COLUMNS:
        return None
    top, _, bottom, _ = shot.active_area
    pixels = torch.cat([shot.sensor[top:bottom, left:right] for left, right in beside], dim=1).double()
    noise = pixels.clone()
    for parity in (0, 1):
        noise[parity::2] -= noise[parity::2].median(dim=0).values
    apart = (noise - noise.median(dim=1, keepdim=True).values).abs()
    good = apart <= _CLIP * 1.4826 * apart.median()
    for parity in (0, 1):  # black of the sites, and the pattern that columns share
        pixels[parity::2] -= _means(pixels[parity::2], good[parity::2], dim=0)
    means = _means(pixels, good, dim=1)[:, 0]
    inside = good.sum() - len(means)
    if not inside > 0 or apart.median() == 0:
        return None
    within = torch.where(good, pixels - means[:, None], 0).square().sum() / inside
    error2 = float(within / good.sum(dim=1).double().mean())
    offsets = torch.zeros(shot.size[0], dtype=torch.float64)
    offsets[top:bottom] = means
    return Border(offsets, error2**0.5, max(float(means.var()) - error2, 0.0) ** 0.5)


def _means(pixels: Tensor, good: Tensor, dim: int) -> Tensor:
    """Mean of the good pixels of each row or column, the dimension kept."""
    return torch.where(good, pixels, 0).sum(dim, keepdim=True) / good.sum(dim, keepdim=True).clamp(min=1)
