"""ToneCurve: linear RGB gets a transfer curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rawpipe import Color, Frame, Space, StageError, kernels
from rawpipe._errors import unknown
from rawpipe.colorimetry import CURVES, RGB_SPACES


@dataclass(frozen=True)
class ToneCurve:
    """RGB encoded with a transfer curve; from another curve it is decoded first.

    Curves are odd about zero and go on above one: nothing is clipped. Noise isn't known behind a curve, since no line
    describes it there.

    Takes: RGB. Gives: RGB.

    Args:
        curve: "auto", the one that belongs to the frame's RGB space; or "linear", "srgb" (Display P3's too),
            "adobe_rgb", "rec2020", "prophoto".

    Raises:
        StageError: no such curve.
    """

    curve: str = "auto"

    takes = Space.RGB
    gives = None
    halo = 0
    grid = 1

    def __post_init__(self) -> None:
        if self.curve not in CURVES and self.curve != "auto":
            raise StageError(unknown("curve", self.curve, ["auto", *CURVES]))

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        color, wanted = self._curves(frame)
        if wanted == color.curve:
            return ()
        return (kernels.Encode(CURVES[wanted]),) if color.curve == "linear" else None

    def _curves(self, frame: Frame) -> tuple[Color, str]:
        """The frame's colours, and the name of the curve that they shall have."""
        color = frame.color or Color("srgb")
        return color, RGB_SPACES[color.space].curve if self.curve == "auto" else self.curve

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        color, wanted = self._curves(frame)
        if wanted == color.curve:
            return frame
        decode, encode = CURVES[color.curve].decode, CURVES[wanted].encode
        linear = frame.data if color.curve == "linear" else decode(frame.data)
        return replace(
            frame,
            data=linear if wanted == "linear" else encode(linear),
            white=encode(decode(frame.white)),
            noise=None,
            color=Color(color.space, wanted),
        )
