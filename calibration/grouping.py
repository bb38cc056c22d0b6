"""Captures into groups: one camera, one geometry, each capture once; and a reason for each that stays out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rawpipe import FormatError
from rawpipe.bayer import SITES
from rawpipe.calibration import pairs
from rawpipe.calibration.advice import advice
from rawpipe.calibration.capture import Capture, Captures, Group, Refused
from rawpipe.calibration.classify import CLIPPED_LOW, LONG_S, classify

T = TypeVar("T", bound=Hashable)
_8_BITS = 256
_COMPANDED = 1.5  # codes this much farther apart in the light than in the dark
_COARSE = 0.35  # a step of this many sigmas adds 1 % to the variance
_DARK_DRIFT_DN, _DARK_DRIFT_SIGMAS = 3.0, 0.5
_COLOURED = 0.25  # deviation of a dark's noise from white that is worth a word
_UNKNOWN_BLACK_SHARE = 0.15  # black levels lie at 1/8 of the range at most


def arranged(found: Sequence[Capture], refused: Sequence[Refused], serial: str | None = None) -> Captures:
    """The captures of one camera in groups, and everything else with a reason.

    Args:
        found: captures without roles.
        refused: what couldn't be read.
        serial: of the body to take, None for the one with most captures.

    Raises:
        FormatError: no capture is of that body.
    """
    left_out, notes = list(refused), list[str]()
    some = _each_once(found, left_out)
    some = [one for same in _by(some, _camera).values() for one in _classified(same, notes)]
    if serial is not None and not any(one.serial == serial for one in some):
        known = ", ".join(sorted({one.serial or "none" for one in some})) or "no captures"
        raise FormatError(f"got serial number {serial}; the captures say {known}")
    others = [one for one in some if one.role == "other"]
    left_out += [Refused(one.name, one.why) for one in others]
    some = [one for one in some if one.role != "other"]
    some = _majority(some, _camera, _body, left_out, lambda one: one.serial == serial)
    some = _majority(some, lambda one: (one.area, one.cfa, one.bits), _geometry, left_out)
    some = _deep_enough(some, left_out)
    darks, dim = _darks(some)
    groups = [*darks, *_flats(some, dim, left_out), *_saturated(some)]
    groups.sort(key=lambda one: (one.iso or np.inf, one.role, one.exposure_s or 0, one.level))
    notes += _noticed(groups)
    used = tuple(replace(group, captures=tuple(_slim(one) for one in group.captures)) for group in groups)
    return Captures(
        groups=used,
        others=tuple(_slim(one) for one in others),
        refused=tuple(left_out),
        notes=tuple(notes),
        advice=tuple(advice(used)),
    )


def _by(some: Iterable[Capture], key: Callable[[Capture], T]) -> dict[T, list[Capture]]:
    out: dict[T, list[Capture]] = defaultdict(list)
    for one in some:
        out[key(one)].append(one)
    return out


def _camera(capture: Capture) -> Hashable:
    return capture.make.casefold(), capture.model.casefold(), capture.serial


def _each_once(found: Sequence[Capture], refused: list[Refused]) -> list[Capture]:
    first: dict[str, Capture] = {}
    out = []
    for one in found:
        twin = first.setdefault(one.statistics.digest, one)
        if twin is one or one.statistics.is_constant:
            out.append(one)
            continue
        copied = one.path is not None and one.sha256 == twin.sha256
        refused.append(Refused(one.name, f"the same {'file' if copied else 'picture'} as {twin.name}"))
    # A body without a number is the only one of its model that has one.
    serials = {key: {one.serial for one in same if one.serial} for key, same in _by(out, _model).items()}
    return [
        replace(one, serial=next(iter(serials[_model(one)])))
        if not one.serial and len(serials[_model(one)]) == 1
        else one
        for one in out
    ]


def _model(capture: Capture) -> Hashable:
    return capture.make.casefold(), capture.model.casefold()


def _classified(same: list[Capture], notes: list[str]) -> list[Capture]:
    """The captures of one camera with their roles; where the files state no black, it is found first."""
    learnt = _learnt_black(same)
    if learnt is not None:
        black = ", ".join(f"{value:.1f}" for value in learnt.statistics.mean)
        notes.append(f"{same[0].camera} states no black: taken as {black} DN, the level of {learnt.name}, the darkest")
        same = [one if one.black_known else replace(one, black=learnt.statistics.mean) for one in same]
    out = []
    for one in same:
        verdict = classify(one.statistics, one.black, one.white, one.exposure_s)
        if not one.black_known and learnt is None and verdict.role == "flat":
            why = "its black is unknown, and no capture looks like a dark frame; state it: --black 64"
            verdict = replace(verdict, role="other", why=why)
        out.append(replace(one, role=verdict.role, why=verdict.why, sites=verdict.sites))
    return out


def _learnt_black(same: list[Capture]) -> Capture | None:
    """The darkest capture if it looks like a dark frame beside brighter ones, where the files state no black."""
    unknown = [one for one in same if not one.black_known]
    if len(unknown) < 2:
        return None
    darkest = min(unknown, key=lambda one: float(one.statistics.mean.sum()))
    level = darkest.statistics.mean.mean()
    if level > _UNKNOWN_BLACK_SHARE * darkest.white.min():
        return None
    verdict = classify(darkest.statistics, np.full(4, level), darkest.white, darkest.exposure_s)
    brighter = [one for one in unknown if one.statistics.mean.mean() > level + 5 * darkest.statistics.noise.mean()]
    return darkest if verdict.role == "dark" and brighter else None


def _majority(
    some: list[Capture],
    key: Callable[[Capture], Hashable],
    said: Callable[[Capture], str],
    refused: list[Refused],
    preferred: Callable[[Capture], bool] = lambda _: False,
) -> list[Capture]:
    """The captures that share what the preferred ones, else most, share."""
    groups = _by(some, key)
    best = max(groups.values(), key=lambda same: (preferred(same[0]), len(same)), default=[])
    for same in groups.values():
        if same is not best:
            refused += [Refused(one.name, f"{said(one)}; the captures that are used: {said(best[0])}") for one in same]
    return best


def _body(capture: Capture) -> str:
    return f"from {capture.camera}" + (f", serial number {capture.serial}" if capture.serial else "")


def _geometry(capture: Capture) -> str:
    height, width = capture.size
    top, left = capture.area[:2]
    return f"{width} x {height} pixels from row {top}, column {left}, {capture.cfa}, {capture.bits} bits"


def _deep_enough(some: list[Capture], refused: list[Refused]) -> list[Capture]:
    """Darks, and those flats whose codes are close enough together to show noise."""
    steps = np.array([one.statistics.step for one in some]).reshape(-1, 4)
    least = np.nanmin(np.where(np.isnan(steps), np.inf, steps), axis=0, initial=np.inf)
    out = []
    for one in some:
        step = one.statistics.step
        wide = (step > _COMPANDED * least) & (step > _COARSE * one.statistics.noise)
        if one.role == "flat" and _has_8_bits(one):
            reason = "8 bits: rounding hides the noise; record RAW at 10 bits or more"
        elif one.role == "flat" and wide.any():
            reason = f"companded: codes lie {np.nanmax(step):.3g} DN apart here; switch off lossy compression"
        else:
            out.append(one)
            continue
        refused.append(Refused(one.name, reason))
    return out


def _has_8_bits(capture: Capture) -> bool:
    step = float(np.nan_to_num(capture.statistics.step).max())
    return bool(capture.bits <= 8 or capture.white.max() <= _8_BITS * step)


def _in_order(some: Iterable[Capture]) -> tuple[Capture, ...]:
    """As they were taken; frames of one second, and files without a time, by name."""
    return tuple(sorted(some, key=lambda one: (one.taken, re.split(r"(\d+)", one.name)[::2], _numbers(one.name))))


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]


def _darks(some: list[Capture]) -> tuple[list[Group], dict[str, str]]:
    """Darks by ISO and exposure; and the names of those that are too bright, with words: dim flats, or faults."""
    groups, dim = [], dict[str, str]()
    for of_iso in _by((one for one in some if one.role == "dark"), lambda one: one.iso).values():
        by_exposure = _by(of_iso, lambda one: one.exposure_s)
        noise = min(float(one.statistics.noise.mean()) for one in of_iso)
        allowed = max(_DARK_DRIFT_DN, _DARK_DRIFT_SIGMAS * noise)
        for exposure_s, same in by_exposure.items():
            # Dark current only adds, and takes seconds: a dark is at most as bright as those of longer exposures, and
            # a short one as any other.
            others = [
                darks
                for time, darks in by_exposure.items()
                if time == exposure_s or (exposure_s or 0) < LONG_S or (time or 0) > (exposure_s or 0)
            ]
            usual = min(_lower_median([pairs.signal(one) for one in darks]) for darks in others)
            kept = [one for one in same if pairs.signal(one) - usual <= allowed]
            for one in same:
                excess = pairs.signal(one) - usual
                if excess > allowed:
                    dim[one.name] = f"{excess:.3g} DN above the other darks: light got in, or the sensor was warmer"
            if kept:
                ordered = _in_order(kept)
                groups.append(Group("dark", same[0].iso, same[0].exposure_s, ordered, doubt=_doubt(ordered)))
    return groups, dim


def _lower_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


def _doubt(darks: Sequence[Capture]) -> str | None:
    """Why darks show hot pixels only."""
    low = float(np.mean([one.statistics.low.max() for one in darks]))
    reasons = []
    if any(_has_8_bits(one) for one in darks):
        reasons.append("8-bit")
    if low > CLIPPED_LOW:
        reasons.append(f"{low:.1%} of the pixels are clipped at the lowest code")
    ratio, error = pairs.whiteness(*darks[:2]) if len(darks) > 1 else pairs.own_whiteness(darks[0])
    if not reasons and abs(ratio - 1) > _COLOURED + 3 * error:
        alike = "alike" if ratio > 1 else "unlike"
        pattern = "" if len(darks) > 1 else ", or one frame shows the sensor's pattern"
        reasons.append(
            f"noise of neighbouring pixels is {alike} ({ratio:.2f} instead of 1), so the camera filters its RAW "
            f"files{pattern}"
        )
    return f"{' and '.join(reasons)}: these darks show hot pixels, not noise" if reasons else None


def _flats(some: list[Capture], dim: Mapping[str, str], refused: list[Refused]) -> list[Group]:
    """Flats by ISO, exposure and light: two or more of each, between which nothing but noise differs."""
    groups = []
    lit = [replace(one, role="flat") for one in some if one.role == "flat" or one.name in dim]
    for same in _by(lit, lambda one: (one.iso, one.exposure_s)).values():
        for cluster in pairs.by_light(same):
            if len(cluster) == 1:
                name = cluster[0].name
                refused.append(Refused(name, dim[name] if name in dim else pairs.alone(cluster[0], same)))
                continue
            kept, faulty = pairs.steady(Group("flat", same[0].iso, same[0].exposure_s, _in_order(cluster)))
            refused += faulty
            if kept is not None:
                groups.append(kept)
    return groups


def _saturated(some: list[Capture]) -> list[Group]:
    by_shot = _by((one for one in some if one.role == "saturated"), lambda one: (one.iso, one.exposure_s))
    return [Group("saturated", same[0].iso, same[0].exposure_s, _in_order(same)) for same in by_shot.values()]


def _slim(capture: Capture) -> Capture:
    """A capture without the pixels that were kept to compare it with others."""
    return replace(capture, statistics=replace(capture.statistics, samples=np.empty((0, 4, 0, 0), np.uint16)))


def _noticed(groups: Sequence[Group]) -> list[str]:
    """What is worth a word and does no harm."""
    notes = []
    for group in groups:
        if group.drift > pairs.DRIFT_NOTED:
            notes.append(f"{group.label}: the light drifts by {group.drift:.1%}, which is allowed for")
        if group.role == "flat" and not all(group.sites):
            bad = ", ".join(site for site, good in zip(SITES, group.sites, strict=True) if not good)
            notes.append(f"{group.label}: {bad} clipped; the other sites are used")
        ratio, error = pairs.own_whiteness(group.captures[0])
        if group.role == "dark" and group.doubt is None and abs(ratio - 1) > _COLOURED + 3 * error:
            notes.append(
                f"{group.label}: neighbouring pixels are alike in every frame ({ratio:.2f} instead of 1): the sensor "
                "has a coarse pattern"
            )
    if None in {group.iso for group in groups}:
        notes.append("some captures don't say their ISO; state it: --iso 800")
    if groups and not any(one.make or one.model for group in groups for one in group.captures):
        notes.append("the captures name no camera, so the profile won't be found by its name; state --make and --model")
    return notes
