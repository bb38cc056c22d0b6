"""What demosaicing does to noise: how much of each site's variance arrives in each colour plane.

The rule holds for a flat field and on the average over the four pixel positions of a cell. The weights are measured on
white noise with a fixed seed, to about one percent; for Menon's method, along the directions that it chooses in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe.stages.demosaic._cell import Cells
from rawpipe.stages.demosaic.menon2007 import RING, decide, interpolate

_ROWS, _COLUMNS = 1024, 64
_SEED = 2007


@cache
def weights_of(method: Callable[[Tensor, str], Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Summed squared coefficients of the sites R, Gr, Gb, B in the planes R, G, B (3, 4), and for row noise (3, 4, 4).

    Row noise is one draw per sensor row that all its sites share, so its contributions are added up before squaring:
    a quadratic form in the four sites' row sigmas for every plane.
    """
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.randn(_ROWS, _COLUMNS, generator=generator, dtype=torch.float64)
    rows = torch.randn(_ROWS, 1, generator=generator, dtype=torch.float64).expand(_ROWS, _COLUMNS)
    linear = _frozen(noise) if name == "menon2007" else lambda mosaic: method(mosaic, "RGGB")
    pixel = torch.stack([linear(_only(noise, site)) for site in range(4)])
    row = torch.stack([linear(_only(rows, site)) for site in range(4)])
    size, row_size = (
        torch.stack([bayer.view(drawn, "RGGB", s).square().mean() for s in range(4)]) for drawn in (noise, rows)
    )
    weights = (pixel.square().mean(dim=(-2, -1)) / size[:, None]).T
    row_weights = torch.einsum("scyx,tcyx->cst", row, row) / row[0, 0].numel() / torch.outer(row_size, row_size).sqrt()
    return weights.float(), row_weights.float()


def _only(mosaic: Tensor, site: int) -> Tensor:
    """A mosaic with all sites but one set to zero."""
    kept = torch.zeros_like(mosaic)
    bayer.view(kept, "RGGB", site).copy_(bayer.view(mosaic, "RGGB", site))
    return kept


def _frozen(noise: Tensor) -> Callable[[Tensor], Tensor]:
    """Menon's interpolation along the directions that it chooses in this noise: linear in its input."""
    along = decide(Cells(noise, "RGGB", RING))
    return lambda mosaic: interpolate(Cells(mosaic, "RGGB", RING), along)
