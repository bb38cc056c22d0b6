"""Camera files into frames: the only importer of rawpy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._camera_color import CameraColor
from rawpipe._errors import FormatError, FrameError, RawpipeWarning
from rawpipe._frame import Frame, Noise, Space
from rawpipe._shot import Box, Shot
from rawpipe.io.array import frame_of
from rawpipe.io.container import identify, mapped, tree_of
from rawpipe.io.dng_tags import DngTags
from rawpipe.io.exif import Exif, directories, read_exif
from rawpipe.io.samples import float_samples, read_dump

_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip as EXIF orientation


def read(
    path: str | PathLike[str],
    *,
    area: str = "active",
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
        matrix: your own colour matrix, see `Frame.from_array`; or "generic", for files that have none.
        device: where the pixels go.
        shape: height and width of a headless dump; such files are read only with shape, dtype and cfa.
        dtype: NumPy dtype of the dump, e.g. "uint16" or ">u2".
        cfa: phase of the dump's first pixel.
        **dump: further arguments of `Frame.from_array` for the dump: white, bits, black, neutral, iso, ...

    Raises:
        FormatError: missing, truncated, damaged, headless, or no Bayer RAW.

    Warns:
        RawpipeWarning: every pixel is zero, or the white balance had to be taken from the matrix.
    """
    path = Path(path)
    if area not in ("active", "sensor"):
        raise FormatError(f'got area={area!r}; expected "active" or "sensor"')
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
    with _opened(path) as raw:
        frame = (
            _linear(path, raw, tags, exif, area)
            if tags is not None and tags.is_linear
            else _mosaic(path, raw, tags, exif, area)
        )
    if matrix is not None:
        shot = replace(frame.shot, color=CameraColor.given(matrix, frame.shot.color))
        frame = replace(frame, shot=shot, neutral=shot.assumed_neutral())
    _judge(path, frame)
    return frame.to(device)


@contextmanager
def _opened(path: Path) -> Iterator[rawpy.RawPy]:
    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise FormatError(
            f"{path} can't be decoded: LibRaw says {reason.strip()!r}; it is damaged or of an unsupported kind"
        ) from error


def _mosaic(path: Path, raw: rawpy.RawPy, tags: DngTags | None, exif: Exif, area: str) -> Frame:
    pattern = raw.raw_pattern
    if raw.raw_type != rawpy.RawType.Flat or pattern is None:
        raise FormatError(
            f"{path} holds demosaiced or layered pixels, no Bayer mosaic; only a LinearRaw DNG of that kind can be read"
        )
    if pattern.shape != (2, 2) or raw.num_colors != 3:
        shape = "x".join(map(str, pattern.shape))
        raise FormatError(
            f"{path} has a {shape} mosaic of {raw.color_desc.decode()} (X-Trans or four colours); expected 2x2 Bayer"
        )
    # Float samples come through tifffile: LibRaw would round them to 14 bits.
    sensor = float_samples(path, tags) if tags is not None and tags.is_float else torch.from_numpy(raw.raw_image.copy())
    box = tags.active_area if tags is not None else _visible(raw)
    first = tags.cfa if tags is not None else _phase(pattern, box)
    shot = _shot(path, raw, tags, exif, (sensor.shape[-2], sensor.shape[-1]), box, sensor)
    if area == "sensor":
        data, first, corner = sensor, bayer.rephase(first, -box[0], -box[1]), (0, 0)
    else:
        data, corner = sensor[box[0] : box[2], box[1] : box[3]], (box[0], box[1])
    frame = frame_of(data, Space.SENSOR, cfa=first, shot=shot, noise=_noise(shot), top_left=corner)
    return replace(frame, applied=("linearization",))  # LibRaw looks the codes up while it decodes


def _linear(path: Path, raw: rawpy.RawPy, tags: DngTags, exif: Exif, area: str) -> Frame:
    stored = float_samples(path, tags) if tags.is_float else torch.from_numpy(raw.raw_image[..., :3].copy())
    if stored.ndim != 3 or stored.shape[-1] != 3:
        raise FormatError(f"{path} is a LinearRaw DNG with pixels {tuple(stored.shape)}; expected three planes")
    box = tags.active_area
    shot = _shot(path, raw, tags, exif, (stored.shape[0], stored.shape[1]), box, None)
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
    raw: rawpy.RawPy,
    tags: DngTags | None,
    exif: Exif,
    size: tuple[int, int],
    box: Box,
    sensor: Tensor | None,
) -> Shot:
    other, lens = raw.other, raw.lens
    color = tags.color() if tags is not None else None
    if color is None and raw.rgb_xyz_matrix[:3].any():
        try:
            color = CameraColor.of(raw.rgb_xyz_matrix[:3], source="libraw")
        except FrameError as error:
            warnings.warn(f"{path}: {error}", RawpipeWarning, stacklevel=5)
    if tags is not None:
        black, black_rows, black_columns = tags.black()
        white, neutral, bits = tags.white(), tags.neutral(color), tags.bits
        if tags.is_lossy:
            black, white, bits = torch.zeros_like(black), torch.full_like(white, float(raw.white_level)), 16
    else:
        black, black_rows, black_columns = _black(raw), None, None
        white, neutral = torch.full((4,), float(raw.white_level)), _multipliers(raw)
        if neutral is not None and (neutral == 1).all():
            warnings.warn(
                f"{path}: the as-shot white balance is 1 1 1; the counts are taken as balanced by the camera",
                RawpipeWarning,
                stacklevel=5,
            )
            if color is not None:
                color = replace(color, analog_balance=1 / color.neutral_of())  # gains applied before the counts
        bits = max(1, int(raw.white_level).bit_length())
    return Shot(
        make=exif.make,
        model=exif.model,
        unique_model=tags.unique_model() if tags is not None else "",
        serial=exif.serial or (tags.serial() if tags is not None else ""),
        lens=exif.lens or lens.model,
        iso=exif.iso or _positive(other.iso_speed),
        exposure_s=exif.exposure_s or (None if exif.tags else _positive(other.shutter_speed)),
        f_number=exif.f_number or (None if exif.tags else _positive(other.aperture)),
        focal_mm=exif.focal_mm or _positive(other.focal_length),
        taken=exif.taken,
        orientation=exif.orientation or _ORIENTATION.get(raw.sizes.flip, 1),
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
        default_crop=tags.default_crop if tags is not None else _libraw_crop(raw, box),
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


def _visible(raw: rawpy.RawPy) -> Box:
    sizes = raw.sizes
    return sizes.top_margin, sizes.left_margin, sizes.top_margin + sizes.height, sizes.left_margin + sizes.width


def _libraw_crop(raw: rawpy.RawPy, box: Box) -> Box | None:
    sizes = raw.sizes
    top, left = sizes.crop_top_margin - box[0], sizes.crop_left_margin - box[1]
    bottom, right = top + sizes.crop_height, left + sizes.crop_width
    inside = 0 <= top < bottom <= box[2] - box[0] and 0 <= left < right <= box[3] - box[1]
    return (top, left, bottom, right) if inside else None


def _phase(pattern: np.ndarray[Any, Any], box: Box) -> str:
    """Phase at the active area's origin; LibRaw's pattern starts at the first pixel of the sensor."""
    return "".join("RGBG"[pattern[(box[0] + y) % 2, (box[1] + x) % 2]] for y in (0, 1) for x in (0, 1))


def _black(raw: rawpy.RawPy) -> Tensor:
    """LibRaw indexes black by colour: red, green of the red rows, blue, green of the blue rows."""
    red, green_red, blue, green_blue = raw.black_level_per_channel
    return torch.tensor([red, green_red, green_blue, blue], dtype=torch.float32)


def _multipliers(raw: rawpy.RawPy) -> Tensor | None:
    """As-shot neutral from LibRaw's multipliers; zeros beside green mean that there is none."""
    red, green, blue, _ = raw.camera_whitebalance
    if min(red, green, blue) <= 0:
        return None
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


def _positive(value: float) -> float | None:
    return float(value) if value and value > 0 else None
