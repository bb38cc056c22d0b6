"""Files by flashraw, whose decoders are faster than LibRaw's: the only importer of flashraw.

A file of which something stands only in a decoder's own tables (a camera's own format, a DNG without colour matrix or
ISO) is decoded by LibRaw as well, once for every camera, size and ISO, and both must agree. Where they don't, that is
an error: a frame never depends on who read it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from rawpipe._errors import FormatError
from rawpipe._phase import sites_at
from rawpipe.io import libraw
from rawpipe.io.decoded import Decoded, bayer_phase, positive
from rawpipe.io.dng_tags import DngTags
from rawpipe.io.exif import Exif

_INSTEAD = 'use reader="rawpy"'
_IN_TAGS = {"cfa", "visible", "crop", "black", "white", "gains"}  # of a DNG
_agreed: set[tuple[object, ...]] = set()


def decode(path: Path, tags: DngTags | None, exif: Exif) -> Decoded:
    """The file as flashraw sees it, with the same meaning as `libraw.decode`.

    Raises:
        FormatError: flashraw isn't installed, can't read the file, or LibRaw knows more or other of it.
    """
    flashraw = _library()
    if tags is not None and tags.is_lossy:
        raise FormatError(f"{path} is lossy JPEG, which flashraw doesn't expand to linear counts; {_INSTEAD}")
    try:
        with flashraw.open(path) as raw:
            found = _decoded(path, raw, tags)
    except flashraw.FlashRawError as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{path} can't be decoded: flashraw says {reason!r}; fetch it again, or {_INSTEAD}"
        ) from error
    known = _IN_TAGS if tags is not None else set()
    if tags is not None and tags.color() is not None:
        known = {*known, "matrix"}
    if "matrix" not in known or exif.iso is None:
        _check(path, found, tags, exif, known)
    return found


def _library() -> ModuleType:
    try:
        import flashraw
    except ImportError:
        raise FormatError(
            f'got reader="flashraw", which isn\'t installed: pip install "rawpipe-isp[flashraw]", or {_INSTEAD}'
        ) from None
    return flashraw


def _decoded(path: Path, raw: Any, tags: DngTags | None) -> Decoded:
    about, said = raw.frame_info, raw.metadata
    linear = tags is not None and tags.is_linear
    if about.layout != ("linear" if linear else "bayer"):
        raise FormatError(f"{path} holds {about.layout} pixels; expected a Bayer mosaic, or a LinearRaw DNG")
    size, visible, crop = (tags.size, tags.active_area, None) if tags is not None else libraw.geometry(path)
    cfa = None if linear else bayer_phase(path, about.cfa.pattern)
    pixels = None
    if tags is None or not tags.is_float:
        pixels = raw.decode(corruption_policy="strict", apply_opcodes=False).array
        if pixels.shape[:2] != size:
            got = "x".join(map(str, pixels.shape[:2]))
            raise FormatError(f"{path} has {got} pixels by flashraw; expected {size[0]}x{size[1]}: {_INSTEAD}")
    matrices = [one.values for one in said.color_matrices.color if len(one.values) == 9 and any(one.values)]
    gains = said.white_balance
    return Decoded(
        pixels=pixels,
        cfa=cfa,
        visible=visible,
        crop=crop,
        black=_black(about.black_level, cfa),
        white=float(about.white_level[0]),
        gains=tuple(gains[:3]) if gains is not None and min(gains[:3]) > 0 else None,
        matrix=tuple(tuple(matrices[0][i : i + 3]) for i in (0, 3, 6)) if matrices else None,
        orientation=said.orientation,
        iso=positive(said.exposure.iso),
        exposure_s=positive(said.exposure.exposure_time),
        f_number=positive(said.exposure.f_number),
        focal_mm=positive(said.exposure.focal_length),
        lens=said.lens.model or "",
        decoder="flashraw",
    )


def _black(level: Any, cfa: str | None) -> tuple[float, ...]:
    """Black per site from a pattern that starts at the first pixel of the sensor."""
    sites = [0.0] * 4
    if cfa is not None:
        for y, row in enumerate(sites_at(cfa)):
            for x, site in enumerate(row):
                sites[site] = level.at(x, y)
    return tuple(sites)


def _check(path: Path, found: Decoded, tags: DngTags | None, exif: Exif, known: set[str]) -> None:
    """Refuse a file of a camera that LibRaw sees otherwise, in more than is `known` from the file's own tags.

    Raises:
        FormatError: it does, or can't read the file.
    """
    ours = found.beside(exif)
    size = None if found.pixels is None else found.pixels.shape
    camera = (exif.make, exif.model, tags is None, size, ours.iso)
    if camera in _agreed:
        return
    theirs = libraw.decode(path, tags).beside(exif)
    differences = [f"{name} {values}" for name, values in ours.differences(theirs).items() if name not in known]
    if differences:
        raise FormatError(f"{path} is not the same to flashraw and LibRaw: {'; '.join(differences)}; {_INSTEAD}")
    _agreed.add(camera)
