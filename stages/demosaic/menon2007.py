"""Menon, Andriani and Calvagno (2007), DDFAPD: interpolate both ways, decide afterwards, refine.

Green is interpolated along rows and along columns; the direction in which colour differences vary less wins, and red
and blue follow it. The last step smooths colour differences along that direction.

References:
    Menon, D., Andriani, S., Calvagno, G. (2007) "Demosaicing with directional filtering and a posteriori decision",
    IEEE Transactions on Image Processing 16, sections II and III.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe.stages.demosaic._cell import Cells

RING = 7  # cells of context that the steps use up, one each


class AlongRow(NamedTuple):
    """Whether the red and the blue site of each cell are interpolated along their row, with 4 rings of cells."""

    red: Tensor
    blue: Tensor


def menon2007(mosaic: Tensor, cfa: str) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W); 12 pixels of context."""
    cells = Cells(mosaic, cfa, RING)
    return interpolate(cells, decide(cells))


def decide(cells: Cells) -> AlongRow:
    """Choose the direction of every red and blue site: where colour differences change less (section II-C)."""
    (r, _, _, b), near = cells.planes, cells.near
    red_h, red_v, blue_h, blue_v = _greens(cells)
    r, b = near(r, ring=6), near(b, ring=6)

    def change(difference: Tensor, dy: int, dx: int) -> Tensor:
        """How much a colour difference changes towards the same site of the next cell."""
        return (near(difference, ring=5) - near(difference, dy, dx, ring=5)).abs()

    r_h, r_v = change(r - red_h, 0, 1), change(r - red_v, 1, 0)
    b_h, b_v = change(b - blue_h, 0, 1), change(b - blue_v, 1, 0)

    def row_activity(own: Tensor, corners: Tensor) -> Tensor:
        """Changes along the row around a site, those of its own row counted three times."""
        sides = near(own, -1, -1, 4) + near(own, -1, 0, 4) + near(own, 1, -1, 4) + near(own, 1, 0, 4)
        return 3 * (near(own, ring=4) + near(own, 0, -1, 4)) + sides + corners

    def column_activity(own: Tensor, corners: Tensor) -> Tensor:
        """The same along the column."""
        sides = near(own, -1, -1, 4) + near(own, 0, -1, 4) + near(own, -1, 1, 4) + near(own, 0, 1, 4)
        return 3 * (near(own, ring=4) + near(own, -1, 0, 4)) + sides + corners

    return AlongRow(
        column_activity(r_v, near(b_v, -1, -1, 4) + near(b_v, -1, 0, 4))
        >= row_activity(r_h, near(b_h, -1, -1, 4) + near(b_h, 0, -1, 4)),
        column_activity(b_v, near(r_v, ring=4) + near(r_v, 0, 1, 4))
        >= row_activity(b_h, near(r_h, ring=4) + near(r_h, 1, 0, 4)),
    )


def _greens(cells: Cells) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Green at red along the row and the column, then at blue, by the five-tap filter of section II-A; 6 rings."""
    (r, gr, gb, b), near = cells.planes, cells.near

    def five_tap(center: Tensor, dy: int, dx: int, before: Tensor, after: Tensor) -> Tensor:
        own = 2 * near(center, ring=6) - near(center, -dy, -dx, ring=6) - near(center, dy, dx, ring=6)
        return (before + after) / 2 + own / 4

    return (
        five_tap(r, 0, 1, near(gr, 0, -1, ring=6), near(gr, ring=6)),
        five_tap(r, 1, 0, near(gb, -1, 0, ring=6), near(gb, ring=6)),
        five_tap(b, 0, 1, near(gb, ring=6), near(gb, 0, 1, ring=6)),
        five_tap(b, 1, 0, near(gr, ring=6), near(gr, 1, 0, ring=6)),
    )


def interpolate(cells: Cells, along: AlongRow) -> Tensor:
    """RGB (..., 3, H, W) along given directions; linear in the mosaic."""
    (r, gr, gb, b), near = cells.planes, cells.near
    red_h, red_v, blue_h, blue_v = _greens(cells)

    def around_red(at_gr: Tensor, at_gb: Tensor, ring: int) -> Tensor:
        """Sum of the two neighbours of every red site along its direction."""
        row_wise = near(at_gr, 0, -1, ring) + near(at_gr, ring=ring)
        column_wise = near(at_gb, -1, 0, ring) + near(at_gb, ring=ring)
        return torch.where(near(along.red, ring=ring), row_wise, column_wise)

    def around_blue(at_gr: Tensor, at_gb: Tensor, ring: int) -> Tensor:
        """Sum of the two neighbours of every blue site along its direction."""
        row_wise = near(at_gb, ring=ring) + near(at_gb, 0, 1, ring)
        column_wise = near(at_gr, ring=ring) + near(at_gr, 1, 0, ring)
        return torch.where(near(along.blue, ring=ring), row_wise, column_wise)

    def at_green(red: Tensor, blue: Tensor, ring: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Differences red - green at Gr and Gb and blue - green at Gr and Gb: means of the two sites that have them."""
        return (
            (near(red, ring=ring) + near(red, 0, 1, ring)) / 2,
            (near(red, ring=ring) + near(red, 1, 0, ring)) / 2,
            (near(blue, -1, 0, ring) + near(blue, ring=ring)) / 2,
            (near(blue, 0, -1, ring) + near(blue, ring=ring)) / 2,
        )

    # Section II-D: green along the direction; the others from colour differences, at green and then at each other.
    green_r = torch.where(along.red, near(red_h, ring=4), near(red_v, ring=4))
    green_b = torch.where(along.blue, near(blue_h, ring=4), near(blue_v, ring=4))
    rg, bg = near(r, ring=4) - green_r, near(b, ring=4) - green_b
    rg_gr, rg_gb, bg_gr, bg_gb = at_green(rg, bg, ring=3)
    rb_r = around_red(rg_gr - bg_gr, rg_gb - bg_gb, ring=2) / 2
    rb_b = around_blue(rg_gr - bg_gr, rg_gb - bg_gb, ring=2) / 2

    # Section III: every difference again, as the mean of three sites along the direction.
    rg = (near(rg, ring=2) + around_red(rg_gr, rg_gb, ring=2)) / 3
    bg = (near(bg, ring=2) + around_blue(bg_gr, bg_gb, ring=2)) / 3
    rg_gr, rg_gb, bg_gr, bg_gb = at_green(rg, bg, ring=1)
    rb_r = (near(rb_r) + around_red(rg_gr - bg_gr, rg_gb - bg_gb, ring=0)) / 3
    rb_b = (near(rb_b) + around_blue(rg_gr - bg_gr, rg_gb - bg_gb, ring=0)) / 3

    r, gr, gb, b, rg, bg = (near(plane) for plane in (r, gr, gb, b, rg, bg))
    return cells.picture(
        red=(r, gr + near(rg_gr), gb + near(rg_gb), b + rb_b),
        green=(r - rg, gr, gb, b - bg),
        blue=(r - rb_r, gr + near(bg_gr), gb + near(bg_gb), b),
    )
