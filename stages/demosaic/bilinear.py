"""Bilinear demosaicing: every missing colour is the mean of its nearest neighbours."""

from __future__ import annotations

from torch import Tensor

from rawpipe.stages.demosaic._cell import Cells


def bilinear(mosaic: Tensor, cfa: str) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W); 1 pixel of context."""
    cells = Cells(mosaic, cfa, ring=1)
    (r, gr, gb, b), near = cells.planes, cells.near
    red = (
        near(r),
        (near(r) + near(r, 0, 1)) / 2,
        (near(r) + near(r, 1, 0)) / 2,
        (near(r) + near(r, 0, 1) + near(r, 1, 0) + near(r, 1, 1)) / 4,
    )
    green = (
        (near(gb, -1, 0) + near(gb) + near(gr, 0, -1) + near(gr)) / 4,
        near(gr),
        near(gb),
        (near(gr) + near(gr, 1, 0) + near(gb) + near(gb, 0, 1)) / 4,
    )
    blue = (
        (near(b, -1, -1) + near(b, -1, 0) + near(b, 0, -1) + near(b)) / 4,
        (near(b, -1, 0) + near(b)) / 2,
        (near(b, 0, -1) + near(b)) / 2,
        near(b),
    )
    return cells.picture(red, green, blue)
