"""Random numbers that belong to a pixel: its place in the whole frame, the step and the seed decide, tiles don't.

References:
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators (the mixing function).
    Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3 (counters instead of states).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_FEW = 16.0  # photons up to which the distribution is inverted exactly
_SEARCHED = 48  # P(more | 16 expected) = 1e-10


def keyed(seed: int, place: Tensor) -> Callable[[Tensor, int], Tensor]:
    """Poisson draws from their mean and a step's index.

    Args:
        seed: of all draws.
        place: packed row and column at which the first pixel of the planes stands in the whole frame.
    """

    def draw(mean: Tensor, step: int) -> Tensor:
        return poisson(mean, uniform(mean.shape, place, seed, step).to(mean))

    return draw


def uniform(shape: torch.Size, place: Tensor, seed: int, step: int) -> Tensor:
    """Uniform numbers between 0 and 1 (n, c, h, w), float32; the same for every n, so frames of a burst
    need seeds of their own. 23 bits and a half: with 24 the greatest would round to 1.
    """
    _, channels, height, width = shape
    device = place.device
    rows = torch.arange(height, device=device, dtype=torch.int64) + place[0]
    columns = torch.arange(width, device=device, dtype=torch.int64) + place[1]
    planes = torch.arange(channels, device=device, dtype=torch.int64)
    at = _mixed(rows[:, None] * 0x1000003 + columns + (seed % 2**32) * 0x9E3779B1)
    bits = _mixed(at + (planes[:, None, None] + channels * step) * 0x632BE59BD9B4E019)
    return ((bits >> 41).float() + (2.0**22 + 0.5)) * 2.0**-23


def normal(shape: torch.Size, place: Tensor, seed: int, step: int) -> Tensor:
    """Standard normal numbers (n, c, h, w), float32; see `uniform`."""
    return (2 * uniform(shape, place, seed, step) - 1).erfinv() * 2**0.5


def _mixed(bits: Tensor) -> Tensor:
    """Every bit of the result depends on every bit of the input; overflow is meant."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        bits = (bits ^ (bits >> shift & (1 << (64 - shift)) - 1)) * factor
    return bits ^ (bits >> 31 & (1 << 33) - 1)


def poisson(mean: Tensor, uniform: Tensor) -> Tensor:
    """Poisson numbers of these means, the quantiles at `uniform`.

    Exact up to 16; above, the normal quantile with the third-order correction of Cornish and Fisher (1938).
    """
    few = mean.clamp(max=_FEW)
    chance = (-few).exp()
    total, count = chance, torch.zeros_like(mean)
    for k in range(1, _SEARCHED):
        count = count + (uniform > total)
        chance = chance * few / k
        total = total + chance
    z = (2 * uniform - 1).erfinv() * 2**0.5
    many = (mean + mean.sqrt() * z + (z.square() - 1) / 6).round().clamp(min=0)
    return torch.where(mean <= _FEW, count, many)
