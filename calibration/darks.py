"""Dark frames: black, read noise and row noise told apart, fixed pattern, defects.

count = black + fixed pattern (pixel) + drift (frame) + row offset (frame, row) + read noise (pixel, frame), rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, t

from rawpipe import Quantity
from rawpipe.calibration import tukey
from rawpipe.calibration.defects import find_defects
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Loaded, Mosaics, laid_out, site
from rawpipe.calibration.read_noise import fit_read_noise
from rawpipe.calibration.shading import laid_out_map, pattern_variance, smooth_map
from rawpipe.calibration.variance import Variance, analyse, means_of

_PRECISE = 0.03  # relative standard error above which a number isn't called reliable
_CLIPPED = 1e-3  # share of counts at zero above which moments are no longer those of the noise
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
    means = means_of(mosaics, zero)
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
    # Where counts are clipped the moments shrink, but not the fit. Else moments: flats are measured by them too.
    settled = variance.within_dn2 if n > 1 and means.at_zero.max() < _CLIPPED / 10 else sigma2 + step**2 / 12
    noise = float(settled.mean())
    rows = _profile(rest, good, 1)
    row_sigma = _row_sigma(variance) if n > 1 else _row_bound(rows, noise, variance)
    in_row = noise / variance.in_row + _number(row_sigma) ** 2
    pattern = _pattern(above, good, cfa, settled / n, n)
    own = float(
        np.square(np.asarray(pattern.value, np.float64)).mean()
    )  # pixels' own pattern, which a profile holds a little of
    why = _doubt(n, means.at_zero)
    pixels = int(variance.pixels.min())
    return Darks(
        frames=n,
        black_dn=_black(variance, pixels, means.at_zero),
        read_sigma_dn=_per_site([(fit.sigma_dn, fit.sigma_se) for fit, _ in fits], pixels * n, why, relative=True),
        tukey_lambda=_per_site([(fit.tukey_lambda, fit.lambda_se) for fit, _ in fits], pixels * n, why),
        tukey_scale_dn=_per_site([(fit.scale_dn, fit.scale_se) for fit, _ in fits], pixels * n, why, relative=True),
        row_sigma_dn=row_sigma,
        row_fpn_dn=_stripes(rows, in_row / n + own / variance.in_row, n, "rows"),
        column_fpn_dn=_stripes(columns, (noise / n + own) / height, n, "columns"),
        pixel_fpn_dn=pattern,
        variance_dn2=settled,
        variance_se=2 * np.sqrt(sigma2) * sigma_se,
        fits=fits,
        drift_dn=float(variance.frames_dn.mean(axis=1).std(ddof=1)) if n > 1 else math.nan,
        clipped=means.at_zero,
        defects=np.argwhere(~good).astype(np.int32),
        shading_dn=shading,
        row_profile_dn=_profile(above, good, 1),
        column_profile_dn=_profile(above, good, 0),
    )


def _doubt(n: int, at_zero: Doubles) -> str | None:
    """What keeps read noise from being trusted."""
    if at_zero.max() > _CLIPPED:
        return f"{at_zero.max():.1%} of the counts are clipped at zero: the lower half of the noise wasn't recorded"
    if n == 1:
        return "one dark frame: fixed pattern can't be told from read noise; add a second"
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
    error = frames.std(axis=0, ddof=1) / math.sqrt(n) * float(t.ppf(0.975, n - 1))
    ci95 = tuple((value - e, value + e) for value, e in zip(black, error.tolist(), strict=True))
    why = "clipped at zero: the mean lies above the true black" if at_zero.max() > _CLIPPED else None
    return Quantity(black, ci95, pixels * n, why is None, why)


def _row_sigma(variance: Variance) -> Quantity:
    """Scatter of rows over frames, less what their pixels' own noise puts into a row's mean."""
    n, height = variance.offsets_dn.shape
    rows = variance.offsets_dn - variance.offsets_dn.mean(axis=1, keepdims=True)
    degrees = (n - 1) * (height - 1)
    total, pixels = float((rows**2).sum() / degrees), float(variance.within_dn2.mean() / variance.in_row)
    low, high = (math.sqrt(max(degrees * total / chi2.ppf(p, degrees) - pixels, 0.0)) for p in (0.975, 0.025))
    sigma = math.sqrt(max(total - pixels, 0.0))
    why: str | None
    if low == 0:
        why = f"upper bound: no row noise above {high:.3g} DN stands out of the pixels'"
    else:
        why = None if high - low < 2 * 1.96 * _PRECISE * sigma else "known to no better than 3 %: add dark frames"
    return Quantity(sigma, (low, high), degrees, why is None, why)


def _row_bound(profile: Doubles, noise: float, variance: Variance) -> Quantity:
    """One frame alone: row noise and fixed pattern of rows together."""
    degrees = len(profile) - 1
    total, pixels = float(profile.var(ddof=1)), noise / variance.in_row
    high = math.sqrt(max(degrees * total / chi2.ppf(0.025, degrees) - pixels, 0.0))
    why = "upper bound: one dark frame can't tell row noise from the fixed pattern of rows; add a second"
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
    sizes = tuple(math.sqrt(max(own - floor, 0.0)) for own, floor in zip(found, noise.tolist(), strict=True))
    few = f"from {n} frames: EMVA 1288 asks for {_EMVA_FRAMES} before it is called DSNU"
    return Quantity(sizes, None, int(good.sum() // 4), n >= _EMVA_FRAMES, None if n >= _EMVA_FRAMES else few)


def _profile(values: Floats, good: Bools, axis: int) -> Doubles:
    """Mean of the good pixels along an axis."""
    total = np.where(good, values, 0).sum(axis=axis, dtype=np.float64)
    return np.asarray(total / np.maximum(good.sum(axis=axis), 1))


def _number(quantity: Quantity) -> float:
    """The value of a quantity that holds one."""
    assert isinstance(quantity.value, float)
    return quantity.value


def loaded(counts: NDArray[np.uint16], cfa: str) -> Mosaics:
    """Dark frames (n, H, W) or one (H, W) as mosaics."""
    return Loaded(counts if counts.ndim == 3 else counts[None], cfa)
