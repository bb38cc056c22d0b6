"""Malvar, He and Cutler (2004): bilinear interpolation corrected by the gradient of the colour that is there.

References:
    Malvar, H., He, L., Cutler, R. (2004) "High-quality linear interpolation for demosaicing of Bayer-patterned color
    images", ICASSP, figure 2: the 5x5 filters, in eighths.
"""

from __future__ import annotations

from torch import Tensor

from rawpipe.stages.demosaic._cell import Cells


def malvar2004(mosaic: Tensor, cfa: str) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W); 2 pixels of context."""
    cells = Cells(mosaic, cfa, ring=1)
    (r, gr, gb, b), near = cells.planes, cells.near

    def beside(plane: Tensor) -> tuple[Tensor, Tensor]:
        """The same site two pixels left and right, and two pixels up and down, each summed."""
        return near(plane, 0, -1) + near(plane, 0, 1), near(plane, -1, 0) + near(plane, 1, 0)

    def green_at(center: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        across, along = beside(center)
        return (4 * near(center) + 2 * (vertical + horizontal) - (across + along)) / 8

    def colors_at(green: Tensor, diagonal: Tensor, horizontal: Tensor, vertical: Tensor) -> tuple[Tensor, Tensor]:
        """At a green site: the colour of its left and right neighbours, and that of its upper and lower ones."""
        across, along = beside(green)
        common = 5 * near(green) - diagonal
        return (common + 4 * horizontal - across + along / 2) / 8, (common + 4 * vertical - along + across / 2) / 8

    def opposite_at(center: Tensor, diagonal: Tensor) -> Tensor:
        across, along = beside(center)
        return (6 * near(center) + 2 * diagonal - 1.5 * (across + along)) / 8

    red_at_gr, blue_at_gr = colors_at(
        gr,
        diagonal=near(gb, -1, 0) + near(gb, -1, 1) + near(gb) + near(gb, 0, 1),
        horizontal=near(r) + near(r, 0, 1),
        vertical=near(b, -1, 0) + near(b),
    )
    blue_at_gb, red_at_gb = colors_at(
        gb,
        diagonal=near(gr, 0, -1) + near(gr) + near(gr, 1, -1) + near(gr, 1, 0),
        horizontal=near(b, 0, -1) + near(b),
        vertical=near(r) + near(r, 1, 0),
    )
    red_at_b = opposite_at(b, near(r) + near(r, 0, 1) + near(r, 1, 0) + near(r, 1, 1))
    blue_at_r = opposite_at(r, near(b, -1, -1) + near(b, -1, 0) + near(b, 0, -1) + near(b))
    green_at_r = green_at(r, near(gb, -1, 0) + near(gb), near(gr, 0, -1) + near(gr))
    green_at_b = green_at(b, near(gr) + near(gr, 1, 0), near(gb) + near(gb, 0, 1))
    return cells.picture(
        red=(near(r), red_at_gr, red_at_gb, red_at_b),
        green=(green_at_r, near(gr), near(gb), green_at_b),
        blue=(blue_at_r, blue_at_gr, blue_at_gb, near(b)),
    )
