"""Scores of display-referred RGB, as papers on low-light enhancement print them for LOL."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe import PipelineError
from rawpipe._errors import unknown
from rawpipe.lpips import Lpips
from rawpipe.metrics import psnr_db, ssim
from rawpipe.stages.enhance.evaluation.protocols import AS_IS

OF_TRUTH = "brightness of the truth"
DISPLAY_ALIGNMENTS = {
    AS_IS: "the result as it is, rounded to 8 bits",
    OF_TRUTH: "the result, cut to 0..1, multiplied by the truth's mean gray over the result's mean, cut again, and "
    "truncated to 8 bits, which nobody can do who lacks the truth. LLFlow's published 25.19 dB on LOL v1 is with it; "
    "without it users measure 21.15 dB",
}
_PEAK = 255
_GRAY = (0.299, 0.587, 0.114)
_PUBLISHED_GRAY = _GRAY[::-1]  # the published weights are those of blue, green, red, put on red, green, blue


class DisplayScore(NamedTuple):
    """How near a picture of 8 bits is to the truth.

    Args:
        psnr_db: over all values of RGB.
        ssim_gray: of 0.299 R + 0.587 G + 0.114 B, rounded; what LLFlow prints.
        ssim_rgb: the mean over the channels.
        lpips: distance by AlexNet, version 0.1; nan without its weights.
    """

    psnr_db: float
    ssim_gray: float
    ssim_rgb: float
    lpips: float


def as_scored(result: Tensor, truth: Tensor, alignment: str = AS_IS) -> Tensor:
    """The result as it is scored, whole numbers from 0 to 255, float64.

    Args:
        result: RGB (3, H, W), 1 = white; cut to 0..1 first.
        truth: of the same shape, in 0..1.
        alignment: "as-is", or "brightness of the truth": multiplied by mean gray of the truth over mean of the result,
            where gray is 0.114 R + 0.587 G + 0.299 B as published, though the mean of the result is a plain one.

    Raises:
        PipelineError: no such alignment.
    """
    result, truth = result.double().clamp(0, 1), truth.double()
    if alignment == AS_IS:
        return (result * _PEAK).round()
    if alignment != OF_TRUTH:
        raise PipelineError(unknown("alignment", alignment, DISPLAY_ALIGNMENTS))
    mean = result.mean()
    factor = gray(truth, _PUBLISHED_GRAY).mean() / mean if mean > 0 else 1.0
    return ((result * factor).clamp(0, 1) * _PEAK).floor()


def gray(picture: Tensor, weights: tuple[float, ...] = _GRAY) -> Tensor:
    """0.299 R + 0.587 G + 0.114 B, or another sum (H, W) of a picture's channels (3, H, W)."""
    return torch.einsum("c,chw->hw", picture.new_tensor(weights), picture)


def psnr_in_8_bits(result: Tensor, truth: Tensor, alignment: str = AS_IS) -> float:
    """PSNR in dB of what `as_scored` gives, over all values of RGB.

    Raises:
        FrameError: the shapes differ.
        PipelineError: no such alignment.
    """
    return psnr_db(as_scored(result, truth, alignment), as_scored(truth, truth), _PEAK)


def display_score(result: Tensor, truth: Tensor, alignment: str = AS_IS, lpips: Lpips | None = None) -> DisplayScore:
    """All scores of a result.

    Args:
        result: RGB (3, H, W), 1 = white.
        truth: of the same shape, in 0..1.
        alignment: see `as_scored`.
        lpips: the network; None = no such score.

    Raises:
        FrameError: the shapes differ, or the pictures are too small: 7 pixels, for LPIPS 31.
        PipelineError: no such alignment.
        StageError: scikit-image isn't installed.
    """
    found, true = as_scored(result, truth, alignment), as_scored(truth, truth)
    seen, true_seen = (gray(one).round()[None] for one in (found, true))
    shown, true_shown = (one[None].float() / _PEAK for one in (found, true))
    return DisplayScore(
        psnr_db(found, true, _PEAK),
        ssim(seen, true_seen, _PEAK),
        ssim(found, true, _PEAK),
        math.nan if lpips is None else float(lpips(shown, true_shown)),
    )
