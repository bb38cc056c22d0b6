"""The 2x2 cell in packed planes: neighbours by name, and the way back to a full-size picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rawpipe import bayer


class Cells:
    """The planes R, Gr, Gb, B of a mosaic (..., H, W), with `ring` mirrored cells all around."""

    def __init__(self, mosaic: Tensor, cfa: str, ring: int) -> None:
        self.cfa, self.full = cfa, mosaic.shape[-2:]
        self.planes = bayer.pack(mosaic, cfa, ring).unbind(dim=-3)
        self.height, self.width = (size - 2 * ring for size in self.planes[0].shape[-2:])

    def near(self, plane: Tensor, dy: int = 0, dx: int = 0, ring: int = 0) -> Tensor:
        """A plane seen from `dy` cells up and `dx` cells left, with `ring` cells around the picture left."""
        cut = (plane.shape[-2] - self.height) // 2 - ring
        rows = slice(cut + dy, cut + dy + self.height + 2 * ring)
        return plane[..., rows, cut + dx : cut + dx + self.width + 2 * ring]

    def picture(self, red: Sequence[Tensor], green: Sequence[Tensor], blue: Sequence[Tensor]) -> Tensor:
        """RGB (..., 3, H, W) from each colour at the sites R, Gr, Gb, B."""
        (top, left), (height, width) = bayer.offset(self.cfa, 0), self.full
        planes = torch.stack([_interleaved(at) for at in (red, green, blue)], dim=-3)
        return planes[..., top : top + height, left : left + width]


def _interleaved(sites: Sequence[Tensor]) -> Tensor:
    """One plane (..., 2h, 2w) from its values at R, Gr, Gb, B (..., h, w): columns first, then rows."""
    upper, lower = (torch.stack(list(pair), dim=-1).flatten(-2) for pair in (sites[:2], sites[2:]))
    return torch.stack([upper, lower], dim=-2).flatten(-3, -2)
