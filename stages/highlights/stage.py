"""ClipHighlights: blown highlights become neutral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rawpipe import Frame, Space, kernels


@dataclass(frozen=True)
class ClipHighlights:
    """All channels clipped where the first of them saturates, so that blown highlights aren't magenta.

    Belongs behind WhiteBalance: there the saturated channels stand at different heights. Values below zero stay.

    Takes: MOSAIC, CAMERA or RGB. Gives: the same, white equal in all channels.
    """

    takes = Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = 0
    grid = 1

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        return (kernels.Clip(frame.white.min()),)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        level = frame.white.min()
        clipped = frame.data.minimum(level.to(frame.data.dtype))
        return replace(frame, data=clipped, white=level.expand_as(frame.white))
