"""Crop: a part of the picture."""

from __future__ import annotations

from dataclasses import dataclass, field

from rawpipe import Frame, Space, StageError


@dataclass(frozen=True)
class Crop:
    """A rectangle of the frame; the CFA phase and every position-dependent number move with it.

    Takes: any space. Gives: the same, smaller.

    Args:
        box: top, left, bottom, right in pixels of the frame; or "default", the crop that the maker recommends.

    Raises:
        StageError: a box that isn't inside the frame.
    """

    box: tuple[int, int, int, int] | str = "default"

    takes = Space.SENSOR | Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo: None = field(default=None, init=False, repr=False)
    grid = 1

    def __post_init__(self) -> None:
        if self.box != "default" and (isinstance(self.box, str) or len(self.box) != 4):
            raise StageError(f'got box {self.box!r}; expected top, left, bottom, right, or "default"')

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        box = self.box if not isinstance(self.box, str) else default_box(frame)
        if box is None:
            return frame
        top, left, bottom, right = box
        return frame.crop(top, left, bottom - top, right - left)


def default_box(frame: Frame) -> tuple[int, int, int, int] | None:
    """The recommended crop in pixels of the frame as it is now: cropped, or at half size."""
    shot = frame.shot
    if shot.default_crop is None:
        return None
    y, x, height, width = frame.origin.tolist()
    scale = height / shot.size[0], width / shot.size[1]
    top, left, bottom, right = (
        round((shot.default_crop[i] + shot.active_area[i % 2]) * scale[i % 2]) - (y, x)[i % 2] for i in range(4)
    )
    box = max(top, 0), max(left, 0), min(bottom, frame.height), min(right, frame.width)
    return box if box[0] < box[2] and box[1] < box[3] else None
