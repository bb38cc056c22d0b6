"""Which patches of a photograph to trust, and how far.

Patches are ordered by their energy along the picture's directions, and ever larger sets of the smoothest are fitted.
Small sets scatter; large ones hold more of the picture. Both are put in one number, `doubt`: a bound on the gain's
relative error, from its standard error and from what betrays a picture: noise that isn't white, that differs between
parts of the picture, between sites, or that doesn't grow with the level as photons do. The set of least doubt is taken.

A doubt counts what the patches could not have shown as well: with few of them each test has a large error of its own,
and that error is added. What no test can show is a picture with white noise of its own that grows as photons' does,
such as a scanned film's.

References:
    Liu, Freeman, Szeliski and Kang (2006), Noise estimation from a single image: the lower envelope.
    Lepski (1991), On a problem of adaptive estimation in Gaussian white noise: sets that agree with all smaller ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rawpipe._blind_fit import Doubles, Fit, Ints, Pool, design_of, fit_pool
from rawpipe._blind_patches import Patches, directions

Bools = NDArray[np.bool_]

RELIABLE = 0.14  # doubt below which a gain is called reliable

_SHARES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)  # of all patches, the smoothest first
_LEAST, _MOST = 60, 30_000  # patches of a set
_APART = 2.0  # standard errors by which a larger set may differ from a smaller one
_ROUNDS = 2  # of finding the noise, and by it the smoothest patches
_CLEAR = 3.5  # standard deviations that a patch keeps from where the counts end
_POOLED = 15_000  # patches of each of several pictures
_BELOW = 3.0  # standard errors by which a picture may show less noise than the others
_SOUND = 1.0  # doubt below which a picture may say so

# How much of the gain's error each symptom stands for, and how much of the symptom's own standard error is added to it.
# Found on photographs of BSDS500, Urban100 and Kodak24, with and without grain of their own; see docs/benchmarks.md.
_TINT, _UNEVEN, _SITES, _SLOPE = 4.0, 1.0, 3.0, 2.0
_UNSEEN = 0.5
_UNKNOWN = 0.2  # unevenness of what can't be compared
_STEEPEST = 3.0


@dataclass(frozen=True, eq=False)
class Verdict:
    """A fit, and the doubts about its gain: each a relative error.

    Args:
        fit: the fit.
        excess: how far the gain lies above that of another picture of the same camera and ISO, beyond its scatter.
    """

    fit: Fit
    excess: float = 0.0

    @cached_property
    def doubts(self) -> dict[str, float]:
        """By what they come from, in words."""
        fit = self.fit
        tint, tint_error = fit.tint
        slope, slope_error = fit.slope
        uneven = fit.unevenness2
        ratio, errors = fit.sites
        noise = float((errors**2).mean())
        apart = max(float(ratio.var(ddof=1)) - noise, 0.0) + _UNSEEN * 0.8 * noise
        steep = min(abs(slope) + _UNSEEN * slope_error, _STEEPEST) * (1 - fit.pool.share)
        spread = _UNKNOWN if uneven is None else math.sqrt(max(uneven[0], 0.0) + _UNSEEN * uneven[1])
        return {
            "there are too few smooth patches": fit.gain_error,
            "what is left in the smoothest patches isn't white": _TINT * (abs(tint) + _UNSEEN * tint_error),
            "the noise differs between parts of the picture": _UNEVEN * spread,
            "the noise differs between sites": _SITES * math.sqrt(apart),
            "the noise doesn't grow with the level as photons' does, or few levels show it": _SLOPE * steep,
            "another picture shows less noise": self.excess,
        }

    @cached_property
    def doubt(self) -> float:
        """Bound on the relative error of the gain."""
        total = math.sqrt(sum(doubt**2 for doubt in self.doubts.values()))
        return total if math.isfinite(total) else math.inf

    @property
    def reliable(self) -> bool:
        """Whether the gain is known well enough."""
        return self.doubt < RELIABLE

    @property
    def why(self) -> str | None:
        """The largest doubt, None if the gain is reliable."""
        return None if self.reliable else max(self.doubts, key=lambda name: self.doubts[name])


def judge(patches: Patches, read2: tuple[float, float] | None = None) -> Verdict | None:
    """The fit of least doubt to a picture; None if too few patches are left unclipped.

    Args:
        patches: of the picture.
        read2: read**2 and its standard deviation in DN**2, where it is known.
    """
    range_dn = float(patches.ceiling_dn.min())
    measured = patches.energy[:, :2].mean(axis=1)
    if patches.usable.sum() < _LEAST:
        return None
    p = np.array([max(float(np.quantile(measured[patches.usable], 0.03)), 1e-6), 0.0, 0.0])
    for _ in range(_ROUNDS):
        order = _smoothest_first(patches, p)
        if len(order) < _LEAST:
            return None
        p = _largest_that_agrees(_fits(patches, order, p, read2, range_dn)).parameters
    order = _smoothest_first(patches, p)
    if len(order) < _LEAST:
        return None
    return min((Verdict(fit) for fit in _fits(patches, order, p, read2, range_dn)), key=lambda one: one.doubt)


def _smoothest_first(patches: Patches, p: Doubles) -> Ints:
    """Indices of the usable patches by how much of the picture is in them and around them."""
    mean, reference = patches.mean_dn.astype(np.float64), patches.reference_dn.astype(np.float64)
    reach = _CLEAR * np.sqrt(p[0] * np.maximum(mean, 0.0) + p[1])
    clear = ((mean + reach < patches.ceiling_dn) & (mean - reach > patches.floor_dn)).all(axis=1)
    usable = patches.usable & clear
    expected = design_of(mean, reference, directions(patches.cfa).shares[2]) @ p
    own = np.where(usable, patches.energy[:, 2] / np.maximum(expected, 1e-12), 0.0)
    roughness = (own + patches.around(own)) / (1 + patches.around(usable.astype(np.float64)))
    order = np.argsort(np.where(usable, roughness, np.inf), kind="stable")
    return np.asarray(order[: int(usable.sum())], np.int64)


def _fits(
    patches: Patches, order: Ints, p: Doubles, read2: tuple[float, float] | None, range_dn: float
) -> Iterator[Fit]:
    """Fits to ever larger sets of the smoothest patches; of very large sets, to a part spread over all of it."""
    for count in sorted({max(int(share * len(order)), _LEAST) for share in _SHARES}):
        chosen = order[: count : -(-count // _MOST)]
        yield fit_pool(Pool.of(patches, np.sort(chosen), count / len(order)), p, read2, range_dn)


def _largest_that_agrees(fits: Iterator[Fit]) -> Fit:
    """The largest set whose gain agrees with that of all smaller ones."""
    kept = next(fits)
    seen = [(kept.gain, kept.gain * kept.gain_error)]
    for fit in fits:
        if any(abs(fit.gain - gain) > _APART * error for gain, error in seen):
            break
        kept = fit
        seen.append((fit.gain, fit.gain * fit.gain_error))
    return kept


def together(verdicts: Sequence[Verdict], read2: tuple[float, float] | None, range_dn: float) -> tuple[Verdict, Ints]:
    """The fit of least doubt to several pictures of one camera and ISO, and which pictures it rests on.

    Pictures are added, those of least doubt first, as long as that lessens the doubt.
    """
    sound = [one.fit for one in verdicts if one.doubt < _SOUND]
    highest = min((fit.gain * (1 + _BELOW * fit.gain_error) for fit in sound), default=math.inf)

    def beside_others(fit: Fit) -> Verdict:
        return Verdict(fit, max(fit.gain / highest - 1, 0.0))

    alone = [beside_others(one.fit) for one in verdicts]
    order = sorted(range(len(alone)), key=lambda i: alone[i].doubt)
    best, used = alone[order[0]], order[:1]
    for i in order[1:]:
        pools = [_thinned(alone[j].fit.pool) for j in (*used, i)]
        verdict = beside_others(fit_pool(Pool.union(pools), best.fit.parameters, read2, range_dn))
        if verdict.doubt < best.doubt:
            best, used = verdict, [*used, i]
    return best, np.array(used)


def _thinned(pool: Pool) -> Pool:
    """A pool of a bounded number of patches, spread over all of it."""
    step = -(-len(pool) // _POOLED)
    return pool if step == 1 else pool.every(step)
