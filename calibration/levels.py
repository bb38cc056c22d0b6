"""Light levels: signal and variance of captures of one light, in blocks that each have one signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawpipe.calibration.defects import block_medians
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Mosaics, laid_out, site, strips
from rawpipe.calibration.shading import pattern_sigma, pattern_variance, smooth_map
from rawpipe.calibration.variance import means_of, residuals

BLOCK = 16
"""Photosites of one kind in the side of a block."""

_CLIPPED_IN_BLOCK = 0.05
_CLEARANCE = 4.0  # standard deviations that a block's mean must stay below saturation
_BRIGHT = 20.0  # signal to noise from which half the light is no chance


@dataclass(frozen=True, eq=False)
class Blocks:
    """Captures of one light level, in blocks of one site each; arrays are per site R, Gr, Gb, B.

    Args:
        captures: how many.
        exposure_s: their exposure time, None if unknown.
        mean_dn: signal above black of every used block.
        variance_dn2: variance over captures, rows' offsets left out.
        pixels: pixels that a block's variance comes from, times the degrees of freedom of each.
        clipped: share of pixels at saturation, per site (4).
        light: mean of every capture relative to the first (n).
        response: mean over captures of the whole level, smooth and relative to its site's mean (4, h, w).
        pattern: relative standard deviation of pixels that stays from capture to capture, per site (4), and its 95 %
            interval (4, 2); NaN where a site has no usable block.
        dead: rows and columns of pixels that take less than half of the light around them, or twice as much (n, 2).
    """

    captures: int
    exposure_s: float | None
    mean_dn: tuple[Doubles, ...]
    variance_dn2: tuple[Doubles, ...]
    pixels: tuple[Doubles, ...]
    clipped: Doubles
    light: Doubles
    response: Floats
    pattern: tuple[Doubles, Doubles]
    dead: NDArray[np.int32]


def measure_level(
    mosaics: Mosaics, black: Doubles, defects: Bools, saturation: float, exposure_s: float | None = None
) -> Blocks:
    """Signal and variance in blocks, of captures of one scene and exposure.

    Args:
        mosaics: two captures or more.
        black: level without light per site R, Gr, Gb, B (4), in counts.
        defects: pixels to leave out (H, W).
        saturation: count at which the sensor saturates.
        exposure_s: exposure time.
    """
    n, height, width = mosaics.shape
    cfa = mosaics.cfa
    means = means_of(mosaics)
    pedestal = laid_out(black, cfa, height, width).astype(np.float32)
    signal = means.mean - pedestal
    saturated, light = _overview(mosaics, pedestal, defects, saturation)
    good = ~(defects | saturated)
    excess = light / light.mean() - 1
    tables: list[list[Doubles]] = [[] for _ in range(4)]
    for part in residuals(mosaics, means.mean, good, light=(excess, signal), multiple=2 * BLOCK):
        rows = slice(part.top, part.top + part.good.shape[0])
        free = 1 - 1 / max(float(part.good.sum(axis=1).mean()), 2)
        for s in range(4):
            kept = site(part.good, part.cfa, s)
            values = site(part.values, part.cfa, s)
            count = _in_blocks(kept)
            # Light makes a block's mean differ between captures, not noise: it goes, and a degree of freedom with it.
            squares = _in_blocks(np.square(values, dtype=np.float64).sum(axis=0))
            squares -= np.square(_in_blocks(values)).sum(axis=0) / np.maximum(count, 1)
            free_here = free * (1 - 1 / np.maximum(count, 2))
            level = _in_blocks(np.where(kept, site(signal[rows], part.cfa, s), 0))
            lost, full = _in_blocks(site(saturated[rows], part.cfa, s)), _in_blocks(np.ones_like(kept))
            tables[s].append(np.stack([one.ravel() for one in (count, level, squares / free_here, lost, full)]))
    blocks = [_usable(np.concatenate(tables[s], axis=1), n, saturation - black[s]) for s in range(4)]
    mean_dn, variance_dn2, pixels = zip(*blocks, strict=True)
    response, pattern = _fixed(signal, good, cfa, variance_dn2, n)
    clipped = np.array([site(saturated, cfa, s).mean() for s in range(4)])
    dead = _dead(signal, good, cfa, variance_dn2, n)
    return Blocks(n, exposure_s, mean_dn, variance_dn2, pixels, clipped, light / light[0], response, pattern, dead)


def _dead(signal: Floats, good: Bools, cfa: str, variance: Sequence[Doubles], n: int) -> NDArray[np.int32]:
    """Pixels far from their neighbours' response, where light is bright enough that noise can't make them so."""
    out = np.zeros(signal.shape, bool)
    for s in range(4):
        own, around = site(signal, cfa, s), block_medians(site(signal, cfa, s))
        if len(variance[s]) and float(np.median(around)) > _BRIGHT * math.sqrt(variance[s].mean() / n):
            off = (own < around / 2) | (own > 2 * around)
            site(out, cfa, s)[...] = off & site(good, cfa, s)
    return np.argwhere(out).astype(np.int32)


def _usable(table: Doubles, n: int, saturation: float) -> tuple[Doubles, Doubles, Doubles]:
    """Signal, variance and degrees of freedom of the blocks that saturation doesn't touch.

    Args:
        table: per block (5, blocks): good pixels, sum of their signal, of their squares, saturated pixels, all pixels.
        n: captures.
        saturation: above black in DN.
    """
    table = table[:, table[0] > BLOCK**2 / 2]
    count, total, squares, lost, full = table
    mean, variance = total / count, squares / (count * (n - 1))
    # How far a block is from saturation is judged by the variance of all: to judge by its own would choose low ones.
    whole = lost == 0
    slope = variance[whole].sum() / max(mean[whole].sum(), 1e-9)
    clear = mean + _CLEARANCE * np.sqrt(np.maximum(slope * mean, 0)) < saturation
    used = clear & (lost <= _CLIPPED_IN_BLOCK * full)
    return mean[used], variance[used], count[used] * (n - 1)


def _overview(mosaics: Mosaics, pedestal: Floats, defects: Bools, saturation: float) -> tuple[Bools, Doubles]:
    """Pixels that any capture saturates (H, W), and the mean signal of each capture over the others (n)."""
    saturated = np.empty(mosaics.shape[1:], bool)
    total, pixels = np.zeros(mosaics.shape[0]), 0
    for top, bottom in strips(mosaics, 2):
        counts = mosaics.rows(top, bottom)
        saturated[top:bottom] = (counts >= saturation).any(axis=0)
        good = ~(saturated[top:bottom] | defects[top:bottom])
        total += np.where(good, counts - pedestal[top:bottom], 0).sum(axis=(1, 2), dtype=np.float64)
        pixels += int(good.sum())
    return saturated, np.maximum(total / max(pixels, 1), 1e-9)


def _fixed(
    signal: Floats, good: Bools, cfa: str, variance: Sequence[Doubles], n: int
) -> tuple[Floats, tuple[Doubles, Doubles]]:
    """Smooth response relative to its mean (4, h, w), and the pixels' own relative pattern (4) with its interval."""
    smooth = smooth_map(signal, good, cfa)
    pattern, ends = np.full(4, math.nan), np.full((4, 2), math.nan)
    for s in range(4):
        kept = site(good, cfa, s)
        level = float(site(signal, cfa, s)[kept].mean(dtype=np.float64)) if kept.any() else 0.0
        if len(variance[s]) and level > 0:
            seen = pattern_variance(site(signal, cfa, s), kept)
            value, interval = pattern_sigma(seen, float(variance[s].mean()) / n, int(kept.sum()))
            pattern[s], ends[s] = value / level, np.array(interval) / level
    return smooth / np.maximum(smooth.mean(axis=(1, 2), keepdims=True), 1e-9), (pattern, ends)


def _in_blocks(values: NDArray[Any]) -> Doubles:
    """Sums over blocks of (..., h, w)."""
    rows, columns = (np.arange(0, length, BLOCK) for length in values.shape[-2:])
    return np.asarray(np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=-2), columns, axis=-1))
