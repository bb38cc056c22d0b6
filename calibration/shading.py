"""Smooth maps of the sensor: one coarse picture per site, bilinear in between."""

from __future__ import annotations

import math

import numpy as np

from rawpipe import bayer
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, site

COARSE = 32
"""Photosites of one kind in the side of a block: 64 pixels of the mosaic."""


def block_means(values: Floats, good: Bools, block: int = COARSE) -> Floats:
    """Means of the good values in blocks of (H, W), the last ones smaller; an empty block takes the mean of all."""
    row_starts, column_starts = (np.arange(0, length, block) for length in values.shape)
    total = np.add.reduceat(np.where(good, values, 0).astype(np.float64), row_starts, axis=0)
    total = np.add.reduceat(total, column_starts, axis=1)
    count = np.add.reduceat(np.add.reduceat(good.astype(np.int64), row_starts, axis=0), column_starts, axis=1)
    overall = total.sum() / max(count.sum(), 1)
    return np.where(count > 0, total / np.maximum(count, 1), overall).astype(np.float32)


def smooth_map(values: Floats, good: Bools, cfa: str, block: int = COARSE) -> Floats:
    """Block means of a mosaic (H, W), per site R, Gr, Gb, B: (4, h, w), h and w those of the largest site."""
    maps = [block_means(site(values, cfa, s), site(good, cfa, s), block) for s in range(4)]
    shape = np.max([one.shape for one in maps], axis=0)
    return np.stack([np.pad(one, [(0, n - m) for n, m in zip(shape, one.shape, strict=True)], "edge") for one in maps])


def laid_out_map(maps: Floats, cfa: str, height: int, width: int, block: int = COARSE) -> Floats:
    """The mosaic (height, width) that a smooth map describes, bilinear between the blocks' centres."""
    out = np.empty((height, width), np.float32)
    for s in range(4):
        y, x = bayer.offset(cfa, s)
        rows = _weights(len(range(y, height, 2)), maps.shape[1], block)
        columns = _weights(len(range(x, width, 2)), maps.shape[2], block)
        out[y::2, x::2] = rows @ maps[s].astype(np.float64) @ columns.T
    return out


def pattern_variance(values: Floats, good: Bools) -> float:
    """Variance of what differs from pixel to pixel in (h, w), by second differences along rows: slopes drop out."""
    bend = (values[:, :-2] - 2 * values[:, 1:-1] + values[:, 2:])[good[:, :-2] & good[:, 1:-1] & good[:, 2:]]
    return float(np.square(bend, dtype=np.float64).mean() / 6) if bend.size else 0.0


def pattern_sigma(variance: float, noise: float, pixels: int) -> tuple[float, tuple[float, float]]:
    """Standard deviation of a pattern, and its 95 % interval, from `pattern_variance` and the noise within that.

    Neighbouring second differences share pixels, so that `pixels` of them know as much as half as many.
    """
    own, error = variance - noise, 1.96 * variance * math.sqrt(2 * 1.944 / max(pixels, 1))
    low, middle, high = (math.sqrt(max(one, 0.0)) for one in (own - error, own, own + error))
    return middle, (low, high)


def _weights(length: int, blocks: int, block: int) -> Doubles:
    """Linear weights (length, blocks) of the blocks' centres at every pixel; the outermost slopes go on outwards."""
    starts = np.arange(blocks) * block
    centres = (starts + np.minimum(starts + block, max(length, 1)) - 1) / 2
    out = np.zeros((length, blocks))
    pixel = np.arange(length)
    if blocks == 1:
        out[:] = 1.0
        return out
    left = np.clip(np.searchsorted(centres, pixel, side="right") - 1, 0, blocks - 2)
    part = (pixel - centres[left]) / (centres[left + 1] - centres[left])
    out[pixel, left], out[pixel, left + 1] = 1 - part, part
    return out
