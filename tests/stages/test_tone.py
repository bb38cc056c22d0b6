from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from rawpipe import Color, Noise, Space, StageError
from rawpipe.colorimetry import CURVES, RGB_SPACES
from rawpipe.stages import ToneCurve
from rawpipe.testing import synthetic_frame


@pytest.mark.parametrize("space", RGB_SPACES)
def test_auto_is_the_curve_of_the_frames_space(space: str) -> None:
    frame = replace(synthetic_frame(Space.RGB), color=Color(space))
    result = ToneCurve()(frame)
    curve = RGB_SPACES[space].curve
    assert result.color == Color(space, curve)
    expected = frame.data if curve == "linear" else CURVES[curve].encode(frame.data)
    assert result.data.equal(expected)


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_goes_on_and_comes_off_again(curve: str) -> None:
    frame = synthetic_frame(Space.RGB, dtype=torch.float64)
    frame = replace(frame, data=frame.data * 3 - 0.5)
    on = ToneCurve(curve)(frame)
    off = ToneCurve("linear")(on)
    assert off.color == Color("srgb", "linear")
    torch.testing.assert_close(off.data, frame.data, rtol=1e-9, atol=3e-8)
    torch.testing.assert_close(off.white, frame.white)


def test_one_curve_becomes_another_by_way_of_linear_light() -> None:
    frame = synthetic_frame(Space.RGB, dtype=torch.float64)
    there = ToneCurve("rec2020")(ToneCurve("srgb")(frame))
    torch.testing.assert_close(there.data, ToneCurve("rec2020")(frame).data, rtol=1e-9, atol=3e-8)


def test_the_same_curve_again_changes_nothing() -> None:
    once = ToneCurve()(synthetic_frame(Space.RGB))
    assert ToneCurve()(once) is once
    assert ToneCurve("srgb")(once) is once


def test_white_goes_through_the_curve_and_noise_is_no_longer_known() -> None:
    noise = Noise(*(torch.full((3,), 1e-3),) * 3)
    result = ToneCurve()(replace(synthetic_frame(Space.RGB), white=torch.tensor([1.0, 0.5, 2.0]), noise=noise))
    torch.testing.assert_close(result.white, CURVES["srgb"].encode(torch.tensor([1.0, 0.5, 2.0])))
    assert result.noise is None


def test_nothing_is_clipped() -> None:
    frame = replace(synthetic_frame(Space.RGB), data=torch.tensor([-0.5, 0.0, 4.0])[:, None, None].expand(3, 4, 4))
    result = ToneCurve()(frame).data[:, 0, 0]
    assert result[0] < -0.7
    assert result[1] == 0
    assert result[2] > 1.8


@pytest.mark.parametrize("curve", ["sRGB", "gamma", None, 2.2, ("srgb",)])
def test_an_unknown_curve_is_refused(curve: Any) -> None:
    with pytest.raises(StageError, match="got curve .*; expected one of auto, linear, srgb, adobe_rgb, rec2020, prop"):
        ToneCurve(curve)
