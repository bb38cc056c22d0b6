"""Validation pictures for the eye."""

from __future__ import annotations

import torch
from torch import Tensor

_BALANCE = (2.0, 1.0, 1.6)  # of red, green, blue
_GAMMA = 2.2


def developed(planes: Tensor) -> Tensor:
    """Packed planes (n, 4, h, w), linear in 0..1, as RGB (n, 3, h, w), balanced and brightened."""
    rgb = torch.stack([planes[:, 0], planes[:, 1:3].mean(1), planes[:, 3]], 1)
    return (rgb * planes.new_tensor(_BALANCE)[:, None, None]).clamp(0, 1).pow(1 / _GAMMA)


def in_a_row(pictures: Tensor, most: int = 3) -> Tensor:
    """The first pictures (n, 3, h, w) side by side (3, h, n w)."""
    return torch.cat(list(pictures[:most]), 2)
