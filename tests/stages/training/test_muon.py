"""Muon: matrices' steps are orthogonal and as long as Adam's; narrow ones are Adam's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rawpipe.stages.enhance.training.muon import Muon, orthogonal

SHAPES = ((64, 64), (32, 288), (288, 32))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def step_of(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
    """What one step changes."""
    before = parameter.detach().clone()
    parameter.grad = gradient
    optimizer.step()
    return parameter.detach() - before


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_become_about_1_and_vectors_stay(shape: tuple[int, int]) -> None:
    u, _, vt = torch.linalg.svd(drawn(*shape), full_matrices=False)
    found = orthogonal((u * torch.logspace(0, -2, len(vt))) @ vt)
    values = torch.linalg.svdvals(found)
    assert float(values.min()) > 0.6 and float(values.max()) < 1.25
    assert float((u.T @ found @ vt.T - torch.eye(len(vt))).abs().max()) < 0.4  # bfloat16, and 0.7 counts as 1


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonal(torch.zeros(16, 32)), torch.zeros(16, 32))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_filter_moves_as_the_matrix_of_its_outputs_does(layout: torch.memory_format) -> None:
    gradient = drawn(32, 16, 3, 3)
    filters = nn.Parameter(torch.zeros(32, 16, 3, 3).to(memory_format=layout))
    moved = step_of(Muon([filters], 0.1), filters, gradient.to(memory_format=layout))
    matrix = nn.Parameter(torch.zeros(32, 144))
    expected = step_of(Muon([matrix], 0.1), matrix, gradient.movedim(1, -1).reshape(32, 144))
    assert torch.equal(moved.movedim(1, -1).reshape(32, 144), expected)
    assert float(torch.linalg.svdvals(expected).max() / torch.linalg.svdvals(expected).min()) < 2


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_as_long_as_adams(shape: tuple[int, int]) -> None:
    parameter = nn.Parameter(torch.zeros(shape))
    moved = step_of(Muon([parameter], 0.1), parameter, 1e-4 * drawn(*shape))
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.1 * 0.2, rel=0.2)


@pytest.mark.parametrize("shape", [(40,), (9, 64), (64, 1, 3, 3)])
def test_biases_and_narrow_layers_are_adams(shape: tuple[int, ...]) -> None:
    ours, theirs = (nn.Parameter(drawn(*shape, seed=9)) for _ in range(2))
    one, other = Muon([ours], 0.01), torch.optim.Adam([theirs], 0.01)
    for seed in range(5):
        gradient = drawn(*shape, seed=seed)
        step_of(one, ours, gradient)
        step_of(other, theirs, gradient)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_has_no_gradient_stays() -> None:
    parameter = nn.Parameter(torch.ones(20, 20))
    Muon([parameter], 0.1).step()
    assert torch.equal(parameter, torch.ones(20, 20))
