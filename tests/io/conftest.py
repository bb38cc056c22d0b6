from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rawpipe.io.ifd import ASCII, BYTE, LONG, SHORT, Directory, Tag, rationals, write_tree

MATRIX = (0.646, -0.116, -0.086, -0.383, 1.160, 0.253, -0.042, 0.154, 0.604)

Foreign = Callable[..., Path]


@pytest.fixture
def foreign_dng(tmp_path: Path) -> Foreign:
    """A DNG as another program would write it: one uncompressed strip, every tag up to the test."""

    def build(pixels: np.ndarray, *tags: Tag, cfa: str | None = "RGGB", name: str = "foreign.dng") -> Path:
        planes = 1 if pixels.ndim == 2 else pixels.shape[2]
        height, width = pixels.shape[:2]
        root = Directory(strip=np.ascontiguousarray(pixels).tobytes())
        root.add(
            Tag(254, LONG, (0,)),
            Tag(256, LONG, (width,)),
            Tag(257, LONG, (height,)),
            Tag(258, SHORT, (pixels.itemsize * 8,) * planes),
            Tag(259, SHORT, (1,)),
            Tag(262, SHORT, (32803 if cfa else 34892,)),
            Tag(271, ASCII, b"Maker\0"),
            Tag(272, ASCII, b"Model X\0"),
            Tag(274, SHORT, (1,)),
            Tag(277, SHORT, (planes,)),
            Tag(278, LONG, (height,)),
            Tag(284, SHORT, (1,)),
            Tag(50706, BYTE, b"\1\4\0\0"),
            Tag(50707, BYTE, b"\1\1\0\0"),
            Tag(50708, ASCII, b"Maker Model X\0"),
            rationals(50721, MATRIX, signed=True),
            Tag(50778, SHORT, (21,)),
            rationals(50728, (0.5, 1.0, 0.65)),
        )
        if cfa:
            root.add(Tag(33421, SHORT, (2, 2)), Tag(33422, BYTE, bytes("RGB".index(c) for c in cfa)))
        root.add(*tags)
        path = tmp_path / name
        with path.open("wb") as file:
            write_tree(file, root)
        return path

    return build
