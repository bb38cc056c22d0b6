"""Row offsets from the masked border: pixels that see no light, in the same sensor rows as the picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rawpipe import Frame, Shot, Space

COLUMNS = 16  # of masked pixels in every row, at least
_MARGIN = 8  # columns beside the picture or the sensor's edge that light and readout disturb
_CLIP = 4.0  # in standard deviations: hot pixels
_OFF_BLACK = 0.05  # of the range: farther from the stated black it is no masked border


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


def measured(frame: Frame, area: tuple[int, int, int, int] | None = None) -> Border | None:
    """Offsets of the picture's rows; None without a border that shows them: too narrow, constant, or no black."""
    shot, sensor = frame.shot, _sensor(frame)
    beside = columns_of(shot, area)
    if sensor is None or sum(right - left for left, right in beside) < COLUMNS:
        return None
    top, _, bottom, _ = shot.active_area
    pixels = torch.cat([sensor[top:bottom, left:right] for left, right in beside], dim=1).cpu().double()
    if abs(float(pixels.median() - shot.black.double().mean())) > _OFF_BLACK * float(shot.scale_dn):
        return None
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


def _sensor(frame: Frame) -> Tensor | None:
    """The whole sensor's counts (H, W): what the shot kept, or the frame itself; None for several pictures."""
    if frame.data.ndim > 2:
        return None
    if frame.shot.sensor is None:
        whole = frame.origin.tolist() == [0, 0, frame.height, frame.width] == [0, 0, *frame.shot.size]
        return frame.data if whole and frame.space is Space.SENSOR else None
    return frame.shot.sensor if frame.shot.sensor.ndim == 2 else None


def _means(pixels: Tensor, good: Tensor, dim: int) -> Tensor:
    """Mean of the good pixels of each row or column, the dimension kept."""
    return torch.where(good, pixels, 0).sum(dim, keepdim=True) / good.sum(dim, keepdim=True).clamp(min=1)
