"""What was found in a folder: captures, groups of them, and reasons for those that are left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rawpipe import Frame
from rawpipe._profile import camera_name
from rawpipe._shot import Box
from rawpipe.calibration.sources import Facts
from rawpipe.calibration.statistics import Array, Statistics


@dataclass(frozen=True, eq=False, kw_only=True)
class Capture:
    """One frame of one file, and what is known about it. Per-site numbers are in the order R, Gr, Gb, B.

    Args:
        name: of the file, below the folder that was scanned; "burst.npy #3" for a frame of several.
        path: the file, None for a frame in memory.
        index: which frame of the file.
        frame: the frame in memory, None for a file.
        facts: what was stated about the file.
        sha256: hash of the file, or of the pixels in memory.
        make: maker, as the file spells it.
        model: model, likewise.
        serial: body serial number, "" if unknown.
        iso: ISO speed, None if unknown.
        exposure_s: exposure time, None if unknown.
        taken: EXIF date and time, "" if unknown.
        cfa: phase of the active area's first pixel.
        bits: bits per sample.
        area: top, left, bottom, right of the counts within the whole sensor.
        black: level without light (4) in DN, as the file states it or as found in the darks.
        black_known: whether the file, or the caller, stated it.
        white: saturation (4) in DN, as the file states it.
        statistics: of the pixels.
        role: "dark", "flat", "saturated" or "other".
        why: why it has that role.
        sites: which sites aren't clipped (4).
    """

    name: str
    path: Path | None = None
    index: int = 0
    frame: Frame | None = None
    facts: Facts
    sha256: str
    make: str = ""
    model: str = ""
    serial: str = ""
    iso: float | None = None
    exposure_s: float | None = None
    taken: str = ""
    cfa: str
    bits: int
    area: Box
    black: Array
    black_known: bool
    white: Array
    statistics: Statistics
    role: str = "other"
    why: str = ""
    sites: tuple[bool, bool, bool, bool] = (True, True, True, True)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.area[2] - self.area[0], self.area[3] - self.area[1]

    @property
    def shares(self) -> Array:
        """Signal above black as a share of the range, of the sites that aren't clipped, or of all if all are."""
        every: Array = (self.statistics.mean - self.black) / (self.white - self.black)
        good = np.array(self.sites)
        return every[good] if good.any() else every

    @property
    def level(self) -> float:
        """Signal above black as a share of the range: the mean over the sites that aren't clipped."""
        return float(self.shares.mean())

    @property
    def camera(self) -> str:
        """Maker and model, the maker not twice."""
        return camera_name(self.make, self.model) or "unknown camera"


@dataclass(frozen=True)
class Refused:
    """A file or frame that isn't used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Group:
    """Captures of one role, ISO, exposure and light level, in the order they were taken.

    Args:
        role: "dark", "flat" or "saturated".
        iso: ISO speed, None if unknown.
        exposure_s: exposure time, None if unknown.
        captures: one or more.
        doubt: why these darks can't give black, read or row noise, but only hot pixels; None if they can.
        drift: largest relative difference of light within flats.
    """

    role: str
    iso: float | None
    exposure_s: float | None
    captures: tuple[Capture, ...]
    doubt: str | None = None
    drift: float = 0.0

    def __len__(self) -> int:
        return len(self.captures)

    @property
    def label(self) -> str:
        """ISO, role, exposure and level in words."""
        iso = "ISO unknown" if self.iso is None else f"ISO {self.iso:g}"
        time = f", {exposure(self.exposure_s)}" if self.exposure_s else ""
        level = f", {self.level:.1%} of the range" if self.role == "flat" else ""
        return f"{iso}, {self.role}s{time}{level}".replace("saturateds", "saturated")

    @property
    def level(self) -> float:
        """Signal above black as a share of the range: the mean over captures and over sites that aren't clipped."""
        return float(np.mean([one.level for one in self.captures]))

    @property
    def sites(self) -> tuple[bool, bool, bool, bool]:
        """Which sites aren't clipped in any capture."""
        good = np.all([one.sites for one in self.captures], axis=0)
        return bool(good[0]), bool(good[1]), bool(good[2]), bool(good[3])

    @property
    def zero(self) -> float:
        """The count at which the converter clips from below, -inf if no capture shows one; see `Statistics`."""
        return max(one.statistics.zero for one in self.captures)


@dataclass(frozen=True, eq=False, kw_only=True)
class Captures:
    """Everything that was found: of one camera, one size and one CFA phase what is used, and the rest with reasons.

    Args:
        groups: darks, flats and saturated captures, by ISO, then role, exposure and level.
        others: pictures that are neither, of any camera.
        refused: what isn't used; pictures among them.
        notes: what was noticed and doesn't stand in the way.
        advice: which shots are missing, and what each would bring.
    """

    groups: tuple[Group, ...]
    others: tuple[Capture, ...] = ()
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[Capture, ...]:
        """All captures of all groups."""
        return tuple(one for group in self.groups for one in group.captures)

    @property
    def isos(self) -> list[float | None]:
        """ISO speeds in rising order, an unknown one last."""
        found = {group.iso for group in self.groups}
        return [*sorted(iso for iso in found if iso is not None), *([None] if None in found else [])]

    def at(self, iso: float | None, role: str) -> list[Group]:
        """The groups of one ISO and role, by exposure and rising level."""
        return [group for group in self.groups if group.iso == iso and group.role == role]

    def black(self, iso: float | None = None) -> Array:
        """Black per site (4) in DN that the captures of an ISO state: their median."""
        some = [one for one in self.used if one.iso == iso] or self.used
        black: Array = np.median([one.black for one in some], axis=0)
        return black

    def white(self, iso: float | None = None) -> Array:
        """Saturation per site (4) in DN that the captures of an ISO state: their least."""
        some = [one for one in self.used if one.iso == iso] or self.used
        white: Array = np.min([one.white for one in some], axis=0)
        return white


def exposure(seconds: float) -> str:
    """An exposure time as photographers write it."""
    return f"{seconds:g} s" if seconds >= 0.4 else f"1/{1 / seconds:.0f} s"
