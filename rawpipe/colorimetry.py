"""Colour science that more than one room needs: white points, RGB spaces, transfer curves, adaptation, CCT.

Chromaticities are CIE 1931 xy, XYZ is scaled to Y = 1, matrices act on column vectors, and everything here is
float64 on the CPU except the curves, which run on the pixels.

References:
    Lindbloom, B. "RGB/XYZ matrices" (derivation from primaries).
    Robertson, A. (1968) "Computation of correlated color temperature and distribution temperature", JOSA 58.
    Lam, K. (1985), the Bradford transform; DNG specification 1.7.1, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rawpipe._errors import StageError, unknown

D50 = (0.3457, 0.3585)  # as the DNG specification rounds it
D60_ACES = (0.32168, 0.33767)
D65 = (0.3127, 0.3290)


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


# Robertson (1968), table 1: reciprocal temperature in mired, u and v of the Planckian locus, slope of the isotherm.
_ISOTHERMS = (
    (0, 0.18006, 0.26352, -0.24341), (10, 0.18066, 0.26589, -0.25479), (20, 0.18133, 0.26846, -0.26876),
    (30, 0.18208, 0.27119, -0.28539), (40, 0.18293, 0.27407, -0.30470), (50, 0.18388, 0.27709, -0.32675),
    (60, 0.18494, 0.28021, -0.35156), (70, 0.18611, 0.28342, -0.37915), (80, 0.18740, 0.28668, -0.40955),
    (90, 0.18880, 0.28997, -0.44278), (100, 0.19032, 0.29326, -0.47888), (125, 0.19462, 0.30141, -0.58204),
    (150, 0.19962, 0.30921, -0.70471), (175, 0.20525, 0.31647, -0.84901), (200, 0.21142, 0.32312, -1.0182),
    (225, 0.21807, 0.32909, -1.2168), (250, 0.22511, 0.33439, -1.4512), (275, 0.23247, 0.33904, -1.7298),
    (300, 0.24010, 0.34308, -2.0637), (325, 0.24792, 0.34655, -2.4681), (350, 0.25591, 0.34951, -2.9641),
    (375, 0.26400, 0.35200, -3.5814), (400, 0.27218, 0.35407, -4.3633), (425, 0.28039, 0.35577, -5.3762),
    (450, 0.28863, 0.35714, -6.7262), (475, 0.29685, 0.35823, -8.5955), (500, 0.30505, 0.35907, -11.324),
    (525, 0.31320, 0.35968, -15.628), (550, 0.32129, 0.36011, -23.325), (575, 0.32931, 0.36038, -40.770),
    (600, 0.33724, 0.36051, -116.45),
)  # fmt: skip


def temperature_k(chromaticity: tuple[float, float]) -> float:
    """Correlated colour temperature of an xy in kelvin, 1667 K at the least (Robertson's last isotherm)."""
    x, y = chromaticity
    scale = -x + 6 * y + 1.5  # xy to CIE 1960 uv
    u, v = 2 * x / scale, 3 * y / scale
    before = 0.0
    for index in range(1, len(_ISOTHERMS)):
        mired, u0, v0, slope = _ISOTHERMS[index]
        distance = ((v - v0) - (u - u0) * slope) / (1 + slope * slope) ** 0.5
        if distance <= 0 or index == len(_ISOTHERMS) - 1:
            past = -min(distance, 0.0)
            share = 0.0 if index == 1 else past / (before + past)
            return 1e6 / (_ISOTHERMS[index - 1][0] * share + mired * (1 - share))
        before = distance
    raise AssertionError  # the loop returns at its last isotherm
