"""A camera profile from ordinary photographs: an estimate per ISO, named as one."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

import rawpipe
from rawpipe import CameraProfile, FormatError, Frame, ProfileError, Quantity, RawpipeError, RawpipeWarning, bayer
from rawpipe._blind import BlindNoise, Seen, combine, look
from rawpipe.calibration.sources import facts_of, files_in, frames

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Photograph:
    """One frame: which camera and ISO it is of, what was seen in it, and its entry in the provenance."""

    camera: tuple[Any, ...]
    iso: float | None
    seen: tuple[Seen, ...]
    entry: Mapping[str, Any]


def estimate_blind(
    photographs: Iterable[str | PathLike[str] | Frame], progress: Progress | None = None, **stated: Any
) -> CameraProfile:
    """The profile of a camera from photographs at one or several ISOs, taken one after the other.

    Several pictures of an ISO narrow its interval. Of several cameras the one with most pictures is taken.

    Args:
        photographs: RAW files, folders of them, or frames in `Space.SENSOR`, before any denoising.
        progress: called with the share that is done, 0 to 1, and a word.
        **stated: what the files don't say: iso, cfa, black, white, bits, make, model, shape, dtype.

    Raises:
        FormatError: a path doesn't exist.
        ProfileError: nothing can be estimated: no picture can be read or says its ISO, or all are clipped.
    """
    found: list[_Photograph] = []
    refused: list[str] = []
    todo = list(_listed(photographs))
    for count, one in enumerate(todo):
        name = one.shot.source if isinstance(one, Frame) else one.name
        if progress is not None:
            progress(count / len(todo), name)
        try:
            found += _photographs(one, name, stated)
        except RawpipeError as error:
            refused.append(f"{name}: {str(error).removeprefix(f'{one} ')}")
    if progress is not None:
        progress(1.0, "")
    known = [one for one in found if one.iso is not None]
    refused += [f"{one.entry['name']}: its ISO is unknown; state it with iso" for one in found if one.iso is None]
    cameras = Counter(one.camera for one in known)
    if not cameras:
        raise ProfileError(f"got no photograph that can be used: {'; '.join(refused) or 'none was given'}")
    camera, _ = cameras.most_common(1)[0]
    refused += [f"{one.entry['name']}: of another camera or size" for one in known if one.camera != camera]
    profile = _profile([one for one in known if one.camera == camera], refused)
    if refused:
        warnings.warn(f"left out: {'; '.join(refused)}", RawpipeWarning, 2)
    return profile


def _listed(photographs: Iterable[str | PathLike[str] | Frame]) -> Iterator[Path | Frame]:
    for one in photographs:
        if isinstance(one, Frame):
            yield one
            continue
        path = Path(one)
        if not path.exists():
            raise FormatError(f"{path} doesn't exist; give photographs, or folders of them")
        yield from files_in(path) if path.is_dir() else [path]


def _photographs(source: Path | Frame, name: str, stated: Mapping[str, Any]) -> Iterator[_Photograph]:
    """The frames of a file, measured."""
    if isinstance(source, Frame):
        facts, digest = dict(stated), hashlib.sha256(source.data.cpu().contiguous().numpy().tobytes()).hexdigest()
        some: Iterable[Frame] = [source]
    else:
        facts, some = facts_of(source, stated), frames(source, facts_of(source, stated))
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    for frame in some:
        shot = frame.shot
        iso = shot.iso or facts.get("iso")
        make, model = shot.make or facts.get("make", ""), shot.model or facts.get("model", "")
        y, x = (int(value) for value in frame.origin[:2])
        top, left, bottom, right = shot.active_area
        cfa = bayer.rephase(str(frame.cfa), top - y, left - x) if frame.cfa is not None else ""
        yield _Photograph(
            camera=(make, model, shot.serial, cfa, shot.bits, (bottom - top, right - left), shot.active_area),
            iso=iso,
            seen=tuple(look(frame)),
            entry={"name": name, "sha256": digest, "role": "photograph", "iso": iso, "exposure_s": shot.exposure_s},
        )


def _profile(photographs: list[_Photograph], refused: list[str]) -> CameraProfile:
    by_iso: dict[float, list[_Photograph]] = defaultdict(list)
    for one in photographs:
        by_iso[float(one.iso or 0)].append(one)
    noise: dict[str, Mapping[str, Quantity]] = {}
    doubts: dict[str, Mapping[str, float]] = {}
    for iso in sorted(by_iso):
        try:
            found = combine([seen for one in by_iso[iso] for seen in one.seen])
        except RawpipeError as error:
            refused += [f"{one.entry['name']}: {error}" for one in by_iso[iso]]
            continue
        noise[f"{iso:g}"] = found.quantities
        doubts[f"{iso:g}"] = _rounded(found)
    if not noise:
        raise ProfileError(f"got no photograph that shows its noise: {'; '.join(refused)}")
    make, model, serial, cfa, bits, size, area = photographs[0].camera
    return CameraProfile(
        make=make,
        model=model,
        serial=serial,
        cfa=cfa,
        bits=bits,
        size=size,
        active_area=area,
        noise=noise,
        provenance={
            "kind": "blind",
            "date": date.today().isoformat(),
            "rawpipe": rawpipe.__version__,
            "files": [dict(one.entry) for one in photographs],
            "left_out": list(refused),
            "doubts": doubts,
        },
    )


def _rounded(found: BlindNoise) -> dict[str, float]:
    return {name: float(f"{min(doubt, 1e6):.3g}") for name, doubt in found.doubts.items()}
