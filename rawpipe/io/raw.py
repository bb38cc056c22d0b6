"""Camera files into frames, by the decoder that is asked for."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._camera_color import CameraColor
from rawpipe._errors import FormatError, FrameError, RawpipeWarning, unknown
from rawpipe._frame import Frame, Noise, Space
from rawpipe._shot import Box, Shot
from rawpipe.io.array import frame_of
from rawpipe.io.container import identify, mapped, tree_of
from rawpipe.io.decoded import Decoded
from rawpipe.io.dng_tags import DngTags
from rawpipe.io.exif import Exif, directories, read_exif
from rawpipe.io.samples import float_samples, read_dump

READERS = ("rawpy", "flashraw")


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
    with mapped(path) as data:
        kind = identify(path, data)
        tree = tree_of(path, data) if kind == "tiff" else []
        exif = read_exif(path, directories(kind, data, tree))
    tags = DngTags.of(tree)
    found = _decoded(path, reader, tags, exif).beside(exif)
    frame = (
        _linear(path, found, tags, exif, area)
        if tags is not None and tags.is_linear
        else _mosaic(path, found, tags, exif, area)
    )
    if matrix is not None:
        shot = replace(frame.shot, color=CameraColor.given(matrix, frame.shot.color))
        frame = replace(frame, shot=shot, neutral=shot.assumed_neutral())
    _judge(path, frame)
    return frame.to(device)


def _decoded(path: Path, reader: str, tags: DngTags | None, exif: Exif) -> Decoded:
    if reader == "flashraw":
        from rawpipe.io import flash

        return flash.decode(path, tags, exif)
    from rawpipe.io import libraw

    return libraw.decode(path, tags)


def _samples(path: Path, found: Decoded, tags: DngTags | None) -> Tensor:
    """The stored pixels; floating ones come through tifffile: LibRaw would round them to 14 bits."""
    if tags is not None and tags.is_float:
        return float_samples(path, tags)
    assert found.pixels is not None
    return torch.from_numpy(found.pixels)


def _mosaic(path: Path, found: Decoded, tags: DngTags | None, exif: Exif, area: str) -> Frame:
    sensor = _samples(path, found, tags)
    box = tags.active_area if tags is not None else found.visible
    first = tags.cfa if tags is not None else bayer.rephase(str(found.cfa), box[0], box[1])
    shot = _shot(path, found, tags, exif, (sensor.shape[-2], sensor.shape[-1]), box, sensor)
    if area == "sensor":
        data, first, corner = sensor, bayer.rephase(first, -box[0], -box[1]), (0, 0)
    else:
        data, corner = sensor[box[0] : box[2], box[1] : box[3]], (box[0], box[1])
    frame = frame_of(data, Space.SENSOR, cfa=first, shot=shot, noise=_noise(shot), top_left=corner)
    return replace(frame, applied=("linearization",))  # decoders look the codes up


def _linear(path: Path, found: Decoded, tags: DngTags, exif: Exif, area: str) -> Frame:
    stored = _samples(path, found, tags)
    if stored.ndim != 3 or stored.shape[-1] != 3:
        raise FormatError(f"{path} is a LinearRaw DNG with pixels {tuple(stored.shape)}; expected three planes")
    box = tags.active_area
    shot = _shot(path, found, tags, exif, (stored.shape[0], stored.shape[1]), box, None)
    data = stored.movedim(-1, 0).to(torch.float32) - shot.black[:, None, None]
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
        applied=("linearization", "opcodes2") if tags.is_lossy else ("linearization",),
    )


def _shot(
    path: Path,
    found: Decoded,
    tags: DngTags | None,
    exif: Exif,
    size: tuple[int, int],
    box: Box,
    sensor: Tensor | None,
) -> Shot:
    color = tags.color() if tags is not None else None
    if color is None and found.matrix is not None:
        try:
            color = CameraColor.of(found.matrix, source=found.decoder)
        except FrameError as error:
            warnings.warn(f"{path}: {error}", RawpipeWarning, stacklevel=5)
    if tags is not None:
        black, black_rows, black_columns = tags.black()
        white, neutral, bits = tags.white(), tags.neutral(color), tags.bits
        if tags.is_lossy:
            black, white, bits = torch.zeros_like(black), torch.full_like(white, found.white), 16
    else:
        black, black_rows, black_columns = torch.tensor(found.black, dtype=torch.float32), None, None
        white, neutral = torch.full((4,), found.white), _neutral(found)
        if neutral is not None and (neutral == 1).all():
            warnings.warn(
                f"{path}: the as-shot white balance is 1 1 1; the counts are taken as balanced by the camera",
                RawpipeWarning,
                stacklevel=5,
            )
            if color is not None:
                color = replace(color, analog_balance=1 / color.neutral_of())  # gains applied before the counts
        bits = max(1, int(found.white).bit_length())
    return Shot(
        make=exif.make,
        model=exif.model,
        unique_model=tags.unique_model() if tags is not None else "",
        serial=exif.serial or (tags.serial() if tags is not None else ""),
        lens=found.lens,
        iso=found.iso,
        exposure_s=found.exposure_s,
        f_number=found.f_number,
        focal_mm=found.focal_mm,
        taken=exif.taken,
        orientation=found.orientation,
        bits=bits,
        black=black,
        white=white,
        black_rows=black_rows,
        black_columns=black_columns,
        linearization=tags.linearization() if tags is not None else None,
        neutral=neutral,
        color=color,
        size=size,
        active_area=box,
        default_crop=tags.default_crop if tags is not None else found.crop,
        masked_areas=tags.masked_areas if tags is not None else (),
        opcodes=tags.opcodes() if tags is not None else (b"", b"", b""),
        noise_profile=tags.noise_profile() if tags is not None else (),
        baseline_exposure=tags.baseline_exposure() if tags is not None else 0.0,
        exif=exif.tags,
        gps=exif.gps,
        carried=exif.carried,
        sensor=sensor,
        source=path.name,
    )


def _neutral(found: Decoded) -> Tensor | None:
    """As-shot neutral from the decoder's gains."""
    if found.gains is None:
        return None
    red, green, blue = found.gains
    return torch.tensor([green / red, 1.0, green / blue])


def _noise(shot: Shot, in_counts: bool = True) -> Noise | None:
    """The DNG's NoiseProfile in the unit of the frame; row noise isn't part of it."""
    if not shot.noise_profile:
        return None
    pairs = torch.tensor(shot.noise_profile).reshape(-1, 2).expand(3, 2).clamp(min=0)
    if in_counts:
        pairs = pairs[[0, 1, 1, 2]]
    scale = shot.scale_dn if in_counts else torch.ones(())
    return Noise(pairs[:, 0] * scale, pairs[:, 1].sqrt() * scale, torch.zeros(len(pairs)))


def _judge(path: Path, frame: Frame) -> None:
    """Warn of what can be seen from the frame as it is."""
    if not frame.data.numpy().any():
        warnings.warn(f"{path}: every pixel is zero; a frame taken with the lens cap on?", RawpipeWarning, stacklevel=3)
    shot = frame.shot
    if shot.neutral is None and shot.color is not None:
        instead = "1 1 1" if shot.color.source == "generic" else "the matrix's neutral under D65"
        warnings.warn(f"{path}: no as-shot white balance; {instead} stands in for it", RawpipeWarning, stacklevel=3)
