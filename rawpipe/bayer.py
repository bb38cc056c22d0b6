"""Pure tensor kernels of the 2x2 Bayer mosaic: phases, sites, mirror, pack and unpack.

A *site* is one of the four photosites, named by colour and row: R, Gr (green in a red row), Gb (green in a blue
row), B. Per-site numbers are always stored in that order, so a crop by one row or column changes the phase and
nothing else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe._errors import FrameError
from rawpipe._phase import PHASES as PHASES
from rawpipe._phase import SITES as SITES
from rawpipe._phase import check_phase as check_phase
from rawpipe._phase import flipped as flipped
from rawpipe._phase import offset as offset
from rawpipe._phase import rephase as rephase
from rawpipe._phase import sites_at as sites_at
from rawpipe._phase import transposed as transposed


def view(data: Tensor, cfa: str, site: int) -> Tensor:
    """All pixels of one site, (..., ~H/2, ~W/2), as a view of `data` (..., H, W)."""
    y, x = offset(cfa, site)
    return data[..., y::2, x::2]


def spread(values: Tensor, cfa: str, height: int, width: int) -> Tensor:
    """Lay per-site `values` (..., 4) out over a mosaic: (..., height, width), the value of each pixel's own site."""
    cell = torch.stack([torch.stack([values[..., site] for site in row], dim=-1) for row in sites_at(cfa)], dim=-2)
    rows = torch.arange(height, device=values.device) % 2
    columns = torch.arange(width, device=values.device) % 2
    return cell[..., columns][..., rows, :]


def per_site(colors: Tensor) -> Tensor:
    """R, G, B (3) as R, Gr, Gb, B (4)."""
    return torch.stack([colors[0], colors[1], colors[1], colors[2]])


def as_float(data: Tensor) -> Tensor:
    """Counts as float32; floating data as it is."""
    return data if data.is_floating_point() else data.to(torch.float32)


def mirror(data: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Pad the last two dimensions by reflection without repeating the edge, so that the CFA phase goes on.

    Works on any size from 2x2 up, however wide the padding: a mirror image is mirrored again.
    """
    height, width = data.shape[-2:]
    if height < 2 or width < 2:
        raise FrameError(f"got {height}x{width} pixels; expected at least one 2x2 Bayer cell")
    if max(top, bottom) < height and max(left, right) < width:
        flat = data.reshape(1, -1, height, width)
        padded: Tensor = F.pad(flat, (left, right, top, bottom), mode="reflect")
        return padded.reshape(*data.shape[:-2], *padded.shape[-2:])
    return extended(extended(data, top, bottom, -2), left, right, -1)


def extended(data: Tensor, before: int, behind: int, dim: int) -> Tensor:
    """Padded along one dimension by reflection without repeating the edge, however short it is."""
    if before == behind == 0:
        return data
    length = data.shape[dim]
    period = max(2 * (length - 1), 1)
    index = torch.arange(-before, length + behind, device=data.device) % period
    return data.index_select(dim, torch.minimum(index, period - index))


def pack(data: Tensor, cfa: str, ring: int = 0) -> Tensor:
    """Four half-size planes in the order R, Gr, Gb, B: (..., 4, h, w) from (..., H, W).

    Every packed pixel holds one R Gr / Gb B cell, whatever the phase: where the frame starts or ends inside a
    cell, the missing pixels are mirrored in. `ring` adds that many packed pixels of mirrored border all around.
    """
    top, left = offset(cfa, 0)
    height, width = data.shape[-2:]
    bottom, right = (height + top) % 2, (width + left) % 2
    if ring or top or left or bottom or right:
        data = mirror(data, top + 2 * ring, bottom + 2 * ring, left + 2 * ring, right + 2 * ring)
    return torch.stack([data[..., y::2, x::2] for y in (0, 1) for x in (0, 1)], dim=-3)


def unpack(planes: Tensor, cfa: str, height: int, width: int) -> Tensor:
    """The mosaic (..., height, width) that `pack` made `planes` (..., 4, h, w) from."""
    top, left = offset(cfa, 0)
    h, w = planes.shape[-2:]
    mosaic: Tensor = F.pixel_shuffle(planes.reshape(-1, 4, h, w), 2)
    return mosaic.reshape(*planes.shape[:-3], 2 * h, 2 * w)[..., top : top + height, left : left + width]
