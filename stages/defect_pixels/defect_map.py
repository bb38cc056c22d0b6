"""Lists of defective pixels: row and column of each in the whole sensor, given or in a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from rawpipe import FormatError, StageError
from rawpipe._errors import unknown

Pixels = tuple[tuple[int, int], ...]


def read(path: str) -> Pixels:
    """The pixels of a file: .npy (n, 2) integers; .json, a list of pairs; .txt, a pair a line, # starts a comment.

    Raises:
        FormatError: the file can't be read.
        StageError: it holds something else than rows and columns.
    """
    readers = {".npy": _npy, ".json": _json, ".txt": _txt}
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise FormatError(unknown("a defect map that ends with", Path(path).suffix, readers))
    try:
        return checked(reader(Path(path)))
    except (OSError, ValueError) as error:
        raise FormatError(f"the defect map {path} can't be read: {error}") from error


def _npy(path: Path) -> object:
    return np.load(path, allow_pickle=False)


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def _txt(path: Path) -> object:
    lines = (line.partition("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines())
    return [[int(number) for number in line] for line in lines if line]


def checked(pairs: object) -> Pixels:
    """Pairs of row and column as tuples, sorted, each once.

    Raises:
        StageError: they are something else.
    """
    pairs = getattr(pairs, "tolist", lambda: pairs)()  # an array's or a tensor's
    if not isinstance(pairs, tuple | list):
        raise StageError(f"got {pairs!r} for defective pixels; expected pairs of row and column")
    pixels = set()
    for pair in pairs:
        match pair:
            case [int(row), int(column)] if row >= 0 and column >= 0:
                pixels.add((row, column))
            case _:
                raise StageError(f"got {pair!r} for a defective pixel; expected its row and column in the whole sensor")
    return tuple(sorted(pixels))
