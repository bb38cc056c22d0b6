"""Space, Color and Step: what a frame's numbers mean, and what made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any


class Space(Flag):
    """Meaning and unit of a frame's numbers. A stage that takes several joins them: `Space.MOSAIC | Space.CAMERA`."""

    SENSOR = auto()
    """(..., H, W) raw counts in DN, black included."""
    MOSAIC = auto()
    """(..., H, W) linear, black = 0, saturation = 1; values below 0 and above 1 are kept."""
    CAMERA = auto()
    """(..., 3, H, W) linear camera RGB, black = 0."""
    RGB = auto()
    """(..., 3, H, W) RGB with the primaries and transfer curve that `Frame.color` names."""
    CODES = auto()
    """(..., 3, H, W) RGB as whole numbers, 0 to 65535 for 0 to 1, uint16: what screens and files take, and no stage."""

    @property
    def is_mosaic(self) -> bool:
        """Whether frames in this space have a CFA."""
        return self in (Space.SENSOR, Space.MOSAIC)

    @property
    def label(self) -> str:
        """The name, or the names joined with "or"."""
        return " or ".join(one.name or "" for one in self)


@dataclass(frozen=True)
class Color:
    """Primaries and transfer curve of RGB pixels, by their names in `rawpipe.colorimetry`."""

    space: str
    curve: str = "linear"


@dataclass(frozen=True)
class Step:
    """A stage that ran: its name, its parameters with measured numbers resolved, and who provided it.

    `seconds` is the time it took, None where stages were fused into one; it doesn't count in comparisons.
    """

    name: str
    parameters: Mapping[str, Any]
    provider: str = ""
    seconds: float | None = field(default=None, compare=False)
