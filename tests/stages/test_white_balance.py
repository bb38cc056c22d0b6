from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import Frame, Noise, Pipeline, Space, StageError, bayer
from rawpipe.stages import Demosaic, WhiteBalance
from rawpipe.testing import synthetic_frame

phases = pytest.mark.parametrize("cfa", bayer.PHASES)
METHODS = ("as_shot", "daylight", "gray_world")


def channels(frame: Frame) -> torch.Tensor:
    """Mean of R, Gr, Gb, B, or of R, G, B."""
    if frame.cfa is None:
        return torch.stack([plane.mean() for plane in frame.data.unbind(-3)])
    return torch.stack([bayer.view(frame.data, frame.cfa, site).mean() for site in range(4)])


@phases
@pytest.mark.parametrize("size", [(34, 40), (33, 47)])
@pytest.mark.parametrize("method", ["as_shot", "gray_world"])
def test_a_neutral_field_gets_equal_channels(cfa: str, size: tuple[int, int], method: str) -> None:
    result = WhiteBalance(method)(synthetic_frame(Space.MOSAIC, *size, cfa, level=0.4))
    means = channels(result)
    assert float(means.max() / means.min()) == pytest.approx(1, abs=1e-5)


def test_planes_are_balanced_as_mosaics_are() -> None:
    mosaic = synthetic_frame(Space.MOSAIC)
    before = Demosaic("superpixel")(WhiteBalance()(mosaic))
    after = WhiteBalance()(Demosaic("superpixel")(mosaic))
    torch.testing.assert_close(before.data, after.data)
    assert before.wb.equal(after.wb)


def test_daylight_is_the_neutral_of_the_matrix_under_d65() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    neutral = frame.shot.daylight_neutral()
    assert neutral is not None
    result = WhiteBalance("daylight")(frame)
    torch.testing.assert_close(result.wb, neutral.max() / neutral)
    torch.testing.assert_close(result.neutral, neutral)


@pytest.mark.parametrize("neutral", [(0.45, 1.0, 0.62), (1.3, 1.0, 0.4), (0.5, 1.0, 1.7)])
def test_no_gain_is_below_one_so_white_stays_at_one_or_above(neutral: tuple[float, float, float]) -> None:
    frame = Frame.from_array(torch.rand(8, 8), "RGGB", space=Space.MOSAIC, neutral=neutral)
    result = WhiteBalance()(frame)
    assert result.wb.min() == 1
    assert result.white.min() == 1
    torch.testing.assert_close(result.white, bayer.per_site(result.wb))


def test_your_own_gains_win_and_are_taken_as_they_are() -> None:
    result = WhiteBalance("gray_world", gains=(0.5, 2.0, 4.0))(synthetic_frame(Space.MOSAIC))
    assert result.wb.tolist() == [0.5, 2, 4]
    assert result.neutral.tolist() == [4, 1, 0.5]


@pytest.mark.parametrize("first", METHODS)
@pytest.mark.parametrize("second", METHODS)
def test_balancing_twice_is_balancing_once(first: str, second: str) -> None:
    frame = synthetic_frame(Space.MOSAIC, 40, 40)
    once = WhiteBalance(second)(frame)
    # The second one asks the frame, where the first has left its mark; "as_shot" then means the neutral in use.
    twice = WhiteBalance(second)(WhiteBalance(first)(frame))
    if second == "as_shot":
        once = WhiteBalance(first)(frame)
    torch.testing.assert_close(twice.data, once.data, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(twice.wb, once.wb, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(twice.neutral, once.neutral, rtol=1e-5, atol=1e-6)


def test_gray_world_leaves_saturated_pixels_out() -> None:
    frame = synthetic_frame(Space.MOSAIC, 40, 40, level=0.3)
    blown = frame.data.clone()
    blown[:10] = 1.0
    with_sky = WhiteBalance("gray_world")(replace(frame, data=blown))
    torch.testing.assert_close(with_sky.wb, WhiteBalance("gray_world")(frame).wb)


def test_gray_world_looks_at_all_frames_of_a_burst_together() -> None:
    dark, bright = (synthetic_frame(Space.MOSAIC, level=level).data for level in (0.1, 0.5))
    frame = synthetic_frame(Space.MOSAIC)
    tinted = bright * bayer.spread(torch.tensor([2.0, 1, 1, 1]), "RGGB", 34, 40)
    result = WhiteBalance("gray_world")(replace(frame, data=torch.stack([dark, tinted])))
    means = torch.stack([channels(one).mul(torch.tensor([1.0, 0.5, 0.5, 1.0])) for one in (result[0], result[1])])
    red, *greens, blue = means.sum(dim=0)
    torch.testing.assert_close(torch.stack([red, blue]), torch.stack([greens[0] + greens[1]] * 2))


def test_only_gray_world_needs_the_pixels() -> None:
    assert [WhiteBalance(method).sees_pixels for method in METHODS] == [False, False, True]
    assert not WhiteBalance("gray_world", gains=(1.0, 1.0, 1.0)).sees_pixels


def test_levels_and_noise_move_with_the_pixels() -> None:
    noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-2), torch.full((4,), 1e-3))
    result = WhiteBalance(gains=(2.0, 1.0, 3.0))(replace(synthetic_frame(Space.MOSAIC), noise=noise))
    assert result.white.tolist() == [2, 1, 1, 3]
    assert result.noise is not None
    torch.testing.assert_close(result.noise.read, torch.tensor([2e-2, 1e-2, 1e-2, 3e-2]))


def test_the_gains_that_were_found_are_in_the_history() -> None:
    result = Pipeline([WhiteBalance("gray_world")])(synthetic_frame(Space.MOSAIC, level=0.3))
    gains = result.history[0].parameters["gains"]
    torch.testing.assert_close(torch.tensor(gains), torch.tensor([1 / 0.45, 1.0, 1 / 0.62]))


GREY = torch.rand(8, 8)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("as_shot", {}, "got a frame without an as-shot white balance or a color matrix; use WhiteBalance"),
        ("daylight", {"neutral": (0.5, 1, 0.5)}, "got a frame without a color matrix of its camera; give matrix=..."),
        ("gray_world", {"white": 1e-6}, "got channel means .nan"),
    ],
)
def test_a_frame_that_does_not_tell_is_refused(method: str, options: dict[str, Any], message: str) -> None:
    frame = Frame.from_array(GREY, "RGGB", space=Space.MOSAIC, **options)
    with pytest.raises(StageError, match=message):
        WhiteBalance(method)(frame)


def test_a_frame_without_light_is_too_dark_for_gray_world() -> None:
    frame = replace(synthetic_frame(Space.MOSAIC), data=-torch.rand(34, 40))
    with pytest.raises(StageError, match="expected positive ones: the frame is too dark for gray world"):
        WhiteBalance("gray_world")(frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "auto"}, "got method 'auto'; expected one of as_shot, daylight, gray_world"),
        ({"gains": (1.0, 2.0)}, r"got gains \(1.0, 2.0\); expected three positive numbers"),
        ({"gains": (1.0, 0.0, 1.0)}, "expected three positive numbers"),
        ({"gains": (1.0, float("nan"), 1.0)}, "expected three positive numbers"),
        ({"gains": "123"}, "got gains '123'; expected three"),
        ({"gains": 2.0}, "got gains 2.0; expected three"),
    ],
)
def test_wrong_parameters_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        WhiteBalance(**arguments)


@pytest.mark.parametrize("gains", [[2, 1, 1.5], np.array([2, 1, 1.5], np.float32), torch.tensor([2, 1, 1.5])])
def test_gains_may_come_in_a_list_or_an_array(gains: Any) -> None:
    assert WhiteBalance(gains=gains) == WhiteBalance(gains=(2.0, 1.0, 1.5))
