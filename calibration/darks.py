"""Dark frames: black, read noise and row noise told apart, fixed pattern, defects.

count = black + fixed pattern (pixel) + drift (frame) + row offset (frame, row) + read noise (pixel, frame), rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtrit

from rawpipe import Quantity
from rawpipe.calibration import tukey
from rawpipe.calibration.defects import find_defects
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Mosaics, laid_out, site
from rawpipe.calibration.read_noise import fit_read_noise
from rawpipe.calibration.shading import laid_out_map, pattern_sigma, pattern_variance, smooth_map
from rawpipe.calibration.variance import Variance, analyse, means_of

_PRECISE = 0.03  # relative standard error above which a number isn't called reliable
_CLIPPED = 1e-3  # share of counts at zero above which moments are no longer those of the noise
_HIDDEN = 0.4  # steps below which a handful of counts can't tell size from shape
_EMVA_FRAMES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Darks:
    """What the dark frames of one ISO show. Sites in the order R, Gr, Gb, B; DN are counts.

    Args:
        frames: how many.
        black_dn: mean count without light (4).
        read_sigma_dn: standard deviation of read noise (4): row noise, fixed pattern and rounding left out.
        tukey_lambda: shape of its distribution (4).
        tukey_scale_dn: scale of its distribution (4).
        row_sigma_dn: standard deviation of the offset that a row has in one frame.
        column_sigma_dn: the same of columns.
        row_fpn_dn: standard deviation of rows that stays from frame to frame.
        column_fpn_dn: the same of columns.
        pixel_fpn_dn: the same of pixels (4).
        variance_dn2: temporal variance of a pixel within its row (4), rounding included.
        variance_se: its standard error (4).
        fits: the Tukey-lambda fit of each site and the histogram behind it.
        drift_dn: standard deviation of the frames' means, NaN from one frame.
        clipped: share of counts at zero (4).
        defects: rows and columns of defective pixels (n, 2).
        shading_dn: smooth part of the fixed pattern (4, h, w), mean 0 per site.
        row_profile_dn: mean of each row above black (H).
        column_profile_dn: mean of each column above black (W).
    """

    frames: int
    black_dn: Quantity
    read_sigma_dn: Quantity
    tukey_lambda: Quantity
    tukey_scale_dn: Quantity
    row_sigma_dn: Quantity
    column_sigma_dn: Quantity
    row_fpn_dn: Quantity
    column_fpn_dn: Quantity
    pixel_fpn_dn: Quantity
    variance_dn2: Doubles
    variance_se: Doubles
    fits: tuple[tuple[tukey.Tukey, tukey.Histogram], ...]
    drift_dn: float
    clipped: Doubles
    defects: NDArray[np.int32]
    shading_dn: Floats
    row_profile_dn: Doubles
    column_profile_dn: Doubles


def measure_darks(mosaics: Mosaics, step: float = 1.0, zero: float = 0.0) -> Darks:
    """Take the dark frames of one ISO and exposure time apart.

    Args:
        mosaics: the dark frames.
        step: the converter's step in DN.
        zero: count at which it clips from below.
    """
    n, height, width = mosaics.shape
    cfa = mosaics.cfa
    means = means_of(mosaics)
    good = ~find_defects(means.trimmed, cfa, step, n)
    variance = analyse(mosaics, means.mean, good)
    black = variance.frames_dn.mean(axis=0)
    above = means.mean - laid_out(black, cfa, height, width).astype(np.float32)
    shading = smooth_map(above, good, cfa)
    rest = np.where(good, above - laid_out_map(shading, cfa, height, width), np.float32(0))
    expected = means.mean
    columns = _profile(rest, good, 0)
    if n == 1:
        expected = means.mean - rest + columns.astype(np.float32)
    fits, variance = fit_read_noise(mosaics, expected, good, black, variance, step, zero)
    sigma2, sigma_se = np.array([(fit.sigma_dn**2, fit.sigma_se) for fit, _ in fits]).T
    at_zero = np.array([histogram.at_zero.sum() / histogram.counts.sum() for _, histogram in fits])
    # Where counts are clipped the moments shrink, but not the fit. Else moments: flats are measured by them too.
    settled = variance.within_dn2 if n > 1 and at_zero.max() < _CLIPPED / 10 else sigma2 + step**2 / 12
    noise = float(settled.mean())
    rows = _profile(rest, good, 1)
    if n > 1:
        row_sigma = _sigma(variance.offsets_dn, noise / variance.in_row, "row")
        column_sigma = _sigma(variance.columns_dn, noise / height, "column")
    else:
        row_sigma = _bound(rows, noise / variance.in_row, "row")
        column_sigma = _bound(columns, noise / height, "column")
    in_row, in_column = noise / variance.in_row + _number(row_sigma) ** 2, noise / height + _number(column_sigma) ** 2
    pattern = _pattern(above, good, cfa, settled / n, n)
    own = float(np.square(np.asarray(pattern.value, np.float64)).mean())  # pixels' own pattern, in every profile
    why = _doubt(n, at_zero, variance, math.sqrt(float(sigma2.min())) / step)
    pixels = int(variance.pixels.min())
    return Darks(
        frames=n,
        black_dn=_black(variance, pixels, at_zero),
        read_sigma_dn=_per_site([(fit.sigma_dn, fit.sigma_se) for fit, _ in fits], pixels * n, why, relative=True),
        tukey_lambda=_per_site([(fit.tukey_lambda, fit.lambda_se) for fit, _ in fits], pixels * n, why),
        tukey_scale_dn=_per_site([(fit.scale_dn, fit.scale_se) for fit, _ in fits], pixels * n, why, relative=True),
        row_sigma_dn=row_sigma,
        column_sigma_dn=column_sigma,
        row_fpn_dn=_stripes(rows, in_row / n + own / variance.in_row, n, "rows"),
        column_fpn_dn=_stripes(columns, in_column / n + own / height, n, "columns"),
        pixel_fpn_dn=pattern,
        variance_dn2=settled,
        variance_se=2 * np.sqrt(sigma2) * sigma_se,
        fits=fits,
        drift_dn=float(variance.frames_dn.mean(axis=1).std(ddof=1)) if n > 1 else math.nan,
        clipped=at_zero,
        defects=np.argwhere(~good).astype(np.int32),
        shading_dn=shading,
        row_profile_dn=_profile(above, good, 1),
        column_profile_dn=_profile(above, good, 0),
    )


def _doubt(n: int, at_zero: Doubles, variance: Variance, steps: float) -> str | None:
    """What keeps read noise from being trusted; `steps` is how many steps of the converter it has at least."""
    if at_zero.max() > _CLIPPED:
        return f"{at_zero.max():.1%} of the counts are clipped at zero: the lower half of the noise wasn't recorded"
    if n == 1:
        return "one dark frame: fixed pattern can't be told from read noise; add a second"
    if steps < _HIDDEN:
        return f"about {steps:.1g} of the converter's step: rounding hides how large it is"
    unshared, error = variance.unshared_dn2
    # Half of what two sites of a row don't share is in each; it passes for read noise.
    if unshared > 4 * error and unshared / 4 > 0.01 * float(variance.within_dn2.mean()):
        return f"a row's two sites have offsets of their own, {math.sqrt(unshared / 2):.2g} DN: part of it is in here"
    return None


def _per_site(numbers: list[tuple[float, float]], n: int, why: str | None, relative: bool = False) -> Quantity:
    """Estimates with standard errors as a quantity; unreliable if known to less than 3 %, or 0.02 if not relative."""
    ci95 = tuple((value - 1.96 * error, value + 1.96 * error) for value, error in numbers)
    limits = [_PRECISE * abs(value) if relative else 0.02 for value, _ in numbers]
    if why is None and any(not error <= limit for (_, error), limit in zip(numbers, limits, strict=True)):
        why = f"known to no better than {'3 %' if relative else '0.02'}: add dark frames"
    return Quantity(tuple(value for value, _ in numbers), ci95, n, why is None, why)


def _black(variance: Variance, pixels: int, at_zero: Doubles) -> Quantity:
    """Means over frames. Frames drift as a whole, so their scatter gives the interval."""
    frames = variance.frames_dn
    n, black = len(frames), tuple(frames.mean(axis=0).tolist())
    if n == 1:
        return Quantity(black, None, pixels, False, "one dark frame: drift from frame to frame can't be seen")
    error = frames.std(axis=0, ddof=1) / math.sqrt(n) * float(stdtrit(n - 1, 0.975))
    ci95 = tuple((value - e, value + e) for value, e in zip(black, error.tolist(), strict=True))
    why = "clipped at zero: the mean lies above the true black" if at_zero.max() > _CLIPPED else None
    return Quantity(black, ci95, pixels * n, why is None, why)


def _sigma(offsets: Doubles, pixels: float, kind: str) -> Quantity:
    """Scatter of rows or columns over frames (n, count), less what their pixels' own noise puts into a mean."""
    n, count = offsets.shape
    own = offsets - offsets.mean(axis=1, keepdims=True)
    degrees = (n - 1) * (count - 1)
    total = float((own**2).sum() / degrees)
    low, high = (math.sqrt(max(degrees * total / chdtri(degrees, p) - pixels, 0.0)) for p in (0.025, 0.975))
    high = max(high, math.sqrt(1.96 * pixels * math.sqrt(2 / degrees)))  # chance alone hides as much
    sigma = math.sqrt(max(total - pixels, 0.0))
    why: str | None
    if low == 0:
        why = f"upper bound: no {kind} noise above {high:.3g} DN stands out of the pixels'"
    else:
        why = None if high - low < 2 * 1.96 * _PRECISE * sigma else "known to no better than 3 %: add dark frames"
    return Quantity(sigma, (low, high), degrees, why is None, why)


def _bound(profile: Doubles, pixels: float, kind: str) -> Quantity:
    """One frame alone: noise of rows or columns and their fixed pattern together."""
    degrees = len(profile) - 1
    total = float(profile.var(ddof=1))
    high = math.sqrt(max(degrees * total / chdtri(degrees, 0.975) - pixels, 0.0))
    why = f"upper bound: one dark frame can't tell {kind} noise from the fixed pattern of {kind}s; add a second"
    return Quantity(math.sqrt(max(total - pixels, 0.0)), (0.0, high), degrees, False, why)


def _stripes(profile: Doubles, expected: float, n: int, kind: str) -> Quantity:
    """Pattern of rows or columns that stays: their profile without smooth shading, less what pixels put into it."""
    found = max(float(profile.var(ddof=1)) - expected, 0.0)
    error = 1.96 * (found + expected) * math.sqrt(2 / (len(profile) - 1))
    ends = math.sqrt(max(found - error, 0.0)), math.sqrt(found + error)
    why = None if ends[0] > 0 else f"upper bound: no fixed pattern of {kind} stands out"
    if n == 1:
        why = f"one dark frame: noise of {kind} and their fixed pattern can't be told apart; add a second"
    return Quantity(math.sqrt(found), ends, len(profile), why is None, why)


def _pattern(above: Floats, good: Bools, cfa: str, noise: Doubles, n: int) -> Quantity:
    """Pattern of pixels that stays, smooth shading left out."""
    found = [pattern_variance(site(above, cfa, s), site(good, cfa, s)) for s in range(4)]
    pixels = int(good.sum() // 4)
    numbers = [pattern_sigma(own, floor, pixels) for own, floor in zip(found, noise.tolist(), strict=True)]
    few = f"from {n} frames: EMVA 1288 asks for {_EMVA_FRAMES} before it is called DSNU"
    why = None if n >= _EMVA_FRAMES else few
    return Quantity(tuple(v for v, _ in numbers), tuple(ends for _, ends in numbers), pixels, why is None, why)


def _profile(values: Floats, good: Bools, axis: int) -> Doubles:
    """Mean of the good pixels along an axis."""
    total = np.where(good, values, 0).sum(axis=axis, dtype=np.float64)
    return np.asarray(total / np.maximum(good.sum(axis=axis), 1))


def _number(quantity: Quantity) -> float:
    """The value of a quantity that holds one."""
    assert isinstance(quantity.value, float)
    return quantity.value
