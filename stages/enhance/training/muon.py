"""Muon: momentum whose singular values are made equal, so that a step changes a layer as much in all directions.

References:
    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks.
    Liu et al. (2025), Muon is scalable for LLM training, section 2.2: the length of its steps beside Adam's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Adam's
_NARROWEST = 16  # a matrix with fewer rows or columns is left to Adam
_STEP = 0.2  # root mean square of a step at a rate of 1, as Adam's usually is
_QUINTIC = (3.4445, -4.7750, 2.0315)  # a x + b x**3 + c x**5 takes singular values towards 1, the small ones fast
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Filters and matrices by Muon; biases and narrow layers, such as a network's last, by Adam.

    A filter (outputs, inputs, height, width) is a matrix of `outputs` rows, a transposed one of `inputs`.
    Both take the same rate, for Muon's steps are made as long as Adam's are.
    torch.optim.Muon takes matrices only, and came with torch 2.9.

    Args:
        parameters: of a network.
        rate: length of a step.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float) -> None:
        super().__init__(parameters, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["mean"] = torch.zeros_like(parameter)
                    if _narrow(parameter):
                        state["square"] = torch.zeros_like(parameter)
                state["step"] += 1
                update = _by_adam(parameter.grad, **state) if _narrow(parameter) else _by_muon(parameter.grad, **state)
                parameter.sub_(update, alpha=group["lr"])


def _narrow(parameter: Tensor) -> bool:
    return parameter.ndim < 2 or min(len(parameter), parameter[0].numel()) < _NARROWEST


def _by_adam(gradient: Tensor, step: int, mean: Tensor, square: Tensor) -> Tensor:
    first, second = _BETAS
    mean.lerp_(gradient, 1 - first)
    square.lerp_(gradient.square(), 1 - second)
    return mean / (1 - first**step) / ((square / (1 - second**step)).sqrt() + _EPSILON)


def _by_muon(gradient: Tensor, step: int, mean: Tensor) -> Tensor:
    mean.lerp_(gradient, 1 - _MOMENTUM)
    ahead = gradient.lerp(mean, _MOMENTUM)  # Nesterov's
    # Inputs last, as channels_last lies in memory: the matrix is then a view.
    moved = ahead.movedim(1, -1)
    matrix = moved.reshape(len(moved), -1)
    update: Tensor = orthogonal(matrix) * (_STEP * math.sqrt(max(matrix.shape)))
    return update.view(moved.shape).movedim(-1, 1)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values about 1, found without a decomposition, in bfloat16.

    Those above a hundredth of the greatest come to 0.7 to 1.2, smaller ones stay smaller.

    Args:
        matrix: (m, n).
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    found = wide.bfloat16() / (wide.norm() + 1e-7)
    first, third, fifth = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = found @ found.T
        found = first * found + (third * gram + fifth * gram @ gram) @ found
    result: Tensor = (found if wide is matrix else found.T).to(matrix.dtype)
    return result
