"""What a DNG's own tags say about its pixels: geometry, levels, colour, opcodes. They win over LibRaw's tables.

References: DNG specification 1.7.1.0, chapters 4 to 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rawpipe._errors import FormatError, FrameError
from rawpipe._matrices import D65_CODE, Matrices, Numbers, checked
from rawpipe._phase import sites_at
from rawpipe._taken import Box
from rawpipe.io.ifd import Directory, Tag

CFA, LINEAR_RAW = 32803, 34892


@dataclass(frozen=True)
class DngTags:
    """The directory of the raw image and the first one, where the camera's colours are."""

    root: Directory
    raw: Directory

    @classmethod
    def of(cls, tree: list[Directory]) -> DngTags | None:
        """The DNG's two directories; None if the file is no DNG.

        Raises:
            FormatError: it is a DNG without a CFA or LinearRaw image.
        """
        if not tree or 50706 not in tree[0].tags:
            return None
        images = [one for root in tree for one in root.walk() if _photometric(one) in (CFA, LINEAR_RAW)]
        images = [one for one in images if one.first(254) == 0] or images
        if not images:
            raise FormatError("got a DNG without a CFA or LinearRaw image; nothing here to develop")
        return cls(tree[0], max(images, key=lambda one: one.first(256) * one.first(257)))

    @property
    def is_linear(self) -> bool:
        """Whether the image is demosaiced already."""
        return _photometric(self.raw) == LINEAR_RAW

    @property
    def is_float(self) -> bool:
        """Whether samples are floating numbers, which LibRaw would cut to 14 bits."""
        return self.raw.first(339, 1) == 3

    @property
    def is_lossy(self) -> bool:
        """Whether samples are lossy JPEG, which LibRaw expands to linear 16 bits, OpcodeList2 included."""
        return self.raw.first(259, 1) == 34892

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole stored image."""
        return self.raw.first(257), self.raw.first(256)

    @property
    def bits(self) -> int:
        """Bits per sample of the recording: those of the container, or fewer if the white level needs no more."""
        stored = self.raw.first(258, 16)
        return stored if self.is_float else min(stored, max(1, int(self.white().max()).bit_length()))

    @property
    def active_area(self) -> Box:
        """Top, left, bottom, right of the picture in the stored image."""
        area = self._integers(50829)
        height, width = self.size
        if area is None:
            return 0, 0, height, width
        if len(area) != 4 or not (0 <= area[0] < area[2] <= height and 0 <= area[1] < area[3] <= width):
            raise FormatError(
                f"got ActiveArea {area} in an image of {height}x{width}; expected top, left, bottom, right inside it"
            )
        return area[0], area[1], area[2], area[3]

    @property
    def default_crop(self) -> Box | None:
        """Top, left, bottom, right of the recommended crop within the active area."""
        origin, size = self._numbers(50719), self._numbers(50720)
        if size is None or len(size) != 2:
            return None
        left, top = (round(v) for v in origin) if origin is not None and len(origin) == 2 else (0, 0)
        area = self.active_area
        bottom, right = min(top + round(size[1]), area[2] - area[0]), min(left + round(size[0]), area[3] - area[1])
        return (top, left, bottom, right) if top < bottom and left < right else None

    @property
    def masked_areas(self) -> tuple[Box, ...]:
        """Optically black rectangles of the stored image."""
        flat = self._integers(50830) or ()
        return tuple((flat[i], flat[i + 1], flat[i + 2], flat[i + 3]) for i in range(0, len(flat) - 3, 4))

    @property
    def cfa(self) -> str:
        """Phase at the active area's origin.

        Raises:
            FormatError: the mosaic isn't a 2x2 Bayer pattern of red, green and blue.
        """
        repeat, pattern = self._integers(33421), self._integers(33422)
        phase = "".join("RGB"[v] if v < 3 else "?" for v in pattern or ())
        if repeat != (2, 2) or phase not in ("RGGB", "GRBG", "GBRG", "BGGR"):
            raise FormatError(
                f"got a CFA of {repeat} with colours {pattern}; expected a 2x2 Bayer mosaic of R, G, G, B"
            )
        return phase

    def black(self) -> tuple[Numbers, Numbers | None, Numbers | None]:
        """Black per site (4) or plane (3), and its additions per row and column of the active area.

        Raises:
            FormatError: the levels repeat in a way that sites, rows and columns can't express.
        """
        planes = 3 if self.is_linear else 1
        rows, columns = self._integers(50713) or (1, 1)
        values = self._numbers(50714) or (0.0,)
        if len(set(values)) == 1:
            rows, columns, values = 1, 1, values[:1] * planes
        if rows > 2 or columns > 2 or len(values) != rows * columns * planes:
            raise FormatError(
                f"got {len(values)} black levels that repeat every {rows}x{columns} pixels; "
                f"expected a repeat of 1 or 2 and {rows * columns * planes} levels"
            )
        levels = _float(values).reshape(rows, columns, planes)
        height, width = (self.active_area[i + 2] - self.active_area[i] for i in (0, 1))
        additions = _additions(self._numbers(50716), height), _additions(self._numbers(50715), width)
        if self.is_linear:
            return levels.mean(axis=(0, 1)), *additions
        cell = np.tile(levels[..., 0], (2 // rows, 2 // columns))
        sites = np.zeros(4, np.float32)
        for y, row in enumerate(sites_at(self.cfa)):
            for x, site in enumerate(row):
                sites[site] = cell[y, x]
        return sites, *additions

    def white(self) -> Numbers:
        """Saturation per site (4) or plane (3)."""
        values = self._numbers(50717) or ((1.0,) if self.is_float else (2.0 ** self.raw.first(258, 16) - 1,))
        if self.is_linear:
            return _float(values if len(values) == 3 else values[:1] * 3)
        return _float(values[:1] * 4)

    def linearization(self) -> Numbers | None:
        """Value of each stored code."""
        table = self._numbers(50712)
        return None if table is None else _float(table)

    def color(self) -> Matrices[Numbers] | None:
        """The colour matrices, None if there are none that can be used."""
        first, second = _matrix(self.root, 50721), _matrix(self.root, 50722)
        codes = [self.root.first(code) for code in (50778, 50779)]
        signed = [self.root.tags[code].text() if code in self.root.tags else "" for code in (50931, 50932)]
        calibrated = signed[0] == signed[1]
        if first is None and second is None:
            return None
        if first is None:
            first, second, codes = second, None, [codes[1], 0]
        try:
            return checked(
                first,
                codes[0] or D65_CODE,
                second,
                codes[1],
                forward1=_matrix(self.root, 50964),
                forward2=_matrix(self.root, 50965),
                calibration1=_matrix(self.root, 50723) if calibrated else None,
                calibration2=_matrix(self.root, 50724) if calibrated else None,
                analog_balance=_numbers(self.root, 50727),
                source="dng",
            )
        except FrameError:
            return None

    def neutral(self, color: Matrices[Numbers] | None) -> Numbers | None:
        """As-shot neutral (3), green = 1; from AsShotWhiteXY if that is what there is."""
        neutral, white = _numbers(self.root, 50728), _numbers(self.root, 50729)
        if neutral is not None and len(neutral) == 3 and all(math.isfinite(v) and v > 0 for v in neutral):
            return _float(neutral) / neutral[1]
        if white is not None and len(white) == 2 and color is not None and white[1] > 0:
            return color.neutral_of((white[0], white[1])).astype(np.float32)
        return None

    def opcodes(self) -> tuple[bytes, bytes, bytes]:
        """OpcodeList 1, 2 and 3."""
        lists = [self._tag(code) for code in (51008, 51009, 51022)]
        one, two, three = (tag.raw() if tag is not None else b"" for tag in lists)
        return one, two, three

    def noise_profile(self) -> tuple[float, ...]:
        """Pairs S, O: one for all planes, or one per plane."""
        values = self._numbers(51041) or ()
        return values if len(values) in (2, 6) and all(math.isfinite(v) for v in values) else ()

    def baseline_exposure(self) -> float:
        """EV; a 0/0 counts as absent."""
        value = (_numbers(self.root, 50730) or (0.0,))[0]
        return value if math.isfinite(value) else 0.0

    def unique_model(self) -> str:
        """UniqueCameraModel."""
        return self.root.tags[50708].text() if 50708 in self.root.tags else ""

    def serial(self) -> str:
        """CameraSerialNumber."""
        return self.root.tags[50735].text() if 50735 in self.root.tags else ""

    def _tag(self, code: int) -> Tag | None:
        return self.raw.tags.get(code) or self.root.tags.get(code)

    def _numbers(self, code: int) -> tuple[float, ...] | None:
        tag = self._tag(code)
        return None if tag is None or not tag.count else tag.numbers()

    def _integers(self, code: int) -> tuple[int, ...] | None:
        tag = self._tag(code)
        return None if tag is None or not tag.count else tag.integers()


def _photometric(directory: Directory) -> int:
    return directory.first(262, -1)


def _numbers(directory: Directory, code: int) -> tuple[float, ...] | None:
    tag = directory.tags.get(code)
    return None if tag is None or not tag.count else tag.numbers()


def _matrix(directory: Directory, code: int) -> list[list[float]] | None:
    values = _numbers(directory, code)
    if values is None or len(values) != 9 or not any(values):
        return None
    return [list(values[i : i + 3]) for i in (0, 3, 6)]


def _float(values: tuple[float, ...]) -> Numbers:
    return np.array(values, np.float32)


def _additions(values: tuple[float, ...] | None, length: int) -> Numbers | None:
    if values is None or len(values) != length or not any(values):
        return None
    return _float(values)
