"""How far two pictures are apart.

References:
    Sharma, G., Wu, W., Dalal, E. (2005) "The CIEDE2000 color-difference formula: implementation notes".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rawpipe.colorimetry import D65, RGB_SPACES, xyz


def lab(linear_srgb: Tensor) -> Tensor:
    """CIE L*a*b* (3, ...) under D65 from linear sRGB (3, ...), float64."""
    to_xyz = RGB_SPACES["srgb"].to_xyz() / xyz(D65)[:, None]
    relative = torch.einsum("ij,j...->i...", to_xyz, linear_srgb.double())
    cube = torch.where(
        relative > (6 / 29) ** 3, relative.clamp(min=1e-9) ** (1 / 3), relative / (3 * (6 / 29) ** 2) + 4 / 29
    )
    x, y, z = cube.unbind(0)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def delta_e_2000(one: Tensor, two: Tensor) -> Tensor:
    """CIEDE2000 (...) between two L*a*b* (3, ...)."""
    (l1, a1, b1), (l2, a2, b2) = one.double().unbind(0), two.double().unbind(0)
    chroma7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * (chroma7 / (chroma7 + 25.0**7)).sqrt()
    c1, c2 = torch.hypot(stretch * a1, b1), torch.hypot(stretch * a2, b2)
    h1, h2 = (torch.atan2(b, stretch * a) % (2 * math.pi) for a, b in ((a1, b1), (a2, b2)))
    gray = c1 * c2 == 0
    turn = h2 - h1
    turn = turn - 2 * math.pi * (turn > math.pi).double() + 2 * math.pi * (turn < -math.pi).double()
    turn = torch.where(gray, 0.0, turn)
    hue = torch.where(gray, h1 + h2, (h1 + h2) / 2)
    apart = ~gray & ((h1 - h2).abs() > math.pi)
    hue = torch.where(apart, torch.where(h1 + h2 < 2 * math.pi, hue + math.pi, hue - math.pi), hue)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / (20 + (lightness - 50) ** 2).sqrt()
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = -2 * (chroma**7 / (chroma**7 + 25.0**7)).sqrt()
    rotation = rotation * torch.sin(math.radians(60) * torch.exp(-(((torch.rad2deg(hue) - 275) / 25) ** 2)))
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, 2 * (c1 * c2).sqrt() * torch.sin(turn / 2) / s_h
    return (d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h).clamp(min=0).sqrt()
