"""Captures as `scan` found them, measured: ISO by ISO, with the pixels in temporary files."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from typing import Any

from rawpipe import ProfileError
from rawpipe.calibration.calibrate import Calibration, Camera, calibrate
from rawpipe.calibration.capture import Captures, Group
from rawpipe.calibration.one_iso import IsoCaptures
from rawpipe.calibration.stack import Stack

Progress = Callable[[float, str], None]
_PASSES = 3.0  # readings of a group's strips after which two thirds of the work on it are done


def measure_captures(captures: Captures, progress: Progress | None = None) -> Calibration:
    """The profile of the camera that took the captures, and the evidence for it.

    Args:
        captures: from `scan`.
        progress: called with the share that is done, 0 to 1, and a word.

    Raises:
        ProfileError: there are no darks and no pairs of flats, or none of known ISO.
    """
    isos = [iso for iso in captures.isos if iso is not None and _measurable(captures, iso)]
    if not isos:
        raise ProfileError(_nothing(captures))
    report = _Count(captures, isos, progress or (lambda done, name: None))
    first = captures.used[0]
    camera = Camera(
        make=first.make,
        model=first.model,
        serial=first.serial,
        cfa=first.cfa,
        bits=first.bits,
        size=first.size,
        active_area=first.area,
    )
    with closing(_opened(captures, isos, report)) as opened:  # at an error too, temporary files go at once
        return calibrate(camera, opened, _files(captures, isos), report.measured)


def _measurable(captures: Captures, iso: float | None) -> list[Group]:
    return [*captures.at(iso, "dark"), *_flats(captures, iso)]


def _flats(captures: Captures, iso: float | None) -> list[Group]:
    """Flats, and beside them the saturated ones, which show where that is."""
    flats = captures.at(iso, "flat")
    return [*flats, *(one for one in captures.at(iso, "saturated") if len(one) > 1)] if flats else []


def _nothing(captures: Captures) -> str:
    if _measurable(captures, None):
        return "no capture says its ISO; state it, for all alike: --iso 800"
    if any(group.role == "saturated" for group in captures.groups):
        return "all captures are saturated; expose flats from 5 % to 80 % of the range, and cap the lens for darks"
    pictures = f"; {len(captures.others)} are pictures: --blind estimates noise from those" if captures.others else ""
    return f"got no dark frame and no pair of flats among {len(captures.refused)} files{pictures}"


def _opened(captures: Captures, isos: list[float], report: _Count) -> Generator[IsoCaptures]:
    """The captures of one ISO after the other; their temporary files live until the next is asked for."""
    for iso in isos:
        with ExitStack() as opened:
            stacks = {
                group: opened.enter_context(
                    Stack(group.captures, report.decoding(group), reading=report.reading(group))
                )
                for group in _measurable(captures, iso)
            }
            darks = captures.at(iso, "dark")
            yield IsoCaptures(
                iso=iso,
                darks={math.nan if one.exposure_s is None else one.exposure_s: stacks[one] for one in darks},
                flats=[(stacks[one], one.exposure_s) for one in _flats(captures, iso)],
                black=captures.black(iso),
                white=captures.white(iso),
                dark_doubt=next((one.doubt for one in darks if one.doubt is not None), None),
                zero=max((one.zero for one in darks), default=-math.inf),
            )


def _files(captures: Captures, isos: list[float]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "sha256": one.sha256, "role": group.role, "iso": one.iso, "exposure_s": one.exposure_s}
        for group in captures.groups
        if group.iso in isos
        for one in group.captures
    ]


class _Count:
    """Progress over decoding and measuring: measuring a capture takes about as long as decoding it.

    How often a group is read isn't known before, so every reading takes off the same part of what is left.
    """

    def __init__(self, captures: Captures, isos: list[float], told: Progress) -> None:
        groups = [group for iso in isos for group in _measurable(captures, iso)]
        self.total = sum(2 * len(group) for group in groups)
        self.told = told
        self.decoded, self.read = dict.fromkeys(groups, 0.0), dict.fromkeys(groups, 0.0)
        self.waiting = groups

    def decoding(self, group: Group) -> Progress:
        def tell(share: float, name: str) -> None:
            self.decoded[group] = share
            self._tell(f"ISO {group.iso:g}: {name}")

        return tell

    def reading(self, group: Group) -> Callable[[float], None]:
        def tell(share: float) -> None:
            self.read[group] += share
            self._tell(f"ISO {group.iso:g}: {group.role}s".replace("saturateds", "saturated"))

        return tell

    def measured(self, part: str) -> None:
        if part != "saturation" and self.waiting:
            self.read[self.waiting.pop(0)] = math.inf
        self._tell(part)

    def _tell(self, name: str) -> None:
        done = sum(len(group) * share for group, share in self.decoded.items())
        done += sum(len(group) * -math.expm1(-times / _PASSES) for group, times in self.read.items())
        self.told(done / self.total, name)
