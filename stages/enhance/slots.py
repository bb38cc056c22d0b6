"""The two places where a model can stand: on a mosaic, or on display-referred RGB."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from rawpipe import Frame, Noise, StageError, bayer
from rawpipe._heap import memory_kept
from rawpipe.stages.enhance.bands import in_bands, looked_at
from rawpipe.stages.enhance.enhancer import Enhancer, Given, RgbEnhancer, Run, Shown
from rawpipe.stages.enhance.left import TRIAL, left
from rawpipe.stages.enhance.limits import passed_through

Ready = Callable[[Frame], Frame]


def check_mosaic(frame: Frame) -> None:
    """Refuse what a model can't work on.

    Raises:
        StageError: the frame doesn't know its noise, its black isn't 0, or it is smaller than a cell.
    """
    if frame.noise is None:
        raise StageError(
            "got a frame that doesn't know its noise; put NoiseCalibration() before Enhance (if it is there, its "
            "`source` in the history says why it found none), or give noise=... when you make the frame"
        )
    if bool((frame.black != 0).any()):
        raise StageError(f"got a frame of black {frame.black.tolist()}; expected 0: put BlackLevel() before Enhance")
    if min(frame.height, frame.width) < 2:
        raise StageError(f"got {frame.height}x{frame.width} pixels; expected at least one 2x2 cell")


def given(frame: Frame, ratio: float, seed: int) -> Given:
    """What a model is told of mosaics with the noise and saturation of `frame`.

    Args:
        frame: MOSAIC.
        ratio: by which frames get brighter.
        seed: of random draws.
    """
    assert frame.noise is not None
    return Given(frame.noise.map(lambda one: one.to(frame.device)).scaled(ratio / frame.white), ratio, seed)


def mosaic_ready(enhancer: Enhancer, frame: Frame, told: Given, strength: float, trial: bool) -> Ready:
    """The model, made ready for mosaics with the noise and saturation of `frame`.

    Args:
        enhancer: the model.
        frame: MOSAIC.
        told: what `given` says of it.
        strength: 0 to 1.
        trial: whether to try what noise is left; if not, the result says the noise of its input.
    """
    unit, noise, ratio = frame.white, told.noise, told.ratio
    bounded = bool(getattr(enhancer, "bounded", False))
    run = partial(_blended, enhancer.prepared(told), noise, bounded, strength)
    grey = bayer.per_site(frame.neutral / frame.neutral.max()).to(unit)
    with _memory(unit):
        rest = left(run, noise, grey, getattr(enhancer, "trial", TRIAL)) if trial else noise
    return partial(_on_mosaic, run, unit / ratio, torch.full((), ratio, device=unit.device), rest.scaled(unit))


def _on_mosaic(run: Run, unit: Tensor, ratio: Tensor, left_over: Noise, frame: Frame) -> Frame:
    """Run.

    Args:
        run: the model, blended.
        unit: what 1 of the model's brightness is in the frame it gets, per site (4).
        ratio: by which the frame gets brighter ().
        left_over: noise of the result.
        frame: MOSAIC.
    """
    cfa, data = str(frame.cfa), bayer.as_float(frame.data)
    fine = None if looked_at(data) and bool(data.detach().sum().isfinite()) else data.isfinite()
    scale = unit[:, None, None].to(data.dtype)
    place = (frame.origin[:2] - torch.tensor(bayer.offset(cfa, 0), device=frame.device)) // 2
    planes = in_bands(lambda one: one / scale, bayer.pack(data if fine is None else torch.where(fine, data, 0.0), cfa))
    with _memory(planes):
        planes = run(planes, place.long())
    planes = in_bands(lambda one: one * (scale * ratio), planes)
    result = bayer.unpack(planes, cfa, frame.height, frame.width)
    return replace(
        frame,
        data=result if fine is None else torch.where(fine, result, data),
        white=frame.white * ratio,
        noise=left_over,
        exposure_gain=frame.exposure_gain * ratio,
    )


def _blended(run: Run, noise: Noise, bounded: bool, strength: float, planes: Tensor, place: Tensor) -> Tensor:
    """The model's result, or on the way to it; bright areas as they were."""
    if strength == 0:
        return planes
    result = run(planes, place)
    if bounded:
        result = passed_through(planes, result, noise)
    return result if strength == 1 else planes + strength * (result - planes)


def rgb_ready(enhancer: RgbEnhancer, frame: Frame, brightness: float, seed: int, strength: float) -> Ready:
    """The model, made ready for tiles of `frame`.

    Args:
        enhancer: the model.
        frame: RGB behind a display's curve, all of it.
        brightness: of the result, over that of the model's own.
        seed: of random draws.
        strength: 0 to 1.

    Raises:
        StageError: the frame is linear, or a stack.
    """
    if frame.color is None or frame.color.curve == "linear":
        raise StageError("got linear RGB; expected RGB behind a display's curve: put ToneCurve() before Enhance")
    if frame.data.dim() != 3:
        raise StageError(f"got a stack of {tuple(frame.data.shape)}; expected one picture (3, H, W)")
    run = enhancer.shown(Shown(_finite(frame), brightness, seed))
    return partial(_on_rgb, run, strength)


def _on_rgb(run: Run, strength: float, frame: Frame) -> Frame:
    picture = _finite(frame)
    with _memory(picture):
        result = picture if strength == 0 else run(picture, frame.origin[:2].long())
    data = torch.where(frame.data.isfinite(), picture + strength * (result - picture), frame.data)
    return replace(frame, data=data, noise=None)


def _memory(pixels: Tensor) -> AbstractContextManager[None]:
    """Where a network runs: memory is used again, where `torch.compile` doesn't look."""
    return memory_kept() if looked_at(pixels) else nullcontext()


def _finite(frame: Frame) -> Tensor:
    """The pixels; what isn't finite counts as black."""
    return torch.where(frame.data.isfinite(), frame.data, 0.0)
