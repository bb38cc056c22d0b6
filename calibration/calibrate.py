"""Captures of one camera in, its profile and the evidence for it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rawpipe
from rawpipe import CameraProfile, ProfileError, Quantity
from rawpipe._shot import Box
from rawpipe.calibration.across_iso import check_gains, compare_isos, full_well
from rawpipe.calibration.darks import Darks
from rawpipe.calibration.mosaics import Doubles, Floats
from rawpipe.calibration.one_iso import IsoCaptures, IsoResult, measure_iso


@dataclass(frozen=True, kw_only=True)
class Camera:
    """What all captures have in common; see `CameraProfile`."""

    make: str
    model: str
    serial: str
    cfa: str
    bits: int
    size: tuple[int, int]
    active_area: Box


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """A profile and what it rests on, ISO by ISO."""

    profile: CameraProfile
    isos: Sequence[IsoResult]


def calibrate(
    camera: Camera,
    captures: Iterable[IsoCaptures],
    files: Sequence[Mapping[str, Any]] = (),
    done: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure a camera.

    Args:
        camera: whose captures they are.
        captures: dark frames and flats of every ISO; taken one after the other, so that they needn't fit in memory.
        files: name, sha256, role, iso and exposure_s of every capture, for the profile's provenance.
        done: called with a word after each part of the work.

    Raises:
        ProfileError: there is nothing to measure.
    """
    results = sorted((measure_iso(one, done) for one in captures), key=lambda one: one.iso)
    if not results:
        raise ProfileError("got no dark frames and no pairs of flats; expected some: see docs/howto/calibrate.md")
    results = check_gains(results)
    sensor = {
        "full_well_e": full_well(results),
        **_hot_pixels(results),
        **_dead_pixels(results),
        **_dark_current(results),
    }
    profile = CameraProfile(
        make=camera.make,
        model=camera.model,
        serial=camera.serial,
        cfa=camera.cfa,
        bits=camera.bits,
        size=camera.size,
        active_area=camera.active_area,
        noise={f"{one.iso:g}": one.numbers for one in results},
        sensor=sensor,
        across_iso=compare_isos(results),
        provenance={
            "kind": "measured",
            "date": date.today().isoformat(),
            "rawpipe": rawpipe.__version__,
            "files": list(files),
            "held_out": {f"{one.iso:g}": _held_out(one) for one in results if one.transfer is not None},
        },
        stored=_maps(results),
    )
    return Calibration(profile=profile, isos=results)


def _held_out(result: IsoResult) -> dict[str, Any]:
    """Variance of every level, divided by what the fit to the others predicts; sites R, Gr, Gb, B."""
    levels = result.transfer.levels if result.transfer is not None else ()
    rows = {"mean_dn": "mean_dn", "ratio": "held_out", "ratio_se": "held_out_se"}
    return {name: [getattr(one, key).tolist() for one in levels] for name, key in rows.items()}


def _all_darks(result: IsoResult) -> list[Darks]:
    return [one for one in (result.darks, *result.long_darks.values()) if one is not None]


def _hot_pixels(results: Sequence[IsoResult]) -> dict[str, Quantity]:
    frames = sum(one.frames for result in results for one in _all_darks(result))
    if not frames:
        return {"hot_pixels": Quantity.missing("no dark frames")}
    count = float(len(_defects(results)))
    # A hot pixel in one frame may be a cosmic ray.
    why = None if frames > 2 else "fewer than three dark frames: what stands out may be chance"
    return {"hot_pixels": Quantity(count, (count, count), frames, why is None, why)}


def _dead_pixels(results: Sequence[IsoResult]) -> dict[str, Quantity]:
    flats = sum(level.captures for result in results for level in result.levels)
    if not flats:
        return {"dead_pixels": Quantity.missing("no flats")}
    found = [level.dead for result in results for level in result.levels]
    count = float(len(np.unique(np.concatenate(found), axis=0)))
    return {"dead_pixels": Quantity(count, (count, count), flats)}


def _defects(results: Sequence[IsoResult], flats: bool = False) -> NDArray[np.int32]:
    found = [one.defects for result in results for one in _all_darks(result)]
    found += [level.dead for result in results for level in result.levels] if flats else []
    return np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), np.int32)


def _dark_current(results: Sequence[IsoResult]) -> dict[str, Quantity]:
    """Electrons per second from how black rises with exposure time, at the ISO with the widest range of times."""
    best: tuple[float, IsoResult, Doubles, Doubles] | None = None
    for result in results:
        timed = {s: one for s, one in result.long_darks.items() if math.isfinite(s) and s > 0}
        if result.darks is None or not timed or result.numbers["gain_dn_per_e"].value is None:
            continue
        if result.exposure_s is None or not result.exposure_s > 0:
            continue
        timed[result.exposure_s] = result.darks
        times = np.array(sorted(timed))
        black = np.array([timed[s].black_dn.value for s in times], np.float64)
        if best is None or times[-1] / times[0] > best[0]:
            best = float(times[-1] / times[0]), result, times, black
    if best is None or best[0] < 4:
        return {
            "dark_current_e_per_s": Quantity.missing("needs darks of two exposure times, four times apart, and a gain")
        }
    _, result, times, black = best
    gain = np.asarray(result.numbers["gain_dn_per_e"].value, np.float64)
    slope = np.polyfit(times, black, 1)[0] / gain
    drift = result.darks.drift_dn if result.darks is not None else math.nan
    error = 1.96 * (drift if math.isfinite(drift) else 1.0) / float(np.ptp(times)) / gain
    ends = tuple((float(v - e), float(v + e)) for v, e in zip(slope, error, strict=True))
    clear = bool((np.abs(slope) > error).all())
    why = None if clear else "upper bound: black drifts more from frame to frame than it rises with time"
    return {"dark_current_e_per_s": Quantity(tuple(slope.tolist()), ends, len(times), clear, why)}


def _maps(results: Sequence[IsoResult]) -> dict[str, NDArray[Any]]:
    """The pictures that go beside the profile; see `CameraProfile.maps`."""
    out: dict[str, NDArray[Any]] = {}
    dark = [(one.iso, one.darks) for one in results if one.darks is not None]
    if dark:
        out["dark_shading_k"], out["dark_shading_b"] = _shading_over_iso(dark)
    defects = _defects(results, flats=True)
    if len(defects) or dark:
        out["defects"] = defects
    usable = [
        (float(np.mean([m.mean() for m in level.mean_dn])) * level.captures / one.iso, level.response)
        for one in results
        for level in one.levels
        if all(len(m) for m in level.mean_dn) and level.clipped.max() < 1e-3
    ]
    if usable:
        out["flat_field"] = max(usable, key=lambda pair: pair[0])[1].astype(np.float32)
    return out


def _shading_over_iso(dark: Sequence[tuple[float, Darks]]) -> tuple[Floats, Floats]:
    """Slope and intercept of every point of the dark shading over ISO; one ISO has no slope."""
    iso = np.array([one for one, _ in dark])
    maps = np.stack([darks.shading_dn for _, darks in dark]).astype(np.float64)
    if len(dark) == 1:
        return np.zeros_like(dark[0][1].shading_dn), dark[0][1].shading_dn
    weight = np.array([darks.frames / max(float(darks.variance_dn2.mean()), 1e-6) for _, darks in dark])
    weight /= weight.sum()
    centre, middle = weight @ iso, np.tensordot(weight, maps, 1)
    k = np.tensordot(weight * (iso - centre), maps - middle, 1) / (weight @ (iso - centre) ** 2)
    return k.astype(np.float32), (middle - k * centre).astype(np.float32)
