"""TIFF trees: the tags and directories that DNG, NEF, CR2, ARW, TIFF and EXIF blocks are made of, read and written.

References: TIFF 6.0; EXIF 2.32; BigTIFF is read only.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

from rawpipe._errors import FormatError

BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, SRATIONAL, FLOAT, DOUBLE, IFD = range(1, 14)
_FORMAT = {
    BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "II", SBYTE: "b", UNDEFINED: "B", SSHORT: "h", SLONG: "i",
    SRATIONAL: "ii", FLOAT: "f", DOUBLE: "d", IFD: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_OPAQUE = (ASCII, UNDEFINED)  # kept as bytes, whatever the byte order

SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 330, 34665, 34853, 40965
_POINTERS = (SUB_IFDS, EXIF_IFD, GPS_IFD)
_STRUCTURE = (SUB_IFDS, 273, 279, 324, 325)  # where the pixels are
_MAX_DIRECTORIES = 256


@dataclass(frozen=True)
class Tag:
    """One tag: its code, its TIFF type, and its values.

    Text and undefined data are bytes, rationals flat tuples of numerator and denominator, all else tuples of numbers.
    """

    code: int
    type: int
    values: bytes | tuple[int, ...] | tuple[float, ...]

    @property
    def count(self) -> int:
        """How many values, as the file counts them."""
        return len(self.values) // len(_FORMAT[self.type])

    def numbers(self) -> tuple[float, ...]:
        """The values as numbers; a rational n/0 becomes nan."""
        values = tuple(self.values)
        if len(_FORMAT[self.type]) == 1:
            return values
        pairs = zip(values[::2], values[1::2], strict=True)
        return tuple(n / d if d else math.nan for n, d in pairs)

    def integers(self) -> tuple[int, ...]:
        """The values as whole numbers, rounded; nan and infinity become 0."""
        return tuple(round(v) if math.isfinite(v) else 0 for v in self.numbers())

    def text(self) -> str:
        """ASCII or UTF-8 text without its terminator and trailing blanks."""
        characters = self.values if isinstance(self.values, bytes) else bytes(v % 256 for v in self.integers())
        return characters.split(b"\0")[0].decode("utf-8", "replace").strip()

    def raw(self) -> bytes:
        """The values as little-endian bytes.

        Raises:
            FormatError: a number doesn't fit the type.
        """
        if isinstance(self.values, bytes):
            return self.values
        try:
            return struct.pack("<" + _FORMAT[self.type] * self.count, *self.values)
        except struct.error as error:
            raise FormatError(
                f"got tag {self.code} = {self.values[:8]}; expected TIFF type {self.type}: {error}"
            ) from error


def ascii_tag(code: int, text: str) -> Tag:
    """A text tag; characters outside ASCII are kept as UTF-8, which every current reader takes."""
    return Tag(code, ASCII, text.encode() + b"\0")


def rational(value: float, *, signed: bool = False) -> tuple[int, int]:
    """Numerator and denominator of the nearest fraction that a TIFF rational can hold."""
    limit = 2**31 - 1 if signed else 2**32 - 1
    nearest = Fraction(value).limit_denominator(max(1, int(limit / max(abs(value), 1))))
    return nearest.numerator, nearest.denominator


def rationals(code: int, values: Iterable[float], *, signed: bool = False) -> Tag:
    """A tag of rational numbers."""
    flat = tuple(part for value in values for part in rational(value, signed=signed))
    return Tag(code, SRATIONAL if signed else RATIONAL, flat)


@dataclass
class Directory:
    """A directory: tags by code, child directories by the pointer tag that leads to them, and image data to write."""

    tags: dict[int, Tag] = field(default_factory=dict)
    children: dict[int, list[Directory]] = field(default_factory=dict)
    tiles: Iterable[bytes] | None = None
    strip: bytes | None = None

    def add(self, *tags: Tag) -> None:
        """Put tags in, replacing those of the same code."""
        self.tags.update((tag.code, tag) for tag in tags)

    def first(self, code: int, default: int = 0) -> int:
        """The first value of a tag as a whole number; `default` where the tag is missing or empty."""
        return next(iter(self.tags[code].integers()), default) if code in self.tags else default

    def walk(self) -> Iterator[Directory]:
        """This directory and all below it."""
        yield self
        for children in self.children.values():
            for child in children:
                yield from child.walk()


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins with `head` is a TIFF tree, plain or in a camera maker's spelling of the header."""
    return head[:2] in (b"II", b"MM") and head[2:4] in _MAGICS


_MAGICS = (
    b"*\0", b"\0*", b"+\0", b"\0+",  # TIFF and BigTIFF
    b"U\0", b"RO", b"RS", b"OR", b"SR",  # Panasonic, Olympus
)  # fmt: skip


def read_tree(data: bytes | memoryview) -> list[Directory]:
    """All directories of a TIFF, the chain of the first one, each with its SubIFDs, EXIF and GPS below it.

    Raises:
        FormatError: the tree points outside the data, or is no tree at all.
    """
    if not is_tiff(bytes(data[:4])):
        raise FormatError(f"got a file that begins with {bytes(data[:8])!r}; expected a TIFF header")
    order = "<" if data[:2] == b"II" else ">"
    big = bytes(data[2:4]).strip(b"\0") == b"+"
    reader = _Reader(data, order, big)
    return reader.chain(reader.number("Q", 8) if big else reader.number("I", 4))


class _Reader:
    def __init__(self, data: bytes | memoryview, order: str, big: bool) -> None:
        self.data, self.order, self.big = data, order, big
        self.seen: set[int] = set()

    def number(self, code: str, at: int) -> int:
        return int(self.unpack(code, at)[0])

    def unpack(self, code: str, at: int) -> tuple[int, ...]:
        size = struct.calcsize(self.order + code)
        if at < 0 or at + size > len(self.data):
            raise FormatError(
                f"got a file of {len(self.data)} bytes whose directory points at byte {at + size}; "
                "expected it inside the file: it is truncated or damaged, fetch it again"
            )
        return struct.unpack(self.order + code, self.data[at : at + size])

    def chain(self, at: int) -> list[Directory]:
        found = []
        while at and at not in self.seen and len(self.seen) < _MAX_DIRECTORIES:
            directory, at = self.directory(at)
            found.append(directory)
        return found

    def directory(self, at: int) -> tuple[Directory, int]:
        self.seen.add(at)
        count = self.number("Q" if self.big else "H", at)
        at += 8 if self.big else 2
        size = 20 if self.big else 12
        found = Directory()
        for entry in range(at, at + size * count, size):
            tag = self.tag(entry)
            if tag is None:
                continue
            found.add(tag)
            if tag.code in _POINTERS and tag.type in (LONG, IFD, 16, 18):
                places = [place for place in tag.integers() if place not in self.seen]
                found.children[tag.code] = [self.directory(place)[0] for place in places]
        end = at + size * count
        return found, self.number("Q" if self.big else "I", end)

    def tag(self, at: int) -> Tag | None:
        code, kind = self.unpack("HH", at)
        count = self.number("Q" if self.big else "I", at + 4)
        place = at + (12 if self.big else 8)
        if kind not in _FORMAT:
            return None
        try:
            return self.values(code, kind, count, place)
        except FormatError:
            if code in _STRUCTURE:
                raise
            return None  # a dangling private tag harms nobody; LibRaw reads such files too

    def values(self, code: int, kind: int, count: int, place: int) -> Tag:
        length = struct.calcsize("<" + _FORMAT[kind]) * count
        if length > (8 if self.big else 4):
            place = self.number("Q" if self.big else "I", place)
        if kind in _OPAQUE:
            self.unpack(f"{length}x", place)
            return Tag(code, kind, bytes(self.data[place : place + length]))
        return Tag(code, kind, self.unpack(f"{count * len(_FORMAT[kind])}{_FORMAT[kind][0]}", place))


def write_tree(out: BinaryIO, root: Directory) -> None:
    """Write a little-endian TIFF: image data first, as it comes, then the directories, children before parents.

    Raises:
        FormatError: the file would pass 4 GB, where a TIFF offset ends.
    """
    out.write(b"II*\0\0\0\0\0")
    at = _write_directory(out, root)
    out.seek(4)
    out.write(struct.pack("<I", at))


def _write_directory(out: BinaryIO, directory: Directory) -> int:
    entries = {}
    for code, children in directory.children.items():
        entries[code] = Tag(code, LONG, tuple(_write_directory(out, child) for child in children))
    if directory.tiles is not None:
        places = [(_append(out, tile), len(tile)) for tile in directory.tiles]
        entries[324] = Tag(324, LONG, tuple(place for place, _ in places))
        entries[325] = Tag(325, LONG, tuple(length for _, length in places))
    if directory.strip is not None:
        entries[273] = Tag(273, LONG, (_append(out, directory.strip),))
        entries[279] = Tag(279, LONG, (len(directory.strip),))
    entries |= directory.tags  # only now: a hash of the pixels is known when the last tile is written
    lines = [_entry(out, entries[code]) for code in sorted(entries)]
    return _append(out, struct.pack("<H", len(lines)) + b"".join(lines) + b"\0\0\0\0")


def _entry(out: BinaryIO, tag: Tag) -> bytes:
    data = tag.raw()
    value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", _append(out, data))
    return struct.pack("<HHI", tag.code, tag.type, tag.count) + value


def _append(out: BinaryIO, data: bytes) -> int:
    """Write at the end, on an even byte, and return where."""
    at = out.seek(0, 2)
    if at % 2:
        out.write(b"\0")
        at += 1
    if at + len(data) >= 2**32:
        raise FormatError(
            f"got {at + len(data)} bytes to write; expected less than 4 GB: crop the frame or write a TIFF"
        )
    out.write(data)
    return at


def attach(file: BinaryIO, directory: Directory) -> None:
    """Add tags and child directories to the first directory of a classic little-endian TIFF that is already written."""
    file.seek(0)
    head = file.read(8)
    if head[:4] != b"II*\0":
        raise FormatError(f"got a file that begins with {head[:4]!r}; expected a little-endian classic TIFF")
    file.seek(struct.unpack("<I", head[4:])[0])
    (count,) = struct.unpack("<H", file.read(2))
    kept = [file.read(12) for _ in range(count)]
    following = file.read(4)
    entries = dict(directory.tags)
    for code, children in directory.children.items():
        entries[code] = Tag(code, LONG, tuple(_write_directory(file, child) for child in children))
    kept = [line for line in kept if struct.unpack("<H", line[:2])[0] not in entries]
    lines = sorted(
        kept + [_entry(file, tag) for tag in entries.values()], key=lambda line: struct.unpack("<H", line[:2])
    )
    at = _append(file, struct.pack("<H", len(lines)) + b"".join(lines) + following)
    file.seek(4)
    file.write(struct.pack("<I", at))
