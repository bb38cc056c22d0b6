"""Tensors to the compiled kernels and back; imported only where Numba is there and `dispatch.usable` allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._errors import StageError
from rawpipe.kernels import buffers, curves, defects, lines
from rawpipe.kernels.guard import guard_band
from rawpipe.kernels.ops import Affine, Clip, Demosaic, Encode, Matrix, Op, Quantize, Table
from rawpipe.kernels.threads import over_rows
from rawpipe.kernels.vectors import PICKS

_METHODS = {"bilinear": lines.BILINEAR, "malvar2004": lines.MALVAR, "menon2007": lines.MENON}
_GUARD_ROWS = 128  # of a band, at least: 36 above and below are computed twice
_STRIP = 64  # rows that the reference gets where pixels aren't finite
Array = np.ndarray[Any, Any]


def demosaic(method: str, data: Tensor, cfa: str) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W) of float32 or uint16."""
    return _demosaicing(method)(data, cfa)


@cache
def _demosaicing(method: str) -> Program:
    return Program([Demosaic(method)], mosaic=True)


def guarded(planes: Tensor, result: Tensor, noise: Tensor, radii: tuple[int, int], sigmas: Sequence[float]) -> Tensor:
    """The result of a model, with given back what it changed beyond limits: see `guard.guard_band`.

    Args:
        planes: its input (..., 4, h, w), float32.
        result: of the same shape.
        noise: variances of each site (4): per signal, without light, of rows (3, 4).
        radii: of the two means.
        sigmas: limits of the two means and of a pixel.
    """
    out = buffers.empty(tuple(planes.shape), torch.float32)
    height, width = planes.shape[-2:]
    limits = np.array(sigmas, np.float32)
    three = zip(*(_pictures(one, 2) for one in (planes, result, out)), strict=True)
    for number, (plane, one, target) in enumerate(three):
        (pixels, (stride,)), (changed, (other,)) = _flat(plane), _flat(one)
        here, into = _array(noise[:, number % 4]), target.view(-1).numpy()

        def band(rows: tuple[int, int]) -> None:
            place = (stride, other), (height, width), rows  # noqa: B023
            guard_band(pixels, changed, *place, radii, here, limits, into)  # noqa: B023

        over_rows(band, height, width, _GUARD_ROWS)
    return out


def without_defects(
    data: Tensor,
    cfa: str,
    noise: Tensor,
    known: bool,
    shares: Sequence[float],
    reference: Callable[[Tensor, int, int], Tensor],
) -> Tensor:
    """Pixels that stand out alone replaced: see `defects.cleaned_band`.

    Args:
        data: mosaic (..., H, W) of float32 or uint16, two rows and columns at least.
        cfa: its phase.
        noise: of each site variances per signal, without light, of rows; black, and a code's step (5, 4).
        known: whether the noise is.
        shares: see `defects._replaced`.
        reference: gives rows of a picture (H, W), where pixels aren't finite.
    """
    out = buffers.empty(tuple(data.shape), torch.float32)
    height, width = data.shape[-2:]
    numbers, limits = _array(noise.T)[np.array(bayer.sites_at(cfa))], np.array(shares, np.float32)
    halo = defects.HALO
    whole = -(-min(defects.COLUMNS, width) // 16) * 16 + 16  # vectors, in memory that starts at one
    rows, columns = (np.pad(np.arange(length), halo, "reflect") for length in (height, width))
    for one, target in zip(_pictures(data, 2), _pictures(out, 2), strict=True):
        (pixels, (stride,)), into = _flat(one), target.view(-1).numpy()

        def band(span: tuple[int, int]) -> None:
            work = torch.empty(defects.WORK, whole).numpy()
            where = stride, rows, columns, span  # noqa: B023
            if defects.cleaned_band(pixels, *where, known, numbers, limits, work, into):  # noqa: B023
                for top in range(*span, _STRIP):
                    bottom = min(top + _STRIP, span[1])
                    target[top:bottom] = reference(one, top, bottom)  # noqa: B023

        over_rows(band, height, width)
    return out


def _pictures(data: Tensor, dims: int) -> list[Tensor]:
    """The pictures of a stack, each with `dims` dimensions."""
    data = data.detach()
    return [data] if data.ndim == dims else [one for part in data for one in _pictures(part, dims)]


def _flat(picture: Tensor) -> tuple[Array, tuple[int, ...]]:
    """All pixels from the first to the last as they stand in memory, and the strides of planes and rows."""
    if picture.stride(-1) != 1:
        picture = picture.contiguous()
    strides = tuple(picture.stride())
    length = 1 + sum((size - 1) * stride for size, stride in zip(picture.shape, strides, strict=True))
    return picture.as_strided((length,), (1,)).numpy(), strides[:-1]


class Program:
    """Ops as the kernels read them: on the mosaic, on the planes, and how to store.

    Args:
        ops: in the order in which they are done; at most one demosaics, and only the last quantizes.
        mosaic: whether they start on a mosaic.
    """

    def __init__(self, ops: Sequence[Op], mosaic: bool) -> None:
        self.mosaic = mosaic
        self.method = next((_METHODS[op.method] for op in ops if isinstance(op, Demosaic)), lines.NONE)
        self.planes = 3 if self.method != lines.NONE or not mosaic else 1
        self.quantized = bool(ops) and isinstance(ops[-1], Quantize)
        self.table = next((_array(op.values) for op in ops if isinstance(op, Table)), np.zeros(1, np.float32))
        split = next((index for index, op in enumerate(ops) if isinstance(op, Demosaic)), -1)
        on_sites, on_planes = list(ops[: split + 1]), list(ops[split + 1 :])
        if mosaic and split < 0:
            on_sites, on_planes = on_planes, []
        self.encode: Array = np.zeros(0, np.float32)
        curve = on_planes[-2] if self.quantized and len(on_planes) > 1 else None
        if isinstance(curve, Encode) and (numbers := curves.code_numbers(curve.curve, PICKS)):
            self.encode = np.array(numbers, np.float32)
            del on_planes[-2]
        # Menon's decisions turn with the last bits: ahead of them nothing is merged
        self.first = _leading([] if self.method == lines.MENON else on_sites)
        self.on_sites, self.on_planes = _coded(on_sites), _coded(on_planes)

    def __call__(self, data: Tensor, cfa: str | None) -> Tensor:
        """The pixels of the result, float32 or uint16.

        Raises:
            StageError: pixels aren't finite where they are quantized.
        """
        height, width = data.shape[-2:]
        batch = data.shape[: data.ndim - (2 if self.mosaic else 3)]
        shape = (*batch, 3, height, width) if self.planes == 3 else (*batch, height, width)
        out = buffers.empty(shape, torch.uint16 if self.quantized else torch.float32)
        results = _pictures(out, 3 if self.planes == 3 else 2)
        bad = sum(
            self._picture(one, cfa, result.view(-1).numpy())
            for one, result in zip(_pictures(data, 2 if self.mosaic else 3), results, strict=True)
        )
        if bad:
            raise StageError(
                "got nan or infinite pixels; expected finite ones: find the stage they come from with keep="
            )
        return out

    def _picture(self, picture: Tensor, cfa: str | None, result: Array) -> int:
        height, width = picture.shape[-2:]
        pixels, strides = _flat(picture)
        if not self.mosaic:

            def band(rows: tuple[int, int]) -> int:
                ops = (pixels, strides, (height, width), rows, self.on_planes, self.encode, result)
                return int(lines.change_band(*ops))

        else:
            sites = np.array(bayer.sites_at(str(cfa)))

            def band(rows: tuple[int, int]) -> int:
                place = (pixels, strides[0], (height, width), rows, sites)
                ops = (self.first, self.on_sites, self.table, self.on_planes, self.encode)
                return int(lines.develop_band[self.method](*place, *ops, result))

        return over_rows(band, height, width)


def _array(values: Tensor) -> Array:
    return values.detach().to("cpu", torch.float32).contiguous().numpy()


def _leading(ops: list[Op]) -> tuple[Array, np.float32]:
    """Gain and offset per site (2, 4) of the affine ops that come first, and the level of a clip behind them.

    What is answered here is taken out of `ops`.
    """
    gain, offset, level = np.ones(4), np.zeros(4), np.inf
    while ops and isinstance(op := ops[0], Affine):
        gain, offset = gain * _four(op.gain), offset * _four(op.gain) + _four(op.offset)
        del ops[0]
    if ops and isinstance(op := ops[0], Clip):
        level = float(op.level)
        del ops[0]
    return np.stack([gain, offset]).astype(np.float32), np.float32(level)


def _coded(ops: Sequence[Op]) -> tuple[Array, Array]:
    """Codes (n) and numbers (n, PARAMETERS) of the ops that change lines."""
    rows = [row for op in ops if (row := _row(op)) is not None]
    numbers = np.zeros((len(rows), lines.PARAMETERS), np.float32)
    for numbers_of, (_, values) in zip(numbers, rows, strict=True):
        numbers_of[: len(values)] = values
    return np.array([code for code, _ in rows], np.int64), numbers


def _row(op: Op) -> tuple[int, Sequence[float]] | None:
    match op:
        case Affine(gain, offset):
            return lines.AFFINE, [*_four(gain), *_four(offset)]
        case Clip(level):
            return lines.CLIP, [float(level)]
        case Matrix(rows):
            return lines.MATRIX, rows.flatten().tolist()
        case Encode(curve):
            return lines.CURVE, curves.numbers(curve)
        case Table():
            return lines.TABLE, []
    return None


def _four(values: Tensor | float) -> list[float]:
    """One number per channel, four of them."""
    numbers: list[float] = torch.as_tensor(values).detach().flatten().tolist()
    return numbers * 4 if len(numbers) == 1 else [*numbers, 0.0][:4]
