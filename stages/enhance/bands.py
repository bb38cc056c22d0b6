"""Band by band: work on planes in so few rows that what lies between one step and the next stays in the cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rawpipe._tiles import spans
from rawpipe.kernels import buffers

_PIXELS = 2**19  # of all planes of a band, where no halo asks for more


def in_bands(run: Callable[..., Tensor], *planes: Tensor, halo: int = 0) -> Tensor:
    """What `run` makes of planes (..., h, w), on the CPU in bands of rows: the same bits, sooner, and in less memory.

    Args:
        run: of planes of fewer rows; the last two dimensions of its result are theirs.
        planes: of one height and width.
        halo: rows around a result's row that it depends on.
    """
    height, width = planes[0].shape[-2:]
    if planes[0].device.type != "cpu":
        return run(*planes)
    rows = max(_PIXELS * height * width // (planes[0].numel() * width), 8 * halo, 1)
    whole = None
    for band in spans(height, rows, halo, 1):
        part = run(*(one[..., band.start : band.stop, :] for one in planes))
        if part.shape[-2] == height:
            return part
        if whole is None:
            whole = _empty(part, height)
        whole[..., band.first : band.last, :] = part[..., band.first - band.start : band.last - band.start, :]
    assert whole is not None  # planes have at least one row
    return whole


def looked_at(planes: Tensor) -> bool:
    """Whether work may depend on what these pixels are: not in a graph, and not on a GPU, which would be waited for."""
    return planes.device.type == "cpu" and not torch.compiler.is_compiling()


def _empty(part: Tensor, height: int) -> Tensor:
    """Room for a whole result in the layout of a part of it, on the CPU in memory that an earlier one left."""
    shape = (*part.shape[:-2], height, part.shape[-1])
    if part.dim() == 4 and not part.is_contiguous() and part.is_contiguous(memory_format=torch.channels_last):
        return torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
    if looked_at(part):
        return buffers.empty(shape, part.dtype)
    return part.new_empty(shape)
