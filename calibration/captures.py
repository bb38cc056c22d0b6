"""Captures: what lies in a folder, told apart into darks, flats and others, and grouped; with a reason for the rest.

captures = scan(["folder"])
for group in captures.groups: ...          # darks and flats of one ISO, exposure and light level
for sentence in captures.advice: ...       # which shots are missing
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rawpipe import FormatError, Frame, FrameError, RawpipeError
from rawpipe.calibration.capture import Capture, Captures, Group, Refused
from rawpipe.calibration.grouping import arranged
from rawpipe.calibration.sources import Facts, active_counts, facts_of, files_in, frames
from rawpipe.calibration.statistics import Array, measure

__all__ = ["Capture", "Captures", "Group", "Progress", "Refused", "scan"]

# Photon transfer compares blocks of 16 x 16 photosites of each colour, and needs a few for a variance.
_BLOCK, _BLOCKS = 32, 8
_LEAST_SPAN = 64  # DN from black to white: with fewer, noise is lost in rounding, or they are no counts

Progress = Callable[[float, str], None]


def scan(
    paths: Iterable[str | PathLike[str] | Frame],
    progress: Progress | None = None,
    *,
    serial: str | None = None,
    **stated: Any,
) -> Captures:
    """Look at every capture once, in bounded memory: a frame at a time.

    Args:
        paths: files, folders (searched with all that is below), or frames in `Space.SENSOR`.
        progress: called with the share that is done, 0 to 1, and a word.
        serial: take the body with this serial number instead of the one with most captures.
        **stated: what the files don't say: cfa, black, white, bits, iso, exposure_s, make, model.
            A `captures.toml` beside the files can say it too, see `rawpipe.calibration.sources`.

    Raises:
        FormatError: a path doesn't exist, nothing in it can be a capture, or a `captures.toml` is wrong.
    """
    found: list[Capture] = []
    refused: list[Refused] = []
    todo = list(_listed(list(paths), refused))
    for count, (source, name) in enumerate(todo):
        if progress is not None:
            progress(count / len(todo), name)
        try:
            found += _captures(source, name, stated)
        except RawpipeError as error:
            refused.append(Refused(name, _without_name(str(error), source)))
    if progress is not None:
        progress(1.0, "")
    return arranged(found, refused, serial)


def _listed(paths: Sequence[str | PathLike[str] | Frame], refused: list[Refused]) -> Iterator[tuple[Path | Frame, str]]:
    """Files and frames with names that tell them apart; folders that can't be read go to `refused`."""
    if not paths:
        raise FormatError("got no captures; expected files, folders, or frames")
    seen: set[Path] = set()
    for number, path in enumerate(paths, 1):
        if isinstance(path, Frame):
            stack = path.data.shape[:-2].numel()
            yield path, (path.shot.source or f"frame {number}") + ("" if stack == 1 else f" ({stack} frames)")
            continue
        path = Path(path)
        if not path.exists():
            raise FormatError(f"{path} doesn't exist; give files, or folders of captures")
        unreadable: list[OSError] = []
        files = files_in(path, unreadable) if path.is_dir() else [path]
        refused += [
            Refused(f"{Path(error.filename).relative_to(path)}/", f"can't be read: {error.strerror}")
            for error in unreadable
        ]
        if not files and not unreadable:
            raise FormatError(f"got the folder {path} without captures; expected RAW files, .npy or .npz arrays")
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, str(file.relative_to(path)) if file != path else file.name


def _captures(source: Path | Frame, name: str, stated: Facts) -> Iterator[Capture]:
    """The captures of one file, or of one frame."""
    if isinstance(source, Frame):
        stack = source.data.reshape(-1, *source.data.shape[-2:]) if source.cfa else source.data[None]
        for index, data in enumerate(stack):
            capture = _measured(replace(source, data=data), f"{name} #{index + 1}" if len(stack) > 1 else name, stated)
            yield replace(capture, frame=source, index=index)
        return
    facts = facts_of(source, stated)
    digest = _hash(source)
    some = [
        replace(_measured(frame, name, facts), path=source, index=index, sha256=digest)
        for index, frame in enumerate(frames(source, facts))
    ]
    yield from some if len(some) == 1 else (replace(one, name=f"{name} #{one.index + 1}") for one in some)


def _measured(frame: Frame, name: str, facts: Facts) -> Capture:
    counts, cfa, area = active_counts(frame)
    shot = frame.shot
    white, black = shot.white.double().numpy(), shot.black.double().numpy()
    if "black" in facts and not black.any():
        black = np.broadcast_to(np.asarray(facts["black"], np.float64), 4)
    _check(counts, black, white)
    statistics = measure(counts, cfa, white)
    # A RAW file without a black level reads as zero, and so does a sensor that clips there: its darks lie on zero.
    known = bool("black" in facts or (black > 0).any() or (statistics.low > 0).any())
    return Capture(
        name=name,
        facts=facts,
        sha256=statistics.digest,
        make=shot.make or facts.get("make", ""),
        model=shot.model or shot.unique_model or facts.get("model", ""),
        serial=shot.serial,
        iso=shot.iso or facts.get("iso"),
        exposure_s=shot.exposure_s or facts.get("exposure_s"),
        taken=shot.taken,
        cfa=cfa,
        bits=shot.bits,
        area=area,
        black=black,
        black_known=known,
        white=white,
        statistics=statistics,
    )


def _check(counts: Array, black: Array, white: Array) -> None:
    """See that there are counts of the converter, and enough of them.

    Raises:
        FrameError: there aren't.
    """
    height, width = counts.shape
    if (height // _BLOCK) * (width // _BLOCK) < _BLOCKS:
        raise FrameError(
            f"got {height} x {width} pixels; expected at least {_BLOCKS} blocks of {_BLOCK} x {_BLOCK}, such as "
            "128 x 128: give whole frames"
        )
    what_to_do = "give the converter's counts: multiply by 2**bits - 1, and state white and black likewise"
    span = float((white - black).min())
    if span < _LEAST_SPAN:
        raise FrameError(f"got {span:.3g} DN from black to white; expected at least {_LEAST_SPAN}: {what_to_do}")
    if counts.dtype != np.uint16 and counts.min() >= 0 and counts.max() <= 1:
        raise FrameError(f"got fractions from 0 to 1 where white is {white.min():g}; {what_to_do}")


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FormatError(f"{path} can't be read: {error.strerror}") from error


def _without_name(text: str, source: Path | Frame) -> str:
    return text.removeprefix(f"{source} ") if isinstance(source, Path) else text
