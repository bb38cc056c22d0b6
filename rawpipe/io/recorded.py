"""What a file holds, in arrays of NumPy: all that can be said of it before torch is imported."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rawpipe._errors import FormatError, FrameError, RawpipeWarning
from rawpipe._matrices import Matrices, Numbers, checked
from rawpipe._phase import rephase
from rawpipe._taken import Taken
from rawpipe.io.container import identify, mapped, tree_of
from rawpipe.io.decoded import Decoded
from rawpipe.io.dng_tags import DngTags
from rawpipe.io.exif import Exif, directories, read_exif

READERS = ("rawpy", "flashraw")


@dataclass(frozen=True, eq=False, kw_only=True)
class Recorded:
    """Pixels as they are stored, and what the camera said of them.

    Args:
        pixels: of the whole sensor: counts (H, W) of a mosaic, (H, W, 3) of camera RGB.
        cfa: phase at the first pixel of the active area, None for camera RGB.
        is_lossy: whether lossy JPEG was expanded to linear counts, OpcodeList2 included.
        taken: everything else, without `sensor`.
    """

    pixels: Numbers
    cfa: str | None
    is_lossy: bool
    taken: Taken[Numbers]

    @property
    def is_dark(self) -> bool:
        """Whether every pixel of the active area is zero, black subtracted from camera RGB; told row by row."""
        top, left, bottom, right = self.taken.active_area
        rows = self.pixels[top:bottom, left:right]
        if self.cfa is not None:
            return not any(row.any() for row in rows)
        taken = self.taken
        down = np.zeros(len(rows), np.float32) if taken.black_rows is None else taken.black_rows
        across = np.zeros(right - left, np.float32) if taken.black_columns is None else taken.black_columns
        lit = (row.astype(np.float32) - taken.black - y - across[:, None] for row, y in zip(rows, down, strict=True))
        return not any(row.any() for row in lit)


def recorded(path: Path, reader: str = "rawpy") -> Recorded:
    """The file as a decoder and its own tags and EXIF have it.

    Raises:
        FormatError: missing, truncated, damaged, headless, or no Bayer RAW; or the reader can't say all of it.

    Warns:
        RawpipeWarning: the decoder's matrix makes no sense, or the counts are balanced.
    """
    with mapped(path) as data:
        kind = identify(path, data)
        tree = tree_of(path, data) if kind == "tiff" else []
        exif = read_exif(path, directories(kind, data, tree))
    tags = DngTags.of(tree)
    found = _decoded(path, reader, tags, exif).beside(exif)
    pixels = _samples(path, found, tags)
    linear = tags is not None and tags.is_linear
    if linear and (pixels.ndim != 3 or pixels.shape[-1] != 3):
        raise FormatError(f"{path} is a LinearRaw DNG with pixels {pixels.shape}; expected three planes")
    size = (pixels.shape[0], pixels.shape[1]) if linear else (pixels.shape[-2], pixels.shape[-1])
    taken = _taken(path, found, tags, exif, size)
    cfa = None
    if not linear:
        cfa = tags.cfa if tags is not None else rephase(str(found.cfa), *taken.active_area[:2])
    return Recorded(pixels=pixels, cfa=cfa, is_lossy=tags is not None and tags.is_lossy, taken=taken)


def judge(path: Path, dark: bool, taken: Taken[Any]) -> None:
    """Warn of what can be seen from a file as it is."""
    if dark:
        warnings.warn(f"{path}: every pixel is zero; a frame taken with the lens cap on?", RawpipeWarning, stacklevel=3)
    if taken.neutral is None and taken.color is not None:
        instead = "1 1 1" if taken.color.source == "generic" else "the matrix's neutral under D65"
        warnings.warn(f"{path}: no as-shot white balance; {instead} stands in for it", RawpipeWarning, stacklevel=3)


def _decoded(path: Path, reader: str, tags: DngTags | None, exif: Exif) -> Decoded:
    if reader == "flashraw":
        from rawpipe.io import flash

        return flash.decode(path, tags, exif)
    from rawpipe.io import libraw

    return libraw.decode(path, tags)


def _samples(path: Path, found: Decoded, tags: DngTags | None) -> Numbers:
    """The stored pixels; floating ones come through tifffile: LibRaw would round them to 14 bits."""
    if tags is not None and tags.is_float:
        from rawpipe.io.samples import float_samples

        return float_samples(path, tags)
    assert found.pixels is not None
    return found.pixels


def _taken(path: Path, found: Decoded, tags: DngTags | None, exif: Exif, size: tuple[int, int]) -> Taken[Numbers]:
    color = tags.color() if tags is not None else None
    if color is None and found.matrix is not None:
        try:
            color = checked(found.matrix, source=found.decoder)
        except FrameError as error:
            warnings.warn(f"{path}: {error}", RawpipeWarning, stacklevel=5)
    black_rows = black_columns = None
    if tags is not None:
        black, black_rows, black_columns = tags.black()
        white, neutral, bits = tags.white(), tags.neutral(color), tags.bits
        if tags.is_lossy:
            black, white, bits = np.zeros_like(black), np.full_like(white, found.white), 16
    else:
        black, white = np.array(found.black, np.float32), np.full(4, found.white, np.float32)
        neutral, bits = _neutral(found), max(1, int(found.white).bit_length())
        if neutral is not None and (neutral == 1).all():
            warnings.warn(
                f"{path}: the as-shot white balance is 1 1 1; the counts are taken as balanced by the camera",
                RawpipeWarning,
                stacklevel=5,
            )
            color = _balanced(color)
    return Taken(
        make=exif.make,
        model=exif.model,
        unique_model=tags.unique_model() if tags is not None else "",
        serial=exif.serial or (tags.serial() if tags is not None else ""),
        lens=found.lens,
        iso=found.iso,
        exposure_s=found.exposure_s,
        f_number=found.f_number,
        focal_mm=found.focal_mm,
        taken=exif.taken,
        orientation=found.orientation,
        bits=bits,
        black=black,
        white=white,
        black_rows=black_rows,
        black_columns=black_columns,
        linearization=tags.linearization() if tags is not None else None,
        neutral=neutral,
        color=color,
        size=size,
        active_area=tags.active_area if tags is not None else found.visible,
        default_crop=tags.default_crop if tags is not None else found.crop,
        masked_areas=tags.masked_areas if tags is not None else (),
        opcodes=tags.opcodes() if tags is not None else (b"", b"", b""),
        noise_profile=tags.noise_profile() if tags is not None else (),
        baseline_exposure=tags.baseline_exposure() if tags is not None else 0.0,
        exif=exif.tags,
        gps=exif.gps,
        carried=exif.carried,
        source=path.name,
    )


def _balanced(color: Matrices[Numbers] | None) -> Matrices[Numbers] | None:
    """Matrices of counts to which gains were applied before."""
    return None if color is None else replace(color, analog_balance=1 / color.neutral_of())


def _neutral(found: Decoded) -> Numbers | None:
    """As-shot neutral from the decoder's gains."""
    if found.gains is None:
        return None
    red, green, blue = found.gains
    return np.array([green / red, 1.0, green / blue], np.float32)
