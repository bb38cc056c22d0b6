"""Photographs turned back into what a sensor saw: linear camera RGB, before white balance.

References:
    Brooks, Mildenhall, Xue, Chen, Sharlet and Barron (2019), Unprocessing images for learned raw denoising, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe.colorimetry import RGB_SPACES

# XYZ to camera RGB of an Olympus E-M10, Sony A7R, Sony RX100 IV and Huawei Nexus 6P, as their DNG files state them.
_CAMERAS = (
    ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406)),
    ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183)),
    ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438)),
    ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181)),
)
_INFLECTION = 0.9  # grey above which gains fade out, so that white stays white


class Look(NamedTuple):
    """What a camera did to its pictures, one per picture.

    Args:
        matrix: linear sRGB to white-balanced camera RGB (n, 3, 3), rows of sum 1.
        gains: of red, green and blue (n, 3), brightness included.
    """

    matrix: Tensor
    gains: Tensor


def typical(count: int = 1) -> Look:
    """The mean of what `random_look` draws: one camera for tests and tables."""
    matrix = _matrices(torch.full((1, 4), 0.25))
    return Look(matrix.expand(count, 3, 3), (torch.tensor([[2.15, 1.0, 1.7]]) / 0.8).expand(count, 3))


def random_look(count: int, generator: torch.Generator | None = None) -> Look:
    """Cameras between the four known ones, red gains 1.9 to 2.4, blue ones 1.5 to 1.9, brightness 1 / N(0.8, 0.1)."""
    share = torch.rand(count, 4, generator=generator)
    red, blue = torch.rand(2, count, generator=generator)
    bright = 1 / (0.8 + 0.1 * torch.randn(count, generator=generator)).clamp(0.4, 1.2)
    gains = torch.stack([1.9 + 0.5 * red, torch.ones(count), 1.5 + 0.4 * blue], 1) * bright[:, None]
    return Look(_matrices(share / share.sum(1, keepdim=True)), gains)


def _matrices(share: Tensor) -> Tensor:
    from_rgb = RGB_SPACES["srgb"].to_xyz().float()
    matrix = torch.einsum("nk,kij->nij", share, torch.tensor(_CAMERAS)) @ from_rgb
    return matrix / matrix.sum(2, keepdim=True)


def unprocess(pictures: Tensor, look: Look) -> Tensor:
    """Linear camera RGB (n, 3, H, W), 0 to saturation = 1, of display-referred sRGB pictures (n, 3, H, W) in 0..1."""
    curved = 0.5 - ((1 - 2 * pictures).clamp(-1, 1).asin() / 3).sin()  # the inverse of 3 x**2 - 2 x**3
    linear = torch.where(curved <= 0.04045, curved / 12.92, ((curved + 0.055) / 1.055) ** 2.4)
    camera = torch.einsum("nij,njhw->nihw", look.matrix.to(linear), linear)
    divided = (1 / look.gains.to(linear))[:, :, None, None]
    grey = camera.mean(1, keepdim=True)
    white = ((grey - _INFLECTION).clamp(min=0) / (1 - _INFLECTION)).square()
    return (camera * torch.maximum(white + (1 - white) * divided, divided)).clamp(0, 1)


def sampled(camera: Tensor) -> Tensor:
    """Packed planes R, Gr, Gb, B (n, 4, h, w) of an RGGB sensor that looked at camera RGB (n, 3, 2 h, 2 w)."""
    return torch.stack(
        [camera[:, 0, ::2, ::2], camera[:, 1, ::2, 1::2], camera[:, 1, 1::2, ::2], camera[:, 2, 1::2, 1::2]], 1
    )
