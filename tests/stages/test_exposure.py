from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import Color, Noise, Pipeline, Space, StageError, bayer
from rawpipe.stages import Exposure
from rawpipe.testing import synthetic_frame

linear_spaces = pytest.mark.parametrize("space", [Space.MOSAIC, Space.CAMERA, Space.RGB])


@linear_spaces
@pytest.mark.parametrize("ev", [-3.0, 0.0, 0.5, 2])
def test_everything_is_multiplied_by_a_power_of_two(space: Space, ev: float) -> None:
    count = 4 if space.is_mosaic else 3
    noise = Noise(torch.full((count,), 1e-4), torch.full((count,), 1e-2), torch.full((count,), 1e-3))
    frame = replace(synthetic_frame(space), noise=noise)
    result = Exposure(ev)(frame)
    gain = 2.0**ev
    torch.testing.assert_close(result.data, frame.data * gain)
    torch.testing.assert_close(result.white, frame.white * gain)
    assert result.noise is not None
    torch.testing.assert_close(result.noise.variance(torch.tensor(gain)), noise.variance(torch.tensor(1.0)) * gain**2)
    assert float(result.exposure_gain) == pytest.approx(gain)


def test_gains_add_up_in_the_frame() -> None:
    frame = Pipeline([Exposure(1.0), Exposure(-0.5)])(synthetic_frame(Space.CAMERA))
    assert float(frame.exposure_gain) == pytest.approx(2**0.5)


@linear_spaces
@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_auto_brings_the_99th_percentile_to_nine_tenths(space: Space, cfa: str) -> None:
    frame = synthetic_frame(space, 200, 301, cfa)
    frame = replace(frame, data=frame.data * 0.05)
    result = Exposure("auto")(frame).data
    brightest = result if space.is_mosaic else result.amax(dim=-3)
    assert float((brightest > 0.9).float().mean()) == pytest.approx(0.01, abs=1e-3)


def test_auto_samples_all_sites_of_a_large_mosaic() -> None:
    """Every other pixel of a row would be one colour; the blue sites alone are bright here."""
    frame = synthetic_frame(Space.MOSAIC, 1500, 1400, level=0.01)
    bright = frame.data * bayer.spread(torch.tensor([1.0, 1.0, 1.0, 50.0]), "RGGB", 1500, 1400)
    result = Exposure("auto")(replace(frame, data=bright))
    assert float(bayer.view(result.data, "RGGB", 3).mean()) == pytest.approx(0.9, rel=1e-4)


def test_a_few_bright_pixels_do_not_make_the_picture_dark() -> None:
    frame = synthetic_frame(Space.CAMERA, 100, 100, level=0.3)
    sparks = frame.data.clone()
    sparks[:, 3, ::2] = 40.0
    found = [Exposure("auto").measure(one).ev for one in (frame, replace(frame, data=sparks))]
    assert found[0] == found[1]


def test_auto_stops_at_sixteen_stops() -> None:
    frame = replace(synthetic_frame(Space.CAMERA), data=torch.full((3, 34, 40), 1e-9))
    assert Exposure("auto").measure(frame).ev == 16


def test_only_auto_needs_the_pixels_and_its_answer_is_in_the_history() -> None:
    assert Exposure("auto").sees_pixels
    assert not Exposure(1.0).sees_pixels
    frame = synthetic_frame(Space.CAMERA, level=0.225)
    step = Pipeline([Exposure("auto")])(frame).history[0]
    assert step.parameters["ev"] == pytest.approx(2, abs=1e-5)  # the brightest channel of the neutral is 1


def test_a_frame_without_light_is_refused() -> None:
    with pytest.raises(StageError, match="got a frame whose 99th percentile is 0; expected light"):
        Exposure("auto")(replace(synthetic_frame(Space.CAMERA), data=torch.zeros(3, 34, 40)))


def test_a_transfer_curve_is_refused() -> None:
    frame = replace(synthetic_frame(Space.RGB), color=Color("srgb", "srgb"))
    for stage in (Exposure(1.0), Exposure("auto")):
        with pytest.raises(StageError, match="got RGB with the curve 'srgb'; exposure works on linear light: put it b"):
            stage(frame)


@pytest.mark.parametrize("ev", ["bright", 17, -20.0, float("nan"), (1,), None])
def test_wrong_stops_are_refused(ev: Any) -> None:
    with pytest.raises(StageError, match=r"expected a number of stops from -16 to 16, or \"auto\""):
        Exposure(ev)


def test_stops_may_be_a_number_of_numpys() -> None:
    assert Exposure(np.float32(1.5)) == Exposure(1.5)
    assert Pipeline([Exposure(np.int64(2))]).recipe() == Pipeline([Exposure(2.0)]).recipe()
    with pytest.raises(StageError, match="expected a number of stops"):
        Exposure(True)
