"""Every registered stage keeps the laws of `rawpipe.testing.check_stage`, as it is and with other parameters."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from rawpipe import Noise, RawpipeWarning, Stage, _registry
from rawpipe._stage import name_of
from rawpipe.stages import (
    BlackLevel,
    ColorTransform,
    Crop,
    Demosaic,
    Enhance,
    Exposure,
    NoiseCalibration,
    Orient,
    Quantize,
    RowNoise,
    ToneCurve,
    WhiteBalance,
)
from rawpipe.testing import check_stage

VARIANTS: list[Stage] = [
    BlackLevel("masked"),
    BlackLevel("masked", area=(6, 2, 20, 30)),
    BlackLevel(black=500.0),
    BlackLevel(black=(500.0, 501.5, 502.0, 510.0)),
    ColorTransform("prophoto"),
    ColorTransform(matrix=((1.5, -0.5, 0.0), (-0.25, 1.5, -0.25), (0.0, -0.5, 1.5))),
    Crop((1, 2, 20, 33)),
    Demosaic("bilinear"),
    Demosaic("menon2007"),
    Demosaic("superpixel"),
    Demosaic("menon2007", backend="colour-demosaicing"),
    Enhance(strength=0.5),
    Enhance("exposure_diffusion(steps=1)", exposure=4),
    Exposure(-2.5),
    Exposure("auto"),
    NoiseCalibration(shot_dn=1.5, read_dn=(2.0, 2.1, 2.2, 2.3), row_dn=0.5),
    *(Orient(orientation) for orientation in range(1, 9)),
    RowNoise("picture", row_dn=20.0),
    RowNoise(row_dn=0.0),
    ToneCurve("linear"),
    ToneCurve("srgb"),
    ToneCurve("prophoto"),
    WhiteBalance("daylight"),
    WhiteBalance("gray_world"),
    WhiteBalance(gains=(2.0, 1.0, 1.5)),
]


NOISE = Noise(torch.full((4,), 1e-4), torch.full((4,), 3e-3), torch.full((4,), 5e-4))


def check(stage: Stage) -> None:
    how: dict[str, Any] = {
        "differentiable": getattr(stage, "backend", "torch") == "torch" and not isinstance(stage, Quantize)
    }
    if isinstance(stage, ToneCurve):
        # pow is vectorised, and the elements left over at the end of a row come out an ulp different: where a row
        # ends depends on the tile.
        how["tile_tolerance"] = 3e-7
    if isinstance(stage, RowNoise | NoiseCalibration):
        # What RowNoise leaves of pure row noise are a few slow waves: too few draws for a variance. NoiseCalibration
        # says what it finds, not what is put in here. Their own tests put in what they can be held to.
        how["noise_tolerance"] = float("inf")
    if isinstance(stage, Enhance) and stage.model != "classical":
        # What a network leaves is no straight line in brightness, as `noise` has to be.
        how |= {"tile_tolerance": 1e-4, "noise_tolerance": 0.65, "noise": NOISE}
    elif isinstance(stage, Enhance):
        # Running sums start at the tile's edge. What is left is smooth: few independent draws, most of all of rows.
        how |= {"tile_tolerance": 1e-5, "noise_tolerance": 0.2, "differentiable": False, "noise": NOISE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)  # e.g. the masked border that the synthetic file doesn't name
        check_stage(stage, **how)


@pytest.mark.parametrize("name", _registry.installed())
def test_every_registered_stage_keeps_the_laws(name: str) -> None:
    check(_registry.load(name)())


@pytest.mark.parametrize("stage", VARIANTS, ids=str)
def test_the_laws_hold_for_other_parameters(stage: Stage) -> None:
    assert name_of(stage) in _registry.installed()
    check(stage)
