from __future__ import annotations

from dataclasses import replace
from typing import Any

import colour
import numpy as np
import pytest
import torch

from rawpipe import CameraColor, Color, Frame, Noise, Pipeline, Space, StageError
from rawpipe.colorimetry import D50, D65, RGB_SPACES, adaptation, xyz
from rawpipe.stages import ColorTransform, WhiteBalance
from rawpipe.testing import synthetic_frame


def daylight_xy(kelvin: float) -> tuple[float, float]:
    """A black body below 4000 K, CIE daylight above."""
    locus = colour.temperature.CCT_to_xy_Kang2002 if kelvin < 4000 else colour.temperature.CCT_to_xy_CIE_D
    x, y = locus(kelvin)
    return float(x), float(y)


spaces = pytest.mark.parametrize("space", RGB_SPACES)

COLOR_A = ((0.5309, -0.0229, -0.0336), (-0.6241, 1.3265, 0.3337), (-0.0817, 0.1215, 0.6664))
COLOR_D65 = ((0.4716, 0.0603, -0.0830), (-0.7798, 1.5474, 0.2480), (-0.1496, 0.1937, 0.6651))
FORWARD = ((0.8924, -0.1041, 0.1760), (0.4351, 0.6621, -0.0972), (0.0505, -0.1562, 0.9308))
CAMERAS = {
    "one": CameraColor.of(COLOR_D65),
    "two": CameraColor.of(COLOR_A, 17, COLOR_D65, 21),
    "forward": CameraColor.of(COLOR_A, 17, COLOR_D65, 21, forward1=FORWARD, forward2=FORWARD),
}
cameras = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def seen(camera: CameraColor, xyz_values: torch.Tensor, white: tuple[float, float], **options: Any) -> Frame:
    """What the camera sees of objects whose XYZ (n, 3) under `white` is known, exposed for its neutral."""
    neutral = camera.neutral_of(white)
    rgb = xyz_values @ camera.xyz_to_camera(white).T
    top = (camera.xyz_to_camera(white) @ xyz(white)).max()
    pixels = (rgb / top).T[:, :, None].contiguous()
    return Frame.from_array(pixels, neutral=neutral, matrix=camera, **options)


@spaces
@pytest.mark.parametrize("kelvin", [2856, 4000, 5003, 6504, 9000])
@cameras
def test_the_neutral_in_use_becomes_white(camera: CameraColor, kelvin: float, space: str) -> None:
    white = daylight_xy(kelvin)
    frame = seen(camera, xyz(white)[None], white)
    result = ColorTransform(space)(frame)
    torch.testing.assert_close(result.data, torch.ones_like(result.data), rtol=0, atol=2e-6)
    assert (result.space, result.color) == (Space.RGB, Color(space))


@spaces
def test_objects_get_their_own_colours(space: str) -> None:
    """With a camera whose matrix is the truth, the answer is colorimetry: XYZ adapted by Bradford, by D50."""
    camera, white = CAMERAS["two"], daylight_xy(4200)
    checker = colour.CCS_COLOURCHECKERS["ColorChecker24 - After November 2014"]
    objects = torch.from_numpy(colour.xyY_to_XYZ(list(checker.data.values())))
    frame = seen(camera, objects, white)
    result = ColorTransform(space)(frame).data[:, :, 0].T
    to_d50 = adaptation(xyz(white), xyz(D50))
    to_white = adaptation(xyz(D50), xyz(RGB_SPACES[space].white))
    expected = objects @ (torch.linalg.inv(RGB_SPACES[space].to_xyz()) @ to_white @ to_d50).T
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-6)


def test_srgb_equals_colour_hdris_camera_to_srgb() -> None:
    camera, white = CAMERAS["one"], daylight_xy(5200)
    frame = seen(camera, torch.rand(20, 3, dtype=torch.float64), white)
    ours = ColorTransform()(frame).data[:, :, 0].T.numpy()
    to_xyz = camera.to_xyz_d50(frame.neutral).numpy()
    d50 = frame.data[:, :, 0].T.numpy() @ to_xyz.T
    theirs = colour.XYZ_to_RGB(d50, "sRGB", illuminant=np.array(D50), chromatic_adaptation_transform="Bradford")
    # colour rounds sRGB's matrix to four decimals.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@cameras
def test_balanced_or_not_the_colours_are_the_same(camera: CameraColor) -> None:
    frame = seen(camera, torch.rand(10, 3, dtype=torch.float64), daylight_xy(3800))
    straight = ColorTransform()(frame)
    balanced = Pipeline([WhiteBalance(), ColorTransform()])(frame)
    # Gains are never below one: what saturates first ends at one in both.
    torch.testing.assert_close(balanced.data, straight.data, rtol=0, atol=1e-6)
    torch.testing.assert_close(balanced.white, straight.white, rtol=0, atol=1e-6)


@cameras
def test_gains_of_ones_own_tell_the_light_even_where_the_camera_judged_it_wrong(camera: CameraColor) -> None:
    tungsten = daylight_xy(2900)
    frame = seen(camera, xyz(tungsten)[None], tungsten)
    wrong = replace(frame, neutral=camera.neutral_of(D65).float())
    assert ColorTransform()(wrong).data.flatten().max() > 1.3
    red, green, blue = (1 / camera.neutral_of(tungsten)).tolist()
    result = Pipeline([WhiteBalance(gains=(red, green, blue)), ColorTransform()])(wrong).data
    torch.testing.assert_close(result, torch.ones_like(result), rtol=0, atol=2e-6)


def test_a_matrix_of_your_own_is_applied_to_what_the_sensor_saw() -> None:
    frame = synthetic_frame(Space.CAMERA)
    matrix = ((1.5, -0.5, 0.0), (-0.25, 1.5, -0.25), (0.0, -0.5, 1.5))
    expected = torch.einsum("ij,jyx->iyx", torch.tensor(matrix), frame.data)
    for ready in (frame, WhiteBalance()(frame)):
        result = ColorTransform("prophoto", matrix)(ready)
        torch.testing.assert_close(result.data, expected)
        assert result.color == Color("prophoto")


def test_white_is_where_the_neutral_saturates() -> None:
    frame = synthetic_frame(Space.CAMERA)
    torch.testing.assert_close(ColorTransform()(frame).white, torch.ones(3))  # green, its largest channel, ends at one
    bright = ColorTransform()(frame.scaled(2.0))
    torch.testing.assert_close(bright.white, torch.full((3,), 2.0))


def test_noise_is_mixed_as_the_pixels_are() -> None:
    noise = Noise(torch.zeros(3) + 1e-12, torch.tensor([0.01, 0.02, 0.03]), torch.tensor([0.001, 0.002, 0.003]))
    matrix = ((1.5, -0.5, 0.0), (0.0, 1.0, 0.0), (0.0, -0.5, 1.5))
    result = ColorTransform(matrix=matrix)(replace(synthetic_frame(Space.CAMERA), noise=noise)).noise
    assert result is not None
    expected = (torch.tensor(matrix).square() @ noise.read.square()).sqrt()
    torch.testing.assert_close(result.read, expected)
    torch.testing.assert_close(result.row, (torch.tensor(matrix).square() @ noise.row.square()).sqrt())


def test_the_matrix_that_was_solved_is_in_the_history_and_replays() -> None:
    frame = synthetic_frame(Space.CAMERA)
    once = Pipeline([WhiteBalance(), ColorTransform("acescg")])(frame)
    found = once.history[1].parameters["matrix"]
    assert [len(row) for row in found] == [3, 3, 3]
    blind = replace(frame, shot=replace(frame.shot, color=None))
    assert Pipeline.from_history(once.history)(blind).data.equal(once.data)


def test_d65_light_needs_no_adaptation() -> None:
    camera = CAMERAS["one"]
    frame = seen(camera, torch.rand(10, 3, dtype=torch.float64), D65)
    matrix = ColorTransform().measure(frame).matrix
    assert matrix is not None
    top = (camera.xyz_to_camera(D65) @ xyz(D65)).max()
    expected = torch.linalg.inv(RGB_SPACES["srgb"].to_xyz()) @ torch.linalg.inv(camera.xyz_to_camera(D65)) * top
    torch.testing.assert_close(torch.tensor(matrix, dtype=torch.float64), expected, rtol=0, atol=1e-6)


def test_a_frame_without_a_matrix_is_refused_with_the_ways_out() -> None:
    frame = Frame.from_array(torch.rand(3, 4, 4))
    with pytest.raises(StageError, match=r"without a color matrix; give one .* or matrix=\"generic\" for plausible"):
        ColorTransform()(frame)
    ColorTransform()(Frame.from_array(torch.rand(3, 4, 4), matrix="generic"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "sRGB"}, "got color space 'sRGB'; expected one of srgb, .*did you mean 'srgb'"),
        ({"matrix": ((1.0, 0.0), (0.0, 1.0))}, "expected three rows of three numbers"),
        ({"matrix": (1.0, 0.0, 0.0)}, "expected three rows of three numbers"),
        ({"matrix": "generic"}, "got matrix 'generic'; expected three rows of three numbers"),
    ],
)
def test_wrong_parameters_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        ColorTransform(**arguments)
