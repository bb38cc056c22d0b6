"""Captures of one light, compared: drift, flicker and movement, without decoding them again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rawpipe.calibration.capture import Capture, Group, Refused
from rawpipe.calibration.statistics import Array, two_scales

# Light may differ this much within a group: means are compared block by block, and what is left, the change of shot
# noise, is half of it. Below the second number it isn't worth a word.
DRIFT, DRIFT_NOTED = 0.02, 0.002
_BLACK_DRIFT_DN = 3.0  # black itself moves that much from frame to frame, which counts at low levels
_SAME_INTENT = 0.1  # captures at one exposure whose light differs by less were meant to be alike
# Bands that differ between two captures, as rms of the signal; and as a share of the pixels' variance, below which they
# can't move the gain by more than that even in blocks as high as a band.
_FLICKER, _FLICKER_VARIANCE = 0.002, 0.01
# Variance of 4x4 means times 16 over that of pixels, in the difference of two captures: 1 for noise. 1.25 means that
# structure which moved holds 1.6 % of the pixels' variance.
_MOVED = 1.25


def drift(a: Capture, b: Capture) -> float:
    """Relative difference of the light of two captures, black drift taken off."""
    first, second = signal(a), signal(b)
    difference = max(abs(first - second) - _BLACK_DRIFT_DN, 0.0)
    return difference / max(first, second, 1e-9)


def signal(capture: Capture) -> float:
    """Mean above black over all four sites in DN."""
    return float((capture.statistics.mean - capture.black).mean())


def by_light(flats: list[Capture]) -> list[list[Capture]]:
    """Captures of one ISO and exposure in clusters of the same light, within the drift that is allowed."""
    clusters: list[list[Capture]] = []
    for one in sorted(flats, key=signal):
        if clusters and drift(one, clusters[-1][0]) <= DRIFT:
            clusters[-1].append(one)
        else:
            clusters.append([one])
    return clusters


def alone(capture: Capture, flats: list[Capture]) -> str:
    """Why a flat without a partner can't be used."""
    near = [one for one in flats if one is not capture and 0 < drift(one, capture) <= _SAME_INTENT]
    if near:
        other = min(near, key=lambda one: drift(one, capture))
        return (
            f"the light drifted by {drift(capture, other):.1%} between this and {other.name}; expected {DRIFT:.0%} at "
            "most: use a steady lamp, let it warm up, or switch off automatic exposure"
        )
    return "no second capture of the same light; take two or more of each level, one after the other"


def steady(group: Group) -> tuple[Group | None, list[Refused]]:
    """The longest run of captures of a group between which nothing flickers or moves, and the rest with reasons."""
    captures = group.captures
    faults = [_fault(a, b) for a, b in pairwise(captures)]
    runs: list[list[int]] = [[0]]
    for index, fault in enumerate(faults, 1):
        if fault is None:
            runs[-1].append(index)
        else:
            runs.append([index])
    best = max(runs, key=len)
    kept = best if len(best) > 1 else []
    refused = []
    for index in sorted(set(range(len(captures))) - set(kept)):
        beside = faults[index - 1] if index and faults[index - 1] else faults[index] if index < len(faults) else None
        neighbour = captures[index - 1] if index and faults[index - 1] else captures[min(index + 1, len(faults))]
        reason = f"{beside or 'cut off from the rest'} (compared with {neighbour.name})"
        refused.append(Refused(captures[index].name, reason))
    if not kept:
        return None, refused
    some = tuple(captures[index] for index in kept)
    by_light = sorted(some, key=signal)
    return replace(group, captures=some, drift=drift(by_light[0], by_light[-1])), refused


def _fault(a: Capture, b: Capture) -> str | None:
    """What differs between two captures of the same light, in words; None if nothing but noise does."""
    bands = flicker(a, b)
    if bands > 0:
        return (
            f"rows brighten and darken by {bands:.1%} from capture to capture: the lamp flickers; use daylight or a "
            "lamp on direct current, or an exposure of many periods"
        )
    ratio, error = whiteness(a, b)
    if ratio > _MOVED + 3 * error:
        return "the scene, the light or the camera moved between captures; fix both, or defocus the lens"
    return None


def flicker(a: Capture, b: Capture) -> float:
    """Rms of bands of rows that differ between two captures, as a share of the signal; 0 if they don't matter."""
    height = len(a.statistics.rows) // 2 * 2
    first, second = (one.statistics.rows[:height].reshape(-1, 2).mean(axis=1) - one.black.mean() for one in (a, b))
    level = float(first.mean())
    difference = (first - second * level / second.mean()) / np.sqrt(2)
    bands = min(64, len(difference) // 4)
    rows = len(difference) // bands
    banded = difference[: bands * rows].reshape(bands, rows).mean(axis=1)
    jumps = np.diff(difference)
    white = (1.4826 * np.median(np.abs(jumps - np.median(jumps)))) ** 2 / 2 / rows
    excess = float(banded.var()) - white
    noise = float(np.square(a.statistics.noise).mean())
    if excess < 6 * np.sqrt(2 / bands) * white or excess < max((_FLICKER * level) ** 2, _FLICKER_VARIANCE * noise):
        return 0.0
    return float(np.sqrt(2 * excess) / level)


def whiteness(a: Capture, b: Capture) -> tuple[float, float]:
    """Variance of 4x4 means times 16 over that of pixels, in the difference of two captures, and its standard error.

    It is 1 for noise alone.
    """
    sites = [site for site in range(4) if a.sites[site] and b.sites[site]] or [0, 1, 2, 3]
    return _ratio(a.statistics.samples[:, sites].astype(np.float32) - b.statistics.samples[:, sites])


def own_whiteness(capture: Capture) -> tuple[float, float]:
    """The same of one capture: fixed pattern counts."""
    return _ratio(capture.statistics.samples.astype(np.float32))


def _ratio(tiles: Array) -> tuple[float, float]:
    size = tiles.shape[-1]
    _, fine, coarse = two_scales(tiles.reshape(-1, size, size))
    error = float(np.sqrt(2 / (len(fine) * (size // 4 - 1) ** 2)))
    return (float(coarse.mean() / fine.mean()) if fine.any() else 1.0), error
