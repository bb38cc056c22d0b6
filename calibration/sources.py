"""Files and arrays into frames of counts: RAW files, `.npy`, `.npz`, TIFFs of one plane, headless dumps, and Frames.

What a file can't say is stated in a `captures.toml` in its folder or above, or by the caller, and only fills gaps:

    cfa = "GBRG"                       # phase of the first pixel
    black = 64                         # a number, or four: R, Gr, Gb, B; left out = found from the darks
    white = 4095                       # or bits = 12
    model = "Flea3"                    # and make, serial
    shape = [512, 768]                 # with dtype: for dumps without a header
    [files."dark_25ms_*"]              # a pattern of names
    exposure_s = 0.025
    iso = 100

An `.npz` holds the pixels (H, W) or a burst (n, H, W) as its only array of two dimensions or more, and any of the same
names (`camera` stands for `model`) as scalars beside it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile

from rawpipe import FormatError, Frame, FrameError, RawpipeWarning, Space, bayer
from rawpipe._shot import Box
from rawpipe.calibration.statistics import Array, as_counts

FACTS = {"cfa", "black", "white", "bits", "iso", "exposure_s", "make", "model", "serial", "taken", "shape", "dtype"}
_FACTS_FILE = "captures.toml"
# What lies beside captures and is no picture.
_OTHER_FILES = {
    ".txt",
    ".md",
    ".rst",
    ".pdf",
    ".html",
    ".htm",
    ".xml",
    ".xmp",
    ".json",
    ".toml",
    ".yaml",
    ".yml",
    ".csv",
}
_OTHER_FILES |= {".tsv", ".log", ".ini", ".pp3", ".dop", ".thm", ".py", ".m"}
Facts = Mapping[str, Any]


def files_in(path: Path, unreadable: list[OSError] | None = None) -> list[Path]:
    """The files below a folder that may be captures, sorted by name.

    Args:
        path: the folder.
        unreadable: takes the errors of folders below it that can't be read, each with its `filename`.

    Raises:
        FormatError: the folder can't be read; or one below it, without a list to note that in.
    """
    errors: list[OSError] = []
    found = []
    for folder, below, names in os.walk(path, onerror=errors.append):
        below[:] = [one for one in below if not one.startswith(".")]
        found += [
            one for name in names if not _is_aside((one := Path(folder, name)).relative_to(path)) and _is_file(one)
        ]
    for error in errors:
        if unreadable is None or Path(error.filename) == path:
            raise FormatError(f"the folder {error.filename} can't be read: {error.strerror}") from error
        unreadable.append(error)
    return sorted(found)


def _is_file(path: Path) -> bool:
    """Whether it is a file, or can't be looked at: then reading it says why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a link to nothing
        return False
    except OSError:
        return True


def _is_aside(path: Path) -> bool:
    """Hidden, no picture, or the maps of a profile that was written here."""
    hidden = any(part.startswith(".") for part in path.parts)
    return (
        hidden or path.suffix.lower() in _OTHER_FILES or re.fullmatch(r".+\.[0-9a-f]{12}\.npz", path.name) is not None
    )


def facts_of(path: Path, stated: Facts) -> dict[str, Any]:
    """What is stated about a file: by the caller, by `captures.toml` from the outermost folder inwards, by an `.npz`.

    Raises:
        FormatError: a `captures.toml` can't be understood, or the `.npz` can't be read.
    """
    facts = {name: value for name, value in stated.items() if value is not None}
    for folder in reversed(path.absolute().parents):
        file = folder / _FACTS_FILE
        if not file.is_file():
            continue
        try:
            said = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(f"{file} can't be read: {error}") from error
        patterns = said.pop("files", {})
        if not isinstance(patterns, dict) or not all(isinstance(one, dict) for one in patterns.values()):
            raise FormatError(f'got {file} with files = {patterns!r}; expected tables such as [files."dark_*"]')
        for table in (said, *(table for pattern, table in patterns.items() if fnmatch(path.name, pattern))):
            if unknown := set(table) - FACTS:
                raise FormatError(f"got {', '.join(sorted(unknown))} in {file}; expected {', '.join(sorted(FACTS))}")
            facts |= table
    return facts | _said_by(path) if path.suffix.lower() == ".npz" else facts


def _said_by(path: Path) -> dict[str, Any]:
    """The facts that an `.npz` holds beside its pixels."""
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as stored:
            small = {one.removesuffix(".npy") for one in archive.namelist()} & (FACTS | {"camera"})
            said = {name: stored[name].tolist() for name in small}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path} can't be read: {error}") from error
    if "camera" in said:
        said.setdefault("model", said.pop("camera"))
    return said


def frames(path: Path, facts: Facts) -> Iterator[Frame]:
    """The frames of a file, one after the other; a frame whose `shot.black` is all zero may have an unknown black.

    Gives: `Space.SENSOR`, (H, W) counts.

    Raises:
        FormatError: it can't be read, or it is no mosaic of counts.
        FrameError: what is stated about it doesn't fit.
    """
    kind = path.suffix.lower()
    if kind == ".npy":
        with path.open("rb") as file:
            yield from _arrays(path, file, facts)
    elif kind == ".npz":
        yield from _archive(path, facts)
    elif kind in (".tif", ".tiff") and (page := _plain_tiff(path)) is not None:
        yield from (_from_array(path, array, facts) for array in page)
    else:
        yield _raw(path, facts)


def _raw(path: Path, facts: Facts) -> Frame:
    dump = {}
    if "shape" in facts and "dtype" in facts:
        dump = {name: value for name, value in facts.items() if name != "serial"}
        dump["shape"] = tuple(dump["shape"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)  # black frames and white balance don't matter here
        frame = Frame.read(path, **dump)
    if frame.space is not Space.SENSOR:
        raise FormatError(f"{path} holds demosaiced pixels; give the camera's RAW file")
    return frame


def _plain_tiff(path: Path) -> list[Array] | None:
    """The planes of a TIFF without colours; None if it may be a RAW file.

    Raises:
        FormatError: it is a rendered picture, or damaged.
    """
    try:
        with tifffile.TiffFile(path) as file:
            first = file.pages.first
            if 50706 in first.tags or first.photometric not in (0, 1, 2, 6):
                return None
            if first.photometric in (0, 1) and first.ndim == 2:
                return [page.asarray() for page in file.pages]
    except (OSError, ValueError, IndexError, RuntimeError, tifffile.TiffFileError) as error:
        raise FormatError(f"{path} can't be read: {error}") from error
    raise FormatError(f"{path} is a rendered TIFF, which holds no sensor counts; give the camera's RAW file")


def _archive(path: Path, facts: Facts) -> Iterator[Frame]:
    said = _said_by(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one.removesuffix(".npy") for one in archive.namelist()]
            pixels = [name for name in names if name not in FACTS | {"camera"}]
            if len(pixels) != 1:
                raise FormatError(f"{path} holds the arrays {', '.join(names)}; expected pixels once, and facts")
            with archive.open(f"{pixels[0]}.npy") as file:
                yield from _arrays(path, file, {**facts, **said})
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path} can't be read: {error}") from error


def _arrays(path: Path, file: IO[bytes], facts: Facts) -> Iterator[Frame]:
    """The frames of a stored array, read one at a time."""
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} can't be read: {error}") from error
    if len(shape) not in (2, 3) or dtype.kind not in "uif" or fortran or 0 in shape:
        order = ", columns first" if fortran else ""
        raise FormatError(f"{path} holds {dtype} {shape}{order}; expected counts (H, W) or (n, H, W), rows first")
    size = int(np.prod(shape[-2:])) * dtype.itemsize
    for index in range(1 if len(shape) == 2 else shape[0]):
        data = file.read(size)
        if len(data) < size:
            raise FormatError(f"{path} is truncated: got {len(data)} bytes of frame {index}; expected {size}")
        yield _from_array(path, np.frombuffer(data, dtype=dtype).reshape(shape[-2:]), facts)


def _from_array(path: Path, array: Array, facts: Facts) -> Frame:
    given = {name: value for name, value in facts.items() if name not in ("shape", "dtype")}
    if "cfa" not in given:
        raise FormatError(f"{path} doesn't say its mosaic's phase; state it: --cfa RGGB, or cfa in {_FACTS_FILE}")
    if array.dtype == np.uint8:
        given.setdefault("bits", 8)
    if "white" not in given and "bits" not in given:
        raise FormatError(f"{path} doesn't say where it saturates; state it: --white 4095, or white in {_FACTS_FILE}")
    return Frame.from_array(array, **given, space=Space.SENSOR, source=path.name)


def active_counts(frame: Frame) -> tuple[Array, str, Box]:
    """Counts (H, W) of a frame's active area, the phase of their first pixel, and where they lie in the whole sensor.

    Raises:
        FrameError: the frame isn't in `Space.SENSOR`, has little of the active area, or pixels that are no numbers.
    """
    if frame.space is not Space.SENSOR or frame.cfa is None or frame.data.ndim != 2:
        raise FrameError(
            f"got {frame.space.label} {tuple(frame.data.shape)}; expected counts (H, W) in SENSOR, as the file has them"
        )
    y, x = (int(value) for value in frame.origin[:2])
    area = frame.shot.active_area
    top, left = max(y, area[0]), max(x, area[1])
    bottom, right = min(y + frame.height, area[2]), min(x + frame.width, area[3])
    if bottom - top < 64 or right - left < 64:
        raise FrameError(f"got {frame.height} x {frame.width} pixels; expected at least 64 x 64 of the active area")
    inside = frame.data[top - y : bottom - y, left - x : right - x]
    cfa = bayer.rephase(frame.cfa, top - y, left - x)
    pixels = inside.detach().cpu().numpy()
    if pixels.dtype.kind == "f" and (lost := pixels.size - np.count_nonzero(np.isfinite(pixels))):
        raise FrameError(f"got {lost} pixels that are NaN or infinite; give the counts as the camera wrote them")
    return as_counts(pixels), cfa, (top, left, bottom, right)
