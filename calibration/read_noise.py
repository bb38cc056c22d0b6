"""Read noise of dark frames: histograms of what pixel and row don't explain, and a Tukey-lambda fit to each site."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rawpipe import bayer
from rawpipe.calibration import tukey
from rawpipe.calibration.mosaics import Bools, Doubles, Floats, Loaded, Mosaics, laid_out, site
from rawpipe.calibration.variance import Variance, residuals

_BINS_PER_SIGMA = 12
_MOST_BINS_PER_STEP = 64
_STAIRS = 0.002  # steps by which a mean count may miss its level without being called stairs


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


Fits = tuple[tuple[tukey.Tukey, tukey.Histogram], ...]


def fit_read_noise(
    mosaics: Mosaics, expected: Floats, good: Bools, black: Doubles, variance: Variance, step: float, zero: float
) -> tuple[Fits, Variance]:
    """The fit and its histogram for every site, and the analysis of variance with what rounding did to rows undone.

    A count's expectation is its row's and column's offset plus its pixel's mean over the *other* captures, shrunk
    towards the row's mean by how much pixels differ at all: without fixed pattern it adds no noise, with a strong one
    the pattern goes. With one capture the expectation is `expected` alone.
    """
    cfa, n = mosaics.cfa, mosaics.shape[0]
    above = expected - laid_out(black, cfa, *expected.shape).astype(np.float32)
    rows = np.where(good, above, 0).sum(axis=1, dtype=np.float64) / np.maximum(good.sum(axis=1), 1)
    above -= rows.astype(np.float32)[:, None]
    pattern = np.zeros(4)
    if n > 1:
        spread = [site(above, cfa, s)[site(good, cfa, s)].var(dtype=np.float64) for s in range(4)]
        pattern = np.maximum(np.array(spread) - variance.within_dn2 / n, 0.0)
    fits = _fits(mosaics, expected, above, good, variance, pattern, step, zero, None)
    offsets = _unrounded(fits, pattern, expected, good, cfa, variance.offsets_dn, step)
    if offsets is None:
        return fits, variance
    variance = replace(variance, offsets_dn=offsets)
    return _fits(mosaics, expected, above, good, variance, pattern, step, zero, offsets), variance


def _fits(
    mosaics: Mosaics,
    expected: Floats,
    above: Floats,
    good: Bools,
    variance: Variance,
    pattern: Doubles,
    step: float,
    zero: float,
    offsets: Doubles | None,
) -> Fits:
    n = mosaics.shape[0]
    size = variance.within_dn2
    if n == 1:
        size = np.array([_central(mosaics, expected, good, s)[1] for s in range(4)])
    fine = np.ceil(_BINS_PER_SIGMA / np.sqrt(np.maximum(size, 1e-3 * step**2)))
    fine = np.clip(fine, np.ceil(2 / step), np.ceil(_MOST_BINS_PER_STEP / step))
    # A far outlier would shift the mean that its pixel's other captures are compared with, so it counts as `reach`.
    reach, central = np.array([_central(mosaics, expected, good, s) for s in range(4)]).T
    weight = pattern / (pattern + central / max(n - 1, 1) + 1e-12)
    tallies = [_Tally(int(one)) for one in fine]
    for part in residuals(mosaics, expected, good, zero, offsets=offsets, columns=variance.columns_dn):
        own = above[part.top : part.top + part.good.shape[0]]
        for s in range(4):
            kept = site(part.good, part.cfa, s)
            values = site(part.values, part.cfa, s)[:, kept]
            if n > 1:
                pixel = site(own, part.cfa, s)[kept]
                near = np.clip(values, -reach[s], reach[s])
                others = (near.sum(axis=0) - near) / (n - 1)
                values = values + pixel - np.float32(weight[s]) * (pixel + others)
            tallies[s].add(values, site(part.at_zero, part.cfa, s)[:, kept])
    # Offsets of row and column contain a little of the pixel itself, and of every other; a bin spreads over its width.
    share = 1 / variance.in_row + (1 / mosaics.shape[1] if n > 1 else 0)
    spread = weight * central / max(n - 1, 1) + size * share + 1 / (12 * fine**2)
    histograms = [tally.histogram(step, float(extra)) for tally, extra in zip(tallies, spread, strict=True)]
    fits = [tukey.fit(histogram) for histogram in histograms]
    # How much pixels differ was found in the same captures: of their degrees of freedom one in n is spent on it.
    spent = n / max(n - 1, 1)
    fits = [replace(one, scale_dn=one.scale_dn / (1 - share), covariance=one.covariance * spent) for one in fits]
    return tuple(zip(fits, histograms, strict=True))


def _central(mosaics: Mosaics, expected: Floats, good: Bools, index: int) -> tuple[float, float]:
    """Five robust standard deviations of a site's residuals, and their variance when cut there: of 64 middle rows."""
    top = max(mosaics.shape[1] // 4 * 2 - 32, 0)
    rows = slice(top, min(top + 64, mosaics.shape[1]))
    band = Loaded(np.asarray(mosaics.rows(rows.start, rows.stop)), mosaics.cfa)
    parts = residuals(band, expected[rows], good[rows])
    found = [site(part.values, part.cfa, index)[:, site(part.good, part.cfa, index)] for part in parts]
    values = np.concatenate(found, axis=1)
    n = len(values)
    reach = 5 * 1.4826 * float(np.median(np.abs(values))) + 1e-6
    return reach, float(np.square(np.clip(values, -reach, reach), dtype=np.float64).mean()) * n / max(n - 1, 1)


def _unrounded(
    fits: Fits, pattern: Doubles, expected: Floats, good: Bools, cfa: str, offsets: Doubles, step: float
) -> Doubles | None:
    """Rows' offsets (n, H) as they were before rounding; None if rounding left them alone.

    Where noise is narrower than a step, a row's mean count follows its level in stairs. The fit says which stairs.
    """
    n, height = offsets.shape
    levels = np.zeros((n, height))
    stairs = False
    for s in range(4):
        fit = fits[s][0]
        phase, mean = tukey.mean_count(fit.scale_dn, fit.tukey_lambda, step, float(pattern[s]))
        stairs = stairs or float(np.abs(mean - phase).max()) > _STAIRS * step
        y = bayer.offset(cfa, s)[0]
        kept = site(good, cfa, s)
        in_row = np.maximum(kept.sum(axis=1), 1)
        row = np.where(kept, site(expected, cfa, s), 0).sum(axis=1, dtype=np.float64) / in_row
        seen = row + offsets[:, y::2]
        whole = np.floor(seen / step) * step
        levels[:, y::2] += (whole + np.interp(seen - whole, mean, phase)) / 2
    if n == 1 or not stairs:
        return None
    out: Doubles = levels - levels.mean(axis=0)
    return out
