"""What the encoder sees of a dark picture: its logarithm, colour map and noise map.

References:
    Wang et al. (2022), Low-light image enhancement with normalizing flow, section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DARKEST = 1e-3
_LEAST_SUM = 1e-4


def logarithm(picture: Tensor) -> Tensor:
    """ln(x + 0.001) of a picture in 0..1; what is below 0 counts as 0."""
    return (picture.clamp(min=0) + _DARKEST).log()


def color_map(picture: Tensor) -> Tensor:
    """Shares of the channels (n, c, h, w) in their sum, which brightness doesn't change.

    The paper divides by the mean of the channels, its code by the sum; this is the code's.
    """
    return picture / (picture.sum(1, keepdim=True) + _LEAST_SUM)


def noise_map(colors: Tensor) -> Tensor:
    """The greater of the absolute gradients of a color map along both axes (n, c, h, w); 0 lies beyond its borders."""
    padded = torch.nn.functional.pad(colors, (1, 1, 1, 1))
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]).abs()
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]).abs()
    return torch.maximum(down, across) / 2
