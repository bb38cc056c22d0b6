"""Packed planes of RAW files: rawpipe's own, and those of the published protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rawpipe import FormatError, Frame, Pipeline, Space, bayer

PUBLISHED_WHITE = 16383.0
"""White of the published preprocessing, whatever the camera."""


def packed(path: str | Path) -> Tensor:
    """Planes R, Gr, Gb, B (4, h, w) as rawpipe has them, float32: black = 0, saturation = 1, nothing clipped.

    Black and saturation are those of the file. Every packed pixel is a whole cell with R at its top left; what a frame
    has of cells that it cuts is left out.

    Raises:
        FormatError: the file can't be read, or holds no mosaic.
    """
    return packed_cells(linear(read_cells(path)))


def read_cells(path: str | Path) -> Frame:
    """The counts of a file, cropped to whole cells with R at their top left."""
    frame = Frame.read(path)
    if frame.cfa is None:
        raise FormatError(f"got {path}, whose pixels are demosaiced; expected a mosaic")
    top, left = bayer.offset(frame.cfa, 0)
    return frame.crop(top, left, (frame.height - top) // 2 * 2, (frame.width - left) // 2 * 2)


def linear(frame: Frame) -> Frame:
    """Counts as a linear mosaic, black subtracted as the file states it."""
    return Pipeline(["black_level"])(frame) if frame.space is Space.SENSOR else frame


def packed_cells(frame: Frame) -> Tensor:
    """The planes of a frame of whole cells, float32."""
    return bayer.pack(frame.data.float(), str(frame.cfa))


def published_planes(path: str | Path) -> Tensor:
    """Planes R, G1, B, G2 (4, h, w), float32, as ExposureDiffusion and ELD prepare them: for their checkpoints only.

    They differ from `packed` in four ways: white is 16383 for every camera; values are cut to 0..1 before any exposure
    ratio, so that noise below black is lost; the greens are at 2 and 4; and cells are those of the picture's first
    pixel.

    Raises:
        FormatError: the file can't be read, or holds no mosaic.
    """
    frame = Frame.read(path)
    if frame.cfa is None:
        raise FormatError(f"got {path}, whose pixels are demosaiced; expected a mosaic")
    counts = frame.data[: frame.height // 2 * 2, : frame.width // 2 * 2].float()
    black = frame.black.tolist()
    planes = [
        (bayer.view(counts, frame.cfa, site) - black[site]) / (PUBLISHED_WHITE - black[site]) for site in (0, 1, 3, 2)
    ]
    return torch.stack(planes).clamp(0, 1)


def centre(planes: Tensor, side: int, path: str | Path) -> Tensor:
    """The middle side x side of planes (..., h, w).

    Raises:
        FormatError: they are smaller.
    """
    top, left = (beyond // 2 for beyond in spare(planes.shape[-2:], side, path))
    return planes[..., top : top + side, left : left + side]


def spare(size: Sequence[int], side: int, path: str | Path) -> tuple[int, int]:
    """Rows and columns that a picture of packed pixels, height and width, has beyond side x side of them.

    Raises:
        FormatError: it is smaller.
    """
    height, width = size
    if min(height, width) < side:
        raise FormatError(f"got {path} of {height}x{width} packed pixels; expected at least {side}x{side}")
    return height - side, width - side
