"""Headless dumps: the pixels of a sensor and nothing beside them."""

from __future__ import annotations

from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from rawpipe._errors import FormatError
from rawpipe._frame import Frame
from rawpipe.io.array import from_array
from rawpipe.io.container import mapped


def read_dump(path: Path, shape: tuple[int, int] | None, dtype: object, cfa: str | None, **options: Any) -> Frame:
    """A frame around the pixels of a file without a header."""
    if shape is None or dtype is None or cfa is None:
        raise FormatError(f"got shape={shape}, dtype={dtype}, cfa={cfa} for {path}; a headless dump needs all three")
    try:
        height, width = (index(length) for length in shape)
        kind: np.dtype[Any] = np.dtype(dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise FormatError(f"got shape={shape!r} and dtype={dtype!r} for {path}: {error}") from error
    if height <= 0 or width <= 0 or kind.kind not in "uif":
        raise FormatError(f"got shape={shape} and dtype={kind} for {path}; expected rows, columns, and numbers")
    with mapped(path) as data:
        expected = height * width * kind.itemsize
        if len(data) != expected:
            raise FormatError(f"{path} has {len(data)} bytes; expected {expected} for {height}x{width} of {kind}")
        pixels = np.frombuffer(data, dtype=kind).reshape(height, width).copy()
    return from_array(pixels, cfa, source=path.name, **options)
