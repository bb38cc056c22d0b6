"""What a decoder makes of a file, in the same words for every decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rawpipe._errors import FormatError
from rawpipe._phase import PHASES
from rawpipe._taken import Box
from rawpipe.io.exif import Exif

_CLOSE = 1e-5  # what decoders keep as float32 or as quotients of counts


@dataclass(frozen=True, eq=False, kw_only=True)
class Decoded:
    """Pixels of the whole sensor, and what only the decoder's own tables know; a DNG's own tags say more.

    Args:
        pixels: counts with nothing subtracted, stored codes looked up: (H, W) of a mosaic, (H, W, 3) of camera RGB;
            None if they weren't asked for.
        cfa: phase at the sensor's first pixel, None for camera RGB.
        visible: top, left, bottom, right of the picture within the sensor.
        crop: what the maker recommends, within the picture; None if all of it.
        black: per site R, Gr, Gb, B, in DN.
        white: saturation level in DN.
        gains: as-shot white balance of R, G, B; None if there is none.
        matrix: XYZ to camera RGB under D65, None if unknown.
        orientation: EXIF orientation.
        iso: ISO speed, None if unknown.
        exposure_s: exposure time in seconds, None if unknown.
        f_number: aperture, None if unknown.
        focal_mm: focal length in millimetres, None if unknown.
        lens: lens model, "" if unknown.
        decoder: whose word this is: "libraw" or "flashraw".
    """

    pixels: np.ndarray[Any, Any] | None
    cfa: str | None
    visible: Box
    crop: Box | None
    black: tuple[float, ...]
    white: float
    gains: tuple[float, ...] | None
    matrix: tuple[tuple[float, ...], ...] | None
    orientation: int
    iso: float | None
    exposure_s: float | None
    f_number: float | None
    focal_mm: float | None
    lens: str
    decoder: str

    def beside(self, exif: Exif) -> Decoded:
        """The same, where the file's EXIF says nothing; what that says wins."""
        return replace(
            self,
            orientation=exif.orientation or self.orientation,
            iso=exif.iso or self.iso,
            exposure_s=exif.exposure_s or (None if exif.tags else self.exposure_s),
            f_number=exif.f_number or (None if exif.tags else self.f_number),
            focal_mm=exif.focal_mm or self.focal_mm,
            lens=exif.lens or self.lens,
        )

    def differences(self, other: Decoded) -> dict[str, str]:
        """Where the other says something else: by name, what is said here and what there."""
        found = {} if _same_pixels(self.pixels, other.pixels) else {"pixels": "by their values"}
        for name in _COMPARED:
            ours, theirs = getattr(self, name), getattr(other, name)
            if not _close(ours, theirs):
                found[name] = f"{ours!r} and {theirs!r}"
        return found


_COMPARED = (
    "cfa", "visible", "crop", "black", "white", "gains", "matrix", "orientation", "iso", "exposure_s", "f_number",
    "focal_mm", "lens",
)  # fmt: skip


def _same_pixels(ours: np.ndarray[Any, Any] | None, theirs: np.ndarray[Any, Any] | None) -> bool:
    return ours is theirs or (ours is not None and theirs is not None and np.array_equal(ours, theirs))


def _close(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None or isinstance(ours, str):
        return bool(ours == theirs)
    return np.shape(ours) == np.shape(theirs) and bool(np.allclose(ours, theirs, rtol=_CLOSE, atol=_CLOSE))


def bayer_phase(path: Path, colors: str) -> str:
    """The phase that four colour letters name.

    Raises:
        FormatError: they are no Bayer mosaic of R, G, G, B.
    """
    if colors not in PHASES:
        raise FormatError(f"{path} has a mosaic of {colors}; expected 2x2 Bayer of red, green and blue")
    return colors


def inside(crop: Box, visible: Box) -> Box | None:
    """A crop of the sensor in pixels of the picture; None if it is all of the picture, or not inside it."""
    height, width = visible[2] - visible[0], visible[3] - visible[1]
    top, left, bottom, right = crop[0] - visible[0], crop[1] - visible[1], crop[2] - visible[0], crop[3] - visible[1]
    fits = 0 <= top < bottom <= height and 0 <= left < right <= width
    return (top, left, bottom, right) if fits and (top, left, bottom, right) != (0, 0, height, width) else None


def positive(value: float | None) -> float | None:
    """A number that a file states; None for the zeros that stand for what it doesn't know."""
    return float(value) if value and value > 0 else None
