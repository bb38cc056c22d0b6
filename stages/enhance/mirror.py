"""The mean of what a model makes of a mosaic and of its mirror images.

References:
    Timofte, Rothe and Van Gool (2016), Seven ways to improve example-based single image super resolution, section 3.5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import bayer
from rawpipe.stages.enhance.enhancer import Run

MIRROR_RADIUS = 1
"""Packed pixels of context beyond the model's."""
_AXES = ((), (-1,), (-2,), (-2, -1))


def over_mirror_images(run: Run) -> Run:
    """The mean over the picture and its three mirror images, each turned back."""

    def mean(planes: Tensor, place: Tensor) -> Tensor:
        total = torch.zeros_like(planes)
        for axes in _AXES:
            total = total + _back(run(_turned(planes, axes), place), axes)
        return total / len(_AXES)

    return mean


def _turned(planes: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mirror images of packed planes (..., 4, h, w), with R at the top left again: a packed pixel longer on each axis.

    In a mirror image of a mosaic the last site of a cell comes first, so one line more is mirrored in at both ends.
    """
    mosaic = F.pixel_shuffle(planes, 2)
    for axis in axes:
        mosaic = bayer.extended(mosaic, 1, 1, axis).flip(axis)
    return F.pixel_unshuffle(mosaic, 2)


def _back(planes: Tensor, axes: tuple[int, ...]) -> Tensor:
    mosaic = F.pixel_shuffle(planes, 2)
    for axis in axes:
        mosaic = mosaic.flip(axis).narrow(axis, 1, mosaic.shape[axis] - 2)
    return F.pixel_unshuffle(mosaic, 2)
