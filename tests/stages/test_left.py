"""The noise that is said to be left: a line through what is left in the dark and in light."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance.left import left

NOISE = Noise(torch.full((4,), 1e-3), torch.full((4,), 1e-2), torch.zeros(4))
GREY = torch.tensor([0.5, 1.0, 1.0, 0.6])
LIT = 0.5


def halved(planes: Tensor, place: Tensor) -> Tensor:
    return planes / 2


def steep(planes: Tensor, place: Tensor) -> Tensor:
    """Leaves the more, the brighter, and nothing in the dark."""
    return planes * planes.mean((1, 2), keepdim=True)


def flat(planes: Tensor, place: Tensor) -> Tensor:
    """Leaves the less, the brighter."""
    return planes * (1 - planes.mean((1, 2), keepdim=True))


def variance(noise: Noise, level: float) -> Tensor:
    return noise.shot * GREY * level + noise.read**2


@pytest.mark.parametrize("rows", [0.0, 5e-3])
def test_a_model_that_scales_leaves_the_scaled_noise(rows: float) -> None:
    noise = replace(NOISE, row=torch.full((4,), rows))
    result = left(halved, noise, GREY)
    torch.testing.assert_close(result.shot, noise.shot / 4, rtol=0.05, atol=0)
    torch.testing.assert_close(result.read, noise.read / 2, rtol=0.05, atol=0)
    torch.testing.assert_close(result.row, noise.row / 2, rtol=0.05, atol=0)


def test_the_line_passes_through_what_is_left_at_both_levels() -> None:
    said = left(steep, NOISE, GREY)
    torch.testing.assert_close(said.read, torch.zeros(4), rtol=0, atol=1e-3 * float(NOISE.read[0]))
    torch.testing.assert_close(variance(said, LIT), variance(NOISE, LIT) * (GREY * LIT) ** 2, rtol=0.05, atol=0)


def test_no_less_is_said_of_bright_fields_than_of_dark_ones() -> None:
    said = left(flat, replace(NOISE, shot=torch.zeros(4)), GREY)
    torch.testing.assert_close(said.shot, torch.zeros(4))
    torch.testing.assert_close(said.read, NOISE.read, rtol=0.05, atol=0)


def test_without_noise_none_is_left() -> None:
    said = left(halved, Noise(*torch.zeros(3, 4)), GREY)
    assert float(torch.stack([said.shot, said.read, said.row]).abs().max()) < 1e-7
