"""Stack: captures decoded once into temporary files, and served in strips, so that memory stays small."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawpipe import FormatError, Frame
from rawpipe.calibration.capture import Capture
from rawpipe.calibration.sources import active_counts, frames

Counts = NDArray[Any]


class Stack:
    """Counts of captures of one size and CFA phase, while the `with` block lasts: a `Mosaics`.

    Strips are read from the files, not mapped: mapped pages count as resident memory until the system wants them back.

    Args:
        captures: of one area and phase, in the order of the first dimension.
        progress: called with the share that is decoded, 0 to 1, and a name.
        reading: called at every strip that is read, with its share of the rows.
        folder: where the temporary folder goes, 2 bytes a pixel; the system's own by default (`TMPDIR`).

    Raises:
        FormatError: the captures differ in area or phase, a file has changed or is gone, or the disk is full.
    """

    def __init__(
        self,
        captures: Sequence[Capture],
        progress: Callable[[float, str], None] | None = None,
        folder: Path | None = None,
        reading: Callable[[float], None] | None = None,
    ) -> None:
        kinds = {(one.area, one.cfa) for one in captures}
        if len(kinds) != 1:
            raise FormatError(f"got {len(captures)} captures of {len(kinds)} areas and phases; expected one of both")
        self.captures = tuple(captures)
        self.cfa = captures[0].cfa
        self.shape = (len(captures), *captures[0].size)
        self._progress = progress or (lambda done, name: None)
        self._reading = reading or (lambda share: None)
        self._parent = folder
        self._files: list[Path] = []
        self._dtypes: list[np.dtype[Any]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Stack:
        self._folder = tempfile.TemporaryDirectory(prefix="rawpipe-", dir=self._parent, ignore_cleanup_errors=True)
        try:
            self._fill(Path(self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()
        self._files = []

    def rows(self, top: int, bottom: int) -> Counts:
        """Counts of rows top..bottom of every capture: (n, bottom - top, W), uint16, or float32 if any capture is.

        Raises:
            FormatError: outside the `with` block.
        """
        n, height, width = self.shape
        if not self._files:
            raise FormatError("got rows of a stack that isn't open; expected it within `with Stack(...) as stack:`")
        top, bottom, _ = slice(top, bottom).indices(height)
        out = np.empty((n, bottom - top, width), dtype=np.result_type(*self._dtypes))
        for index, (file, dtype) in enumerate(zip(self._files, self._dtypes, strict=True)):
            count, offset = (bottom - top) * width, top * width * dtype.itemsize
            out[index] = np.fromfile(file, dtype, count, offset=offset).reshape(bottom - top, width)
        self._reading((bottom - top) / height)
        return out

    def _fill(self, folder: Path) -> None:
        n, height, width = self.shape
        need, free = n * height * width * 2, shutil.disk_usage(folder).free
        if need > free:
            raise FormatError(
                f"{folder.parent} has {free / 1e9:.1f} GB left; {n} captures need {need / 1e9:.1f} GB for a while: "
                "free some, or set TMPDIR to a folder with more"
            )
        self._files = [folder / f"{index}.bin" for index in range(n)]
        dtypes: list[np.dtype[Any] | None] = [None] * n
        for done, (index, counts) in enumerate(_decoded(self.captures), 1):
            try:
                counts.tofile(self._files[index])
            except OSError as error:
                raise FormatError(
                    f"{folder.parent} can't be written: {error.strerror}; set TMPDIR elsewhere"
                ) from error
            dtypes[index] = counts.dtype
            self._progress(done / n, self.captures[index].name)
        self._dtypes = [dtype for dtype in dtypes if dtype is not None]


def _decoded(captures: Sequence[Capture]) -> Iterator[tuple[int, Counts]]:
    """The counts of every capture with its place; each file is opened once, however many of its frames are wanted."""
    by_file: dict[Path | int, list[tuple[int, Capture]]] = defaultdict(list)
    for place, one in enumerate(captures):
        by_file[one.path or id(one.frame)].append((place, one))
    for source, some in by_file.items():
        wanted: dict[int, list[tuple[int, Capture]]] = defaultdict(list)
        for place, one in some:
            wanted[one.index].append((place, one))
        last, first = max(wanted), some[0][1]
        opened = frames(source, first.facts) if isinstance(source, Path) else _in_memory(first.frame)
        for index, frame in enumerate(opened):
            for place, one in wanted.pop(index, []):
                counts, cfa, area = active_counts(frame)
                if (cfa, area) != (one.cfa, one.area):
                    raise FormatError(f"{one.name} has changed since it was scanned; scan the captures again")
                yield place, counts
            if index == last:
                break
        if wanted:
            raise FormatError(f"{first.name} has changed since it was scanned; scan the captures again")


def _in_memory(frame: Frame | None) -> Iterator[Frame]:
    """The frames of a stack in memory."""
    if frame is None:
        raise FormatError("got a capture without a file or a frame; expected one that `scan` made")
    yield from (frame[index] for index in range(len(frame.data))) if frame.data.ndim == 3 else (frame,)
