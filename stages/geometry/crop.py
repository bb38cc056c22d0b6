"""Crop: a part of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any

from rawpipe import Frame, Space, StageError


@dataclass(frozen=True)
class Crop:
    """A rectangle of the frame; the CFA phase and every position-dependent number move with it.

    Takes: any space. Gives: the same, smaller.

    Args:
        box: top, left, bottom, right in pixels of the frame; or "default", the crop that the maker recommends.

    Raises:
        StageError: a box that is no box.
        FrameError: a box that isn't inside the frame.
    """

    box: tuple[int, int, int, int] | str = "default"

    takes = Space.SENSOR | Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = None
    grid = 1
    working_bytes = 0  # a view

    def __post_init__(self) -> None:
        box: Any = self.box
        if isinstance(box, str) and box == "default":
            return
        try:
            top, left, bottom, right = map(index, box)  # NumPy's integers too
        except (TypeError, ValueError):
            raise StageError(f'got box {box!r}; expected top, left, bottom, right, or "default"') from None
        object.__setattr__(self, "box", (top, left, bottom, right))

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        box = self.box if not isinstance(self.box, str) else frame.recommended_crop()
        if box is None:
            return frame
        top, left, bottom, right = box
        return frame.crop(top, left, bottom - top, right - left)
