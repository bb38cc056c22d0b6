"""Tiling: cut a frame into windows, run local stages on each, and lay the results side by side.

A window carries the summed halo of its stages, so that padding at a cut spoils only rows and columns that are thrown
away; at the frame's true edges the padding is that of the untiled run. All windows have one size and start on the
common grid: one compilation serves them all, and the CFA phase holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isqrt, lcm
from typing import NamedTuple

from torch import Tensor

from rawpipe._errors import PipelineError
from rawpipe._frame import Frame
from rawpipe._memory import at_hand
from rawpipe._stage import Stage
from rawpipe.kernels import buffers

# What a stage that doesn't say is taken to need for each pixel beside input and result: about fifty float32 planes,
# measured on menon2007, the hungriest of ours.
WORKING_BYTES = 200
# Halos that windows keep rows for, where halos are large: fewer are nearly all halo, more bring little.
_LOWEST, _HIGHEST = 4, 16


def working_bytes(stages: tuple[Stage, ...], frame: Frame) -> int:
    """Bytes that stages run together need for each pixel of a frame, its leading dimensions counted in."""
    planes = 1 if frame.space.is_mosaic else 3
    batch = max(1, frame.data.numel() // (planes * frame.height * frame.width))
    return batch * max(int(getattr(stage, "working_bytes", WORKING_BYTES)) for stage in stages)


class Span(NamedTuple):
    """Rows or columns of one window: read `start` to `stop`, keep `first` to `last`."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, step: int, halo: int, grid: int) -> Iterator[Span]:
    """Cover `length` pixels by windows of one size, all starting on the grid, that keep `step` each.

    The first and the last keep a halo more, since nothing lies beyond the frame's edge that it would be for.
    """
    step, halo = (-(-n // grid) * grid for n in (step, halo))
    size = min(step + 2 * halo + length % grid, length)
    first = 0
    while first < length:
        start = min(max(first - halo, 0), length - size)
        last = length if start + size == length else start + halo + step
        yield Span(start, start + size, first, last)
        first = last


@dataclass(frozen=True)
class Tiling:
    """How the windows of one group of local stages are cut: kept rows and columns, halo and grid."""

    rows: int
    columns: int
    halo: int
    grid: int

    @classmethod
    def of(cls, stages: tuple[Stage, ...], frame: Frame, rows: int, max_memory: int | None, held: int = 0) -> Tiling:
        """Windows for these stages: strips of at least `rows` full rows, or smaller tiles where memory is short.

        Where halos are large, strips are as high as `max_memory` allows, or without it a share of the machine's
        memory. `held` bytes of `max_memory` are taken already.

        Raises:
            PipelineError: not even one grid cell with its halo fits into `max_memory`.
        """
        halo = sum(stage.halo or 0 for stage in stages)
        grid = lcm(2 if frame.space.is_mosaic else 1, *(stage.grid for stage in stages))
        each = max(1, working_bytes(stages, frame))
        pixels = None if max_memory is None else max(0, max_memory - held) // each
        if _LOWEST * halo > rows:  # windows as high as may be: a halo costs more than it saves
            most = (at_hand(frame.device) // each if pixels is None else pixels) // max(1, frame.width)
            most = max(_LOWEST * halo, min(most - _margin(frame, halo, grid), _HIGHEST * halo))
            rows = _even(frame.height, most, halo, grid)
        columns = frame.width
        whole = frame.height * frame.width
        if pixels is not None and whole > pixels:
            rows, columns = _fitting(pixels, rows, frame, halo, grid)
            if rows < grid:
                need = min((grid + _margin(frame, halo, grid)) ** 2, whole) * each + held
                raise PipelineError(f"got max_memory={max_memory}; these stages need at least {need} bytes")
        return cls(rows, columns, halo, grid)

    def windows(self, frame: Frame) -> Iterator[tuple[Span, Span]]:
        """Row and column spans of every window."""
        for y in spans(frame.height, self.rows, self.halo, self.grid):
            for x in spans(frame.width, self.columns, self.halo, self.grid):
                yield y, x


def _fitting(pixels: int, rows: int, frame: Frame, halo: int, grid: int) -> tuple[int, int]:
    """Kept rows and columns of windows of at most `pixels`: strips that are not all halo, or else near to squares."""
    margin = _margin(frame, halo, grid)
    strip = (pixels // frame.width - margin) // grid * grid
    if strip >= max(grid, halo):
        return min(-(-rows // grid) * grid, _even(frame.height, strip, halo, grid)), frame.width
    side = (isqrt(pixels) - margin) // grid * grid
    if side < grid:
        return side, side
    return _even(frame.height, side, halo, grid), _even(frame.width, side, halo, grid)


def _even(length: int, most: int, halo: int, grid: int) -> int:
    """Kept rows or columns of windows that keep at most `most`: as few windows as can be, and these small."""
    inner = max(1, length - length % grid - 2 * -(-halo // grid) * grid)
    each = -(-inner // -(-inner // max(1, most)))
    return -(-each // grid) * grid


def _margin(frame: Frame, halo: int, grid: int) -> int:
    """Rows or columns that `spans` adds to the kept ones: the halo, rounded up, and what is left of the grid."""
    return 2 * -(-halo // grid) * grid + max(frame.height % grid, frame.width % grid)


def run_tiled(run: Callable[[Frame], Frame], frame: Frame, tiling: Tiling, after: Callable[[float], None]) -> Frame:
    """Run local stages window by window; `after` hears the share that is done after each.

    Raises:
        PipelineError: a stage changed height or width although it says that it is local.
    """
    whole: Tensor | None = None
    for y, x, part in tiles(run, frame, tiling, after):
        if part.data.shape[-2:] == (frame.height, frame.width):
            return part
        if whole is None:
            whole = _empty(part.data, frame.height, frame.width)
        whole[..., y.first : y.last, x.first : x.last] = part.data
    assert whole is not None  # a frame has at least one window
    return replace(part, data=whole, origin=frame.origin)


def tiles(
    run: Callable[[Frame], Frame], frame: Frame, tiling: Tiling, after: Callable[[float], None]
) -> Iterator[tuple[Span, Span, Frame]]:
    """What local stages give, window by window, without its halo. Arguments and errors as those of `run_tiled`."""
    windows = list(tiling.windows(frame))
    for done, (y, x) in enumerate(windows, start=1):
        part = run(frame.crop(y.start, x.start, y.stop - y.start, x.stop - x.start))
        if part.data.shape[-2:] != (y.stop - y.start, x.stop - x.start):
            raise PipelineError(
                f"got {part.height}x{part.width} pixels from a window of {y.stop - y.start}x{x.stop - x.start}; "
                "a stage that changes the size must declare halo = None"
            )
        after(done / len(windows))
        if len(windows) > 1:
            part = part.crop(y.first - y.start, x.first - x.start, y.last - y.first, x.last - x.first)
        yield y, x, part


def _empty(like: Tensor, height: int, width: int) -> Tensor:
    """Room for a whole result, on the CPU in memory that an earlier one left."""
    shape = (*like.shape[:-2], height, width)
    return buffers.empty(shape, like.dtype) if like.device.type == "cpu" else like.new_empty(shape)
