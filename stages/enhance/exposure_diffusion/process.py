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


def next_state(
    dim: Tensor,
    state: Tensor,
    clean: Tensor,
    shot: Tensor,
    here: Tensor,
    following: Tensor,
    draw: Draw = mean_field,
    index: int = 0,
    markov: bool = False,
) -> Tensor:
    """The picture after a longer exposure, at the same brightness.

    The estimate says how many photons come in meanwhile. They are added to the input, as in the published code, or
    with `markov` to the last state, as in the paper's q(x_t-1 | x_t).

    Args:
        dim: the input (n, 4, h, w).
        state: the picture now.
        clean: estimate of the clean picture.
        shot: r K / S: brightness of one electron of the input's exposure.
        here: the state's multiplier, lambda_i.
        following: the next one, lambda_i+1.
        draw: photons from their expected number and the step's index.
        index: i.
        markov: see above.
    """
    base, held = (state, here) if markov else (dim, torch.ones_like(here))
    collected = draw((following - held) / shot * clean.clamp(0, 1), index)
    return (held * base + shot * collected) / following


def expose(
    estimate: Callable[[Tensor, Tensor], Estimate],
    dim: Tensor,
    shot: Tensor,
    multipliers: Sequence[Tensor],
    draw: Draw = mean_field,
    *,
    markov: bool = False,
    corrected: Callable[[Tensor], Tensor] | None = None,
    keep: bool = True,
) -> list[Estimate]:
    """Every step's estimate of the clean picture, the last one the result.

    Args:
        estimate: the network: of a state (n, 4, h, w) and its multiplier an estimate.
        dim: the input at reference brightness (n, 4, h, w).
        shot: r K / S: brightness of one electron of the input's exposure (n, 1 or 4, 1, 1).
        multipliers: 1 = lambda_0 < ... < r, each (n, 1, 1, 1) or a scalar; the last is not shown to the network.
        draw: photons from their expected number and the step's index.
        markov: whether a step starts from the last state or from the input.
        corrected: applied to every estimate; the published evaluation scales it to the reference here.
        keep: False = only the last estimate is returned, and no other held in memory.
    """
    state: Tensor = dim
    estimates: list[Estimate] = []
    for i, here in enumerate(multipliers[:-1]):
        found = estimate(state, here)
        if corrected is not None:
            found = found._replace(clean=corrected(found.clean))
        estimates = [*estimates, found] if keep else [found]
        if i + 2 < len(multipliers):
            state = next_state(dim, state, found.clean, shot, here, multipliers[i + 1], draw, i, markov)
    return estimates
