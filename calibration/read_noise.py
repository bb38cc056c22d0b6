"""Read noise of dark frames: histograms of what pixel and row don't explain, and a Tukey-lambda fit to each site."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rawpipe.calibration import tukey
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Mosaics, site
from rawpipe.calibration.variance import Variance, residuals

_BINS_PER_SIGMA = 12
_MOST_BINS_PER_STEP = 64


@dataclass(eq=False)
class _Tally:
    """A histogram that grows, in bins of 1 / fine DN."""

    fine: int
    counts: dict[str, Doubles] = field(default_factory=dict)
    low: int = 0

    def add(self, values: Floats, at_zero: Bools) -> None:
        index = np.rint(values.ravel() * self.fine).astype(np.int64)
        low = min(int(index.min()), self.low)
        high = max(int(index.max()), self.low + len(self.counts.get("all", ())) - 1)
        for name, chosen in (("all", index), ("zero", index[at_zero.ravel()])):
            new = np.bincount(chosen - low, minlength=high - low + 1).astype(np.float64)
            if name in self.counts:
                start = self.low - low
                new[start : start + len(self.counts[name])] += self.counts[name]
            self.counts[name] = new
        self.low = low

    def histogram(self, step: float, spread: float) -> tukey.Histogram:
        filled = np.flatnonzero(self.counts["all"])
        values = (filled + self.low) / self.fine
        return tukey.Histogram(values, self.counts["all"][filled], self.counts["zero"][filled], step, spread)


def fit_read_noise(
    mosaics: Mosaics, expected: Floats, good: Bools, black: Doubles, variance: Variance, step: float, zero: float
) -> tuple[tuple[tukey.Tukey, tukey.Histogram], ...]:
    """The fit and its histogram for every site.

    A count's expectation is its row's offset plus its pixel's mean over the *other* captures, shrunk towards the
    site's mean by how much pixels differ at all: without fixed pattern it adds no noise, with a strong one the
    pattern goes. With one capture the expectation is `expected` alone.
    """
    n = mosaics.shape[0]
    weight, spread, size = np.zeros(4), np.zeros(4), variance.within_dn2
    if n > 1:
        pattern = [site(expected, mosaics.cfa, s)[site(good, mosaics.cfa, s)].var(dtype=np.float64) for s in range(4)]
        fixed = np.maximum(np.array(pattern) - size / n, 0.0)
        weight = fixed / (fixed + size / (n - 1) + 1e-12)
        spread = weight * size / (n - 1)
    else:
        size = np.array([_robust_variance(mosaics, expected, good, s) for s in range(4)])
    fine = np.ceil(_BINS_PER_SIGMA / np.sqrt(np.maximum(size, 1e-3 * step**2)))
    fine = np.clip(fine, np.ceil(2 / step), np.ceil(_MOST_BINS_PER_STEP / step))
    tallies = [_Tally(int(one)) for one in fine]
    for part in residuals(mosaics, expected, good, zero):
        level = expected[part.top : part.top + part.good.shape[0]]
        for s in range(4):
            kept = site(part.good, part.cfa, s)
            values = site(part.values, part.cfa, s)[:, kept]
            if n > 1:
                values = values * (1 + weight[s] / (n - 1)) + (site(level, part.cfa, s)[kept] - black[s]) * (
                    1 - weight[s]
                )
            tallies[s].add(values, site(part.at_zero, part.cfa, s)[:, kept])
    # A row's offset contains 1 / in_row of the pixel itself, and as much of every other; a bin spreads over its width.
    own = 1 - 1 / variance.in_row
    spread = spread + size / variance.in_row + 1 / (12 * fine**2)
    histograms = [tally.histogram(step, float(extra)) for tally, extra in zip(tallies, spread, strict=True)]
    fits = [tukey.fit(histogram) for histogram in histograms]
    return tuple((replace(fit, scale_dn=fit.scale_dn / own), h) for fit, h in zip(fits, histograms, strict=True))


def _robust_variance(mosaics: Mosaics, expected: Floats, good: Bools, index: int) -> float:
    part = next(iter(residuals(mosaics, expected, good)))
    values = site(part.values, part.cfa, index)[:, site(part.good, part.cfa, index)]
    return float(1.4826 * np.median(np.abs(values))) ** 2
