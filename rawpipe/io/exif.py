"""Camera metadata: EXIF by exifread where it can, by our own walk where it can't, and by LibRaw where neither can."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exifread

from rawpipe._errors import FormatError
from rawpipe.io.container import boxes
from rawpipe.io.ifd import ASCII, EXIF_IFD, GPS_IFD, INTEROP_IFD, Directory, Tag, read_tree

MAKER_NOTE = 37500
CREDITS = (270, 315, 33432)  # description, artist, copyright
# A DNG's camera profile beside its matrices: signatures, name, hue and saturation maps, tone curve, look, defaults.
PROFILE = (50931, 50932, *range(50936, 50943), 50981, 50982, *range(51107, 51111))
# Left out when EXIF is carried over: the maker note's offsets break when it moves, and the sizes are not ours.
_NOT_CARRIED = {MAKER_NOTE, INTEROP_IFD, 0xA002, 0xA003, 0x9101, 0x9102}
_CANON_BOXES = {b"CMT1": "image", b"CMT2": "exif", b"CMT4": "gps"}
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # it logs every tag it doesn't know


@dataclass(frozen=True)
class Exif:
    """What the metadata says, None or "" where it says nothing."""

    make: str = ""
    model: str = ""
    serial: str = ""
    lens: str = ""
    iso: float | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    focal_mm: float | None = None
    taken: str = ""
    orientation: int | None = None
    tags: tuple[Tag, ...] = ()
    gps: tuple[Tag, ...] = ()
    carried: tuple[Tag, ...] = ()


def directories(kind: str, data: memoryview, tree: list[Directory]) -> list[Directory]:
    """The directory that describes the camera, with EXIF and GPS below it, from any container that has one."""
    if tree:
        return tree
    try:
        if kind == "cr3":
            return _from_cr3(data)
        if kind == "raf":
            start, length = (int.from_bytes(data[at : at + 4], "big") for at in (84, 88))
            return _from_jpeg(bytes(data[start : start + length]))
    except FormatError:
        pass  # metadata that can't be read is missing metadata; the pixels are checked elsewhere
    return []


def _from_cr3(data: memoryview) -> list[Directory]:
    found: dict[str, Directory] = {}
    for kind, start, end in boxes(data):
        if kind != b"moov":
            continue
        for inner, content, stop in boxes(data, start, end):
            if inner == b"uuid" and bytes(data[content : content + 16]) == _CANON_UUID:
                for name, at, last in boxes(data, content + 16, stop):
                    if name in _CANON_BOXES and (tree := read_tree(bytes(data[at:last]))):
                        found[_CANON_BOXES[name]] = tree[0]
    root = found.get("image", Directory())
    for block, code in (("exif", EXIF_IFD), ("gps", GPS_IFD)):
        if block in found:
            root.children[code] = [found[block]]
    return [root]


def _from_jpeg(jpeg: bytes) -> list[Directory]:
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xE1 and jpeg[at + 4 : at + 10] == b"Exif\0\0":
            return read_tree(jpeg[at + 10 : at + 2 + length])
        at += 2 + length
    return []


def read_exif(path: Path, found: list[Directory]) -> Exif:
    """Camera metadata of a file whose directories are `found`."""
    root = found[0] if found else Directory()
    exif = next(iter(root.children.get(EXIF_IFD, [])), Directory())
    gps = next(iter(root.children.get(GPS_IFD, [])), Directory())
    named = _exifread(path)

    def number(code: int, *keys: str) -> float | None:
        """A positive number from our own tags or exifread's."""
        candidates = [
            *(exif.tags[code].numbers() if code in exif.tags else ()),
            *(_number(named.get(key)) for key in keys),
        ]
        return next((value for value in candidates if math.isfinite(value) and value > 0), None)

    def text(directory: Directory, code: int, *keys: str) -> str:
        own = directory.tags[code].text() if code in directory.tags else ""
        return own or next((value for key in keys if (value := str(named.get(key, "")).strip())), "")

    orientation = root.first(274)
    return Exif(
        make=text(root, 271, "Image Make"),
        model=text(root, 272, "Image Model"),
        serial=text(exif, 0xA431, "EXIF BodySerialNumber", "MakerNote SerialNumber"),
        lens=text(exif, 0xA434, "EXIF LensModel", "MakerNote LensModel"),
        iso=_iso(exif, number),
        exposure_s=number(0x829A, "EXIF ExposureTime", "Image ExposureTime"),
        f_number=number(0x829D, "EXIF FNumber", "Image FNumber"),
        focal_mm=number(0x920A, "EXIF FocalLength", "Image FocalLength"),
        taken=text(exif, 0x9003, "EXIF DateTimeOriginal", "Image DateTimeOriginal"),
        orientation=orientation if orientation in range(1, 9) else None,
        tags=_carried(exif.tags),
        gps=tuple(gps.tags.values()),
        carried=tuple(tag for code in (*CREDITS, *PROFILE) if (tag := root.tags.get(code)) and _says_something(tag)),
    )


def _iso(exif: Directory, number: Any) -> float | None:
    """ISO, past the 65535 where the SHORT tag saturates, and from the maker note where EXIF has none."""
    iso = number(0x8827, "EXIF ISOSpeedRatings", "Image ISOSpeedRatings", "MakerNote ISOSetting", "MakerNote ISO")
    if iso is None or iso >= 65535:
        kind = exif.first(0x8830)
        wide = {1: 0x8831, 2: 0x8832, 3: 0x8833, 4: 0x8831, 5: 0x8831, 6: 0x8832, 7: 0x8831}  # SensitivityType
        for code in (wide.get(kind, 0x8832), 0x8832, 0x8831, 0x8833):
            if (better := number(code)) is not None:
                return float(better)
    return None if iso is None else float(iso)


def _carried(tags: dict[int, Tag]) -> tuple[Tag, ...]:
    """The tags worth carrying over: cameras and recorders fill what they don't know with zeros and empty text."""
    kept = {code: tag for code, tag in tags.items() if code not in _NOT_CARRIED}
    for code, tag in tags.items():
        empty = not _says_something(tag)
        zero = code in _POSITIVE and not any(value > 0 for value in tag.numbers())
        if empty or zero:
            kept.pop(code, None)
    for code, others in _GO_WITH.items():
        if code not in kept:
            for other in others:
                kept.pop(other, None)
    return tuple(kept.values())


def _says_something(tag: Tag) -> bool:
    return bool(tag.text() if tag.type == ASCII else tag.count)


_POSITIVE = {0x829A, 0x829D, 0x8827, 0x920A, 0xA405}  # exposure time, f-number, ISO, focal length, its equivalent
_GO_WITH = {0x829A: (0x9201,), 0x829D: (0x9202, 0x9205)}  # the same in APEX units, made up where the first is unknown


def _exifread(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return dict(exifread.process_file(file, details=True, extract_thumbnail=False))
    except Exception:  # exifread raises whatever a damaged maker note makes it raise; the file is still readable
        return {}


def _number(tag: Any) -> float:
    """The last number of an exifread tag (Nikon's ISO is [0, 200]); nan if there is none."""
    values = getattr(tag, "values", None)
    if not isinstance(values, list) or not values:
        return math.nan
    try:
        return float(values[-1])
    except (TypeError, ValueError, ZeroDivisionError):
        return math.nan
