"""Colour science that more than one room needs: white points, RGB spaces, transfer curves, adaptation, CCT.

Chromaticities are CIE 1931 xy, XYZ is scaled to Y = 1, matrices act on column vectors, and everything here is
float64 on the CPU except the curves, which run on the pixels.

References:
    Lindbloom, B. "RGB/XYZ matrices" (derivation from primaries).
    Lam, K. (1985), the Bradford transform; DNG specification 1.7.1, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rawpipe._errors import StageError, unknown
from rawpipe._whites import D50 as D50
from rawpipe._whites import D60_ACES as D60_ACES
from rawpipe._whites import D65 as D65
from rawpipe._whites import temperature_k as temperature_k


@dataclass(frozen=True)
class Curve:
    """A transfer curve, as the decoding function of ICC.1 parametric type 3: Y = (a X + b)^gamma, or c X below d.

    Decoding is odd about zero and goes on above one, so that nothing is clipped on the way.
    """

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0

    def decode(self, encoded: Tensor) -> Tensor:
        """Linear light from encoded values, any shape."""
        size = encoded.abs()
        power = (self.a * size.clamp(min=max(self.d, _TINY)) + self.b) ** self.gamma
        return torch.where(size < self.d, self.c * encoded, power.copysign(encoded))

    def encode(self, linear: Tensor) -> Tensor:
        """Encoded values from linear light, any shape."""
        size = linear.abs()
        knee = (self.a * self.d + self.b) ** self.gamma
        power = (size.clamp(min=max(knee, _TINY)) ** (1 / self.gamma) - self.b) / self.a
        return torch.where(size < knee, linear / (self.c or 1.0), power.copysign(linear))


_TINY = 1e-30  # keeps the gradient of a power finite at zero

CURVES = {
    "linear": Curve(1.0),
    "srgb": Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),  # IEC 61966-2-1
    "adobe_rgb": Curve(563 / 256),
    "rec2020": Curve(
        1 / 0.45, 1 / 1.09929682680944, 0.09929682680944 / 1.09929682680944, 1 / 4.5, 4.5 * 0.018053968510807
    ),
    "prophoto": Curve(1.8, 1.0, 0.0, 1 / 16, 1 / 32),  # ROMM RGB, ISO 22028-2
}


@dataclass(frozen=True)
class RGBSpace:
    """Primaries (xy of red, green, blue), white point, and the name of the space's own curve."""

    title: str
    primaries: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    white: tuple[float, float]
    curve: str

    def to_xyz(self) -> Tensor:
        """Linear RGB to XYZ at the space's own white, (3, 3)."""
        corners = torch.stack([xyz(xy) for xy in self.primaries], dim=1)
        inverse: Tensor = torch.linalg.inv(corners)
        return corners * (inverse @ xyz(self.white))


RGB_SPACES = {
    "srgb": RGBSpace("sRGB", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), D65, "srgb"),
    "display_p3": RGBSpace("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65, "srgb"),
    "adobe_rgb": RGBSpace("Adobe RGB (1998)", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, "adobe_rgb"),
    "rec2020": RGBSpace("Rec. 2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65, "rec2020"),
    "prophoto": RGBSpace("ProPhoto RGB", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50, "prophoto"),
    "acescg": RGBSpace("ACEScg", ((0.713, 0.293), (0.165, 0.830), (0.128, 0.044)), D60_ACES, "linear"),
}


def rgb_space(name: str) -> RGBSpace:
    """Look up an RGB space.

    Raises:
        StageError: no space has that name.
    """
    if name not in RGB_SPACES:
        raise StageError(unknown("color space", name, RGB_SPACES))
    return RGB_SPACES[name]


def xyz(xy: tuple[float, float] | Tensor) -> Tensor:
    """XYZ (3) with Y = 1 from a chromaticity."""
    x, y = (float(v) for v in xy)
    return torch.tensor([x / y, 1.0, (1 - x - y) / y], dtype=torch.float64)


def xy(xyz: Tensor) -> tuple[float, float]:
    """Chromaticity of an XYZ (3)."""
    total = float(xyz.sum())
    return float(xyz[0]) / total, float(xyz[1]) / total


BRADFORD = torch.tensor(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]], dtype=torch.float64
)


def adaptation(source: Tensor, target: Tensor) -> Tensor:
    """Bradford adaptation (3, 3) that takes the white XYZ `source` (3) to `target` (3)."""
    gains = (BRADFORD @ target) / (BRADFORD @ source)
    inverse: Tensor = torch.linalg.inv(BRADFORD)
    return inverse @ (gains[:, None] * BRADFORD)
