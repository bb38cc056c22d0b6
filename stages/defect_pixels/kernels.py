"""The pixels of one site around each pixel: sorted, averaged, and the median that stands in for a defect."""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import bayer

PASSES = 2  # of `repaired`: the second one fills pixels that have no good neighbour from those that the first filled
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
# Batcher's odd-even merge sort of eight: a few comparisons for all pixels at once, where a sort takes each by itself.
_NETWORK = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)


def neighbours(mosaic: Tensor) -> list[Tensor]:
    """The eight nearest pixels of the same site, smallest first, each in the shape of the mosaic (..., H, W)."""
    height, width = mosaic.shape[-2:]
    ring = bayer.mirror(mosaic, 2, 2, 2, 2)
    return _sorted([ring[..., 2 + 2 * dy : 2 + 2 * dy + height, 2 + 2 * dx : 2 + 2 * dx + width] for dy, dx in _AROUND])


def _sorted(values: list[Tensor]) -> list[Tensor]:
    values = list(values)
    for one, other in _NETWORK:
        low, high = torch.minimum(values[one], values[other]), torch.maximum(values[one], values[other])
        values[one], values[other] = low, high
    return values


def mean_of_nine(plane: Tensor, step: int) -> Tensor:
    """Mean of each pixel and the eight that lie `step` rows and columns from it."""
    height, width = plane.shape[-2:]
    ring = bayer.mirror(plane, step, step, step, step)
    down = ring[..., :height, :] + ring[..., step : step + height, :] + ring[..., 2 * step :, :]
    return (down[..., :width] + down[..., step : step + width] + down[..., 2 * step :]) / 9


def repaired(mosaic: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Known defects replaced by the median of the neighbours of their site that aren't defects themselves.

    Args:
        mosaic: pixels (..., H, W).
        y: rows of the defects (n); they may lie outside.
        x: columns of the defects (n).
    """
    height, width = mosaic.shape[-2:]
    nowhere = height * width  # one more pixel stands for all that lie outside: written to, never read

    def slots(y: Tensor, x: Tensor) -> Tensor:
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        return torch.where(inside, y * width + x, nowhere)

    at, around = slots(y, x), [slots(y + 2 * dy, x + 2 * dx) for dy, dx in _AROUND]
    pixels = torch.nn.functional.pad(mosaic.reshape(-1, nowhere), (0, 1))
    bad = torch.zeros(nowhere + 1, dtype=torch.bool, device=mosaic.device).index_fill(0, at, True)
    bad = bad.index_fill(0, torch.full_like(at[:1], nowhere), True)
    for _ in range(PASSES):
        near = torch.stack(_sorted([torch.where(bad[slot], torch.inf, pixels[:, slot]) for slot in around]))
        good = torch.stack([~bad[slot] for slot in around]).sum(0)
        low, high = (
            near.gather(0, rank.clamp(min=0).expand(1, *near.shape[1:]))[0] for rank in ((good - 1) // 2, good // 2)
        )
        filled = bad[at] & (good > 0)
        pixels = pixels.index_copy(1, at, torch.where(filled, (low + high) / 2, pixels[:, at]))
        bad = bad.index_copy(0, at, bad[at] & ~filled | (at == nowhere))
    return pixels[:, :nowhere].reshape(mosaic.shape)
