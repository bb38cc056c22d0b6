"""Analysis of variance over captures of one scene: pixels, frames, rows of a frame, and what remains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rawpipe import bayer
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Mosaics, site, strips


@dataclass(frozen=True, eq=False)
class Means:
    """Of every pixel (H, W): its mean over the captures, and the same without its largest and smallest value."""

    mean: Floats
    trimmed: Floats


@dataclass(frozen=True, eq=False)
class Residuals:
    """A strip: rows from `top`, its phase, its good pixels (h, W), and per capture what pixel and row don't explain.

    `values` (n, h, W) = counts - mean of the pixel - mean deviation of its row in that capture, 0 at bad pixels.
    `offsets` (n, h) = that mean deviation.
    """

    top: int
    cfa: str
    good: Bools
    values: Floats
    offsets: Floats
    at_zero: Bools


@dataclass(frozen=True, eq=False)
class Variance:
    """Of all captures together.

    Args:
        pixels: good pixels per site (4).
        within_dn2: variance over captures within rows, per site (4).
        degrees: its degrees of freedom (4).
        frames_dn: mean of every capture per site (n, 4).
        offsets_dn: mean deviation of every row in every capture (n, H); sums to 0 over captures.
        columns_dn: mean deviation of every column in every capture (n, W), likewise; rows' and frames' left out.
        unshared_dn2: variance that one site's part of a row has beside the other's, pixels' own noise left out, and its
            standard error: row noise that its two sites don't share.
        in_row: good pixels of a row, on average.
    """

    pixels: Doubles
    within_dn2: Doubles
    degrees: Doubles
    frames_dn: Doubles
    offsets_dn: Doubles
    columns_dn: Doubles
    unshared_dn2: tuple[float, float]
    in_row: float


def means_of(mosaics: Mosaics) -> Means:
    """Means over the captures."""
    n, height, width = mosaics.shape
    mean, trimmed = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for top, bottom in strips(mosaics, 2):
        counts = mosaics.rows(top, bottom)
        total = counts.sum(axis=0, dtype=np.float64)
        mean[top:bottom] = total / n
        ends = counts.max(axis=0).astype(np.float64) + counts.min(axis=0)
        trimmed[top:bottom] = (total - ends) / (n - 2) if n > 4 else total / n
    return Means(mean, trimmed)


def residuals(
    mosaics: Mosaics,
    expected: Floats,
    good: Bools,
    zero: float = 0.0,
    *,
    light: tuple[Doubles, Floats] | None = None,
    offsets: Doubles | None = None,
    columns: Doubles | None = None,
    multiple: int = 2,
) -> Iterator[Residuals]:
    """Strip by strip, what the pixels' expected counts (H, W) and the rows of each capture leave unexplained.

    Args:
        mosaics: n captures.
        expected: expected count of every pixel (H, W).
        good: pixels to use (H, W).
        zero: counts at or below it are clipped.
        light: relative excess of light in every capture (n) and mean signal above black (H, W), to be taken off too.
        offsets: offset of every row in every capture (n, H) if known; else the rows' mean deviations are taken.
        columns: offset of every column in every capture (n, W), if known.
        multiple: strips are as high as a multiple of this many rows.
    """
    for top, bottom in strips(mosaics, multiple):
        counts, kept = mosaics.rows(top, bottom), good[top:bottom]
        values = counts - expected[top:bottom]
        if light is not None:
            values -= light[0].astype(np.float32)[:, None, None] * light[1][top:bottom]
        if columns is not None:
            values -= columns.astype(np.float32)[:, None, :]
        values = np.where(kept, values, np.float32(0))
        if offsets is None:
            in_row = np.maximum(kept.sum(axis=1), 1)
            of_rows = (values.sum(axis=2, dtype=np.float64) / in_row).astype(np.float32)
        else:
            of_rows = offsets[:, top:bottom].astype(np.float32)
        values = np.where(kept, values - of_rows[..., None], np.float32(0))
        yield Residuals(top, bayer.rephase(mosaics.cfa, top, 0), kept, values, of_rows, counts <= zero)


def analyse(mosaics: Mosaics, mean: Floats, good: Bools) -> Variance:
    """The analysis of variance; with one capture `within_dn2` has no degrees of freedom and is 0."""
    n, height, width = mosaics.shape
    pixels, within, degrees = np.zeros(4), np.zeros(4), np.zeros(4)
    frames, apart = np.zeros((n, 4)), np.zeros(2)
    offsets, columns = np.empty((n, height)), np.zeros((n, width))
    for part in residuals(mosaics, mean, good):
        rows = slice(part.top, part.top + part.good.shape[0])
        offsets[:, rows] = part.offsets
        columns += part.values.sum(axis=1, dtype=np.float64)
        apart += _apart(part)
        free = np.broadcast_to(1 - 1 / np.maximum(part.good.sum(axis=1, keepdims=True), 1), part.good.shape)
        level = np.where(part.good, mean[rows], 0)
        for s in range(4):
            kept, values = site(part.good, part.cfa, s), site(part.values, part.cfa, s)
            pixels[s] += kept.sum()
            within[s] += np.square(values).sum(dtype=np.float64)
            degrees[s] += (n - 1) * (kept * site(free, part.cfa, s)).sum()
            y = bayer.offset(part.cfa, s)[0]
            shifted = (part.offsets[:, y::2] * kept.sum(axis=1)).sum(axis=1, dtype=np.float64)
            frames[:, s] += values.sum(axis=(1, 2), dtype=np.float64) + shifted + site(level, part.cfa, s).sum()
    in_column = np.maximum(good.sum(axis=0), 1)
    columns /= in_column
    for s in range(4):
        x = bayer.offset(mosaics.cfa, s)[1]
        mine = site(good, mosaics.cfa, s).sum(axis=0)
        within[s] -= (np.square(columns[:, x::2]) * mine).sum()
        degrees[s] -= (n - 1) * (mine / in_column[x::2]).sum()
    variance = within / np.maximum(degrees, 1.0)
    noise = 4 * float(variance.mean()) / (good.sum() / height)  # of the difference of two half rows
    count = max((n - 1) * height, 1)
    unshared = float(apart[0]) / count - noise, math.sqrt(2 / count) * float(apart[0]) / count
    in_row = good.sum() / height
    return Variance(
        pixels, variance, degrees, frames / np.maximum(pixels, 1), offsets, columns, unshared, float(in_row)
    )


def _apart(part: Residuals) -> Doubles:
    """Sum of squared differences between the means of a row's two sites, over rows and captures, and their number."""
    total = 0.0
    for row_sites in ((0, 1), (2, 3)):
        means = []
        for s in row_sites:
            kept = site(part.good, part.cfa, s)
            means.append(site(part.values, part.cfa, s).sum(axis=2, dtype=np.float64) / np.maximum(kept.sum(axis=1), 1))
        total += float(np.square(means[0] - means[1]).sum())
    return np.array([total, part.offsets.size])
