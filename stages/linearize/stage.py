"""Linearize: stored codes become linear counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Frame, Space, kernels
from rawpipe.bayer import as_float


@dataclass(frozen=True)
class Linearize:
    """Counts looked up in the shot's linearization table; a frame without one, or done already, passes unchanged.

    Files that LibRaw decodes are linear already. Codes past the end of the table get its last value; fractions of a
    code are interpolated.

    Takes: SENSOR, (..., H, W), DN. Gives: the same.

    References: DNG specification 1.7.1, chapter 5, LinearizationTable.
    """

    _table: Tensor | None = field(default=None, repr=False, compare=False)

    takes = Space.SENSOR
    gives = None
    halo = 0
    grid = 1
    sees_pixels = False

    def measure(self, frame: Frame, /) -> Linearize:
        """Get the table ready on the frame's device; an empty one where there is nothing to do."""
        table = frame.shot.linearization
        if table is None or "linearization" in frame.applied:
            table = torch.empty(0)
        return replace(self, _table=table.to(frame.device))

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        if self._table is None:
            return None
        return (kernels.Table(self._table),) if self._table.numel() else ()

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._table is None:
            return self.measure(frame)(frame)
        if not self._table.numel():
            return frame
        codes = as_float(frame.data).clamp(0, len(self._table) - 1)
        below = codes.floor()
        low = below.long()
        high = (low + 1).clamp(max=len(self._table) - 1)
        table = self._table.to(codes.dtype)
        counts = torch.lerp(table[low], table[high], codes - below)
        return replace(frame, data=counts, applied=(*frame.applied, "linearization"))
