"""The exact unbiased inverse of the generalised Anscombe transform, by tables made for each sigma / K.

All in electrons: f(e) = 2 sqrt(max(e + 3/8 + s**2, 0)) with s = sigma / K. The mean of f over Poisson shot noise and
read noise, D(e) = E[f | e], is computed up to 80 electrons and inverted; beyond, a series in 1 / (e + s**2) is exact
to 1e-4 electrons.

References:
    Mäkitalo and Foi (2013), Optimal inversion of the generalized Anscombe transformation for Poisson-Gaussian noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rawpipe import _tukey, bayer

_LAST_E = 80.0  # electrons at the end of the tables
_COUNTS = 192  # Poisson counts that are summed: 80 electrons and 12 sigma
_NODES = 257  # means e at which D(e) is computed, evenly spaced in sqrt(e)
_CELLS = 2048  # cells of a table, evenly spaced in D
_QUADRATURE = 96


@dataclass(frozen=True, eq=False)
class Tables:
    """e at D = start + i * cell, per site (..., 4, cells + 1), in electrons; `shift` is s**2 (..., 4)."""

    start: Tensor
    cell: Tensor
    electrons: Tensor
    shift: Tensor


def tables(sigma_e: Tensor, shape: Tensor | None) -> Tables:
    """Tables for read noise of `sigma_e` electrons (..., 4), Gaussian or Tukey-lambda of `shape`; float64."""
    s = sigma_e.double()
    means, slopes = _mean_of_f(s, None if shape is None else shape.double())
    grid = torch.linspace(0, _LAST_E**0.5, _NODES, dtype=torch.float64, device=s.device) ** 2
    start = means[..., :1]
    cell = (means[..., -1:] - start) / _CELLS
    at = start + cell * torch.arange(_CELLS + 1, dtype=torch.float64, device=s.device)
    return Tables(start[..., 0], cell[..., 0], _hermite(at, means, grid, 1 / slopes), s**2)


def inverse(d: Tensor, cfa: str, tables: Tables) -> Tensor:
    """Electrons e with E[f | e] = `d`; a straight line below E[f | 0]."""
    batch = torch.broadcast_shapes(d.shape[:-2], tables.start.shape[:-1])  # type: ignore[no-untyped-call]
    wide = d.expand(*batch, *d.shape[-2:])
    result = torch.empty(wide.shape, dtype=d.dtype, device=d.device)
    start, cell, shift = (v.expand(*batch, 4) for v in (tables.start, tables.cell, tables.shift))
    electrons = tables.electrons.expand(*batch, 4, _CELLS + 1)
    for site in range(4):
        own = Tables(start[..., site], cell[..., site], electrons[..., site, :], shift[..., site])
        bayer.view(result, cfa, site).copy_(_looked_up(bayer.view(wide, cfa, site), own))
    return result


def _looked_up(d: Tensor, table: Tables) -> Tensor:
    """Electrons for pixels (..., h, w) of one site, whose table is (..., cells + 1)."""
    start, cell, shift = (v[..., None, None] for v in (table.start, table.cell, table.shift))
    position = (d - start.to(d.dtype)) / cell.to(d.dtype)
    lower = position.detach().nan_to_num(0.0).clamp(0, _CELLS - 1).long()
    values = table.electrons.to(d.dtype)
    first = torch.arange(values[..., 0].numel(), device=d.device).reshape(values.shape[:-1]) * (_CELLS + 1)
    index = lower + first[..., None, None]
    left, right = torch.take(values, index), torch.take(values, index + 1)
    inside = torch.lerp(left, right, position - lower)
    m = d**2 / 4
    beyond = m - (0.125 + shift.to(d.dtype)) + (0.375 + shift.to(d.dtype)) / (8 * m.clamp(min=1.0) ** 2)
    return torch.where(position > _CELLS, beyond, inside)


def _mean_of_f(s: Tensor, shape: Tensor | None) -> tuple[Tensor, Tensor]:
    """D(e) and its slope at the nodes (..., nodes)."""
    counts = torch.arange(_COUNTS + 1, dtype=torch.float64, device=s.device)
    h = _over_read_noise(s[..., None], None if shape is None else shape[..., None], counts)
    weights = _poisson_weights().to(s.device)
    means = h[..., :-1] @ weights
    return means, (h[..., 1:] - h[..., :-1]) @ weights  # d/de of a Poisson mean is the mean of the difference


@cache
def _poisson_weights() -> Tensor:
    """P(k | e) for all counts and nodes (counts, nodes)."""
    e = torch.linspace(0, _LAST_E**0.5, _NODES, dtype=torch.float64) ** 2
    k = torch.arange(_COUNTS, dtype=torch.float64)[:, None]
    return torch.exp(torch.special.xlogy(k, e) - e - torch.lgamma(k + 1))


def _over_read_noise(s: Tensor, shape: Tensor | None, counts: Tensor) -> Tensor:
    """Mean of f over the read noise, given the count (..., counts).

    The integral over probabilities starts where f leaves 0, and v = w**2 (3 - 2 w) takes the root's and the tail's
    infinite slopes out, so that few Gauss-Legendre nodes are enough.
    """
    reach = counts + 0.375 + s**2
    nodes, weights = (torch.from_numpy(a).to(s.device) for a in np.polynomial.legendre.leggauss(_QUADRATURE))
    w = (nodes + 1) / 2
    v, above = w**2 * (3 - 2 * w), (1 - w) ** 2 * (1 + 2 * w)  # above = 1 - v
    weights = weights / 2 * 6 * w * (1 - w)
    if shape is None:
        cut = torch.special.ndtr(-reach / s.clamp(min=1e-9))
    else:
        scale = s / _tukey.variance(shape).sqrt()
        cut = _tukey_cdf(-reach / scale.clamp(min=1e-9), shape)
    rest = (1 - cut)[..., None]
    p, q = cut[..., None] + rest * v, rest * above  # q = 1 - p
    upper = p > 0.5
    low = torch.where(upper, q, p).clamp(min=1e-300)
    if shape is None:
        size = -torch.special.ndtri(low) * s[..., None]
    else:
        size = _tukey.tail(low, shape[..., None]) * scale[..., None]
    noise = torch.where(upper, size, -size)
    roots: Tensor = 2 * (reach[..., None] + noise).clamp(min=0).sqrt()
    mean: Tensor = rest[..., 0] * (roots @ weights)
    return mean


def _tukey_cdf(y: Tensor, shape: Tensor) -> Tensor:
    """Probability below `y` <= 0 at scale 1, by bisection of the quantile in ln p."""
    low, high = torch.full_like(y, -690.0), torch.full_like(y, -0.6931471805599453)
    for _ in range(60):
        middle = (low + high) / 2
        below = -_tukey.tail(middle.exp(), shape) < y
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(low <= -689.9, 0.0, low.exp())


def _hermite(at: Tensor, x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """Cubic through (x, y) with the given slopes, along the last dimension, at points within it."""
    i = (torch.searchsorted(x.contiguous(), at.contiguous()) - 1).clamp(0, x.shape[-1] - 2)
    y = y.expand_as(x)
    x0, x1, y0, y1, s0, s1 = (v.gather(-1, j) for v in (x, y, slope) for j in (i, i + 1))
    width = x1 - x0
    t = (at - x0) / width
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y0
        + t * (1 - t) ** 2 * width * s0
        + t**2 * (3 - 2 * t) * y1
        + t**2 * (t - 1) * width * s1
    )
