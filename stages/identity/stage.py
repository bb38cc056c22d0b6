"""Identity: the stage that does nothing, and shows how a stage is made. Copy this folder to start your own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rawpipe import Frame, Space, kernels


@dataclass(frozen=True)
class Identity:
    """The frame, unchanged.

    Takes: any space. Gives: the same.
    """

    takes = Space.SENSOR | Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = 0
    grid = 1

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op]:
        """What this does to pixels."""
        return ()

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        return frame
