"""Frames around arrays that are already in memory."""

from __future__ import annotations

import sys
import warnings
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawpipe._camera_color import CameraColor
from rawpipe._errors import FrameError, unknown
from rawpipe._frame import Color, Frame, Noise, Space
from rawpipe._shot import Shot


def from_array(
    array: object,
    cfa: str | None = None,
    *,
    space: Space | None = None,
    black: object = 0,
    white: object = None,
    bits: int | None = None,
    neutral: object = None,
    matrix: object = None,
    noise: object = None,
    iso: float | None = None,
    exposure_s: float | None = None,
    color: Color | None = None,
    linearization: object = None,
    **shot: Any,
) -> Frame:
    """A frame around your own pixels. The array is shared, not copied, and no stage ever writes into it.

    Args:
        array: NumPy array, torch tensor, or anything with DLPack: (..., H, W) for a mosaic, (..., 3, H, W) for RGB.
        cfa: phase of the first pixel of a mosaic, e.g. "RGGB"; None for RGB.
        space: `Space.SENSOR` if there is a CFA, else `Space.CAMERA`, unless you say so.
        black: black level in the unit of the array, a number or one per site R, Gr, Gb, B (or per plane).
        white: saturation level, likewise. Counts need it, or `bits`; linear frames saturate at 1.
        bits: bits of the counts, which gives white = 2**bits - 1.
        neutral: camera RGB of a neutral object (3), the reciprocal of white-balance gains; None if unknown.
        matrix: XYZ to camera RGB under D65, 3x3; or a `CameraColor` with two illuminants; or "generic".
        noise: `Noise`, or (shot, read) or (shot, read, row) in the unit of the array, each a number or per site.
        iso: ISO speed.
        exposure_s: exposure time in seconds.
        color: primaries and curve of an RGB frame.
        linearization: value of each stored code, for `Linearize`.
        **shot: further fields of `Shot`: make, model, serial, lens, orientation, masked_areas, ...

    Raises:
        FrameError: shape, phase, levels or matrix don't fit.

    Example:
        >>> frame = Frame.from_array(bayer, "RGGB", black=512, bits=14, neutral=(0.5, 1, 0.6), matrix=xyz_to_camera)
    """
    data = tensor_of(array)
    space = space or (Space.SENSOR if cfa is not None else Space.CAMERA)
    if data.ndim < 2 or not data.numel():
        raise FrameError(
            f"got an array of shape {tuple(data.shape)}; expected (..., H, W) or (..., 3, H, W) with pixels in it"
        )
    if not space.is_mosaic and data.ndim > 2 and data.shape[-3] != 3 and data.shape[-1] == 3:
        raise FrameError(
            f"got an array of shape {tuple(data.shape)}; expected planes first: numpy.moveaxis(array, -1, -3)"
        )
    if space is not Space.SENSOR and not data.is_floating_point():
        raise FrameError(
            f"got {data.dtype} for {space.label}; expected floating numbers where 1 is saturation: divide first"
        )
    if bits is not None and not _between(bits, Integral, 1, 32):
        raise FrameError(f"got bits {bits!r}; expected a whole number from 1 to 32")
    if white is None:
        if space is Space.SENSOR and bits is None:
            raise FrameError(
                "got counts without white; expected the level at which they saturate: white=16383 or bits=14"
            )
        white = 2**bits - 1 if bits is not None else 1
    count = 4 if space.is_mosaic else 3
    black, white = _levels(black, count, "black"), _levels(white, count, "white")
    if not (white > black).all():
        raise FrameError(f"got black {black.tolist()} and white {white.tolist()}; expected white above black")
    for name, value in (("iso", iso), ("exposure_s", exposure_s)):
        if value is not None and not _between(value, Real, sys.float_info.min, sys.float_info.max):
            raise FrameError(f"got {name} {value!r}; expected a positive number, or None")
    if shot.get("orientation", 1) not in range(1, 9):
        raise FrameError(f"got orientation {shot['orientation']!r}; expected EXIF's 1 to 8")
    size = data.shape[-2], data.shape[-1]
    table = None if linearization is None else _numbers(linearization)
    if linearization is not None and (table is None or table.ndim != 1):
        raise FrameError(f"got linearization {linearization!r}; expected the value of each code, in one row")
    facts: dict[str, Any] = {
        "bits": bits or _bits(data, float(white.max())),
        "black": black,
        "white": white,
        "size": size,
        "active_area": (0, 0, *size),
        "neutral": None if neutral is None else _neutral(neutral),
        "color": CameraColor.given(matrix),
        "iso": iso,
        "exposure_s": exposure_s,
        "linearization": table,
    }
    for name in shot:
        if name not in _SHOT:
            raise FrameError(unknown("argument", name, sorted(_SHOT)))
    made = Shot(**(facts | shot))
    return frame_of(data, space, cfa=cfa, shot=made, noise=_noise(noise, count), color=color)


_SHOT = {f.name for f in fields(Shot)}


def frame_of(
    data: Tensor,
    space: Space,
    *,
    cfa: str | None = None,
    shot: Shot,
    noise: Noise | None = None,
    color: Color | None = None,
    top_left: tuple[int, int] = (0, 0),
) -> Frame:
    """A frame to which nothing has been done yet. `top_left` is where its first pixel stands in the whole sensor."""
    return Frame(
        data=data,
        space=space,
        cfa=cfa,
        color=color,
        black=shot.black,
        white=shot.white,
        pedestal=shot.black,
        noise=noise,
        wb=torch.ones(3),
        exposure_gain=torch.ones(()),
        neutral=shot.assumed_neutral(),
        origin=torch.tensor([*top_left, *shot.size]),
        shot=shot,
    ).to(data.device)


def tensor_of(array: object) -> Tensor:
    """Any array as a tensor, sharing its memory where that is possible.

    Raises:
        FrameError: it is no array of numbers.
    """
    if not isinstance(array, Tensor | np.ndarray) and hasattr(array, "__dlpack__"):
        array = _from_dlpack(array)
    if isinstance(array, np.ndarray) and array.dtype.kind in "uif" and array.dtype.itemsize <= 8:
        if not array.dtype.isnative or any(stride < 0 for stride in array.strides):
            array = np.array(array, dtype=array.dtype.newbyteorder("="))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing writes into it
            return torch.from_numpy(array)
    if isinstance(array, Tensor) and array.dtype is not torch.bool and not array.is_complex():
        return array
    got = f"an array of {array.dtype}" if isinstance(array, Tensor | np.ndarray) else type(array).__name__
    raise FrameError(
        f"got {got}; expected integers or floating numbers in a NumPy array, a torch tensor, or an object with DLPack"
    )


def _from_dlpack(array: Any) -> object:
    """By NumPy where the memory is the CPU's: torch would end the process over negative strides."""
    try:
        return np.from_dlpack(array) if array.__dlpack_device__()[0] == 1 else torch.from_dlpack(array)  # type: ignore[attr-defined]
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise FrameError(f"got {type(array).__name__}, whose DLPack can't be read: {error}") from error


def _between(value: object, kind: type, low: float, high: float) -> bool:
    return isinstance(value, kind) and low <= float(value) <= high  # type: ignore[arg-type]


def _bits(data: Tensor, white: float) -> int:
    return max(1, round(white).bit_length()) if not data.is_floating_point() or white > 1 else 16


def _levels(values: object, count: int, name: str) -> Tensor:
    levels = _numbers(values)
    if levels is not None and levels.ndim == 0:
        levels = levels.repeat(count)
    if levels is None or levels.shape != (count,) or not levels.isfinite().all():
        raise FrameError(f"got {name} {values!r}; expected one number, or {count}: R, Gr, Gb, B or R, G, B")
    return levels


def _neutral(values: object) -> Tensor:
    neutral = _numbers(values)
    if neutral is None or neutral.shape != (3,) or not neutral.isfinite().all() or not (neutral > 0).all():
        raise FrameError(f"got neutral {values!r}; expected three positive numbers: 1 / gain of R, G, B")
    return neutral / neutral[1]


def _numbers(values: object) -> Tensor | None:
    """Numbers in float32 on the CPU, None if they are none."""
    try:
        return torch.as_tensor(values, dtype=torch.float32).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        return None


def _noise(values: object, count: int) -> Noise | None:
    if values is None or isinstance(values, Noise):
        return values
    if not isinstance(values, tuple | list) or len(values) not in (2, 3):
        raise FrameError(f"got noise {values!r}; expected Noise, or (shot, read) or (shot, read, row)")
    shot, read, row = (*values, 0.0)[:3]
    return Noise(_levels(shot, count, "shot"), _levels(read, count, "read"), _levels(row, count, "row"))
