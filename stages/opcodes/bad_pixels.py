"""Bad pixels that the file names or marks, filled from the good ones around them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rawpipe import Frame, bayer
from rawpipe.stages.opcodes.gain_map import Image
from rawpipe.stages.opcodes.opcode_list import FixBadPixelsConstant, FixBadPixelsList

_PASSES = 3  # each fills one ring of a cluster from outside; what lies deeper stays as it is
HALO = 2 * _PASSES


@dataclass(frozen=True, eq=False)
class MarkedPixels:
    """Pixels that have the mark's value, filled."""

    mark: Tensor

    @classmethod
    def of(cls, opcode: FixBadPixelsConstant, frame: Frame) -> MarkedPixels:
        """The mark, looked up like the pixels where the stored codes have been."""
        mark, table = torch.tensor(float(opcode.constant)), frame.shot.linearization
        if table is not None and "linearization" in frame.applied:
            mark = table[min(opcode.constant, len(table) - 1)]
        return cls(mark.to(frame.device))

    def __call__(self, frame: Frame) -> Frame:
        """Run."""
        return replace(frame, data=_filled(frame.data, frame.data == self.mark))


@dataclass(frozen=True, eq=False)
class ListedPixels:
    """Pixels that a map of the sensor (height, width) names, filled."""

    bad: Tensor

    @classmethod
    def of(cls, opcode: FixBadPixelsList, frame: Frame, image: Image) -> ListedPixels:
        """The map of a list, made ready for a frame; pixels outside the image don't matter."""
        rows, columns = image
        bad = torch.zeros(frame.shot.size, dtype=torch.bool)
        for top, left, bottom, right in (*((y, x, y + 1, x + 1) for y, x in opcode.points), *opcode.rectangles):
            bad[rows.start + top : rows.start + bottom, columns.start + left : columns.start + right] = True
        return cls(bad.to(frame.device))

    def __call__(self, frame: Frame) -> Frame:
        """Run."""
        rows = frame.origin[0] + torch.arange(frame.height, device=frame.device)
        columns = frame.origin[1] + torch.arange(frame.width, device=frame.device)
        return replace(frame, data=_filled(frame.data, self.bad[rows[:, None], columns]))


def _filled(data: Tensor, bad: Tensor) -> Tensor:
    """Bad pixels replaced by the mean of the good ones of their site around them, near ones counting more."""
    for _ in range(_PASSES):
        weight = _around((~bad).to(data.dtype))
        total = _around(torch.where(bad, 0, data))
        data = torch.where(bad & (weight > 0), total / weight.clamp(min=1), data)
        bad = bad & (weight == 0)
    return data


def _around(plane: Tensor) -> Tensor:
    """Sum over the 3x3 nearest pixels of a site, weights 1 2 1 down and across; the middle one is bad and counts 0."""
    ring = bayer.mirror(plane, 2, 2, 2, 2)
    down = ring[..., :-4, :] + 2 * ring[..., 2:-2, :] + ring[..., 4:, :]
    return down[..., :-4] + 2 * down[..., 2:-2] + down[..., 4:]
