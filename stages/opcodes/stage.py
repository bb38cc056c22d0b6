"""Opcodes: lens shading and bad pixels corrected as the DNG asks for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from rawpipe import Frame, RawpipeWarning, Space, StageError, bayer, kernels
from rawpipe.stages.opcodes.bad_pixels import HALO, ListedPixels, MarkedPixels
from rawpipe.stages.opcodes.gain_map import Image, Shading
from rawpipe.stages.opcodes.opcode_list import FixBadPixelsConstant, FixBadPixelsList, GainMap, Opcode, parse

Correction = Shading | MarkedPixels | ListedPixels
_TAKES = {1: Space.SENSOR, 2: Space.MOSAIC, 3: Space.CAMERA}
# A mark is a stored code, which only list 1 still sees; bad pixels are filled before they are demosaiced.
_APPLIED = {
    1: (GainMap.id, FixBadPixelsConstant.id, FixBadPixelsList.id),
    2: (GainMap.id, FixBadPixelsList.id),
    3: (GainMap.id,),
}


@dataclass(frozen=True)
class Opcodes:
    """Pixels corrected by one of the three opcode lists of a DNG; a frame without it, or done already, as it was.

    GainMap, FixBadPixelsConstant and FixBadPixelsList are applied; others are warned about and left out. Where nothing
    of the list is applied, it counts as not applied, and a DNG written later still carries it. A gain map leaves
    `white` as it is, so that saturated pixels go above it, and multiplies `noise` by its mean over the picture.

    Takes: SENSOR for list 1, MOSAIC for list 2, CAMERA for list 3. Gives: the same.

    Args:
        number: 1, the list for the stored counts; 2, for linear light; 3, for the demosaiced picture.

    Raises:
        StageError: the list is damaged, or the frame no longer has the sensor's pixels.

    References: DNG specification 1.7.1, chapter 7.
    """

    number: int = 2
    _steps: tuple[Correction, ...] | None = field(default=None, repr=False, compare=False)

    gives = None
    grid = 2
    sees_pixels = False

    def __post_init__(self) -> None:
        if type(self.number) is not int or self.number not in _TAKES:
            raise StageError(f"got opcode list {self.number!r}; expected 1, 2 or 3")

    @property
    def takes(self) -> Space:
        """The space that the list is for."""
        return _TAKES[self.number]

    @property
    def halo(self) -> int:
        """Context that bad pixels need; 0 once it is known that the list has none."""
        return 0 if self._steps is not None and all(isinstance(step, Shading) for step in self._steps) else HALO

    def measure(self, frame: Frame, /) -> Opcodes:
        """Read the list and lay it out along the sensor, on the frame's device."""
        raw = frame.shot.opcodes[self.number - 1]
        if not raw or f"opcodes{self.number}" in frame.applied:
            return replace(self, _steps=())
        if tuple(frame.origin[2:].tolist()) != frame.shot.size:
            raise StageError(
                f"got a frame of {frame.origin[2:].tolist()} pixels from a sensor of {list(frame.shot.size)}; expected "
                "all of them: the opcode list tells places on the sensor, so apply it before the size changes"
            )
        opcodes = parse(raw)
        others = [opcode for opcode in opcodes if opcode.id not in _APPLIED[self.number]]
        if others:
            names = "; ".join(f"{opcode.name}, {'optional' if opcode.optional else 'mandatory'}" for opcode in others)
            warnings.warn(f"OpcodeList{self.number} has opcodes that are not applied: {names}", RawpipeWarning, 4)
        known = [opcode for opcode in opcodes if opcode.id in _APPLIED[self.number]]
        top, left, bottom, right = (0, 0, *frame.shot.size) if self.number == 1 else frame.shot.active_area
        return replace(self, _steps=tuple(_corrections(known, frame, (range(top, bottom), range(left, right)))))

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        return () if self._steps == () else None

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._steps is None:
            return self.measure(frame)(frame)
        if not self._steps:
            return frame
        corrected = replace(frame, data=bayer.as_float(frame.data), applied=(*frame.applied, f"opcodes{self.number}"))
        for step in self._steps:
            corrected = step(corrected)
        return corrected


def _corrections(opcodes: Iterable[Opcode], frame: Frame, image: Image) -> Iterator[Correction]:
    """Opcodes made ready for a frame, in order; gain maps in a row, usually one per site, become one multiplication."""
    for kind, run in groupby(opcodes, lambda opcode: opcode.id):
        if kind == GainMap.id:
            yield Shading.of([GainMap.of(opcode.parameters) for opcode in run], frame, image)
        elif kind == FixBadPixelsList.id:
            yield from (ListedPixels.of(FixBadPixelsList.of(opcode.parameters), frame, image) for opcode in run)
        else:
            yield from (MarkedPixels.of(FixBadPixelsConstant.of(opcode.parameters), frame) for opcode in run)
