"""Files in, files out. `read` and `from_array` make frames; `write` picks the format by the file's ending."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawpipe._errors import FormatError

if TYPE_CHECKING:
    from rawpipe._frame import Frame, Step


def write(frame: Frame, path: str | PathLike[str], **options: Any) -> Step:
    """Write a frame as DNG or TIFF.

    Args:
        frame: what to write.
        path: a file ending in .dng, .tif or .tiff.
        **options: see `rawpipe.io.dng.write_dng` and `rawpipe.io.tiff.write_tiff`.

    Raises:
        FormatError: another ending, a frame that the format can't hold, or a file that can't be written.
    """
    ending = Path(path).suffix.lower()
    if ending == ".dng":
        from rawpipe.io.dng import write_dng

        return write_dng(frame, path, **options)
    if ending in (".tif", ".tiff"):
        from rawpipe.io.tiff import write_tiff

        return write_tiff(frame, path, **options)
    raise FormatError(f"got {Path(path).name}; expected a name that ends in .dng, .tif or .tiff")
