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
    return _encoded(frame, color, _shrunk(frame, longest))


class Passing:
    """What `render` gives, of camera RGB that passes by from the top down.

    Args:
        frame: what it says beside pixels, and the whole size.
        longest: as for `render`.
    """

    def __init__(self, frame: Frame, longest: int) -> None:
        self.frame, self.block = frame, min(_block(frame, longest), frame.height, frame.width)
        self.rest, self.done = frame.data[..., :0, :], list[Tensor]()

    def see(self, rows: Tensor) -> None:
        """Take the next rows (3, n, W)."""
        rows = torch.cat([self.rest, rows], dim=-2)
        whole = rows.shape[-2] // self.block * self.block
        if whole:
            self.done.append(_pooled(rows[..., :whole, :], self.block))
        self.rest = rows[..., whole:, :].clone()

    def render(self, color: CameraColor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The picture, when all rows have passed."""
        return _encoded(self.frame, color, _unit(self.frame, torch.cat(self.done, dim=-2)))


def _encoded(frame: Frame, color: CameraColor, planes: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Camera RGB in units above black as sRGB (h, w, 3)."""
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
    block = _block(frame, longest)
    if frame.cfa is None:
        return _unit(frame, _pooled(frame.data, min(block, frame.height, frame.width)))
    black, unit = frame.black.cpu(), saturation(frame)
    cells = min(block // 2, frame.height // 2, frame.width // 2)
    height, width = frame.height // 2, frame.width // 2
    red, green, other, blue = (
        (_pooled(bayer.view(frame.data, frame.cfa, site)[None, :height, :width], cells) - black[site]) / unit
        for site in range(4)
    )
    return torch.cat([red, (green + other) / 2, blue])


def _block(frame: Frame, longest: int) -> int:
    return max(2, 2 * -(-max(frame.height, frame.width) // (2 * longest)))


def _unit(frame: Frame, planes: Tensor) -> Tensor:
    return (planes - frame.black.cpu()[:, None, None]) / saturation(frame)


def _pooled(planes: Tensor, block: int) -> Tensor:
    pooled: Tensor = F.avg_pool2d(planes[None].float(), block)[0]
    return pooled.cpu()


def jpeg(pixels: np.ndarray[Any, np.dtype[np.uint8]], quality: int = 88) -> bytes:
    """Baseline JPEG, YCbCr 4:2:0."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()
