"""Mosaics: captures of one kind, handed out in strips so that memory doesn't grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rawpipe import bayer

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

_STRIP_VALUES = 16_000_000  # counts in one strip of all captures: 64 MB as float32


class Mosaics(Protocol):
    """Counts of n captures of one size and CFA phase, black included."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Captures, rows, columns."""

    @property
    def cfa(self) -> str:
        """Phase of the top left pixel."""

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """Counts of rows top..bottom of every capture: (n, bottom - top, columns)."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """Mosaics that are already in memory: (n, H, W)."""

    counts: NDArray[Any]
    cfa: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Captures, rows, columns."""
        n, height, width = self.counts.shape
        return n, height, width

    def rows(self, top: int, bottom: int) -> NDArray[Any]:
        """A view of rows top..bottom."""
        return self.counts[:, top:bottom]


def strips(mosaics: Mosaics, of: int) -> Iterator[tuple[int, int]]:
    """Top and bottom row of strips whose height is a multiple of `of`, the last excepted."""
    n, height, width = mosaics.shape
    rows = max(_STRIP_VALUES // (n * width) // of, 1) * of
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def site(values: NDArray[Any], cfa: str, index: int) -> NDArray[Any]:
    """The pixels of a site (0 R, 1 Gr, 2 Gb, 3 B) in (..., H, W): a view (..., ~H/2, ~W/2)."""
    y, x = bayer.offset(cfa, index)
    return values[..., y::2, x::2]


def laid_out(values: NDArray[Any], cfa: str, height: int, width: int) -> NDArray[Any]:
    """Per-site values (4) at every pixel of a mosaic (height, width)."""
    cell = values[np.array(bayer.sites_at(cfa))]
    out: NDArray[Any] = cell[np.arange(height)[:, None] % 2, np.arange(width)[None] % 2]
    return out
