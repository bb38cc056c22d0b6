"""Superpixel demosaicing: one RGB pixel per 2x2 cell, half the size, nothing interpolated."""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import bayer


def superpixel(mosaic: Tensor, cfa: str) -> Tensor:
    """RGB (..., 3, H // 2, W // 2) from a mosaic (..., H, W); an odd last row or column is left out."""
    height, width = mosaic.shape[-2] // 2, mosaic.shape[-1] // 2
    r, gr, gb, b = (bayer.view(mosaic, cfa, site)[..., :height, :width] for site in range(4))
    return torch.stack([r, (gr + gb) / 2, b], dim=-3)
