"""Orient: the picture the right way up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from rawpipe import Frame, Space, StageError, bayer

# EXIF orientation: rows and columns swapped, then turned upside down, then left to right.
_MOVES = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class Orient:
    """Pixels turned upright; the orientation that files carry becomes 1, so that no reader turns them again.

    What is tied to the sensor's rows and columns (masked border, opcode lists) is left behind; row noise, turned by 90
    degrees, counts as read noise.

    Takes: MOSAIC, CAMERA or RGB. Gives: the same.

    Args:
        orientation: EXIF orientation 1..8 of the pixels; None for the one that the camera recorded.

    Raises:
        StageError: no such orientation.
    """

    orientation: int | None = None

    takes = Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = None
    grid = 2
    working_bytes = 0  # beside the result

    def __post_init__(self) -> None:
        if self.orientation is not None and self.orientation not in _MOVES:
            raise StageError(f"got orientation {self.orientation}; expected an EXIF orientation from 1 to 8")

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        swap, flip_rows, flip_columns = _MOVES[self.orientation or frame.shot.orientation]
        if not (swap or flip_rows or flip_columns):
            return replace(frame, shot=replace(frame.shot, orientation=1))
        data, cfa = frame.data, frame.cfa
        box = frame.recommended_crop()
        if swap:
            data = data.transpose(-2, -1)
            cfa = None if cfa is None else bayer.transposed(cfa)
            box = None if box is None else (box[1], box[0], box[3], box[2])
        height, width = data.shape[-2:]
        if cfa is not None:
            cfa = bayer.flipped(cfa, height, width, rows=flip_rows, columns=flip_columns)
        if box is not None and flip_rows:
            box = height - box[2], box[1], height - box[0], box[3]
        if box is not None and flip_columns:
            box = box[0], width - box[3], box[2], width - box[1]
        turns = [axis for axis, flip in ((-2, flip_rows), (-1, flip_columns)) if flip]
        sites = _greens_swapped(cfa, swap)
        noise = frame.noise
        if noise is not None and swap:  # rows become columns, whose shared offset the noise has no number for
            noise = replace(noise, read=(noise.read**2 + noise.row**2).sqrt(), row=torch.zeros_like(noise.row))
        return replace(
            frame,
            data=data.flip(turns).contiguous() if turns else data.contiguous(),
            cfa=cfa,
            black=frame.black[sites],
            white=frame.white[sites],
            pedestal=frame.pedestal[sites],
            noise=None if noise is None else noise.map(lambda values: values[sites]),
            origin=torch.tensor([0, 0, height, width], device=frame.device),
            shot=frame.shot.upright((height, width), box),
        )


def _greens_swapped(cfa: str | None, swap: bool) -> list[int]:
    """Order of the per-site numbers: where rows become columns, the two greens change places."""
    if cfa is None:
        return [0, 1, 2]
    return [0, 2, 1, 3] if swap else [0, 1, 2, 3]
