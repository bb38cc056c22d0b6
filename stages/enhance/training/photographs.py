"""Clean patches from photographs, and from textures that need nobody's leave."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from rawpipe import FormatError
from rawpipe.stages.enhance.training.unprocess import random_look, sampled, unprocess

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Of pictures that are read."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Clean packed patches (n, 4, h, w), unprocessed from pictures with a random camera each.

    Half of the patches are scaled down by up to two; all are flipped and turned at random.

    Args:
        pictures: display-referred sRGB (3, H, W), uint8.
        brightness: range of factors by which the clean picture is dimmed, logarithmically uniform.
    """

    pictures: Sequence[Tensor]
    brightness: tuple[float, float] = (0.5, 1.0)

    @cached_property
    def sha256(self) -> str:
        """Of all pixels."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes())
        return digest.hexdigest()

    def patches(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Packed patches (count, 4, side, side) in 0..1."""
        crops = torch.stack([self._crop(2 * side, generator) for _ in range(count)])
        low, high = self.brightness
        bright = low * (high / low) ** torch.rand(count, generator=generator)
        return sampled(unprocess(crops, random_look(count, generator))) * bright[:, None, None, None]

    def _crop(self, side: int, generator: torch.Generator) -> Tensor:
        pick, scaled, scale, y, x, turn = torch.rand(6, generator=generator).tolist()
        picture = self.pictures[int(pick * len(self.pictures))]
        wide = min(int(side * (1 + scale)), *picture.shape[1:]) if scaled < 0.5 else side
        top, left = (int(at * (length - wide + 1)) for at, length in zip((y, x), picture.shape[1:], strict=True))
        crop = picture[:, top : top + wide, left : left + wide].float() / 255
        if wide != side:
            crop = F.interpolate(crop[None], (side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)
        turns = int(turn * 8)
        crop = torch.rot90(crop, turns % 4, (1, 2))
        return crop.flip(2) if turns >= 4 else crop


def read_folder(folder: Path, least: int) -> list[Tensor]:
    """All pictures below a folder (3, H, W), uint8, whose sides are at least `least`, in the order of their names.

    Raises:
        FormatError: there is no such picture, or one can't be read.
    """
    found = []
    for path in sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES):
        pixels = read_picture(path)
        if min(pixels.shape[1:]) >= least:
            found.append(pixels)
    if not found:
        raise FormatError(f"got {folder} without pictures of at least {least}x{least}; expected photographs")
    return found


def read_picture(path: Path) -> Tensor:
    """A picture (3, H, W), uint8.

    Raises:
        FormatError: it can't be read.
    """
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0).contiguous()
    except OSError as error:
        raise FormatError(f"got {path}, which is no picture that can be read ({error}); remove it") from error


_SKIMAGE = ("astronaut", "brick", "camera", "cat", "coffee", "grass", "gravel", "hubble_deep_field", "rocket")


def scikit_image_photographs() -> list[Tensor]:
    """The photographs that come with scikit-image, free to use, (3, H, W) uint8."""
    from skimage import data

    pictures = (np.asarray(getattr(data, name)()) for name in _SKIMAGE)
    rgb = (np.repeat(one[..., None], 3, 2) if one.ndim == 2 else one[..., :3] for one in pictures)
    return [torch.from_numpy(np.ascontiguousarray(one)).movedim(-1, 0).contiguous() for one in rgb]


def dead_leaves(count: int, side: int, seed: int = 0) -> list[Tensor]:
    """Textures of overlapping discs with radii distributed as 1 / r**3, shaded and rippled, (3, side, side) uint8.

    References:
        Lee, Mumford and Huang (2001), Occlusion models for natural images, section 3.
    """
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    found = []
    for _ in range(count):
        picture = np.empty((3, side, side), np.float32)
        picture[:] = draw.random((3, 1, 1))
        base, spread = draw.random(3), draw.uniform(0.1, 0.6)
        for radius in np.sort(2.0 / np.sqrt(draw.uniform((2.0 / (side / 3)) ** 2, 1.0, 4000)))[::-1]:
            cy, cx = draw.uniform(-radius, side + radius, 2)
            rows, columns = (slice(max(int(at - radius), 0), max(int(at + radius) + 2, 0)) for at in (cy, cx))
            dy, dx = y[rows, columns] - cy, x[rows, columns] - cx
            cover = np.clip(radius + 0.5 - np.hypot(dy, dx), 0, 1)
            color = np.clip(base + spread * draw.standard_normal(3), 0, 1)[:, None, None]
            angle, slope, ripple, pitch = draw.uniform(0, 2 * np.pi), *draw.uniform(0, 0.3, 2), draw.uniform(2, 20)
            along = dy * np.sin(angle) + dx * np.cos(angle)
            shade = 1 + slope * along / radius + ripple * (draw.random() < 0.4) * np.sin(2 * np.pi * along / pitch)
            target = picture[:, rows, columns]
            target += cover * (color * shade - target)
        found.append(torch.from_numpy((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)))
    return found
