"""Phases and sites of the 2x2 Bayer mosaic in plain numbers, for what has to answer before torch is imported."""

from __future__ import annotations

from rawpipe._errors import FrameError

PHASES = ("RGGB", "GRBG", "GBRG", "BGGR")
SITES = ("R", "Gr", "Gb", "B")

# Site index (0 R, 1 Gr, 2 Gb, 3 B) at [row parity][column parity].
_SITES_AT = {
    "RGGB": ((0, 1), (2, 3)),
    "GRBG": ((1, 0), (3, 2)),
    "GBRG": ((2, 3), (0, 1)),
    "BGGR": ((3, 2), (1, 0)),
}


def check_phase(cfa: str) -> str:
    """Return `cfa` if it names one of the four Bayer phases.

    Raises:
        FrameError: it does not.
    """
    if cfa not in _SITES_AT:
        raise FrameError(f"got CFA {cfa!r}; expected one of {', '.join(PHASES)}: read row by row from the top left")
    return cfa


def sites_at(cfa: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Site indices (0 R, 1 Gr, 2 Gb, 3 B) of the 2x2 cell whose top-left pixel is the first of `cfa`."""
    return _SITES_AT[check_phase(cfa)]


def rephase(cfa: str, dy: int, dx: int) -> str:
    """The phase seen from a pixel `dy` rows below and `dx` columns right of the one that `cfa` describes."""
    sites = sites_at(cfa)
    moved = tuple(tuple(sites[(y + dy) % 2][(x + dx) % 2] for x in (0, 1)) for y in (0, 1))
    return next(phase for phase, at in _SITES_AT.items() if at == moved)


def flipped(cfa: str, height: int, width: int, *, rows: bool = False, columns: bool = False) -> str:
    """The phase after a mosaic of `height` x `width` pixels is turned upside down, left to right, or both."""
    return rephase(cfa, (height - 1) % 2 if rows else 0, (width - 1) % 2 if columns else 0)


def transposed(cfa: str) -> str:
    """The phase after rows and columns of the mosaic are swapped."""
    return "".join((cfa[0], cfa[2], cfa[1], cfa[3]))


def offset(cfa: str, site: int) -> tuple[int, int]:
    """Row and column (0 or 1) of the first pixel of a site."""
    return next((y, x) for y in (0, 1) for x in (0, 1) if sites_at(cfa)[y][x] == site)
