"""What the network is shown, and what its pictures mean: packed RAW planes, or display-referred RGB.

Both are learned behind sRGB's curve, so that an error counts as much in the shadows as in the lights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rawpipe.colorimetry import CURVES
from rawpipe.stages.enhance.equalise import equalised, in_8_bits
from rawpipe.stages.enhance.limits import brightest_seen
from rawpipe.stages.enhance.llflow.inputs import logarithm

_CURVE = CURVES["srgb"]
_FAR = 300.0  # the ratio that counts as 1


def shown_raw(planes: Tensor, shot: Tensor, read: Tensor, ratio: Tensor) -> Tensor:
    """The network's inputs (n, 13, h, w) of packed planes.

    The published network is shown the equalised picture, for nobody told it the exposure. Ours knows the ratio, and
    noise below zero tells how dark a place is on average, so that in its place stand the planes themselves; beside
    them the deviation of their noise, and the logarithm of the ratio.

    Args:
        planes: at the reference brightness, not clipped (n, 4, h, w).
        shot: variance of the planes per signal, (n, 4, 1, 1) or (4, 1, 1).
        read: their deviation without light, rows included, of the same shape.
        ratio: by which they were made brighter, (n, 1, 1, 1) or a scalar.
    """
    seen = torch.minimum(planes, brightest_seen(shot, read))
    deviation = (shot * seen.clamp(min=0) + read.square()).sqrt()
    level = (ratio.log() / math.log(_FAR)).to(planes).expand(len(planes), 1, *planes.shape[-2:])
    return torch.cat([logarithm(seen), seen, deviation, level], 1)


def shown_rgb(picture: Tensor, tables: Tensor) -> Tensor:
    """The network's inputs (n, 6, h, w) of display-referred RGB.

    Args:
        picture: (n, 3, h, w) in 0..1.
        tables: that equalise the whole picture, not a part of it (3, 256).
    """
    picture = picture.clamp(0, 1)
    return torch.cat([logarithm(picture), equalised(in_8_bits(picture), tables).to(picture)], 1)


def to_display(linear: Tensor) -> Tensor:
    """Linear planes in 0..1 behind sRGB's curve."""
    return _CURVE.encode(linear.clamp(0, 1))


def to_linear(display: Tensor) -> Tensor:
    """Linear planes in 0..1 of what `to_display` gave, or a flow's picture, clipped."""
    return _CURVE.decode(display.clamp(0, 1))
