"""Read noise from integer counts: a Tukey-lambda distribution fitted by maximum likelihood.

A count is a continuous value rounded to the converter's step, so its probability is the distribution's mass over one
step around it. That stays exact where read noise is smaller than a step, and long tails can't mislead it as they
mislead a variance or a straight line through a probability plot.

References:
    Joiner and Rosenblatt (1971), Some properties of the range in samples from Tukey's symmetric lambda distributions.
    Wei et al. (2020), A physics-based noise formation model for extreme low-light raw denoising.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from rawpipe import _tukey

Doubles = NDArray[np.float64]

_OUTLIERS = 1e-6  # share of counts that may come from anywhere: one glitch must not turn the tails
_LOGIT = np.linspace(-46.0, 46.0, 23001)
_LOG_P, _LOG_Q = -np.logaddexp(0.0, -_LOGIT), -np.logaddexp(0.0, _LOGIT)
_P = np.exp(_LOG_P)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def unit_variance(tukey_lambda: float) -> float:
    """Variance of the distribution of scale 1."""
    return float(_tukey.variance(torch.tensor(tukey_lambda, dtype=torch.float64)))


def quantiles(tukey_lambda: float, log_p: Doubles, log_q: Doubles) -> Doubles:
    """Quantiles (p^l - q^l) / l for log p and log q = log(1 - p)."""
    lam = tukey_lambda
    if abs(lam) < 1e-9:
        return log_p - log_q
    return np.asarray((np.expm1(lam * log_p) - np.expm1(lam * log_q)) / lam)


@dataclass(frozen=True)
class Histogram:
    """Deviations of counts from what was expected at their pixel, in bins finer than a count.

    Args:
        values: centre of every bin that isn't empty, in DN.
        counts: pixels in it.
        at_zero: pixels in it whose count was 0: all that is known of them is that they were at most that.
        step: step of the converter in DN.
        spread: variance of the expectation itself, and of binning, in DN^2; may be slightly negative where the
            expectation contains a part of the pixel.
    """

    values: Doubles
    counts: Doubles
    at_zero: Doubles
    step: float
    spread: float


@dataclass(frozen=True)
class Tukey:
    """A fit: centre and scale in DN, lambda, and the covariance (3, 3) of (centre, log scale, lambda)."""

    centre_dn: float
    scale_dn: float
    tukey_lambda: float
    covariance: Doubles

    @property
    def sigma_dn(self) -> float:
        """Standard deviation in DN."""
        return self.scale_dn * math.sqrt(unit_variance(self.tukey_lambda))

    @property
    def sigma_se(self) -> float:
        """Standard error of the standard deviation in DN."""
        lam, h = max(self.tukey_lambda, -0.498), 1e-3
        slope = (math.log(unit_variance(lam + h)) - math.log(unit_variance(lam - h))) / (4 * h)
        gradient = np.array([0.0, 1.0, slope])
        return self.sigma_dn * math.sqrt(gradient @ self.covariance @ gradient)

    @property
    def lambda_se(self) -> float:
        """Standard error of lambda."""
        return math.sqrt(self.covariance[2, 2])

    @property
    def scale_se(self) -> float:
        """Standard error of the scale in DN."""
        return self.scale_dn * math.sqrt(self.covariance[1, 1])


def fit(histogram: Histogram) -> Tukey:
    """The maximum-likelihood fit of centre, scale and lambda."""
    centre = float(np.average(histogram.values, weights=histogram.counts))
    ordered = np.cumsum(histogram.counts) / histogram.counts.sum()
    low, high = np.interp([0.1587, 0.8413], ordered, histogram.values)
    sigma = max((high - low) / 2, 0.3 * histogram.step)
    start = np.array([0.0, math.log(sigma / math.sqrt(unit_variance(0.1))), 0.1])
    width = sigma / math.sqrt(histogram.counts.sum())  # natural step of the centre

    def loss(parameters: Doubles) -> float:
        shift, log_scale, lam = parameters
        return _negative_log_likelihood(histogram, centre + shift * width, math.exp(log_scale), float(lam))

    options: dict[str, Any] = {"xatol": 1e-6, "fatol": 1e-4, "maxiter": 600, "maxfev": 800}
    simplex = start + np.array([[0, 0, 0], [1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    found = minimize(loss, start, method="Nelder-Mead", options=options | {"initial_simplex": simplex}).x
    curvature = _hessian(loss, found, np.array([0.5, 2e-3, 4e-3]))
    covariance = np.full((3, 3), math.nan)  # where the likelihood has no peak, nothing is known
    if np.isfinite(curvature).all() and (np.linalg.eigvalsh(curvature) > 0).all():
        covariance = np.linalg.inv(curvature)
    units = np.array([width, 1.0, 1.0])
    covariance = covariance * np.outer(units, units)
    return Tukey(centre + found[0] * width, math.exp(found[1]), float(found[2]), covariance)


def mean_count(scale_dn: float, tukey_lambda: float, step: float, spread: float) -> tuple[Doubles, Doubles]:
    """Levels over two steps from 0, and the mean count at each when noise is added and the sum is rounded.

    Args:
        scale_dn: of the noise.
        tukey_lambda: of the noise.
        step: of the converter in DN.
        spread: variance of a Gaussian part beside it, in DN^2.
    """
    level = np.linspace(-0.5, 1.5, 401) * step
    reach = math.ceil(12 * scale_dn * math.sqrt(unit_variance(tukey_lambda)) / step + 6 * math.sqrt(spread) / step) + 3
    edges = (np.arange(-reach, reach + 1) + 0.5) * step
    nodes = _NODES * math.sqrt(spread)
    # The mean of a rounded value is the sum over all edges of how likely it lies beyond each.
    below = sum(
        w * cdf((edges[None] - level[:, None] - node) / scale_dn, tukey_lambda)
        for node, w in zip(nodes, _WEIGHTS, strict=True)
    )
    mean = (np.where(edges > 0, 1.0, 0.0) - below).sum(axis=1) * step
    return level, np.asarray(mean)


def fisher_information(scale_dn: float, tukey_lambda: float, step: float) -> Doubles:
    """Information (3, 3) on (centre, log scale, lambda) in one count at a random phase of the converter's step."""
    sigma = scale_dn * math.sqrt(unit_variance(tukey_lambda))
    fine = step / max(16.0, math.ceil(24 * step / sigma))
    values = np.arange(-40 * sigma - 4 * step, 40 * sigma + 4 * step, fine)

    def mass(parameters: Doubles) -> Doubles:
        centre, log_scale, lam = parameters
        scale = math.exp(log_scale)
        both = [cdf((values - centre + side * step / 2) / scale, lam) for side in (1, -1)]
        return np.asarray(both[0] - both[1])

    at, h = np.array([0.0, math.log(scale_dn), tukey_lambda]), np.array([sigma * 1e-3, 1e-3, 1e-3])
    middle = mass(at)
    slopes = [(mass(at + one) - mass(at - one)) / (2 * one.sum()) for one in np.diag(h)]
    seen = middle > 1e-13
    return np.array([[(a[seen] * b[seen] / middle[seen]).sum() for a in slopes] for b in slopes]) * fine / step


def cdf(x: Doubles, tukey_lambda: float) -> Doubles:
    """Distribution function of the Tukey-lambda distribution of scale 1."""
    table = quantiles(tukey_lambda, _LOG_P, _LOG_Q)
    return np.interp(x, table, _P, left=0.0, right=1.0)


def _negative_log_likelihood(histogram: Histogram, centre: float, scale: float, lam: float) -> float:
    if not -0.49 < lam < 2.0:
        return math.inf
    values = histogram.values - centre
    spread = max(histogram.spread, 0.0)
    nodes, weights = (_NODES * math.sqrt(spread), _WEIGHTS) if spread > 0 else (np.zeros(1), np.ones(1))
    table = quantiles(lam, _LOG_P, _LOG_Q) * scale
    upper = np.zeros_like(values)
    lower = np.zeros_like(values)
    for node, weight in zip(nodes, weights, strict=True):
        upper += weight * np.interp(values + (histogram.step / 2 - node), table, _P, left=0.0, right=1.0)
        lower += weight * np.interp(values - (histogram.step / 2 + node), table, _P, left=0.0, right=1.0)
    reach = max(float(values[-1] - values[0]) / histogram.step, 1.0)
    floor = _OUTLIERS / reach
    seen = (1 - _OUTLIERS) * (upper - lower) + floor
    clipped = (1 - _OUTLIERS) * upper + floor
    inner = histogram.counts - histogram.at_zero
    return float(-(inner @ np.log(seen) + histogram.at_zero @ np.log(clipped)))


def _hessian(function: Any, at: Doubles, h: Doubles) -> Doubles:
    size = len(at)
    out = np.empty((size, size))
    axes = np.eye(size) * h
    for i in range(size):
        for j in range(i, size):
            a, b = axes[i], axes[j]
            second = function(at + a + b) - function(at + a - b) - function(at - a + b) + function(at - a - b)
            out[i, j] = out[j, i] = second / (4 * h[i] * h[j])
    return out
