"""Photon transfer: the converter's gain from how variance grows with light.

variance = K * signal + dark variance, per site. Variance is taken over captures of one scene, so that whatever stays
from frame to frame drops out, within rows, so that row noise does too, and in blocks, so that each has one signal.

References:
    Janesick (2007), Photon Transfer.
    EMVA Standard 1288, release 4.0 (2021), chapters 2 and 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from rawpipe import Quantity, bayer
from rawpipe.calibration.levels import Blocks
from rawpipe.calibration.mosaics import Doubles

_HUBER = 2.5
_PRECISE = 0.01
_CHANCE = 0.01  # of doubting a good fit


@dataclass(frozen=True, eq=False)
class Level:
    """One light level in the fit, per site (4): NaN where a site has no usable block.

    Args:
        exposure_s: exposure time, None if unknown.
        mean_dn: signal above black.
        variance_dn2: variance at that signal.
        error_dn2: its standard error.
        gain: gain that this level alone gives, in DN per electron.
        gain_se: its standard error, the black's drift included.
        weight: share that the robust fit gave it, 0 to 1.
        held_out: variance found here, divided by what the fit to all other levels predicts.
        held_out_se: its standard error.
    """

    exposure_s: float | None
    mean_dn: Doubles
    variance_dn2: Doubles
    error_dn2: Doubles
    gain: Doubles
    gain_se: Doubles
    weight: Doubles
    held_out: Doubles
    held_out_se: Doubles


@dataclass(frozen=True, eq=False)
class PhotonTransfer:
    """The fit of one ISO.

    Args:
        gain_dn_per_e: K per site (4).
        dark_variance_dn2: variance without light per site (4), and its standard error.
        levels: the light levels in rising order.
        held_out: of the level that fits worst to all others, its variance divided by their prediction, per site (4).
    """

    gain_dn_per_e: Quantity
    dark_variance_dn2: Doubles
    dark_variance_se: Doubles
    levels: tuple[Level, ...]
    held_out: Quantity


@dataclass(frozen=True)
class _Line:
    """Variance over signal of one site: slope, its standard error, intercept, and the weight of every level."""

    gain: float
    error: float
    dark: float
    weight: Doubles


def fit_transfer(
    levels: Sequence[Blocks], dark: tuple[Doubles, Doubles] | None, drift_dn: float = 0.0
) -> PhotonTransfer:
    """Fit the gain of one ISO to its light levels.

    Args:
        levels: blocks of every level, two levels or more if there are no dark frames.
        dark: variance without light per site (4) and its standard error (4); None to find it from the flats.
        drift_dn: standard deviation of a frame's black, which makes signals uncertain.
    """
    levels = sorted(levels, key=lambda one: float(np.mean([m.mean() if len(m) else 0.0 for m in one.mean_dn])))
    sites = [_fit_site(levels, s, None if dark is None else (dark[0][s], dark[1][s]), drift_dn) for s in range(4)]
    lines = [line for line, _ in sites]
    points = []
    for i, level in enumerate(levels):
        columns = np.array([rows[i] for _, rows in sites])
        points.append(Level(level.exposure_s, *columns.T))
    n = min(int(sum(level.pixels[s].sum() for level in levels)) for s in range(4))
    held_out = _held_out(points)
    return PhotonTransfer(
        _gain(lines, points, held_out, n, dark is not None),
        np.array([line.dark for line in lines]),
        np.full(4, math.nan) if dark is None else dark[1],
        tuple(points),
        held_out,
    )


def _fit_site(
    levels: Sequence[Blocks], s: int, dark: tuple[float, float] | None, drift: float
) -> tuple[_Line, Doubles]:
    """The line of one site, and for every level: signal, variance, error, gain, its error, weight, held out, error."""
    sums = np.array([_level(one.mean_dn[s], one.variance_dn2[s], one.pixels[s], dark) for one in levels])
    signal, variance, error = sums.T
    shake = np.array([drift / math.sqrt(one.captures) for one in levels])
    whole = _robust_line(signal, variance, error, shake, dark)
    rows = np.full((len(levels), 8), math.nan)
    for i in range(len(levels)):
        if not np.isfinite(signal[i]):
            continue
        own = (variance[i] - whole.dark) / signal[i]
        own_se = math.hypot(error[i], whole.gain * shake[i]) / signal[i]
        rows[i, :6] = signal[i], variance[i], error[i], own, own_se, whole.weight[i]
        others = np.delete(np.arange(len(levels)), i)
        if np.isfinite(signal[others]).sum() < (1 if dark is not None else 2):
            continue
        rest = _robust_line(signal[others], variance[others], error[others], shake[others], dark)
        predicted = rest.dark + rest.gain * signal[i]
        doubt = math.sqrt(error[i] ** 2 + (rest.gain * shake[i]) ** 2 + (rest.error * signal[i]) ** 2)
        rows[i, 6:] = variance[i] / predicted, doubt / predicted
    return whole, rows


def _level(mean: Doubles, variance: Doubles, pixels: Doubles, dark: tuple[float, float] | None) -> list[float]:
    """Signal, variance and its standard error of a level; blocks weigh by how well their variance is known."""
    if len(mean) < 8 or mean.mean() <= 0:
        return [math.nan] * 3
    floor = dark[0] if dark is not None else 0.0
    slope = max((np.average(variance, weights=pixels) - floor) / np.average(mean, weights=pixels), 1e-12)
    weight = pixels / np.square(floor + slope * np.maximum(mean, 0))
    weight /= weight.sum()
    signal = float(weight @ mean)
    rest = variance - floor - slope * mean
    return [signal, floor + slope * signal + float(weight @ rest), math.sqrt(float(np.square(weight * rest).sum()))]


def _robust_line(
    signal: Doubles, variance: Doubles, error: Doubles, shake: Doubles, dark: tuple[float, float] | None
) -> _Line:
    """Weighted least squares over the levels; one that lies off loses weight (Huber)."""
    seen = np.isfinite(signal)
    huber = np.where(seen, 1.0, 0.0)
    x, y = np.where(seen, signal, 0.0), np.where(seen, variance, 0.0)
    if seen.sum() < (1 if dark is not None else 2):
        return _Line(math.nan, math.nan, math.nan, huber)
    gain = float(np.sum(y) / np.sum(x))
    for _ in range(30):
        sigma = np.where(seen, np.hypot(error, gain * shake), 1.0)
        weight = huber / sigma**2
        if dark is not None:
            floor, error2 = dark[0], 1 / (weight @ x**2)
            new = float(weight @ (x * (y - floor)) * error2)
            error2 += (dark[1] * (weight @ x) * error2) ** 2
        else:
            centre = weight @ x / weight.sum()
            error2 = 1 / (weight @ (x - centre) ** 2)
            new = float(weight @ ((x - centre) * y) * error2)
            floor = float(weight @ y / weight.sum() - new * centre)
        off = np.abs(y - floor - new * x) / sigma
        huber = np.where(seen, np.minimum(1.0, _HUBER / np.maximum(off, 1e-12)), 0.0)
        if abs(new - gain) < 1e-9 * abs(gain):
            break
        gain = new
    free = seen.sum() - (1 if dark is not None else 2)
    excess = float((huber * off**2).sum() / free) if free > 0 else 1.0
    return _Line(new, math.sqrt(error2 * max(excess, 1.0)), floor, huber)


def _held_out(points: Sequence[Level]) -> Quantity:
    """The level, per site, whose variance lies furthest from what the fit to all other levels predicts, as a ratio.

    Its interval allows for having looked at all levels of all sites, so that chance alone seldom leads out of it.
    """
    ratios, errors = (np.array([getattr(one, name) for one in points]) for name in ("held_out", "held_out_se"))
    seen = np.isfinite(ratios)
    if not seen.any(axis=0).all():
        return Quantity.missing("too few light levels to check the fit on one that it doesn't know: add levels")
    z = np.where(seen, np.abs(ratios - 1) / errors, -1.0)
    worst = z.argmax(axis=0)
    value, error = ratios[worst, range(4)], errors[worst, range(4)]
    reach = ndtri(1 - _CHANCE / 2 / seen.sum()) * error
    off = (np.abs(value - 1) > reach) & (np.abs(value - 1) > _PRECISE)  # less than a percent is no reason to doubt
    why = None
    if off.any():
        s = int(np.argmax(off))
        why = (
            f"the level at {points[worst[s]].mean_dn[s]:.0f} DN has {value[s]:.3f} of the variance that the others "
            "predict: nonlinear, clipped, or unsteady light; add levels, or leave that one out"
        )
    ends = tuple((float(v - r), float(v + r)) for v, r in zip(value, reach, strict=True))
    return Quantity(tuple(value.tolist()), ends, int(seen.sum(axis=0).min()), why is None, why)


def _gain(lines: Sequence[_Line], points: Sequence[Level], held_out: Quantity, n: int, darks: bool) -> Quantity:
    if not all(math.isfinite(line.gain) and line.gain > 0 for line in lines):
        return Quantity.missing(
            "no light level has usable blocks: flats are saturated, dark or textured; "
            "add pairs of flats between 5 and 80 % of the range"
        )
    dark = [name for name, line in zip(bayer.SITES, lines, strict=True) if line.gain <= 1.96 * line.error]
    if dark:
        return Quantity.missing(f"{', '.join(dark)} got too little light; add flats in which every site has some")
    ends = tuple((line.gain - 1.96 * line.error, line.gain + 1.96 * line.error) for line in lines)
    reasons = [
        None if darks else "no dark frames: black and read noise were taken from the file and the flats; add darks",
        held_out.why,
        None
        if all(line.error <= _PRECISE * line.gain for line in lines)
        else "known to no better than 1 %: add flats, best between 20 and 80 % of the range",
    ]
    why = "; ".join(reason for reason in reasons if reason) or None
    return Quantity(tuple(line.gain for line in lines), ends, n, why is None, why)
