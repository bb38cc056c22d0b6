"""A small display picture of a linear frame, for the previews inside a DNG, rendered from the pixels as they are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from rawpipe import bayer
from rawpipe._camera_color import CameraColor
from rawpipe._frame import Frame
from rawpipe.colorimetry import CURVES, D50, RGB_SPACES, adaptation, xyz
from rawpipe.io.dng_encode import saturation


def render(frame: Frame, color: CameraColor, longest: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An sRGB picture (h, w, 3) of a frame before ColorTransform, at most `longest` pixels long, blocks averaged."""
    planes = _shrunk(frame, longest)
    to_xyz = color.to_xyz_d50(frame.neutral)
    target = RGB_SPACES["srgb"]
    to_rgb = torch.linalg.inv(target.to_xyz()) @ adaptation(xyz(D50), xyz(target.white)) @ to_xyz
    matrix = (to_rgb / frame.wb.cpu()).float()
    linear = torch.einsum("ij,jhw->ihw", matrix, planes).clamp(0, 1)
    encoded: np.ndarray[Any, np.dtype[np.uint8]] = (
        (CURVES["srgb"].encode(linear) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    )
    return encoded


def _shrunk(frame: Frame, longest: int) -> Tensor:
    """Camera RGB (3, h, w) on the CPU, averaged over square blocks of whole Bayer cells."""
    block = max(2, 2 * -(-max(frame.height, frame.width) // (2 * longest)))
    black, unit = frame.black.cpu(), saturation(frame)
    if frame.cfa is None:
        planes = _pooled(frame.data, min(block, frame.height, frame.width))
        return (planes - black[:, None, None]) / unit
    cells = min(block // 2, frame.height // 2, frame.width // 2)
    height, width = frame.height // 2, frame.width // 2
    red, green, other, blue = (
        (_pooled(bayer.view(frame.data, frame.cfa, site)[None, :height, :width], cells) - black[site]) / unit
        for site in range(4)
    )
    return torch.cat([red, (green + other) / 2, blue])


def _pooled(planes: Tensor, block: int) -> Tensor:
    pooled: Tensor = F.avg_pool2d(planes[None].float(), block)[0]
    return pooled.cpu()


def jpeg(pixels: np.ndarray[Any, np.dtype[np.uint8]], quality: int = 88) -> bytes:
    """Baseline JPEG, YCbCr 4:2:0."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()
