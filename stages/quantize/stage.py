"""Quantize: RGB as codes of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from rawpipe import Frame, Space, StageError, kernels

FULL = 65535.0


@dataclass(frozen=True)
class Quantize:
    """RGB as whole numbers in uint16: 0..1 becomes 0..65535, rounded, halves up; what lies beyond is clipped.

    The last stage, for screens and programs that take 16 bits: with a curve in front of it, see `ToneCurve`. Black and
    white move along. Noise isn't known behind it, since it is clipped too.

    Takes: RGB. Gives: CODES, (..., 3, H, W), uint16.

    Raises:
        StageError: pixels aren't finite.
    """

    takes = Space.RGB
    gives = Space.CODES
    halo = 0
    grid = 1

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        return (kernels.Quantize(),)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        data = frame.data.to(torch.promote_types(frame.data.dtype, torch.float32))
        if not torch.compiler.is_compiling() and not bool(data.isfinite().all()):  # a compiled graph can't stop
            raise StageError(
                "got nan or infinite pixels; expected finite ones: find the stage they come from with keep="
            )
        codes = torch.addcmul(data.new_tensor(0.5), data, data.new_tensor(FULL))  # rounded once, as the kernels do
        return replace(
            frame,
            data=codes.clamp(0, FULL).to(torch.int32).to(torch.uint16),
            space=Space.CODES,
            black=frame.black * FULL,
            white=frame.white * FULL,
            noise=None,
        )
