"""Maps to look at: how sure a model is of each pixel, and how much it changed it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rawpipe import Frame, Pipeline, StageError, bayer
from rawpipe.stages.enhance.stage import Enhance


def spread(stage: Enhance, frame: Frame, samples: int = 8) -> Tensor:
    """Standard deviation of the result's pixels over samples of the model, of the result's shape and in its unit.

    It says how much the model's answer hangs on the photons that it draws; what all samples have wrong alike, it
    doesn't show.

    Args:
        stage: with a model that can draw; sample number i has the seed `stage.seed` + i.
        frame: what the stage takes: MOSAIC with `noise`, or RGB.
        samples: how many, 2 or more.

    Raises:
        StageError: the model makes no draws, or there are too few samples.
    """
    drawing = getattr(stage.enhancer, "sampled", None)
    if drawing is None:
        raise StageError(f"got model {stage.model!r}, which draws nothing; expected ExposureDiffusion() or LLFlow()")
    if samples < 2:
        raise StageError(f"got {samples} samples; expected 2 or more")
    mean, squares = torch.zeros(()), torch.zeros(())
    for number in range(samples):
        one = replace(stage, model=drawing(), seed=stage.seed + number, _trial=False)
        data = Pipeline([one])(frame).data
        off = data - mean  # the running mean, after Welford (1962)
        mean = mean + off / (number + 1)
        squares = squares + off * (data - mean)
    return (squares / (samples - 1)).sqrt()


def change(before: Frame, after: Frame) -> Tensor:
    """How much the model changed each pixel, in standard deviations of the noise it had (..., H, W).

    What noise explains lies mostly between -3 and 3; outlines of things that show up here were taken for noise.

    Args:
        before: MOSAIC with `noise`.
        after: what Enhance made of it.

    Raises:
        StageError: `before` doesn't know its noise, or the frames aren't of one size.
    """
    if before.noise is None or before.data.shape != after.data.shape:
        raise StageError(
            f"got frames of {tuple(before.data.shape)} and {tuple(after.data.shape)}; expected what went into Enhance, "
            "with its noise, and what came out"
        )
    ratio = (after.exposure_gain / before.exposure_gain).to(before.data)
    cleaned = after.data / ratio
    cfa, size = str(before.cfa), (before.height, before.width)
    shot, constant = (
        bayer.spread(one.to(before.data), cfa, *size)
        for one in (before.noise.shot, before.noise.read**2 + before.noise.row**2)
    )
    return (cleaned - before.data) / (shot * cleaned.clamp(min=0) + constant).sqrt().clamp(min=1e-12)
