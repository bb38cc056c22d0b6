"""Gain maps laid out along the sensor, so that a crop, a strip and a tile get the gains of their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe import Frame, bayer
from rawpipe.stages.opcodes.opcode_list import GainMap

Image = tuple[range, range]
"""Rows and columns of the sensor that an opcode list is for."""

_SAMPLES = 64  # rows and columns of each site that the mean gain is taken from


class Axis(NamedTuple):
    """Where each row, or column, of the sensor falls on a map: between two points, and whether the map is for it."""

    low: Tensor
    high: Tensor
    fraction: Tensor
    inside: Tensor

    def at(self, index: Tensor) -> Axis:
        """The same for some rows or columns."""
        return Axis(*(values[index] for values in self))


def _axis(length: int, image: range, area: range, points: int, spacing: float, origin: float) -> Axis:
    at = torch.arange(length) - image.start
    place = (at.double() + 0.5) / len(image)  # of the pixel's centre, from 0 to 1
    position = ((place - origin) / spacing).clamp(0, points - 1)
    low = position.long()
    inside = (at >= area.start) & (at < area.stop) & ((at - area.start) % area.step == 0)
    return Axis(low, (low + 1).clamp(max=points - 1), (position - low).float(), inside)


@dataclass(frozen=True, eq=False)
class Gains:
    """The gains of one plane. `site` is that of all its pixels, where the map is for every second row and column."""

    points: Tensor
    rows: Axis
    columns: Axis
    plane: int
    site: int | None

    @classmethod
    def of(cls, opcode: GainMap, frame: Frame, image: Image) -> Iterator[Gains]:
        """A map made ready, for each plane that it is for."""
        (rows, columns), area = image, opcode.area
        down = range(area.top, area.bottom, area.row_pitch) if area else range(len(rows))
        across = range(area.left, area.right, area.column_pitch) if area else range(len(columns))
        height, width = opcode.gains.shape[1:]
        axes = (
            _axis(frame.shot.size[0], rows, down, height, opcode.spacing[0], opcode.origin[0]),
            _axis(frame.shot.size[1], columns, across, width, opcode.spacing[1], opcode.origin[1]),
        )
        y, x = (Axis(*(values.to(frame.device) for values in axis)) for axis in axes)
        planes, site = range(3), None
        if frame.cfa is not None:
            planes = range(1)
            if (down.step, across.step) == (2, 2):
                site = bayer.sites_at(_phase(frame, rows.start + down.start, columns.start + across.start))[0][0]
        for plane in planes[area.plane : area.plane + area.planes]:
            yield cls(opcode.gains[min(plane, len(opcode.gains) - 1)].to(frame.device), y, x, plane, site)

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Gain (rows, columns) at rows and columns of the sensor: 1 where the map has no say."""
        y, x = self.rows.at(rows), self.columns.at(columns)
        # not `lerp`: its rounding may depend on where a pixel lies in the tensor, and with it the bits of tiles
        above, below = self.points[y.low], self.points[y.high]
        line = above + (below - above) * y.fraction[:, None]
        left, right = line[:, x.low], line[:, x.high]
        return torch.where(y.inside[:, None] & x.inside, left + (right - left) * x.fraction, 1)


@dataclass(frozen=True, eq=False)
class Shading:
    """Pixels multiplied by the product of all gains, noise by its mean over the image per site (4) or plane (3)."""

    gains: tuple[Gains, ...]
    mean: Tensor

    @classmethod
    def of(cls, opcodes: Iterable[GainMap], frame: Frame, image: Image) -> Shading:
        """Maps made ready for a frame."""
        shading = cls(tuple(gains for opcode in opcodes for gains in Gains.of(opcode, frame, image)), torch.empty(0))
        rows, columns = image
        if frame.cfa is None:
            means = [shading._mean(plane, None, rows, columns) for plane in range(3)]
        else:
            phase = _phase(frame, rows.start, columns.start)
            first = [bayer.offset(phase, site) for site in range(4)]
            means = [shading._mean(0, site, rows[y::2], columns[x::2]) for site, (y, x) in enumerate(first)]
        return replace(shading, mean=torch.stack(means).to(frame.device))

    def _mean(self, plane: int, site: int | None, rows: range, columns: range) -> Tensor:
        y, x = (torch.tensor(axis[:: -(-len(axis) // _SAMPLES)]) for axis in (rows, columns))
        product = torch.ones(len(y), len(x))
        for gains in self.gains:
            if gains.plane == plane and gains.site in (None, site):
                device = gains.points.device
                product = product * gains.at(y.to(device), x.to(device)).cpu()
        return product.mean()

    def __call__(self, frame: Frame) -> Frame:
        """Run."""
        rows = frame.origin[0] + torch.arange(frame.height, device=frame.device)
        columns = frame.origin[1] + torch.arange(frame.width, device=frame.device)
        field = frame.data.new_ones((1 if frame.cfa is not None else 3, frame.height, frame.width))
        for gains in self.gains:
            if gains.site is None:
                field[gains.plane] *= gains.at(rows, columns)
            else:  # one site of four: a quarter of the work
                y, x = bayer.offset(str(frame.cfa), gains.site)
                field[gains.plane, y::2, x::2] *= gains.at(rows[y::2], columns[x::2])
        return replace(
            frame,
            data=frame.data * (field[0] if frame.cfa is not None else field),
            noise=None if frame.noise is None else frame.noise.scaled(self.mean),
        )


def _phase(frame: Frame, row: int, column: int) -> str:
    """Phase at a row and column of the sensor."""
    return bayer.rephase(str(frame.cfa), row - int(frame.origin[0]), column - int(frame.origin[1]))
