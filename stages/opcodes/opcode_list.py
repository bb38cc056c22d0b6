"""DNG opcode lists: bytes to opcodes and back.

A list is big-endian whatever the file's byte order: a count, and for each opcode its id, version, flags, size and
parameters. Coordinates count from the first pixel of the image that the list is for: the whole sensor for list 1,
the active area for lists 2 and 3.

References:
    Adobe (2023) "Digital Negative (DNG) Specification" 1.7.1, chapter 7, Opcode List Processing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rawpipe import StageError

NAMES = {
    1: "WarpRectilinear",
    2: "WarpFisheye",
    3: "FixVignetteRadial",
    4: "FixBadPixelsConstant",
    5: "FixBadPixelsList",
    6: "TrimBounds",
    7: "MapTable",
    8: "MapPolynomial",
    9: "GainMap",
    10: "DeltaPerRow",
    11: "DeltaPerColumn",
    12: "ScalePerRow",
    13: "ScalePerColumn",
    14: "WarpRectilinear2",
}
_VERSION = 0x01030000  # DNG 1.3, the first with opcodes


@dataclass(frozen=True)
class Opcode:
    """One entry of a list, its parameters still packed.

    Args:
        id: which opcode, see `NAMES`.
        parameters: packed parameters.
        flags: bit 0, a reader may leave it out; bit 1, it may be left out of a preview.
        version: DNG version that introduced it, a byte each.
    """

    id: int
    parameters: bytes
    flags: int = 0
    version: int = _VERSION

    @property
    def name(self) -> str:
        """Name and number, "GainMap (9)"."""
        return f"{NAMES.get(self.id, 'unknown opcode')} ({self.id})"

    @property
    def optional(self) -> bool:
        """Whether a reader may leave it out."""
        return bool(self.flags & 1)


def parse(raw: bytes) -> tuple[Opcode, ...]:
    """The opcodes of a list, in order.

    Raises:
        StageError: the list is damaged.
    """
    (count,) = _unpack(">I", raw, 0, "an opcode list")
    at, opcodes = 4, []
    for _ in range(count):
        kind, version, flags, size = _unpack(">4I", raw, at, "an opcode list")
        (parameters,) = _unpack(f">{size}s", raw, at + 16, "an opcode list")
        opcodes.append(Opcode(kind, parameters, flags, version))
        at += 16 + size
    _expect(at == len(raw), f"an opcode list of {len(raw)} bytes", f"{at}, by the sizes of its {count} opcodes")
    return tuple(opcodes)


def serialize(opcodes: Iterable[Opcode]) -> bytes:
    """The bytes of a list: what `parse` reads and `Shot.opcodes` holds."""
    packed = [struct.pack(">4I", o.id, o.version, o.flags, len(o.parameters)) + o.parameters for o in opcodes]
    return struct.pack(">I", len(packed)) + b"".join(packed)


class Area(NamedTuple):
    """Which pixels of which planes an opcode is for: every `pitch`-th one from the top left on.

    Without any extent it is the whole image.
    """

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    plane: int = 0
    planes: int = 1
    row_pitch: int = 1
    column_pitch: int = 1

    def __bool__(self) -> bool:
        return self.bottom > self.top and self.right > self.left


_EVERYWHERE = Area()


@dataclass(frozen=True, eq=False)
class GainMap:
    """Pixels multiplied by a gain, bilinear between points on a grid, the outer points holding beyond it.

    Args:
        gains: gain at each point (planes, rows, columns); where the image has more planes, the last map goes on.
        spacing: distance of the points down and across, in heights and widths of the image.
        origin: place of the first point, likewise.
        area: the pixels it is for.
    """

    id: ClassVar[int] = 9
    gains: Tensor
    spacing: tuple[float, float] = (1.0, 1.0)
    origin: tuple[float, float] = (0.0, 0.0)
    area: Area = _EVERYWHERE

    _LAYOUT: ClassVar[str] = ">4i4I2I4dI"

    def __post_init__(self) -> None:
        if self.gains.ndim != 3:
            raise StageError(f"got gains {tuple(self.gains.shape)}; expected (planes, rows, columns)")

    def opcode(self, optional: bool = False) -> Opcode:
        """Packed; a reader may leave it out if it is optional."""
        planes, rows, columns = self.gains.shape
        head = struct.pack(self._LAYOUT, *self.area, rows, columns, *self.spacing, *self.origin, planes)
        return Opcode(self.id, head + self.gains.permute(1, 2, 0).cpu().numpy().astype(">f4").tobytes(), int(optional))

    @classmethod
    def of(cls, parameters: bytes) -> GainMap:
        """Unpacked.

        Raises:
            StageError: the parameters are damaged.
        """
        head = _unpack(cls._LAYOUT, parameters, 0, "a GainMap")
        area, (rows, columns), spacing, origin, planes = Area(*head[:8]), head[8:10], head[10:12], head[12:14], head[14]
        size = struct.calcsize(cls._LAYOUT)
        _expect(
            len(parameters) == size + 4 * rows * columns * planes > size,
            f"a GainMap of {rows}x{columns} points in {planes} planes in {len(parameters)} bytes",
            f"{size} bytes and 4 for each point",
        )
        pitches = (area.row_pitch, area.column_pitch)
        _expect(min(pitches) > 0 and (bool(area) or pitches == (1, 1)), f"a GainMap for {area}", "one with pixels")
        down, across = (value if points > 1 else 1.0 for value, points in zip(spacing, (rows, columns), strict=True))
        _expect(
            all(map(math.isfinite, (down, across, *origin))) and min(down, across) > 0,
            f"a GainMap with spacing {spacing} and origin {origin}",
            "a positive spacing",
        )
        gains = torch.from_numpy(np.frombuffer(parameters, ">f4", offset=size).astype(np.float32))
        _expect(bool(gains.isfinite().all()), "a GainMap with nan or infinity in it", "finite gains")
        return cls(gains.reshape(rows, columns, planes).permute(2, 0, 1).contiguous(), (down, across), origin, area)


@dataclass(frozen=True)
class FixBadPixelsConstant:
    """Bad pixels marked by a count that no good one has.

    Args:
        constant: the mark, in stored codes.
        phase: first pixels of the image: 0 red green, 1 green red, 2 green blue, 3 blue green. `Opcodes` goes by the
            phase of the frame.
    """

    id: ClassVar[int] = 4
    constant: int = 0
    phase: int = 0

    def opcode(self, optional: bool = False) -> Opcode:
        """Packed; a reader may leave it out if it is optional."""
        return Opcode(self.id, struct.pack(">2I", self.constant, self.phase), int(optional))

    @classmethod
    def of(cls, parameters: bytes) -> FixBadPixelsConstant:
        """Unpacked. Raises as `GainMap.of`."""
        return cls(*_unpack(">2I", parameters, 0, "a FixBadPixelsConstant"))


@dataclass(frozen=True)
class FixBadPixelsList:
    """Bad pixels by their places.

    Args:
        points: row and column of single pixels.
        rectangles: top, left, bottom, right of groups, whole rows and columns among them.
        phase: as in `FixBadPixelsConstant`.
    """

    id: ClassVar[int] = 5
    points: tuple[tuple[int, int], ...] = ()
    rectangles: tuple[tuple[int, int, int, int], ...] = ()
    phase: int = 0

    def opcode(self, optional: bool = False) -> Opcode:
        """Packed; a reader may leave it out if it is optional."""
        numbers = [n for places in (self.points, self.rectangles) for place in places for n in place]
        head = struct.pack(">3I", self.phase, len(self.points), len(self.rectangles))
        return Opcode(self.id, head + struct.pack(f">{len(numbers)}I", *numbers), int(optional))

    @classmethod
    def of(cls, parameters: bytes) -> FixBadPixelsList:
        """Unpacked. Raises as `GainMap.of`."""
        phase, points, rectangles = _unpack(">3I", parameters, 0, "a FixBadPixelsList")
        numbers = iter(_unpack(f">{2 * points + 4 * rectangles}I", parameters, 12, "a FixBadPixelsList"))
        return cls(
            tuple((next(numbers), next(numbers)) for _ in range(points)),
            tuple((next(numbers), next(numbers), next(numbers), next(numbers)) for _ in range(rectangles)),
            phase,
        )


def _unpack(layout: str, raw: bytes, at: int, what: str) -> tuple[Any, ...]:
    need = at + struct.calcsize(layout)
    _expect(len(raw) >= need, f"{what} that ends after {len(raw)} bytes", f"at least {need}")
    return struct.unpack_from(layout, raw, at)


def _expect(fits: bool, got: str, expected: str) -> None:
    if not fits:
        raise StageError(f"got {got}; expected {expected}: the file is damaged, leave the Opcodes stage out")
