"""How far two pictures are apart.

References:
    Sharma, G., Wu, W., Dalal, E. (2005) "The CIEDE2000 color-difference formula: implementation notes".
    Wang, Z., Bovik, A., Sheikh, H., Simoncelli, E. (2004) "Image quality assessment: from error visibility to
    structural similarity".
    Wei, K., Fu, Y., Zheng, Y., Yang, J. (2021) "Physics-based noise modeling for extreme low-light photography".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rawpipe._errors import FrameError, StageError
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


_WINDOW = 7  # of SSIM, uniform


def psnr_db(result: Tensor, truth: Tensor, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB over all values of two pictures of one shape; infinite where they are equal,
    nan where one isn't finite.

    Nothing is clipped or rounded: what counts as a picture is the caller's business.

    Args:
        result: of any shape.
        truth: of the same shape.
        peak: largest value that a picture can have.

    Raises:
        FrameError: the shapes differ.
    """
    _check_shapes(result, truth)
    error = float((result.double() - truth.double()).square().mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def ssim(result: Tensor, truth: Tensor, peak: float = 1.0) -> float:
    """Structural similarity of pictures (c, h, w), the mean over planes: 1 where they are equal.

    scikit-image's, as low-light papers use it: a uniform window of 7x7, sample covariance, K1 = 0.01, K2 = 0.03, and
    pixels less than 3 from the edge left out. Scaling pictures and peak alike changes nothing.

    Args:
        result: planes of at least 7x7.
        truth: of the same shape.
        peak: largest value that a picture can have.

    Raises:
        FrameError: the shapes differ, or the planes are too small.
        StageError: scikit-image isn't installed.
    """
    _check_shapes(result, truth)
    if result.ndim != 3 or min(result.shape[1:]) < _WINDOW:
        raise FrameError(f"got pictures {tuple(result.shape)}; expected (c, h, w) of at least {_WINDOW}x{_WINDOW}")
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise StageError('SSIM needs scikit-image, which isn\'t installed: pip install "rawpipe-isp[eval]"') from error
    one, two = (picture.detach().double().cpu().numpy() for picture in (truth, result))
    return float(structural_similarity(one, two, win_size=_WINDOW, data_range=peak, channel_axis=0))  # type: ignore[no-untyped-call]


def brightness_matched(estimate: Tensor, reference: Tensor) -> Tensor:
    """The estimate (..., c, h, w), cut to 0..1 and scaled to the reference's brightness, as ELD scores pictures.

    The factor per picture is <p, q> / <p, p> over values q that the reference doesn't saturate; 1 where p is 0.
    """
    clipped = estimate.clamp(0, 1)
    weight = (reference != 1).to(clipped)
    over = (-3, -2, -1)
    power = (clipped.square() * weight).sum(over, keepdim=True)
    factor = (clipped * reference * weight).sum(over, keepdim=True) / power
    return clipped * torch.where(power > 0, factor, 1.0)


def _check_shapes(result: Tensor, truth: Tensor) -> None:
    if result.shape != truth.shape:
        raise FrameError(f"got pictures {tuple(result.shape)} and {tuple(truth.shape)}; expected one shape")
