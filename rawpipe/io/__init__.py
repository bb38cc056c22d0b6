"""Files in, files out. `read` and `from_array` make frames; `write` picks the format by the file's ending."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawpipe._errors import FormatError

if TYPE_CHECKING:
    from rawpipe._frame import Frame, Step
    from rawpipe._run import Strips


def write(
    frame: Frame | Strips,
    path: str | PathLike[str],
    *,
    matrix: object = None,
    headroom: float | None = None,
    dtype: str | None = None,
    compression: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Step:
    """Write a frame as DNG or TIFF.

    Args:
        frame: what to write, or `Pipeline.strips`.
        path: a file ending in .dng, .tif or .tiff.
        matrix: of a DNG, see `rawpipe.io.dng.write_dng`.
        headroom: likewise.
        dtype: of a TIFF, see `rawpipe.io.tiff.write_tiff`.
        compression: likewise.
        progress: called with the share that is written (0 to 1).

    Raises:
        FormatError: another ending, an option of the other format, a frame that the format can't hold, or a file that
            can't be written.
    """
    ending = Path(path).suffix.lower()
    of_dng = {name: value for name, value in (("matrix", matrix), ("headroom", headroom)) if value is not None}
    of_tiff = {name: value for name, value in (("dtype", dtype), ("compression", compression)) if value is not None}
    if ending not in (".dng", ".tif", ".tiff"):
        raise FormatError(f"got {Path(path).name}; expected a name that ends in .dng, .tif or .tiff")
    if foreign := of_tiff if ending == ".dng" else of_dng:
        raise FormatError(f"got {', '.join(foreign)} for {Path(path).name}; expected options of that kind of file")
    options: dict[str, Any] = {"progress": progress} | of_dng | of_tiff
    if ending == ".dng":
        from rawpipe.io.dng import write_dng

        return write_dng(frame, path, **options)
    from rawpipe.io.tiff import write_tiff

    return write_tiff(frame, path, **options)
