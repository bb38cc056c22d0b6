"""Frame: a picture with its meaning; and its Noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._errors import FrameError
from rawpipe._shot import Box, Shot
from rawpipe._space import Color as Color
from rawpipe._space import Space as Space
from rawpipe._space import Step as Step

_LARGE = 2**20  # bytes: what is smaller isn't worth locking pages


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of the pixels, in the unit of the frame's data: variance = shot * (x - black) + read**2, plus row noise.

    Args:
        shot: variance per unit of signal, per site R, Gr, Gb, B (4) or per plane (3).
        read: standard deviation without light, likewise; quantisation included.
        row: standard deviation of the offset that a whole row shares, likewise.
    """

    shot: Tensor
    read: Tensor
    row: Tensor

    def scaled(self, gain: Tensor) -> Noise:
        """The noise of pixels multiplied by `gain`, a scalar or one number per site or plane."""
        size = gain.abs()
        return Noise(self.shot * size, self.read * size, self.row * size)

    def variance(self, signal: Tensor) -> Tensor:
        """Variance of a pixel at `signal` above black: per site or plane, in the last dimension of `signal`."""
        return self.shot * signal.clamp(min=0) + self.read**2 + self.row**2

    def mixed(self, weights: Tensor, row_weights: Tensor, signal: Tensor, mixed_signal: Tensor) -> Noise:
        """The noise of planes that are linear mixtures of others, for a flat field.

        A two-parameter model can't hold what each input contributes, so shot noise is taken at the inputs' signals
        `signal` (n) and laid on the outputs' signal `mixed_signal` (m).

        Args:
            weights: summed squared coefficients of every input in every output (m, n).
            row_weights: for every output a quadratic form in the inputs' row sigmas (m, n, n).
            signal: flat-field signal of the inputs (n).
            mixed_signal: flat-field signal of the outputs (m).
        """
        shot = weights @ (self.shot * signal) / mixed_signal
        return Noise(
            shot, (weights @ self.read**2).sqrt(), torch.einsum("cst,s,t->c", row_weights, self.row, self.row).sqrt()
        )

    def map(self, fn: Callable[[Tensor], Tensor]) -> Noise:
        """Apply `fn` to every tensor."""
        return Noise(fn(self.shot), fn(self.read), fn(self.row))


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """A picture, or a stack of them in the leading dimensions, with everything needed to understand its numbers.

    Args:
        data: pixels, shaped as `space` says.
        space: meaning and unit of the numbers.
        cfa: phase of `data[..., 0, 0]`, one of RGGB, GRBG, GBRG, BGGR; None once demosaiced.
        color: primaries and curve of RGB and its codes, None in other spaces.
        black: black level per site R, Gr, Gb, B (4) or per plane (3), in the unit of `data`.
        white: level at which the sensor saturated, likewise.
        pedestal: counts in DN that stand for no light, per site or plane: what `black` was before it was subtracted.
        noise: noise of the pixels, None if unknown.
        wb: white-balance gains already applied to R, G, B (3), ones if none.
        exposure_gain: product of all exposure gains since the sensor, a scalar, 1 if none.
        neutral: camera RGB of a neutral object in use (3), green = 1, before `wb`.
        origin: y and x of `data[..., 0, 0]` in the whole frame, then its height and width (4), integers.
        applied: one-time corrections that have been made: "linearization", "opcodes1", "opcodes2", ...
        shot: what the camera recorded.
        history: the stages that ran, written by the pipeline.

    Raises:
        FrameError: the parts don't fit together.
    """

    data: Tensor
    space: Space
    cfa: str | None = None
    color: Color | None = None
    black: Tensor
    white: Tensor
    pedestal: Tensor
    noise: Noise | None = None
    wb: Tensor
    exposure_gain: Tensor
    neutral: Tensor
    origin: Tensor
    applied: tuple[str, ...] = ()
    shot: Shot
    history: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.data, Tensor):
            raise FrameError(f"got {type(self.data).__name__} as data; expected a tensor, see Frame.from_array")
        shape = tuple(self.data.shape)
        if self.space.is_mosaic:
            if self.cfa is None or len(shape) < 2:
                raise FrameError(f"{self._got()}; expected (..., H, W) and a phase")
            bayer.check_phase(self.cfa)
        elif self.cfa is not None or len(shape) < 3 or shape[-3] != 3:
            raise FrameError(f"{self._got()}; expected (..., 3, H, W) and None")
        if (self.color is None) == bool(self.space & (Space.RGB | Space.CODES)):
            got = f"got {self.space.label} with color {self.color}"
            raise FrameError(f"{got}; expected a Color in RGB and CODES and None elsewhere")
        if self.space is Space.CODES and self.data.dtype is not torch.uint16:
            raise FrameError(f"got {self.data.dtype} in CODES; expected torch.uint16: work on RGB, Quantize last")
        n = 4 if self.space.is_mosaic else 3
        shapes = {"black": (n,), "white": (n,), "pedestal": (n,), "wb": (3,), "exposure_gain": (), "neutral": (3,)}
        for name, shape in shapes.items():
            self._cast(name, shape, torch.float32)
        self._cast("origin", (4,), torch.int64)

    def _got(self) -> str:
        return f"got {self.space.label} data {tuple(self.data.shape)} and cfa {self.cfa!r}"

    def _cast(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Bring a small tensor to the type and device that all frames share, or a float64 promotes the pixels."""
        values = getattr(self, name)
        if not isinstance(values, Tensor) or values.shape != shape:
            got = tuple(getattr(values, "shape", ()))
            raise FrameError(f"got {name} {got}; expected a tensor of shape {shape} in {self.space.label}")
        if values.dtype is not dtype or values.device != self.data.device:
            object.__setattr__(self, name, values.to(self.data.device, dtype))

    @classmethod
    def read(
        cls,
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
        """Read a camera file, a DNG, or with `shape`, `dtype` and `cfa` a headless dump. See `rawpipe.io.raw.read`."""
        from rawpipe.io.raw import read

        options: dict[str, Any] = {"shape": shape, "dtype": dtype, "cfa": cfa}
        return read(path, area=area, reader=reader, matrix=matrix, device=device, **options, **dump)

    @classmethod
    def from_array(
        cls,
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
        **more: Any,
    ) -> Frame:
        """A frame around your own pixels, without a copy. `more`: see `rawpipe.io.array.from_array`."""
        from rawpipe.io.array import from_array

        levels: dict[str, Any] = {"black": black, "white": white, "bits": bits, "neutral": neutral, "noise": noise}
        return from_array(array, cfa, space=space, matrix=matrix, **levels, **more)

    def write(
        self,
        path: str | PathLike[str],
        *,
        matrix: object = None,
        headroom: float | None = None,
        dtype: str | None = None,
        compression: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Step:
        """Write a DNG or a TIFF, by the file's ending; the step returned says what was done. See `rawpipe.io.write`."""
        from rawpipe.io import write

        options: dict[str, Any] = {"matrix": matrix, "headroom": headroom, "dtype": dtype}
        return write(self, path, compression=compression, progress=progress, **options)

    def __repr__(self) -> str:
        parts = (self.space.label, self.cfa, "x".join(map(str, self.data.shape)), self.data.dtype)
        return f"<Frame {' '.join(str(part) for part in parts if part)} from {self.shot.model!r}>"

    @property
    def height(self) -> int:
        """Rows."""
        return self.data.shape[-2]

    @property
    def width(self) -> int:
        """Columns."""
        return self.data.shape[-1]

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.data.device

    def map(self, fn: Callable[[Tensor], Tensor]) -> Frame:
        """Apply `fn` to every tensor of the frame; the shot stays as it was taken, on the CPU."""
        moved: dict[str, Any] = {f.name: fn(v) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **moved, noise=None if self.noise is None else self.noise.map(fn))

    def to(self, device: torch.device | str) -> Frame:
        """This frame on another device; to a GPU through page-locked memory, so that the CPU goes on meanwhile.

        Raises:
            FrameError: it is no device, or can't be used.
        """
        try:
            return self.map(partial(_moved, device=torch.device(device)))
        except (TypeError, RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise FrameError(f'got device {device!r}: {reason}; expected one of this machine, such as "cpu"') from error

    def cpu(self) -> Frame:
        """This frame on the CPU."""
        return self.to("cpu")

    def pin_memory(self) -> Frame:
        """This frame in page-locked memory, for fast copies to a GPU."""
        return self.map(Tensor.pin_memory)

    def as_type(self, dtype: torch.dtype) -> Frame:
        """This frame with its pixels in another floating type; levels and noise stay float32."""
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise FrameError(f"got {dtype!r}; expected a floating type such as torch.float32")
        return replace(self, data=self.data.to(dtype))

    def __getitem__(self, index: int) -> Frame:
        """One frame of a burst or batch."""
        if self.data.ndim <= (2 if self.space.is_mosaic else 3):
            raise FrameError(f"got index {index} for data {tuple(self.data.shape)}; expected a stack of frames")
        return replace(self, data=self.data[index])

    def crop(self, top: int, left: int, height: int, width: int) -> Frame:
        """A window of the frame, a view: phase and origin move with it.

        Raises:
            FrameError: the window isn't inside the frame.
        """
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise FrameError(
                f"got a crop of {height}x{width} at row {top}, column {left}; "
                f"expected it within {self.height}x{self.width}"
            )
        return replace(
            self,
            data=self.data[..., top : top + height, left : left + width],
            cfa=None if self.cfa is None else bayer.rephase(self.cfa, top, left),
            origin=self.origin + self.origin.new_tensor([top, left, 0, 0]),
        )

    def recommended_crop(self) -> Box | None:
        """Top, left, bottom, right of the maker's crop in pixels of this frame, be it cropped or at half size.

        None if the maker recommends none, or none of it is in the frame.
        """
        y, x, *whole = self.origin.tolist()
        return self.shot.crop_within((y, x, y + self.height, x + self.width), whole)

    def scaled(self, gain: Tensor | float, offset: Tensor | float = 0.0) -> Frame:
        """Change the unit: data * gain + offset, and with it black, white and noise.

        Args:
            gain: a number, or one per site (4) or plane (3).
            offset: likewise, in the new unit.
        """
        data = bayer.as_float(self.data)
        gain = torch.as_tensor(gain, dtype=torch.float32, device=data.device)
        offset = torch.as_tensor(offset, dtype=torch.float32, device=data.device)
        pixels = torch.addcmul(self._laid_out(offset), data, self._laid_out(gain))
        return replace(
            self,
            data=pixels,
            black=self.black * gain + offset,
            white=self.white * gain + offset,
            noise=None if self.noise is None else self.noise.scaled(gain),
        )

    def _laid_out(self, values: Tensor) -> Tensor:
        """Per-site or per-plane values in a shape that broadcasts with the pixels, in their dtype."""
        values = values.to(self.data.dtype if self.data.is_floating_point() else torch.float32)
        if values.ndim == 0:
            return values
        if self.cfa is not None:
            return bayer.spread(values, self.cfa, self.height, self.width)
        return values[:, None, None]


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """On another device. Pages that the caller locked himself are waited for: he may fill them anew."""
    large = device.type == "cuda" and tensor.device.type == "cpu" and tensor.nbytes >= _LARGE
    if large and torch.cuda.is_available() and not tensor.requires_grad and not tensor.is_pinned():
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
