"""What kind of file this is, and whether it is all there: told from its structure, never from pixel values.

LibRaw guesses a camera for any headerless file whose size it knows, and opens some truncated files without a word,
with zeros or stale memory as pixels. So nothing reaches it that isn't a known container, whole.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rawpipe._errors import FormatError
from rawpipe.io.ifd import Directory, is_tiff, read_tree

RAW_SUFFIXES = {
    ".3fr", ".ari", ".arw", ".bay", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mdc",
    ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".ptx", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw",
}  # fmt: skip

_RAW_MAGICS = {  # at byte 0, unless the name says otherwise
    b"FUJIFILMCCD-RAW": "raf",
    b"\0MRM": "mrw",
    b"II\x1a\0\0\0HEAPCCDR": "crw",
    b"IIII": "iiq",
    b"MMMM": "iiq",
    b"ARRI": "ari",
    b"NOKIARAW": "nokia",
}
_REFUSED = {
    b"\xff\xd8\xff": "a JPEG, which holds no sensor data; give the camera's RAW file",
    b"\x89PNG": "a PNG, which holds no sensor data; give the camera's RAW file",
    b"FOVb": "a Foveon X3F, which has no Bayer mosaic",
    b"RED1": "a RED video clip; export it as DNG frames",
    b"RED2": "a RED video clip; export it as DNG frames",
}


def raw_files(folder: Path, recursive: bool = False) -> list[Path]:
    """Files directly in a folder, or also below it, that have the ending of a RAW file and aren't hidden, by name."""
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(one for one in found if one.suffix.lower() in RAW_SUFFIXES and not one.name.startswith("."))


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The bytes of a file.

    Raises:
        FormatError: it is missing, empty, a folder, or can't be read.
    """
    try:
        if path.is_dir():
            raise FormatError(f"got the folder {path}; expected a RAW file")
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise FormatError(f"{path} is empty; fetch it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                view = memoryview(mapped)
                try:
                    yield view
                finally:
                    view.release()
    except OSError as error:
        raise FormatError(f"{path} can't be read: {error.strerror}") from error


def check_container(path: Path) -> None:
    """Refuse a file that is no RAW container, or isn't whole, without a decoder.

    Raises:
        FormatError: why not.
    """
    with mapped(path) as data:
        if identify(path, data) == "tiff":
            tree_of(path, data)


def identify(path: Path, data: memoryview) -> str:
    """The container: "tiff", "cr3", "raf", "mrw", "crw" ...

    Raises:
        FormatError: it is none that can hold a Bayer RAW, or it isn't whole.
    """
    head = bytes(data[:16])
    for magic, why in _REFUSED.items():
        if head.startswith(magic):
            raise FormatError(f"{path} is {why}")
    if is_tiff(head):
        if head[2:4] in (b"+\0", b"\0+"):
            raise FormatError(f"{path} is a BigTIFF, which LibRaw can't read; convert it to a DNG below 4 GB")
        return "tiff"
    if head[4:12] == b"ftypcrx ":
        _check_boxes(path, data)
        return "cr3"
    for magic, kind in _RAW_MAGICS.items():
        if head.startswith(magic):
            if kind == "raf":
                _check_raf(path, data)
            return kind
    raise FormatError(
        f"{path} begins with {head[:8]!r}, which is no RAW container known here. If it is a headless sensor dump, "
        'say what it holds: Frame.read(path, shape=(height, width), dtype="uint16", cfa="RGGB", white=...)'
    )


def tree_of(path: Path, data: memoryview) -> list[Directory]:
    """The directories of a TIFF-like RAW file, checked: every strip and tile lies within the file.

    Raises:
        FormatError: the file is truncated or damaged.
    """
    try:
        tree = read_tree(data)
    except FormatError as error:
        raise FormatError(f"{path} can't be read: {error}") from error
    directories = [one for root in tree for one in root.walk()]
    full_size = [one for one in directories if not _is_reduced(one)] or directories
    for directory in full_size:
        extents = list(_extents(directory))
        for start, length in extents:
            if start + length > len(data):
                raise FormatError(
                    f"{path} is truncated: got {len(data)} bytes; expected image data up to byte {start + length}. "
                    "Fetch the file again"
                )
        # What camera makers write of size and depth needn't describe their packed pixels; a DNG's tags must.
        missing = _missing(directory, extents) if 50706 in tree[0].tags else ""
        if missing:
            raise FormatError(f"{path} is truncated: {missing}. Fetch the file again")
    return tree


def _missing(directory: Directory, extents: list[tuple[int, int]]) -> str:
    """What an image lacks that its own directory promises; "" if nothing."""
    tags = directory.tags
    if not extents or any(code not in tags or not tags[code].count for code in (256, 257, 258, 259)):
        return ""
    width, height, bits, compression = (directory.first(code) for code in (256, 257, 258, 259))
    if 322 in tags and 323 in tags:
        across, down = (max(1, directory.first(code)) for code in (322, 323))
        tiles = -(-width // across) * -(-height // down)
        if len(extents) < tiles:
            return f"got {len(extents)} tiles; expected {tiles}"
    samples = width * height * directory.first(277, 1)
    least = samples * bits // 8 if compression == 1 else samples // _HIGHEST_RATIO if compression in _JPEG_LIKE else 0
    got = sum(length for _, length in extents)
    return f"got {got} bytes of image data; expected {least} or more" if got < least else ""


_JPEG_LIKE = (7, 34892)  # a pixel costs a fraction of a bit even in a black frame
_HIGHEST_RATIO = 512


_RAW_DATA_OFFSET = 0x118


def _is_reduced(directory: Directory) -> bool:
    return bool(directory.first(254) & 1)


def _extents(directory: Directory) -> Iterator[tuple[int, int]]:
    for places, lengths in ((273, 279), (324, 325)):
        if places in directory.tags and lengths in directory.tags:
            for place, length in zip(
                directory.tags[places].integers(), directory.tags[lengths].integers(), strict=False
            ):
                # Panasonic: the offset is elsewhere, and the length isn't that of the packed pixels.
                yield (place, length) if place != 0xFFFFFFFF else (directory.first(_RAW_DATA_OFFSET), 1)


def boxes(data: memoryview, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """ISO base media boxes as (type, start of content, end as declared)."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        size, kind, header = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8]), 8
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        end = stop if size == 0 else start + size
        if size and size < header:
            return
        yield kind, start + header, end
        start = end


def _check_boxes(path: Path, data: memoryview) -> None:
    end = max((end for _, _, end in boxes(data)), default=0)
    if end > len(data):
        raise FormatError(f"{path} is truncated: got {len(data)} bytes; expected {end}. Fetch the file again")


def _check_raf(path: Path, data: memoryview) -> None:
    """Fujifilm's header names offset and length of the preview (84, 88) and of the sensor data (100, 104)."""
    for at in (84, 100):
        start, length = (int.from_bytes(data[place : place + 4], "big") for place in (at, at + 4))
        if start + length > len(data):
            raise FormatError(
                f"{path} is truncated: got {len(data)} bytes; expected {start + length}. Fetch the file again"
            )
