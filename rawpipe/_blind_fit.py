"""Gain and read noise from patches of a photograph, and what else these patches show.

Variance at level x: K x + read**2 + (prnu x)**2, if nothing of the picture is left in a patch.

References:
    Foi, Trimeche, Katkovnik and Egiazarian (2008), Practical Poissonian-Gaussian noise modeling and fitting for
        single-image raw-data: the model, and weights by the fitted variance.
    Wei, Fu, Yang and Huang (2020), A physics-based noise formation model for extreme low-light raw denoising: how read
        noise goes with gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rawpipe._blind_patches import COARSE, FINE, SITE, Patches, directions

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

RANGE_DN = 15583.0  # of the published cameras, whose read noise the prior is
_TILE = 32  # pixels; patches of one tile may share what is left of the picture
_REGION, _REGIONS = 128, 6  # pixels at least, along the longer side at most: parts of the picture that are compared
_LEVELS = 4  # parts of the range of levels that are compared
_FEW = 15  # patches of a part that make it worth comparing
_PRNU = 0.005  # what is usual


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """Patches of one picture, or of several of the same camera and ISO, that a fit rests on.

    Args:
        mean_dn: level per site (n, 4).
        reference_dn: level whose root the pixels were divided by (n, 4).
        energy: along the fine and the coarse directions (n, 2).
        of_site: along the sites' own directions (n, 4).
        tile: which tile of which picture (n).
        region: which part of which picture (n).
        shares: of the sites in `energy` (2, 4).
        site_shares: of the sites in `of_site` (4, 4).
        independent: independent samples per direction and patch.
        share: of the pictures' usable patches that are as smooth.
    """

    mean_dn: Doubles
    reference_dn: Doubles
    energy: Doubles
    of_site: Doubles
    tile: Ints
    region: Ints
    shares: Doubles
    site_shares: Doubles
    independent: float
    share: float

    def __len__(self) -> int:
        return len(self.energy)

    @classmethod
    def of(cls, patches: Patches, chosen: Ints, share: float) -> Pool:
        """Some patches of a picture."""
        along = directions(patches.cfa)
        return cls(
            mean_dn=patches.mean_dn[chosen].astype(np.float64),
            reference_dn=patches.reference_dn[chosen].astype(np.float64),
            energy=patches.energy[chosen, :2].astype(np.float64),
            of_site=patches.of_site[chosen].astype(np.float64),
            tile=patches.tiles(_TILE)[chosen],
            region=patches.tiles(max(_REGION, patches.stride * max(patches.grid) // _REGIONS + 1))[chosen],
            shares=along.shares[:2],
            site_shares=along.site_shares,
            independent=patches.independent,
            share=share,
        )

    @classmethod
    def union(cls, pools: Sequence[Pool]) -> Pool:
        """Those of several pictures."""
        tiles = np.cumsum([0, *(int(one.tile.max()) + 1 for one in pools)])
        regions = np.cumsum([0, *(int(one.region.max()) + 1 for one in pools)])
        joined = {
            name: np.concatenate([getattr(one, name) for one in pools])
            for name in ("mean_dn", "reference_dn", "energy", "of_site")
        }
        return replace(
            pools[0],
            **joined,
            tile=np.concatenate([one.tile + first for one, first in zip(pools, tiles, strict=False)]),
            region=np.concatenate([one.region + first for one, first in zip(pools, regions, strict=False)]),
            independent=min(one.independent for one in pools),
            share=float(np.mean([one.share for one in pools])),
        )

    def every(self, step: int) -> Pool:
        """Each of `step` patches, spread evenly."""
        names = ("mean_dn", "reference_dn", "energy", "of_site", "tile", "region")
        return replace(self, **{name: getattr(self, name)[::step] for name in names})

    @property
    def degrees(self) -> float:
        """Degrees of freedom of `measured`, per patch."""
        return (FINE + COARSE) * self.independent

    @cached_property
    def measured(self) -> Doubles:
        """Mean energy along the fine and the coarse directions (n)."""
        return (FINE * self.energy[:, 0] + COARSE * self.energy[:, 1]) / (FINE + COARSE)

    @cached_property
    def design(self) -> Doubles:
        """What a unit of K, read**2 and prnu**2 adds to `measured` (n, 3)."""
        shares = (FINE * self.shares[0] + COARSE * self.shares[1]) / (FINE + COARSE)
        return design_of(self.mean_dn, self.reference_dn, shares)


def design_of(mean_dn: Doubles, reference_dn: Doubles, shares: Doubles) -> Doubles:
    """What a unit of K, read**2 and prnu**2 adds to an energy in which the sites have some shares (4): (n, 3)."""
    level = np.maximum(mean_dn, 0.0)
    return np.stack([(power / reference_dn) @ shares for power in (level, np.ones_like(level), level**2)], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Numbers of the noise model, and what the patches show besides.

    Args:
        parameters: K, read**2 with the rounding of counts in it, prnu**2 (3).
        covariance: of them (3, 3), from the scatter between tiles.
        pool: the patches.
    """

    parameters: Doubles
    covariance: Doubles
    pool: Pool

    @property
    def gain(self) -> float:
        """K in DN per electron, of all sites together."""
        return float(self.parameters[0])

    @property
    def gain_error(self) -> float:
        """Relative standard error of the gain."""
        return math.sqrt(max(float(self.covariance[0, 0]), 0.0)) / self.gain

    @cached_property
    def relative(self) -> Doubles:
        """Energy of every patch against what the fit expects (n)."""
        return self.pool.measured / np.maximum(self.pool.design @ self.parameters, 1e-12)

    @property
    def tint(self) -> tuple[float, float]:
        """Energy along the coarse directions against the fine ones, less 1, and its standard error; white noise: 0."""
        expected = [design_of(self.pool.mean_dn, self.pool.reference_dn, s) @ self.parameters for s in self.pool.shares]
        fine, coarse = (self.pool.energy[:, i] / np.maximum(expected[i], 1e-12) for i in (0, 1))
        n = len(self.pool) * self.pool.independent
        return float(coarse.mean() / fine.mean()) - 1, math.sqrt(2 / (FINE * n) + 2 / (COARSE * n))

    @property
    def unevenness2(self) -> tuple[float, float] | None:
        """Variance of the noise's ratio to the fit between parts of the picture and of the range, and its error.

        What the patches' scatter explains is taken off. None if there are fewer than three parts.
        """
        level = self.pool.mean_dn.mean(axis=1)
        edges = np.quantile(level, np.linspace(0, 1, _LEVELS + 1)[1:-1])
        cell = self.pool.region * _LEVELS + np.searchsorted(edges, level)
        count = np.bincount(cell)
        known = count >= _FEW
        if known.sum() < 3:
            return None
        mean = np.bincount(cell, self.relative)[known] / count[known]
        noise = 2 / (self.pool.degrees * count[known])
        weight = 1 / (noise + 0.02**2)
        middle = np.average(mean, weights=weight)
        found = float(np.average((mean - middle) ** 2 - noise, weights=weight))
        return found, math.sqrt(float((2 * (weight * noise) ** 2).sum())) / float(weight.sum())

    @property
    def slope(self) -> tuple[float, float]:
        """Change of noise against the fit per unit of log level, 0 if the model holds; and its standard error."""
        level = np.log(np.maximum(self.pool.mean_dn.mean(axis=1), 1.0))
        level -= level.mean()
        power = max(float(level @ level), 1e-9)
        rest = self.relative - self.relative.mean()
        slope = float(level @ rest) / power
        per_tile = np.bincount(self.pool.tile, level * (rest - slope * level))
        return slope, math.sqrt(float(per_tile @ per_tile)) / power

    @cached_property
    def sites(self) -> tuple[Doubles, Doubles]:
        """Noise of each site against that of all, and the standard errors (4)."""
        k, read2, prnu2 = self.parameters
        level = np.maximum(self.pool.mean_dn, 0.0)
        own = np.maximum((k * level + read2 + prnu2 * level**2) / self.pool.reference_dn, 1e-12)
        weight = 1 / (own @ self.pool.site_shares.T) ** 2
        inverse = np.linalg.inv(np.einsum("ns,nr,sr->sr", weight, own, self.pool.site_shares))
        ratio = inverse @ (weight * self.pool.of_site).sum(axis=0)
        scatter = 2 / (SITE * self.pool.independent) * weight.sum(axis=0)
        return ratio, np.sqrt((inverse**2) @ scatter)


def fit_pool(pool: Pool, start: Doubles, read2: tuple[float, float] | None = None, range_dn: float = RANGE_DN) -> Fit:
    """Weighted least squares, the weights from the fitted variance; no parameter below zero.

    Args:
        pool: the patches.
        start: parameters to begin with (3).
        read2: read**2 and its standard deviation in DN**2, where it is known; None for what is usual at that gain.
        range_dn: from black to saturation.
    """
    p, mean, sigma = start, np.zeros(3), np.array([np.inf, np.inf, _PRNU**2])
    for _ in range(10):
        mean[1], sigma[1] = usual_read2(float(p[0]), range_dn) if read2 is None else read2
        variance = np.maximum(pool.design @ p, 1e-12)
        weight = pool.degrees / (2 * variance**2)
        weighted = pool.design * weight[:, None]
        normal = weighted.T @ pool.design + np.diag(sigma**-2)
        before, p = p, _not_negative(normal, weighted.T @ pool.measured + mean / sigma**2)
        if np.allclose(before, p, rtol=1e-4, atol=0):
            break
    score = weighted * (pool.measured - pool.design @ p)[:, None]
    per_tile = np.stack([np.bincount(pool.tile, score[:, i]) for i in range(3)], axis=1)
    inverse = np.linalg.inv(normal)
    covariance = inverse @ (per_tile.T @ per_tile + np.diag(sigma**-2)) @ inverse
    return Fit(parameters=p, covariance=covariance, pool=pool)


def usual_read2(gain: float, range_dn: float) -> tuple[float, float]:
    """Read noise squared at a gain, and how far cameras differ: ln(read) = 0.6 ln(K) + 1.5 at 14 bits."""
    scale = range_dn / RANGE_DN
    usual = scale**2 * math.exp(2 * (0.6 * math.log(max(gain / scale, 1e-3)) + 1.5))
    return usual, 1.3 * usual


def _not_negative(normal: Doubles, right: Doubles) -> Doubles:
    """The solution of a small least-squares problem, the most negative parameters set to zero in turn."""
    free = [0, 1, 2]
    while True:
        p = np.zeros(3)
        p[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free])
        if len(free) == 1 or (p[free] >= 0).all():
            p[0] = max(p[0], 1e-6)
            return np.maximum(p, 0.0)
        free.remove(min(free, key=lambda i: p[i] * math.sqrt(normal[i, i])))
