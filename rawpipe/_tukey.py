"""Tukey's lambda distribution with scale 1: quantile, variance and draws, stable around lambda = 0 and in the tails.

The quantile function is Q(p) = (p**lambda - (1 - p)**lambda) / lambda, and the logistic ln(p / (1 - p)) at lambda = 0.
The variance is finite for lambda > -0.5; lambda = 0.14 is nearly a normal distribution, less has heavier tails.

References:
    Hastings, Mosteller, Tukey and Winsor (1947), Low moments for small samples.
    Joiner and Rosenblatt (1971), Some properties of the range in samples from Tukey's symmetric lambda distributions.
"""

from __future__ import annotations

import torch
from torch import Tensor

# -zeta(k) (2**k - 2) / k (-1)**k: the Taylor coefficients of 2 lnGamma(1 + t) - lnGamma(1 + 2 t) from t**2 on.
_SERIES = (
    -1.6449340668482264,
    2.4041138063191885,
    -3.7881313179889835,
    6.22156653086022,
    -10.51254497383931,
    18.150286992874612,
)


def variance(shape: Tensor) -> Tensor:
    """Variance for each `shape` (lambda > -0.5), float64, pi**2 / 3 at 0.

    It is (2 / l**2) (1 / (1 + 2 l) - Gamma(l + 1)**2 / Gamma(2 l + 2)), written so that nothing cancels.
    """
    t = shape.double()
    small = t.abs() < 0.003
    away = torch.where(small, 1.0, t)
    log_ratio = 2 * torch.lgamma(1 + away) - torch.lgamma(1 + 2 * away)
    series = sum((c * t**k for k, c in enumerate(_SERIES)), torch.zeros_like(t))  # log_ratio / t**2
    exponent = torch.where(small, series * t**2, log_ratio)
    ratio = torch.where(small, series * (1 + exponent / 2 + exponent**2 / 6), torch.expm1(exponent) / away**2)
    return -2 * ratio / (1 + 2 * t)


def tail(p: Tensor, shape: Tensor) -> Tensor:
    """-Q(p) >= 0 for a lower tail probability `p` in (0, 1/2], exact to rounding however small `p` and `shape` are."""
    zero = shape == 0
    safe = torch.where(zero, 1.0, shape)
    low, high = torch.log(p), torch.log1p(-p)
    return torch.where(zero, high - low, (torch.expm1(shape * high) - torch.expm1(shape * low)) / safe)


def draw(shape: Tensor, size: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Random numbers of `size`, float32, on the device of `shape`, which broadcasts with them.

    The tail probability comes from 64 random bits, down to 2**-64. What lies beyond the 2**-24 of a uniform float32 is
    0.5 % of the variance at lambda = -0.3 and 26 % at -0.45; beyond 2**-64 it is 1e-7 and 1.6 %.
    """
    bits = torch.empty(size, dtype=torch.int64, device=shape.device).random_(-(2**63), None, generator=generator)
    signed = bits.float()
    p = (signed.abs() * 2.0**-64).clamp_(min=2.0**-64)
    return tail(p, shape).copysign_(signed)
