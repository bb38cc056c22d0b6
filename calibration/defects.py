"""Defective pixels: those whose own mean over dark frames stands out of their neighbourhood."""

from __future__ import annotations

import numpy as np

from rawpipe.calibration.mosaics import Bools, Floats, site
from rawpipe.calibration.shading import COARSE

_SIGMAS = 7.0


def find_defects(level: Floats, cfa: str, step: float, frames: int) -> Bools:
    """Pixels (H, W) further than seven standard deviations from the median of their block and site.

    Args:
        level: a pixel's mean over the frames without its largest and smallest value: one glitch is no defect.
        cfa: phase of the top left pixel.
        step: the converter's step in DN; bounds the deviation from below.
        frames: number of frames behind a mean.
    """
    defects = np.zeros(level.shape, bool)
    for s in range(4):
        values = site(level, cfa, s)
        deviation = values - block_medians(values)
        sigma = max(1.4826 * float(np.median(np.abs(deviation))), 0.3 * step / np.sqrt(frames))
        site(defects, cfa, s)[...] = np.abs(deviation) > _SIGMAS * sigma
    return defects


def block_medians(values: Floats, block: int = COARSE) -> Floats:
    """The median of its block at every place of (h, w); a margin smaller than a block belongs to the last one."""
    out = np.empty_like(values)
    tops, lefts = (np.arange(0, max(length - block + 1, 1), block) for length in values.shape)
    for i, top in enumerate(tops):
        bottom = tops[i + 1] if i + 1 < len(tops) else values.shape[0]
        for j, left in enumerate(lefts):
            right = lefts[j + 1] if j + 1 < len(lefts) else values.shape[1]
            out[top:bottom, left:right] = np.median(values[top:bottom, left:right])
    return out
