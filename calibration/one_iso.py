"""One ISO: its dark frames and flats into numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rawpipe import Quantity
from rawpipe.calibration.converter import count_step, from_saturation, saturation_of
from rawpipe.calibration.darks import Darks, measure_darks
from rawpipe.calibration.levels import Blocks, measure_level
from rawpipe.calibration.mosaics import Bools, Doubles, Mosaics
from rawpipe.calibration.photon_transfer import PhotonTransfer, fit_transfer

_EMVA_FRAMES = 16
_SHORT_S = 0.25
NO_DARKS = "no dark frames at this ISO: cap the lens, and add 16 of them"
NO_FLATS = "no pair of flats at this ISO: add two captures of an even, steady light at each of four levels or more"


@dataclass(frozen=True, kw_only=True)
class IsoCaptures:
    """Captures of one ISO.

    Args:
        iso: ISO speed.
        darks: dark frames by exposure time in seconds (NaN if unknown).
        flats: captures of one light level each, two or more, with their exposure time.
        black: black level per site R, Gr, Gb, B (4) that the files state.
        white: saturation per site (4) that the files state.
        zero: count at which the converter clips from below.
        dark_doubt: why read noise can't be had from the dark frames whatever they show; None if it can.
    """

    iso: float
    darks: Mapping[float, Mosaics]
    flats: Sequence[tuple[Mosaics, float | None]]
    black: Doubles
    white: Doubles
    dark_doubt: str | None = None
    zero: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class IsoResult:
    """What was measured at one ISO: the profile's numbers, and the evidence behind them.

    Args:
        iso: ISO speed.
        numbers: by their names in the profile.
        darks: the dark frames of the exposure time with most of them, and `exposure_s`, that time.
        long_darks: those of other exposure times, by time.
        transfer: the photon-transfer fit, None without flats.
        levels: the flats in blocks.
    """

    iso: float
    numbers: Mapping[str, Quantity]
    darks: Darks | None
    exposure_s: float | None
    long_darks: Mapping[float, Darks]
    transfer: PhotonTransfer | None
    levels: Sequence[Blocks]


def measure_iso(captures: IsoCaptures, done: Callable[[str], None] = lambda _: None) -> IsoResult:
    """Measure one ISO; `done` is called with a word after each part."""
    all_mosaics = [*captures.darks.values(), *(mosaics for mosaics, _ in captures.flats)]
    step = count_step(list(captures.darks.values()), [mosaics for mosaics, _ in captures.flats])
    size = float(step.value) if isinstance(step.value, float) else 1.0
    doubt = captures.dark_doubt or (None if step.reliable else f"the converter's step isn't known: {step.why}")
    darks: dict[float, Darks] = {}
    for time_s, mosaics in captures.darks.items():
        darks[time_s] = _doubted(measure_darks(mosaics, size, captures.zero), doubt)
        done("darks")
    best = _short(darks)
    dark = darks[best] if best is not None else None
    black = _black_of(dark, captures.black)
    defects = _defects(darks, all_mosaics[0].shape[1:])
    saturation, seen = saturation_of([mosaics for mosaics, _ in captures.flats], captures.white)
    done("saturation")
    levels = []
    for mosaics, exposure_s in captures.flats:
        levels.append(measure_level(mosaics, black, defects, float(saturation.min()), exposure_s))
        done("flats")
    usable = dark if dark is not None and dark.frames > 1 and dark.clipped.max() < 0.02 else None
    known = None if usable is None else (usable.variance_dn2, usable.variance_se)
    drift = usable.drift_dn if usable is not None else 0.0
    transfer = fit_transfer(levels, known, drift) if levels else None
    numbers = {"quantisation_step_dn": step, **_dark_numbers(dark, transfer, captures.black)}
    gain = transfer.gain_dn_per_e if transfer is not None else Quantity.missing(NO_FLATS)
    numbers["gain_dn_per_e"] = gain
    numbers["held_out_ratio"] = transfer.held_out if transfer is not None else Quantity.missing(NO_FLATS)
    numbers |= from_saturation(saturation, seen, black, gain, numbers["read_sigma_dn"], size)
    numbers |= _pattern(dark, levels, saturation - black)
    numbers["linearity_error"] = _linearity(levels, drift)
    rest = {time_s: one for time_s, one in darks.items() if time_s != best}
    return IsoResult(
        iso=captures.iso,
        numbers=numbers,
        darks=dark,
        exposure_s=best,
        long_darks=rest,
        transfer=transfer,
        levels=levels,
    )


def _short(darks: Mapping[float, Darks]) -> float | None:
    """The exposure time whose darks give black and read noise: short, since long ones hold dark current as well."""
    if not darks:
        return None
    known = [time_s for time_s in darks if math.isfinite(time_s)]
    limit = max(4 * min(known), _SHORT_S) if known else math.inf
    short = [time_s for time_s in known if time_s <= limit and darks[time_s].frames > 1]
    some = short or [time_s for time_s in darks if darks[time_s].frames > 1] or list(darks)
    return max(some, key=lambda time_s: (darks[time_s].frames, -time_s if math.isfinite(time_s) else -math.inf))


def _doubted(darks: Darks, why: str | None) -> Darks:
    """Dark frames that can't give read noise, whatever their numbers look like."""
    if why is None:
        return darks
    names = ("read_sigma_dn", "tukey_lambda", "tukey_scale_dn", "row_sigma_dn", "black_dn")
    doubted: dict[str, Any] = {name: replace(getattr(darks, name), reliable=False, why=why) for name in names}
    return replace(darks, **doubted)


def _black_of(dark: Darks | None, stated: Doubles) -> Doubles:
    return stated if dark is None else np.asarray(dark.black_dn.value, np.float64)


def _defects(darks: Mapping[float, Darks], size: tuple[int, int]) -> Bools:
    out = np.zeros(size, bool)
    for one in darks.values():
        out[tuple(one.defects.T)] = True
    return out


def _dark_numbers(dark: Darks | None, transfer: PhotonTransfer | None, stated: Doubles) -> dict[str, Quantity]:
    if dark is not None:
        names = ("black_dn", "read_sigma_dn", "tukey_lambda", "tukey_scale_dn", "row_sigma_dn", "column_sigma_dn")
        fixed = ("row_fpn_dn", "column_fpn_dn")
        return {name: getattr(dark, name) for name in names + fixed}
    out = {
        name: Quantity.missing(NO_DARKS)
        for name in ("tukey_lambda", "tukey_scale_dn", "row_sigma_dn", "column_sigma_dn", "row_fpn_dn", "column_fpn_dn")
    }
    out["black_dn"] = Quantity(tuple(stated.tolist()), None, 0, False, f"as the files state it: {NO_DARKS}")
    out["read_sigma_dn"] = Quantity.missing(NO_DARKS)
    if transfer is not None and np.isfinite(transfer.dark_variance_dn2).all():
        floor = np.sqrt(np.maximum(transfer.dark_variance_dn2, 0.0))
        why = f"from where the flats' variance meets zero light, row noise left out: {NO_DARKS}"
        out["read_sigma_dn"] = Quantity(tuple(floor.tolist()), None, 0, False, why)
    return out


def _pattern(dark: Darks | None, levels: Sequence[Blocks], range_dn: Doubles) -> dict[str, Quantity]:
    """Fixed pattern of the response and of the dark level, under EMVA 1288's names only from 16 frames each."""
    out = {}
    if dark is not None:
        emva = dark.frames >= _EMVA_FRAMES
        out["dsnu_dn" if emva else "dark_pattern_dn"] = dark.pixel_fpn_dn
    half = [one for one in levels if all(len(m) for m in one.mean_dn) and np.isfinite(one.pattern[0]).all()]
    if not half:
        return out
    level = min(half, key=lambda one: abs(float(np.mean([m.mean() for m in one.mean_dn]) / range_dn.mean()) - 0.5))
    signal = np.array([m.mean() for m in level.mean_dn])
    in_dark = np.zeros(4) if dark is None else np.asarray(dark.pixel_fpn_dn.value, np.float64)
    beside = np.square(in_dark / signal)
    own = np.sqrt(np.maximum(np.square(level.pattern[0]) - beside, 0.0)) * 100
    ends = np.sqrt(np.maximum(np.square(level.pattern[1]) - beside[:, None], 0.0)) * 100
    interval = tuple((float(low), float(high)) for low, high in ends)
    share = float((signal / range_dn).mean())
    n = min(int(sum(p.sum() for p in level.pixels)) // 4, 10**9)
    emva = level.captures >= _EMVA_FRAMES and dark is not None and dark.frames >= _EMVA_FRAMES and 0.35 < share < 0.65
    if emva:
        out["prnu_percent"] = Quantity(tuple(own.tolist()), interval, n)
    else:
        why = (
            f"covariance of {level.captures} flats at {share:.0%} of saturation; "
            f"EMVA 1288 asks for {_EMVA_FRAMES} at half of it and in the dark before it is called PRNU"
        )
        out["response_pattern_percent"] = Quantity(tuple(own.tolist()), interval, n, False, why)
    return out


def _linearity(levels: Sequence[Blocks], drift_dn: float) -> Quantity:
    """Largest deviation of signal from a line through zero over exposure time, as a share of the fit, per site."""
    known = [one for one in levels if one.exposure_s and all(len(m) for m in one.mean_dn)]
    times = {one.exposure_s for one in known}
    if len(times) < 3:
        return Quantity.missing("flats of three exposure times under one light are needed")
    t = np.array([one.exposure_s for one in known], np.float64)
    # Blocks near saturation are missing where the light is brightest, so the same part of the picture is compared.
    signal = np.array([[m.mean() / r.max() for m, r in zip(one.mean_dn, one.response, strict=True)] for one in known])
    if not (signal > 0).all():
        return Quantity.missing("a site has no light in some flats")
    slope = (t[:, None] * signal / signal**2).sum(axis=0) / (t[:, None] ** 2 / signal**2).sum(axis=0)
    off = np.abs(signal / (slope * t[:, None]) - 1)
    at = off.argmax(axis=0)
    worst, error = off[at, range(4)], 1.96 * drift_dn / np.sqrt([known[i].captures for i in at]) / signal[at, range(4)]
    ends = tuple((max(float(w - e), 0.0), float(w + e)) for w, e in zip(worst, error, strict=True))
    steady = float(worst.max()) < 0.2
    why = None if steady else "signal doesn't follow exposure time: the light or the aperture was changed as well"
    return Quantity(tuple(worst.tolist()), ends, len(known), steady, why)
