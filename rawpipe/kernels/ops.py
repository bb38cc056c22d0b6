"""What a stage does to pixels, said in a few words: `stage.lowered(frame)` answers with these.

A stage that does nothing answers with an empty tuple; one that can't say it with these words, with None. Ops that come
one after another are run as one pass over the picture. Numbers are those for the frame at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from rawpipe._frame import Frame
    from rawpipe.colorimetry import Curve


@dataclass(frozen=True, eq=False)
class Table:
    """Codes looked up in a table (n), interpolated between its entries, the last one for all codes beyond."""

    values: Tensor


@dataclass(frozen=True, eq=False)
class Affine:
    """x * gain + offset, each per site R, Gr, Gb, B (4), per plane (3), or one for all (a scalar)."""

    gain: Tensor
    offset: Tensor | float = 0.0


@dataclass(frozen=True, eq=False)
class Clip:
    """The smaller of x and a level, a scalar."""

    level: Tensor


@dataclass(frozen=True)
class Demosaic:
    """Planes from a mosaic, by a method that this room has: "bilinear", "malvar2004" or "menon2007"."""

    method: str


@dataclass(frozen=True, eq=False)
class Matrix:
    """Planes mixed by a matrix (3, 3)."""

    rows: Tensor


@dataclass(frozen=True)
class Encode:
    """A transfer curve put on linear light."""

    curve: Curve


@dataclass(frozen=True)
class Quantize:
    """0..1 as codes 0..65535 in uint16, rounded and clipped. Nothing can follow."""


Op = Table | Affine | Clip | Demosaic | Matrix | Encode | Quantize


@runtime_checkable
class Lowered(Protocol):
    """A stage that can say what it does to pixels."""

    def lowered(self, frame: Frame, /) -> Sequence[Op] | None:
        """The ops for a frame like this one in all but its pixels, of which it has only a few."""


@runtime_checkable
class Banded(Protocol):
    """A local stage that goes through a frame's rows by itself, on all threads: cut into strips it would be slower."""

    def banded(self, frame: Frame, /) -> bool:
        """Whether it does so with a frame like this one in all but its pixels, of which it has only a few."""
