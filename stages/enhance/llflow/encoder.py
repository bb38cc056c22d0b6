"""The conditional encoder: features at a half, a quarter and an eighth of the size, and a clean colour map.

Key names are those of published checkpoints.

References:
    Wang et al. (2022), Low-light image enhancement with normalizing flow, section 3.2.
    Wang et al. (2018), ESRGAN: enhanced super-resolution generative adversarial networks, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GROWTH = 32
_SLOPE = 0.2
_SHARE = 0.2  # of a residual in the sum
_QUIET = 0.1  # first weights of the dense blocks, which would otherwise add up


class Conditions(NamedTuple):
    """What the flow is conditioned on.

    Args:
        levels: features (n, c, h / 2, w / 2), then a quarter, then an eighth of the size.
        colors: estimate of the well-exposed picture's colour map (n, channels, h, w), 0 to 1.
    """

    levels: tuple[Tensor, Tensor, Tensor]
    colors: Tensor


class Dense(nn.Module):
    """Five convolutions, each of which sees the results of all before it.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        for i in range(5):
            conv = _conv(width + i * _GROWTH, _GROWTH if i < 4 else width)
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(_QUIET)
            self.add_module(f"conv{i + 1}", conv)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        seen = x
        for i in range(1, 5):
            seen = torch.cat([seen, F.leaky_relu(self.get_submodule(f"conv{i}")(seen), _SLOPE)], 1)
        result: Tensor = x + _SHARE * self.get_submodule("conv5")(seen)
        return result


class ResidualInResidual(nn.Module):
    """Three dense blocks in a row, and around them.

    Args:
        width: channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = Dense(width), Dense(width), Dense(width)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        result: Tensor = x + _SHARE * self.RDB3(self.RDB2(self.RDB1(x)))
        return result


class Encoder(nn.Module):
    """Conditions from what `inputs` makes of a dark picture.

    Args:
        inputs: channels in.
        channels: of the picture, and so of the colour map.
        width: of the features.
        blocks: how many residual-in-residual blocks.
        shown: which of their results the flow sees too, counted from 0.
    """

    def __init__(self, inputs: int, channels: int, width: int, blocks: int, shown: Sequence[int]) -> None:
        super().__init__()
        self.shown = tuple(shown)
        self.conv_first = _conv(inputs, width)
        self.conv_second = _conv(width, width)
        self.RRDB_trunk = nn.ModuleList([ResidualInResidual(width) for _ in range(blocks)])
        self.trunk_conv = _conv(width, width)
        self.downconv1 = _conv(width, width)
        self.downconv2 = _conv(width, width)
        self.fine_tune_color_map = nn.Sequential(nn.Conv2d(width, channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Conditions:
        """Encode (n, inputs, h, w); h and w multiples of 8."""
        head = F.max_pool2d(self.conv_second(F.leaky_relu(self.conv_first(x), _SLOPE)), 2)
        trunk, shown = head, []
        for i, block in enumerate(self.RRDB_trunk):
            trunk = block(trunk)
            if i in self.shown:
                shown.append(trunk)
        half = head + self.trunk_conv(trunk)
        quarter = F.leaky_relu(self.downconv1(F.avg_pool2d(half, 2)), _SLOPE)
        eighth = self.downconv2(F.avg_pool2d(quarter, 2))
        levels = [
            torch.cat([own, *(one[..., ::step, ::step] for one in shown)], 1)
            for own, step in ((half, 1), (quarter, 2), (eighth, 4))
        ]
        colors = self.fine_tune_color_map(F.interpolate(half, scale_factor=2, mode="nearest"))
        return Conditions((levels[0], levels[1], levels[2]), colors)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
