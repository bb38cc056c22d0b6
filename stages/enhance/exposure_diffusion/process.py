"""The exposure process: from a dim picture to a well-exposed one by collecting photons step by step.

Pictures are in units of the reference brightness: 1 is saturation there. The multiplier lambda of a state says how
long it was exposed: 1 for the input, the ratio r for the reference. With K the gain in DN per electron and S the DN
from black to saturation, a picture x at ratio r holds x S / (r K) electrons of the input's exposure.

References:
    Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, sections 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rawpipe.stages.enhance.exposure_diffusion.head import Estimate

Network = Callable[[Tensor], Estimate]
Draw = Callable[[Tensor, int], Tensor]

PHOTON_UNIT = 15583.0
"""Electrons that count as 1 in the network's photon channels: the published code's S, whatever the camera's."""


def schedule(ratio: float, steps: int) -> Tensor:
    """Multipliers (steps + 1) from 1 to the ratio, evenly spaced: the first `steps` are those the network sees."""
    return torch.linspace(1, ratio, steps + 1, dtype=torch.float64)


class _StraightPoisson(torch.autograd.Function):
    """A Poisson draw whose gradient is that of its mean."""

    @staticmethod
    def forward(_: Any, mean: Tensor, generator: torch.Generator | None) -> Tensor:
        return torch.poisson(mean, generator)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def sampled(generator: torch.Generator | None = None) -> Draw:
    """Photons as they come: Poisson draws, with the gradient of their mean."""
    return lambda mean, _: _StraightPoisson.apply(mean, generator)  # type: ignore[no-untyped-call]


def mean_field(mean: Tensor, _: int) -> Tensor:
    """Photons as expected: no draw, the same result every time."""
    return mean


def expose(
    network: Network,
    dim: Tensor,
    ratio: Tensor,
    photons: Tensor,
    multipliers: Sequence[Tensor],
    draw: Draw = mean_field,
    *,
    with_origin: bool = False,
    corrected: Callable[[Tensor], Tensor] | None = None,
) -> list[Estimate]:
    """The published process: every step's estimate of the clean picture, the last one the result.

    A step shows the network the picture and how many photons it holds; the estimate gives the photons that a longer
    exposure would add, and the next state is the input with these, at the same brightness.

    Args:
        network: estimates the clean picture from the input channels (n, 8 or 12, h, w).
        dim: the input at reference brightness (n, 4, h, w).
        ratio: r (n, 1, 1, 1).
        photons: S / K: electrons at saturation of the input's exposure (n, 1, 1, 1).
        multipliers: 1 = lambda_0 < ... < r, each (n, 1, 1, 1) or a scalar; the last is not shown to the network.
        draw: photons from their expected number and the step's index.
        with_origin: whether the network also sees the input at every step.
        corrected: applied to every estimate; the published evaluation scales it to the reference here.
    """
    state, estimates = dim, []
    for i, multiplier in enumerate(multipliers[:-1]):
        channels = [state, state * (multiplier / ratio * photons / PHOTON_UNIT)]
        estimate = network(torch.cat([*channels, dim] if with_origin else channels, 1))
        if corrected is not None:
            estimate = estimate._replace(clean=corrected(estimate.clean))
        estimates.append(estimate)
        following = multipliers[i + 1]
        expected = photons / ratio * (following - 1) * estimate.clean.clamp(0, 1)
        collected = draw(expected, i)
        state = (dim.clamp(0, 1) + ratio / photons * collected) / following
    return estimates
