"""The masked border of one frame: black, read noise, row noise and column pattern of pixels that see no light."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from rawpipe import bayer
from rawpipe._errors import FrameError
from rawpipe._frame import Frame
from rawpipe._quantity import Quantity
from rawpipe._shot import Box

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MARGIN = 8  # rows and columns beside the picture or the sensor's edge that light and readout disturb
_NARROWEST = 16  # rows or columns that a border must have
_DEFECT = 20.0  # in standard deviations; less far out is noise, whose tails are long in many sensors
_OFF_TAG = 0.05  # share of the range between border and stated black above which it isn't a masked border


@dataclass(frozen=True)
class MaskedBorder:
    """What the masked border of one frame shows, in DN. Per-site numbers are in the order R, Gr, Gb, B.

    Args:
        area: top, left, bottom, right of the pixels that were used, in the whole sensor.
        black_dn: mean count without light (4).
        read_sigma_dn: standard deviation of a pixel (4): patterns of rows and columns left out, and defects; the fixed
            pattern of pixels and the rounding of counts can't be.
        sigma_dn: the same of all sites, defects included.
        row_sigma_dn: an upper bound: standard deviation of the offset that a row's pixels share.
        column_fpn_dn: standard deviation of the offset that a column's pixels share.
    """

    area: Box
    black_dn: Quantity
    read_sigma_dn: Quantity
    sigma_dn: Quantity
    row_sigma_dn: Quantity
    column_fpn_dn: Quantity


def border_areas(frame: Frame) -> list[Box]:
    """Masked rectangles of the whole sensor: those that the file names, else what lies beside and above the picture.

    Disturbed rows and columns are left out; the largest comes first, empty if there is none of use.
    """
    shot = frame.shot
    if shot.masked_areas:
        found = list(shot.masked_areas)
    else:
        (top, left, bottom, right), (height, width) = shot.active_area, shot.size
        found = [
            (top, _MARGIN, bottom, left - _MARGIN),
            (top, right + _MARGIN, bottom, width - _MARGIN),
            (_MARGIN, left, top - _MARGIN, right),
            (bottom + _MARGIN, left, height - _MARGIN, right),
        ]
    wide = [one for one in found if min(one[2] - one[0], one[3] - one[1]) >= _NARROWEST]
    return sorted(wide, key=lambda one: -(one[2] - one[0]) * (one[3] - one[1]))


def masked_border(frame: Frame, area: Box | None = None) -> MaskedBorder | None:
    """Measure the masked border of a frame's whole sensor (`shot.sensor`).

    Args:
        frame: a mosaic that was read from a camera file; its pixels don't matter, only its phase and origin.
        area: top, left, bottom, right of the masked pixels in the whole sensor; None for the largest there is.

    Returns:
        None if the frame has no border, or what lies there is no black: constant, or far from the stated level.

    Raises:
        FrameError: the area isn't within the sensor, or the frame has no CFA.
    """
    shot, sensor = frame.shot, frame.shot.sensor
    if frame.cfa is None:
        raise FrameError(f"got {frame.space.label}; expected a mosaic, whose masked border has sites")
    areas = [area] if area is not None else border_areas(frame)
    if sensor is None or not areas or tuple(frame.origin[2:].tolist()) != shot.size:
        return None
    top, left, bottom, right = areas[0]
    height, width = sensor.shape[-2:]
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise FrameError(f"got the masked area {areas[0]}; expected it within the sensor's {height}x{width}")
    y, x = (int(value) for value in frame.origin[:2])
    cfa = bayer.rephase(frame.cfa, top - y, left - x)
    counts = sensor[..., top:bottom, left:right].reshape(-1, bottom - top, right - left)[0].cpu().numpy()
    found = measure_dark_area(np.asarray(counts, np.float64), cfa, areas[0])
    if found is None or not isinstance(found.black_dn.value, tuple):
        return None
    off = np.abs(np.array(found.black_dn.value) - shot.black.double().numpy()).max()
    return found if off <= _OFF_TAG * float(shot.scale_dn) else None


def measure_dark_area(counts: Doubles, cfa: str, area: Box) -> MaskedBorder | None:
    """Take one area of dark counts (H, W) apart; None if it holds no noise.

    count = black (site) + column offset (per row parity) + row offset + noise, by alternating means without outliers.
    """
    height, width = counts.shape
    if min(height, width) < 4:
        return None
    rest, good = counts - _per_cell(counts, np.median), np.ones(counts.shape, np.bool_)
    columns, rows = np.zeros((2, width)), np.zeros(height)
    for _ in range(3):
        for parity in (0, 1):
            columns[parity] = _means((rest - rows[:, None])[parity::2], good[parity::2], 0)
        level = rest - columns[np.arange(height) % 2]
        rows = _means(level, good, 1)
        noise = level - rows[:, None]
        spread = 1.4826 * float(np.median(np.abs(noise)))
        if spread == 0 and not noise.any():
            return None
        good = np.abs(noise) <= _DEFECT * max(spread, float(noise.std()) / 100)
    free = 1 - (2 * width + height - 1) / counts.size  # what the means have taken
    sites = [bayer.offset(cfa, site) for site in range(4)]
    cells = [(slice(dy, None, 2), slice(dx, None, 2)) for dy, dx in sites]
    sigma2 = np.array([float((noise[cell][good[cell]] ** 2).mean()) / free for cell in cells])
    if not (sigma2 > 0).all():
        return None
    pixels = [int(good[cell].sum()) for cell in cells]
    in_row, in_column = sigma2.mean() / (good.sum() / height), sigma2.mean() / (good.sum() / (2 * width))
    row = _row_bound(rows, in_row)
    column = _column_pattern(columns, in_column)
    black = [float(counts[cell][good[cell]].mean()) for cell in cells]
    # A row's and a column's offset is one draw for all its pixels.
    shared = in_row * 2 / height + _value(row) ** 2 * 2 / height + _value(column) ** 2 * 2 / width
    error = [1.96 * math.sqrt(s / n + shared) for s, n in zip(sigma2.tolist(), pixels, strict=True)]
    sigma = np.sqrt(sigma2)
    half = [1.96 * s / math.sqrt(2 * n) for s, n in zip(sigma.tolist(), pixels, strict=True)]
    every = math.sqrt(float((noise**2).mean()) / free)
    # From the spread of the squares, which a few defects dominate.
    half_every = 1.96 * float((noise**2).std()) / math.sqrt(noise.size) / (2 * every)
    return MaskedBorder(
        area,
        Quantity(tuple(black), _ends(black, error), min(pixels), True, "mean of the masked border of this frame"),
        Quantity(
            tuple(sigma.tolist()),
            _ends(sigma.tolist(), half),
            min(pixels),
            False,
            "from the masked border of one frame: the fixed pattern of pixels is still in it",
        ),
        Quantity(every, (every - half_every, every + half_every), noise.size, False, "defects are in it"),
        row,
        column,
    )


def _per_cell(counts: Doubles, statistic: object) -> Doubles:
    """A statistic of each of the four interleaved planes, at every pixel."""
    out = np.empty_like(counts)
    for y in (0, 1):
        for x in (0, 1):
            out[y::2, x::2] = statistic(counts[y::2, x::2])  # type: ignore[operator]
    return out


def _means(values: Doubles, good: Bools, axis: int) -> Doubles:
    """Means of the good pixels along an axis, their own mean taken off."""
    means: Doubles = np.where(good, values, 0).sum(axis) / np.maximum(good.sum(axis), 1)
    means -= means.mean()
    return means


def _row_bound(rows: Doubles, pixels: float) -> Quantity:
    """Scatter of rows that their pixels don't explain: noise and fixed pattern together, in one frame."""
    degrees = len(rows) - 1
    total = float(rows.var(ddof=1))
    high = math.sqrt(max(degrees * total / float(chdtri(degrees, 0.975)) - pixels, 0.0))
    why = "upper bound: one frame can't tell row noise from the fixed pattern of rows; add dark frames"
    return Quantity(math.sqrt(max(total - pixels, 0.0)), (0.0, high), degrees + 1, False, why)


def _column_pattern(columns: Doubles, pixels: float) -> Quantity:
    """Offset of columns (2, W), one row for the even rows and one for the odd; what both share counts.

    Noise of the two is independent, so their product is free of it.
    """
    width = columns.shape[1]
    found = float((columns[0] * columns[1]).sum() / (width - 1))
    error = 1.96 * math.sqrt((found**2 + (abs(found) + pixels) ** 2) / (width - 1))
    ends = math.sqrt(max(found - error, 0.0)), math.sqrt(max(found + error, 0.0))
    sigma = math.sqrt(max(found, 0.0))
    if ends[0] == 0:
        return Quantity(sigma, ends, width, False, f"upper bound: no column pattern above {ends[1]:.3g} DN stands out")
    why = "columns share an offset in all rows of this frame; whether it stays from frame to frame, one frame can't say"
    return Quantity(sigma, ends, width, True, why)


def _ends(values: Sequence[float], error: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((value - e, value + e) for value, e in zip(values, error, strict=True))


def _value(quantity: Quantity) -> float:
    assert isinstance(quantity.value, float)
    return quantity.value
