"""What the converter does to counts: the step between them, and where it saturates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rawpipe import Quantity, bayer
from rawpipe.calibration.mosaics import Doubles, Mosaics, site, strips

_STEPS = (64, 32, 16, 8, 4, 2)
_ON_THE_COMB = 0.999
_PILED = 1e-4  # share of a site's pixels at one count that makes it saturation


def count_step(mosaics: Mosaics) -> Quantity:
    """The step between counts, from the comb in their histogram: a 12-bit signal in a 14-bit file has step 4."""
    height = mosaics.shape[1]
    middle = height // 4 * 2
    counts = np.rint(np.asarray(mosaics.rows(middle, min(middle + 256, height)), np.float64)).astype(np.int64).ravel()
    if len(np.unique(counts)) < 8:
        return Quantity(1.0, None, counts.size, False, "fewer than eight counts occur: a step can't be seen")
    for step in _STEPS:
        phases = np.bincount(counts % step, minlength=step)
        if phases.max() >= _ON_THE_COMB * counts.size:
            return Quantity(float(step), None, counts.size)
    levels = np.unique(counts)
    missing = 1 - len(levels) / (levels[-1] - levels[0] + 1)
    inner = np.quantile(counts, [0.05, 0.95])
    within = levels[(levels >= inner[0]) & (levels <= inner[1])]
    gaps = 1 - len(within) / max(inner[1] - inner[0] + 1, 1)
    if len(within) > 32 and gaps > 0.05 and missing > 0.05:
        why = f"{gaps:.0%} of the counts in use never occur: the camera scaled them by a number that isn't whole"
        return Quantity(1.0, None, counts.size, False, why)
    return Quantity(1.0, None, counts.size)


def saturation_of(levels: Sequence[Mosaics], white: Doubles) -> tuple[Doubles, tuple[bool, ...]]:
    """Count at which each site saturates (4), and whether that was seen: where pixels pile up at the highest count.

    Args:
        levels: captures of each light level.
        white: saturation as the file states it (4), taken where no capture clips.
    """
    found, seen = white.astype(np.float64).copy(), [False] * 4
    for mosaics in levels:
        n, height, width = mosaics.shape
        top_count, piled = np.full(4, -1.0), np.zeros(4)
        for top, bottom in strips(mosaics, 2):
            counts = mosaics.rows(top, bottom)
            cfa = bayer.rephase(mosaics.cfa, top, 0)
            for s in range(4):
                own = site(counts, cfa, s)
                highest = float(own.max())
                if highest > top_count[s]:
                    top_count[s], piled[s] = highest, 0.0
                if highest == top_count[s]:
                    piled[s] += int((own == highest).sum())
        share = piled / (n * height * width / 4)
        for s in range(4):
            # In the dark, and in smooth light, no count is both the highest and frequent unless it is the last.
            if share[s] > _PILED and top_count[s] > 0.25 * white[s] and (not seen[s] or top_count[s] > found[s]):
                found[s], seen[s] = top_count[s], True
    return found, tuple(seen)


def from_saturation(
    saturation: Doubles, seen: Sequence[bool], black: Doubles, gain: Quantity, read: Quantity, step: float
) -> dict[str, Quantity]:
    """What follows from where a site saturates: signal in DN and electrons there, best SNR, dynamic range."""
    above = saturation - black
    unseen = [name for name, clips in zip(bayer.SITES, seen, strict=True) if not clips]
    who = "no capture clips" if len(unseen) == 4 else f"{', '.join(unseen)} never clip"
    why = f"{who}: taken from the white level that the file states" if unseen else None
    out = {"saturation_dn": Quantity(tuple(above.tolist()), None, 1, all(seen), why)}
    if not isinstance(gain.value, tuple) or not isinstance(gain.ci95, tuple):
        missing = Quantity.missing(gain.why or "the gain is unknown")
        return out | dict.fromkeys(("saturation_e", "snr_max_db", "dynamic_range_db"), missing)
    k = np.array(gain.value)
    electrons = above / k
    low, high = np.array(gain.ci95).T
    ends = tuple(zip((above / high).tolist(), (above / np.maximum(low, 1e-12)).tolist(), strict=True))
    reliable = all(seen) and gain.reliable
    why = why or gain.why
    out["saturation_e"] = Quantity(tuple(electrons.tolist()), ends, gain.n, reliable, why)
    out["snr_max_db"] = Quantity(tuple((10 * np.log10(electrons)).tolist()), None, gain.n, reliable, why)
    if isinstance(read.value, tuple):
        floor = np.sqrt(np.square(read.value) + step**2 / 12)
        db = tuple((20 * math.log10(a / f)) for a, f in zip(above, floor, strict=True))
        out["dynamic_range_db"] = Quantity(db, None, gain.n, reliable and read.reliable, why or read.why)
    else:
        out["dynamic_range_db"] = Quantity.missing(read.why or "read noise is unknown")
    return out
