"""What the converter does to counts: the step between them, and where it saturates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rawpipe import Quantity, bayer
from rawpipe.calibration.mosaics import Doubles, Mosaics, site, strips

_STEPS = range(64, 1, -1)
_ON_THE_COMB = 0.999
_CLEAR_CODES = 3  # codes with many pixels and none between: no noise skips codes by chance
_PILED, _PILE_PIXELS = 1e-4, 20  # share and number of a site's pixels at one count that may make it saturation
_PILE_RATIO = 4  # and how many times as many as at any of the counts below


def count_step(darks: Sequence[Mosaics], flats: Sequence[Mosaics] = ()) -> Quantity:
    """The step between counts, from the comb in their histogram: a 12-bit signal in a 14-bit file has step 4."""
    dark = [own for mosaics in darks for own in _sample(mosaics)]
    counts = np.concatenate([*dark, *(own for mosaics in flats for own in _sample(mosaics))])
    codes, pixels = np.unique(counts, return_counts=True)
    clear = codes[pixels > 1e-4 * counts.size]
    if len(clear) < _CLEAR_CODES:
        why = f"only {len(clear)} counts occur often: the next ones could be anywhere; add flats"
        return Quantity(1.0, None, counts.size, False, why)
    for step in _STEPS:
        phases = np.bincount(counts % step, minlength=step)
        if phases.max() >= _ON_THE_COMB * counts.size:
            return Quantity(float(step), (float(step), float(step)), counts.size)
    gaps = max(map(_gaps, dark), default=0.0)  # in light, single electrons may leave gaps
    if gaps > 0.05:
        why = f"{gaps:.0%} of the counts in use never occur: the camera scaled them by a number that isn't whole"
        return Quantity(1.0, None, counts.size, False, why)
    return Quantity(1.0, (1.0, 1.0), counts.size)


def _sample(mosaics: Mosaics) -> list[NDArray[np.int64]]:
    """Counts of some rows in the middle, per site."""
    middle = mosaics.shape[1] // 4 * 2
    rows = np.asarray(mosaics.rows(middle, min(middle + 64, mosaics.shape[1])), np.float64)
    cfa = bayer.rephase(mosaics.cfa, middle, 0)
    return [np.rint(site(rows, cfa, s)).astype(np.int64).ravel() for s in range(4)]


def _gaps(counts: NDArray[np.int64]) -> float:
    """Share of a site's counts in use that never occur; 0 where too few pixels could fill them."""
    low, high = np.quantile(counts, [0.05, 0.95])
    inner = counts[(counts >= low) & (counts <= high)]
    span = int(high - low) + 1
    return 1 - len(np.unique(inner)) / span if 32 < span < len(inner) / 10 else 0.0


def saturation_of(levels: Sequence[Mosaics], white: Doubles) -> tuple[Doubles, tuple[bool, ...]]:
    """Count at which each site saturates (4), and whether that was seen: where pixels pile up at the highest count.

    Args:
        levels: captures of each light level.
        white: saturation as the file states it (4), taken where no capture clips.
    """
    found, seen = white.astype(np.float64).copy(), [False] * 4
    for mosaics in levels:
        histograms = _histograms(mosaics, int(white.max()) + 1)
        for s, histogram in enumerate(histograms):
            top = int(np.flatnonzero(histogram)[-1])
            piled, below = histogram[top], histogram[max(top - 64, 0) : top]
            # In smooth light no count is both the highest and frequent, unless it is the last there is.
            enough = piled >= max(_PILE_PIXELS, _PILED * histogram.sum())
            if enough and piled > _PILE_RATIO * below.max(initial=0) and top > white[s] / 4:
                found[s], seen[s] = max(float(top), found[s] if seen[s] else 0.0), True
    return found, tuple(seen)


def _histograms(mosaics: Mosaics, size: int) -> NDArray[np.int64]:
    """How often each count occurs, per site (4, counts); counts outside 0..size - 1 as the nearest."""
    out = np.zeros((4, size), np.int64)
    for top, bottom in strips(mosaics, 2):
        counts = np.clip(np.rint(mosaics.rows(top, bottom)), 0, size - 1).astype(np.int64)
        cfa = bayer.rephase(mosaics.cfa, top, 0)
        for s in range(4):
            out[s] += np.bincount(site(counts, cfa, s).ravel(), minlength=size)
    return out


def from_saturation(
    saturation: Doubles, seen: Sequence[bool], black: Doubles, gain: Quantity, read: Quantity, step: float
) -> dict[str, Quantity]:
    """What follows from where a site saturates: signal in DN and electrons there, best SNR, dynamic range."""
    above = saturation - black
    unseen = [name for name, clips in zip(bayer.SITES, seen, strict=True) if not clips]
    who = "no capture clips" if len(unseen) == 4 else f"{', '.join(unseen)} never clip"
    why = f"{who}: taken from the white level that the file states" if unseen else None
    exact = tuple((float(one), float(one)) for one in above)
    out = {"saturation_dn": Quantity(tuple(above.tolist()), exact if all(seen) else None, 1, all(seen), why)}
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
    in_db = tuple((10 * math.log10(a), 10 * math.log10(b)) for a, b in ends)
    out["snr_max_db"] = Quantity(tuple((10 * np.log10(electrons)).tolist()), in_db, gain.n, reliable, why)
    if isinstance(read.value, tuple):
        both = [read.value] if read.ci95 is None else [read.value, *np.array(read.ci95).T]
        db = [20 * np.log10(above / np.sqrt(np.square(one) + step**2 / 12)) for one in both]
        spread = None if read.ci95 is None else tuple(zip(db[2].tolist(), db[1].tolist(), strict=True))
        good = all(seen) and read.reliable
        out["dynamic_range_db"] = Quantity(tuple(db[0].tolist()), spread, read.n, good, why or read.why)
    else:
        out["dynamic_range_db"] = Quantity.missing(read.why or "read noise is unknown")
    return out
