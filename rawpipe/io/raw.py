"""Camera files into frames, by the decoder that is asked for."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from rawpipe import bayer
from rawpipe._camera_color import CameraColor
from rawpipe._errors import FormatError, unknown
from rawpipe._frame import Frame, Noise, Space
from rawpipe._shot import Shot
from rawpipe.io.array import frame_of
from rawpipe.io.dump import read_dump
from rawpipe.io.recorded import READERS, Recorded, judge, recorded


def read(
    path: str | PathLike[str],
    *,
    area: str = "active",
    reader: str = "rawpy",
    matrix: object = None,
    device: torch.device | str = "cpu",
    shape: tuple[int, int] | None = None,
    dtype: object = None,
    cfa: str | None = None,
    **dump: Any,
) -> Frame:
    """A frame from a Bayer camera file or a DNG; a LinearRaw DNG gives a frame in `Space.CAMERA`.

    Args:
        path: the file.
        area: "active" for the picture, "sensor" for the whole sensor with its masked borders.
        reader: who decodes: "rawpy" (LibRaw), or "flashraw", which is faster and gives the same frame, or an error.
        matrix: your own colour matrix, see `Frame.from_array`; or "generic", for files that have none.
        device: where the pixels go.
        shape: height and width of a headless dump; such files are read only with shape, dtype and cfa.
        dtype: NumPy dtype of the dump, e.g. "uint16" or ">u2".
        cfa: phase of the dump's first pixel.
        **dump: further arguments of `Frame.from_array` for the dump: white, bits, black, neutral, iso, ...

    Raises:
        FormatError: missing, truncated, damaged, headless, or no Bayer RAW; or the reader can't say all of it.

    Warns:
        RawpipeWarning: every pixel is zero, or the white balance had to be taken from the matrix.
    """
    path = Path(path)
    if area not in ("active", "sensor"):
        raise FormatError(f'got area={area!r}; expected "active" or "sensor"')
    if reader not in READERS:
        raise FormatError(unknown("reader", reader, READERS))
    if shape is not None or dtype is not None or cfa is not None:
        return read_dump(path, shape, dtype, cfa, matrix=matrix, **dump).to(device)
    if dump:
        raise FormatError(
            f"got {', '.join(dump)} for {path}; expected them only with shape, dtype and cfa of a headless dump"
        )
    found = recorded(path, reader)
    shot = Shot.adopt(found.taken)
    frame = _mosaic(found, shot, area) if found.cfa is not None else _linear(found, shot, area)
    if matrix is not None:
        shot = replace(frame.shot, color=CameraColor.given(matrix, frame.shot.color))
        frame = replace(frame, shot=shot, neutral=shot.assumed_neutral())
    judge(path, found.is_dark, frame.shot)
    return frame.to(device)


def _mosaic(found: Recorded, shot: Shot, area: str) -> Frame:
    sensor, box, first = torch.from_numpy(found.pixels), shot.active_area, str(found.cfa)
    if area == "sensor":
        data, first, corner = sensor, bayer.rephase(first, -box[0], -box[1]), (0, 0)
    else:
        data, corner = sensor[box[0] : box[2], box[1] : box[3]], (box[0], box[1])
    shot = replace(shot, sensor=sensor)
    frame = frame_of(data, Space.SENSOR, cfa=first, shot=shot, noise=_noise(shot), top_left=corner)
    return replace(frame, applied=("linearization",))  # decoders look the codes up


def _linear(found: Recorded, shot: Shot, area: str) -> Frame:
    box = shot.active_area
    data = torch.from_numpy(found.pixels).movedim(-1, 0).to(torch.float32) - shot.black[:, None, None]
    inside = data[:, box[0] : box[2], box[1] : box[3]]
    if shot.black_rows is not None:
        inside -= shot.black_rows[:, None]
    if shot.black_columns is not None:
        inside -= shot.black_columns
    scale = shot.scale_dn
    data, (top, left) = (data, (0, 0)) if area == "sensor" else (inside.contiguous(), box[:2])
    data = data / scale
    frame = frame_of(data, Space.CAMERA, shot=shot, noise=None, top_left=(top, left))
    return replace(
        frame,
        black=torch.zeros(3),
        white=(shot.white - shot.black) / scale,
        noise=_noise(shot, in_counts=False),
        applied=("linearization", "opcodes2") if found.is_lossy else ("linearization",),
    )


def _noise(shot: Shot, in_counts: bool = True) -> Noise | None:
    """The DNG's NoiseProfile in the unit of the frame; row noise isn't part of it."""
    if not shot.noise_profile:
        return None
    pairs = torch.tensor(shot.noise_profile).reshape(-1, 2).expand(3, 2).clamp(min=0)
    if in_counts:
        pairs = pairs[[0, 1, 1, 2]]
    scale = shot.scale_dn if in_counts else torch.ones(())
    return Noise(pairs[:, 0] * scale, pairs[:, 1].sqrt() * scale, torch.zeros(len(pairs)))
