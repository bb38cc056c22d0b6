"""Write to a temporary file beside the target and rename it when all went well; links and modes stay."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from rawpipe._errors import FormatError


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to; it takes the place of `path` at the end, or vanishes if anything fails.

    Raises:
        FormatError: the folder doesn't exist or can't be written to, or `path` is a folder.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise FormatError(f"got the folder {path}; expected the name of a file in it")
        target = path.resolve()  # a link stays one
        temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise FormatError(f"{path} can't be written: {error.strerror}; make the folder, or write elsewhere") from error
    try:
        yield temporary
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except OSError as error:
        raise FormatError(f"{path} can't be written: {error.strerror}; the old file, if any, is as it was") from error
    finally:
        temporary.unlink(missing_ok=True)
