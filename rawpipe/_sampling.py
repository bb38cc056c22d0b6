"""Draws from a noise model: the physical order and the published one, in chunks on all cores of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rawpipe import _tukey, bayer

if TYPE_CHECKING:
    from rawpipe.noise_model import NoiseModel

# Pixels of a chunk: small enough for the cache, and for torch to run each operation in one thread.
_CHUNK = 32768

# Electrons that stand for "far beyond saturation": Poisson draws of infinity never end.
_MANY = 1e9


@dataclass(frozen=True, eq=False)
class _Maps:
    """A model's parameters laid out over a chunk (b or 1, h, W) or (..., H, W), those of a sensor over (b or 1, 1, 1).

    `letters` are those of the published model: P or p, g or G, r, u; None = the physical order. `clip`: whether that
    ends in 0..saturation.
    """

    gain: Tensor
    read: Tensor
    shape: Tensor | None
    row: Tensor
    step: Tensor
    black_error: Tensor
    saturation: Tensor
    black: Tensor
    letters: str | None
    clip: bool

    def top(self, rows: int) -> _Maps:
        """The maps of the first rows."""
        laid_out = ("gain", "read", "shape", "black_error", "saturation", "black")
        cut = {name: v[..., :rows, :] for name in laid_out if (v := getattr(self, name)) is not None}
        return replace(self, **cut)


def sample(
    model: NoiseModel,
    x: Tensor,
    cfa: str,
    generator: torch.Generator | None,
    letters: str | None = None,
    clip: bool = True,
) -> Tensor:
    """Noisy pixels for the mean signal `x` (..., H, W), on whose device `model` is.

    Args:
        model: parameters (..., 4), broadcast with the leading dimensions of `x`.
        x: floating point, DN above black.
        cfa: phase of `x[..., 0, 0]`.
        generator: on the device of `x`.
        letters: the published order with these parts: P shot noise (p: its Gaussian approximation), g Gaussian or G
            Tukey-lambda read noise, r row noise, u a uniform error of one step; None = the physical order.
        clip: whether the published order ends with cutting at 0 and saturation.
    """
    batch = torch.broadcast_shapes(x.shape[:-2], model.batch_shape)  # type: ignore[no-untyped-call]
    wide = x.expand(*batch, *x.shape[-2:])
    work = wide if wide.dtype in (torch.float32, torch.float64) else wide.float()
    with torch.no_grad():
        if work.is_cpu:
            noisy = _in_chunks(model, work, cfa, generator, letters, clip)
        else:
            height, width = work.shape[-2:]
            maps = _laid_out(model, cfa, height, width, work.dtype, letters, clip)
            noisy = _draw(work, _row_offsets(work, generator), maps, generator)
    return noisy.to(x.dtype)


def _in_chunks(
    model: NoiseModel, x: Tensor, cfa: str, generator: torch.Generator | None, letters: str | None, clip: bool
) -> Tensor:
    """The CPU's way: every chunk draws from a generator of its own, so that threads change no bit."""
    batch, (height, width) = x.shape[:-2], x.shape[-2:]
    count = prod(batch)
    flat, out = x.reshape(count, height, width), torch.empty(count, height, width, dtype=x.dtype)
    rows = _row_offsets(flat, generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    single = not model.batch_shape
    flat_model = model if single else model.map(lambda v: v.expand(*batch, *v.shape[len(model.batch_shape) :]))
    if not single and len(batch) != 1:
        flat_model = flat_model.map(lambda v: v.reshape(count, *v.shape[len(batch) :]))

    def jobs() -> Iterator[tuple[int, slice, slice, _Maps]]:
        together = max(1, _CHUNK // max(1, height * width))
        strip = height if together > 1 else min(height, max(2, _CHUNK // max(1, width) // 2 * 2))
        maps, number = None, 0
        for first in range(0, count, together):
            some = slice(first, min(first + together, count))
            if maps is None or not single:
                part = flat_model if single else flat_model[some]
                maps = _laid_out(part, cfa, strip, width, x.dtype, letters, clip)
            for top in range(0, height, strip):
                bottom = min(top + strip, height)
                yield number, some, slice(top, bottom), maps if bottom - top == strip else maps.top(bottom - top)
                number += 1

    inference = out.is_inference()

    def work(job: tuple[int, slice, slice, _Maps]) -> None:
        number, some, lines, maps = job
        own = torch.Generator().manual_seed((seed + number) % 2**62)
        with torch.inference_mode() if inference else torch.no_grad():  # threads don't inherit the mode
            out[some, lines] = _draw(flat[some, lines], rows[some, lines], maps, own)

    threads = torch.get_num_threads()
    if threads == 1 or out.numel() <= _CHUNK:
        for job in jobs():
            work(job)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, jobs()):
                pass
    return out.reshape(x.shape)


def _row_offsets(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, one per row (..., H, 1)."""
    return torch.randn((*x.shape[:-1], 1), generator=generator, dtype=x.dtype, device=x.device)


def _laid_out(
    model: NoiseModel, cfa: str, height: int, width: int, dtype: torch.dtype, letters: str | None, clip: bool
) -> _Maps:
    def site(values: Tensor) -> Tensor:
        return bayer.spread(values.to(dtype), cfa, height, width)

    read, shape = model.read_sigma_dn, model.tukey_lambda
    if shape is not None and (letters is None or "G" in letters):
        read, shape = model.tukey_scale_dn, site(shape)  # type: ignore[assignment]
    else:
        shape = None
    row, step = (v.to(dtype)[..., None, None] for v in (model.row_sigma_dn, model.quantisation_step_dn))
    return _Maps(
        site(model.gain_dn_per_e),
        site(read),
        shape,
        row,
        step,
        site(model.black_error_dn),
        site(model.saturation_dn),
        site(model.black_dn),
        letters,
        clip,
    )


def _draw(x: Tensor, rows: Tensor, maps: _Maps, generator: torch.Generator | None) -> Tensor:
    letters = maps.letters
    if letters is not None:
        return _published(x, rows, maps, generator)
    z = _shot(x, maps.gain, generator).add_(x.clamp(max=0))
    z = z.addcmul_(_read(x, maps, generator), maps.read).add_(rows * maps.row + maps.black_error)
    step = torch.where(maps.step > 0, maps.step, 1.0)
    counts = ((z + maps.black) / step).round_().mul_(step).sub_(maps.black)
    return torch.minimum(torch.where(maps.step > 0, counts, z), maps.saturation)


def _published(x: Tensor, rows: Tensor, maps: _Maps, generator: torch.Generator | None) -> Tensor:
    """ExposureDiffusion's order: u before P, then r, then g or G."""
    letters = maps.letters or ""
    if "u" in letters:
        error = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device) - 0.5
        x = torch.addcmul(x, error, maps.step).clamp_(min=0)
    z = x
    if "P" in letters:
        z = _shot(x, maps.gain, generator)
    elif "p" in letters:
        z = torch.addcmul(x, (maps.gain * x).clamp_(min=1e-10).sqrt_(), _normal(x, generator))
    if "r" in letters:
        z = z + rows * maps.row
    if "g" in letters or "G" in letters:
        z = torch.addcmul(z, _read(x, maps, generator), maps.read)
    return torch.minimum(z, maps.saturation).clamp_(min=0) if maps.clip else z


def _shot(x: Tensor, gain: Tensor, generator: torch.Generator | None) -> Tensor:
    electrons = (x / gain).nan_to_num_(0.0, _MANY, 0.0).clamp_(0.0, _MANY)
    return torch.poisson(electrons, generator).mul_(gain)


def _read(x: Tensor, maps: _Maps, generator: torch.Generator | None) -> Tensor:
    if maps.shape is None:
        return _normal(x, generator)
    return _tukey.draw(maps.shape, tuple(x.shape), generator)


def _normal(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
