"""The pictures of the dark frames of one ISO: profiles, probability plots, dark shading."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from rawpipe.calibration import tukey
from rawpipe.calibration.darks import Darks
from rawpipe.calibration.report.heat import site_maps
from rawpipe.calibration.report.of_flats import Picture
from rawpipe.calibration.report.plot import CLASSES, SITES, Axis, Plot, key
from rawpipe.calibration.report.words import digits, mean

Doubles = NDArray[np.float64]


def pictures(darks: Darks, size: tuple[int, int]) -> list[Picture]:
    """All pictures of the dark frames of a sensor of `size` (height, width)."""
    return [*profiles(darks), probability(darks), shading(darks, size)]


def frames(darks: Darks) -> str:
    """How many there are, in words."""
    return f"{darks.frames} dark frames" if darks.frames > 1 else "one dark frame"


def shading(darks: Darks, size: tuple[int, int]) -> Picture:
    """Smooth maps of the dark level."""
    return Picture(
        "Dark shading",
        site_maps(darks.shading_dn, size, 0.0, "dark level beside its site's mean, DN"),
        "",
        f"Smooth part of the dark level, from {frames(darks)}; one point for 64 × 64 pixels, bilinear in between.",
        wide=True,
    )


def profiles(darks: Darks) -> list[Picture]:
    """Means of rows and columns of the dark frames."""
    height, width = len(darks.row_profile_dn), len(darks.column_profile_dn)
    noise = float(np.mean(darks.variance_dn2)) / darks.frames
    row, _ = mean(darks.row_sigma_dn)
    rows = math.sqrt(noise / width + (row if math.isfinite(row) else 0.0) ** 2 / darks.frames)
    out = []
    for kind, values, sigma in (
        ("row", darks.row_profile_dn, rows),
        ("column", darks.column_profile_dn, math.sqrt(noise / height)),
    ):
        plot = Plot(
            Axis(0, len(values), kind),
            Axis.around([*values, 2.2 * sigma, -2.2 * sigma], "mean above black, DN"),
            f"Profile of the {kind}s",
            height=250,
        )
        plot.band([0, len(values)], [-1.96 * sigma] * 2, [1.96 * sigma] * 2, "noise")
        plot.across(0.0)
        at, low, middle, high = _thinned(np.asarray(values, np.float64))
        plot.band(at, low, high, "all")
        plot.line(at, middle, "all thin")
        out.append(
            Picture(
                f"Profile of the {kind}s in the dark",
                plot.svg(),
                key("all thin", f"mean of a {kind}") + key("band noise", "95 % of noise alone"),
                f"Over {frames(darks)}, defects left out. What leaves the band is shading or fixed pattern of {kind}s.",
            )
        )
    return out


def _thinned(values: Doubles, most: int = 320) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Place, lowest, mean and highest of a long profile in at most so many pieces."""
    starts = np.unique(np.linspace(0, len(values), min(most, len(values)) + 1).astype(int)[:-1])
    count = np.diff([*starts, len(values)])
    return (
        starts + count / 2,
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values, starts) / count,
        np.maximum.reduceat(values, starts),
    )


def probability(darks: Darks) -> Picture:
    """Read noise against the fitted distribution, one plot per site."""
    plots = []
    for s, (fit, histogram) in enumerate(darks.fits):
        expected, seen, low, high, gauss = _quantiles(fit, histogram)
        x, y = (Axis.around([*expected, *seen], text) for text in ("expected deviation, DN", "observed, DN"))
        plot = Plot(x, y, f"Probability plot of site {SITES[s]}", width=300, height=270)
        plot.band(expected, low, high, "noise")
        plot.line(expected, gauss, "gauss")
        plot.line([x.low, x.high], [x.low, x.high], "rule")
        plot.dots(expected, seen, f"{CLASSES[s]} strong")
        plot.say(x.low, y.high, SITES[s], 10, 18)
        plot.say(x.high, y.low, f"λ = {fit.tukey_lambda:.3f}".replace("-", "−"), -10, -27, "end")
        plot.say(x.high, y.low, f"σ = {digits(fit.sigma_dn, 3)} DN", -10, -11, "end")
        plots.append(plot.svg())
    return Picture(
        "Distribution of the read noise",
        f'<div class="four">{"".join(plots)}</div>',
        key("rule", "Tukey-lambda fit")
        + key("gauss", "a Gaussian of the same σ")
        + key("band noise", "95 % of samples from the fit"),
        "Probability plots of the dark frames, row offsets and defects removed, rounding allowed for: dots on the "
        "straight line have the fitted distribution. The fit is by maximum likelihood, not by this plot.",
        wide=True,
    )


def _quantiles(fit: tukey.Tukey, histogram: tukey.Histogram) -> tuple[Doubles, Doubles, Doubles, Doubles, Doubles]:
    """Expected and observed deviations, a 95 % band of the observed, and a Gaussian's in place of the expected.

    Expected are quantiles of what the counts should be: read noise, spread over the converter's step.
    """
    total = float(histogram.counts.sum())
    share = (np.cumsum(histogram.counts) - histogram.counts / 2) / total
    reach = float(np.abs(histogram.values - fit.centre_dn).max()) * 1.5 + histogram.step
    grid = np.linspace(-reach, reach, 4001)
    nodes = (np.arange(24) + 0.5) / 24 - 0.5
    shifts = (nodes * histogram.step)[:, None]
    normal = math.sqrt(max(histogram.spread, 0.0))
    below = np.mean([tukey.cdf((grid + shift) / fit.scale_dn, fit.tukey_lambda) for shift in shifts], axis=0)
    if normal > 0.02 * fit.sigma_dn:
        below = gaussian_filter1d(below, normal / (grid[1] - grid[0]), mode="nearest")
    gauss = np.mean([ndtr((grid + shift) / math.hypot(fit.sigma_dn, normal)) for shift in shifts], axis=0)
    rising = np.concatenate([[True], np.diff(below) > 0])

    def inverse(p: Doubles) -> Doubles:
        return np.asarray(np.interp(p, below[rising], grid[rising]))

    error = 1.96 * np.sqrt(share * (1 - share) / total)
    inside = (share > 0.5 / total) & (share < 1 - 0.5 / total)
    p, e = share[inside], error[inside]
    steep = np.concatenate([[True], np.diff(gauss) > 0])
    return (
        inverse(p),
        (histogram.values - fit.centre_dn)[inside],
        inverse(np.clip(p - e, 0.3 / total, 1)),
        inverse(np.clip(p + e, 0, 1 - 0.3 / total)),
        np.interp(p, gauss[steep], grid[steep]),
    )
