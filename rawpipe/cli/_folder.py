"""Files and folders that are named, checked before the work and not behind it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rawpipe._errors import FormatError


def make_folder(folder: Path) -> None:
    """Make a folder, unless it is there, and try to write to it.

    Raises:
        FormatError: it can't be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"the folder {folder} can't be made: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FormatError(f"the folder {folder} can't be written to: {error.strerror}") from error


def check_there(*paths: Path | None) -> None:
    """Refuse names of files and folders that aren't there, before anything slow is imported; None is passed over.

    Raises:
        FormatError: one isn't, or can't be looked at.
    """
    for path in paths:
        try:
            if path is not None:
                path.stat()
        except OSError as error:
            raise FormatError(f"{path} can't be read: {error.strerror}") from error
