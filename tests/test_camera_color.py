"""CameraColor against colour-hdri's functions for the same chapter of the DNG specification."""

from __future__ import annotations

from typing import Any

import colour
import numpy as np
import pytest
import torch
from colour_hdri.models import (
    camera_neutral_to_xy,
    matrix_camera_space_to_XYZ,
    matrix_XYZ_to_camera_space,
    xy_to_camera_neutral,
)

from rawpipe import CameraColor, FrameError
from rawpipe.colorimetry import D50, D65, xyz


def daylight_xy(kelvin: float) -> tuple[float, float]:
    """A black body below 4000 K, CIE daylight above."""
    locus = colour.temperature.CCT_to_xy_Kang2002 if kelvin < 4000 else colour.temperature.CCT_to_xy_CIE_D
    x, y = locus(kelvin)
    return float(x), float(y)


# Color matrices of a real camera, and its first forward matrix, from the examples of colour-hdri; the rest is made up.
COLOR_A = [[0.5309, -0.0229, -0.0336], [-0.6241, 1.3265, 0.3337], [-0.0817, 0.1215, 0.6664]]
COLOR_D65 = [[0.4716, 0.0603, -0.0830], [-0.7798, 1.5474, 0.2480], [-0.1496, 0.1937, 0.6651]]
FORWARD_A = [[0.8924, -0.1041, 0.1760], [0.4351, 0.6621, -0.0972], [0.0505, -0.1562, 0.9308]]
FORWARD_D65 = [[0.8523, -0.0702, 0.1822], [0.3851, 0.7142, -0.0993], [0.0405, -0.1962, 0.9808]]
CALIBRATION_A = [[0.98, 0.01, 0.0], [0.0, 1.0, 0.005], [0.0, -0.01, 1.03]]
CALIBRATION_D65 = [[1.02, 0.0, -0.01], [0.003, 1.0, 0.0], [0.01, 0.0, 0.97]]
BALANCE = [1.05, 1.0, 0.93]
EYE = np.eye(3)

VARIANTS: dict[str, dict[str, Any]] = {
    "two illuminants": {"color2": COLOR_D65},
    "calibrated": {"color2": COLOR_D65, "calibration1": CALIBRATION_A, "calibration2": CALIBRATION_D65},
    "balanced": {"color2": COLOR_D65, "analog_balance": BALANCE},
    "forward": {"color2": COLOR_D65, "forward1": FORWARD_A, "forward2": FORWARD_D65},
    "everything": {
        "color2": COLOR_D65,
        "forward1": FORWARD_A,
        "forward2": FORWARD_D65,
        "calibration1": CALIBRATION_A,
        "calibration2": CALIBRATION_D65,
        "analog_balance": BALANCE,
    },
    "one illuminant": {},
    "one illuminant, forward": {"forward1": FORWARD_D65},
    "one illuminant, calibrated": {"calibration1": CALIBRATION_D65, "analog_balance": BALANCE},
}
WHITES = [
    (x + dx, y + dy)
    for kelvin in (2000, 2400, 2856, 3400, 4100, 5000, 5500, 6504, 8000, 10000)
    for x, y in [daylight_xy(kelvin)]
    for dx, dy in [(0, 0), (0.006, -0.004)]
]

variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def ours(variant: dict[str, Any]) -> CameraColor:
    if "color2" in variant:
        return CameraColor.of(COLOR_A, 17, illuminant2=21, **variant)
    return CameraColor.of(COLOR_D65, 21, **variant)


def theirs(variant: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments of colour-hdri: those that all functions take, and the forward matrices."""
    two = "color2" in variant
    calibration1 = np.array(variant.get("calibration1", EYE))
    calibration2 = np.array(variant.get("calibration2", EYE)) if two else calibration1
    forward1 = np.array(variant.get("forward1", EYE))
    forward2 = np.array(variant.get("forward2", EYE)) if two else forward1
    colors = (np.array(COLOR_A), np.array(COLOR_D65)) if two else (np.array(COLOR_D65), np.array(COLOR_D65))
    balance = np.array(variant.get("analog_balance", [1, 1, 1]))
    return (2850, 6500, *colors, calibration1, calibration2, balance), (forward1, forward2)


@variants
def test_xyz_to_camera_equals_colour_hdri(variant: dict[str, Any]) -> None:
    common, _ = theirs(variant)
    for white in WHITES:
        expected = matrix_XYZ_to_camera_space(white, *common)
        np.testing.assert_allclose(ours(variant).xyz_to_camera(white), expected, rtol=0, atol=1e-6)


@variants
def test_the_neutral_of_a_white_equals_colour_hdri(variant: dict[str, Any]) -> None:
    common, _ = theirs(variant)
    for white in WHITES:
        expected = xy_to_camera_neutral(white, *common)
        np.testing.assert_allclose(ours(variant).neutral_of(white), expected, rtol=0, atol=1e-6)


@variants
def test_the_white_of_a_neutral_equals_colour_hdri_and_undoes_neutral_of(variant: dict[str, Any]) -> None:
    common, _ = theirs(variant)
    for white in WHITES:
        neutral = ours(variant).neutral_of(white)
        found = ours(variant).white_of(neutral)
        np.testing.assert_allclose(found, camera_neutral_to_xy(neutral.numpy(), *common), rtol=0, atol=1e-6)
        np.testing.assert_allclose(found, white, rtol=0, atol=1e-6)
        np.testing.assert_allclose(ours(variant).white_of(neutral * 0.37), found, rtol=0, atol=1e-12)


@variants
def test_camera_to_xyz_equals_colour_hdri_up_to_its_scale(variant: dict[str, Any]) -> None:
    common, forward = theirs(variant)
    for white in WHITES:
        neutral = ours(variant).neutral_of(white)
        expected = matrix_camera_space_to_XYZ(white, *common, *forward)
        expected = expected / (expected @ (neutral / neutral.max()).numpy())[1]
        np.testing.assert_allclose(ours(variant).to_xyz_d50(neutral), expected, rtol=0, atol=1e-6)


@variants
def test_a_neutral_pixel_becomes_the_white_of_d50(variant: dict[str, Any]) -> None:
    for white in WHITES:
        neutral = ours(variant).neutral_of(white)
        result = ours(variant).to_xyz_d50(neutral) @ (neutral / neutral.max())
        # Forward matrices are rounded by those who publish them, to four decimals.
        np.testing.assert_allclose(result, xyz(D50), rtol=0, atol=3e-2 if "forward1" in variant else 1e-9)
        assert float(result[1]) == pytest.approx(1, abs=1e-12)


def test_the_matrix_is_held_outside_the_two_illuminants() -> None:
    camera = ours(VARIANTS["two illuminants"])
    np.testing.assert_allclose(camera.xyz_to_camera(daylight_xy(2000)), COLOR_A, rtol=0, atol=1e-12)
    np.testing.assert_allclose(camera.xyz_to_camera(daylight_xy(10000)), COLOR_D65, rtol=0, atol=1e-12)


def test_the_order_of_the_illuminants_does_not_matter() -> None:
    swapped = CameraColor.of(COLOR_D65, 21, COLOR_A, 17, forward1=FORWARD_D65, forward2=FORWARD_A)
    straight = ours(VARIANTS["forward"])
    for white in WHITES:
        neutral = straight.neutral_of(white)
        torch.testing.assert_close(swapped.to_xyz_d50(neutral), straight.to_xyz_d50(neutral))


@pytest.mark.parametrize("code", [0, 21, 255])
def test_a_second_matrix_without_an_illuminant_of_its_own_is_left_aside(code: int) -> None:
    camera = CameraColor.of(COLOR_D65, 21, COLOR_A, code)
    np.testing.assert_array_equal(camera.xyz_to_camera(daylight_xy(3000)), COLOR_D65)


def test_a_neutral_that_no_light_gives_still_gets_an_answer() -> None:
    for neutral in ([1.0, 0.2, 1.0], [0.1, 1.0, 0.1], [1.0, 1.0, 0.05], [0.05, 1.0, 1.0]):
        found = ours(VARIANTS["everything"]).white_of(torch.tensor(neutral))
        assert all(np.isfinite(found))


def test_white_of_is_the_same_for_every_kind_of_number() -> None:
    camera = ours(VARIANTS["everything"])
    neutral = camera.neutral_of((0.35, 0.36))
    assert camera.white_of(neutral.float()) == pytest.approx(camera.white_of(neutral), abs=1e-6)


def test_matrices_are_kept_in_float64() -> None:
    for values in (COLOR_D65, tuple(map(tuple, COLOR_D65)), np.array(COLOR_D65), torch.tensor(COLOR_D65).double()):
        color = CameraColor.of(values).color1
        assert color.dtype is torch.float64
        assert float(color[0, 0]) == pytest.approx(0.4716, abs=4e-8 if isinstance(values, torch.Tensor) else 0)


def test_the_generic_camera_sees_daylight_as_a_camera_does() -> None:
    red, green, blue = CameraColor.generic().neutral_of(D65).tolist()
    assert (green, CameraColor.generic().source) == (1, "generic")
    assert 0.3 < red < 0.7
    assert 0.4 < blue < 0.9


def test_the_generic_camera_gets_the_colour_checker_about_right() -> None:
    """Plausible and no more: its colours are those of a camera of another make, seen through the wrong matrix."""
    camera, generic = CameraColor.of(COLOR_D65), CameraColor.generic()
    checker = colour.CCS_COLOURCHECKERS["ColorChecker24 - After November 2014"]
    patches = colour.xyY_to_XYZ(list(checker.data.values()))
    d65 = colour.chromatic_adaptation(patches, colour.xy_to_XYZ(checker.illuminant), colour.xy_to_XYZ(D65))
    seen = d65 @ camera.xyz_to_camera(D65).numpy().T
    neutral = camera.neutral_of(D65)
    gray = generic.neutral_of(D65) / neutral
    found = (seen * gray.numpy()) @ generic.to_xyz_d50(generic.neutral_of(D65)).numpy().T
    found = found * patches[21, 1] / found[21, 1]
    error = colour.delta_E(*(colour.XYZ_to_Lab(value, D50) for value in (found, patches)), method="CIE 2000")
    assert error.mean() < 8
    assert error[18:].max() < 1  # greys stay grey


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color1": None}, "got no color matrix; expected a 3x3 matrix from XYZ to camera RGB"),
        ({"color1": [1, 2, 3]}, r"got color1 .*; expected an invertible 3x3 matrix, row by row"),
        ({"color1": np.zeros((3, 3))}, "got color1 .*expected an invertible 3x3 matrix"),
        ({"color1": np.full((3, 3), np.nan)}, "got color1 .*expected an invertible 3x3 matrix"),
        ({"color1": "canon"}, "got color1 canon; expected an invertible 3x3 matrix"),
        ({"color1": EYE, "forward2": np.ones((3, 3))}, "got forward2 .*expected an invertible 3x3 matrix"),
        ({"color1": EYE, "analog_balance": (1, 0, 1)}, "got analog balance .*expected three positive numbers"),
        ({"color1": EYE, "analog_balance": 1}, "got analog balance 1; expected three positive numbers"),
    ],
)
def test_wrong_matrices_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FrameError, match=f"(?s){message}"):
        CameraColor.of(**arguments)


def test_a_matrix_that_makes_no_sense_of_daylight_is_refused() -> None:
    with pytest.raises(FrameError, match="expected positive numbers"):
        CameraColor.of(-np.array(COLOR_D65))
    with pytest.raises(FrameError, match="expected positive numbers"):
        CameraColor.of([[1, -2, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("neutral", [(1.0, 1.0, 1.0), (0.5, 1.0, 0.6), (0.38, 1.0, 0.71)])
def test_the_generic_camera_takes_every_neutral_for_that_of_daylight(neutral: tuple[float, float, float]) -> None:
    generic, seen = CameraColor.generic(), torch.tensor(neutral)
    np.testing.assert_allclose(generic.under(seen).white_of(seen), D65, atol=1e-6)
    balanced = generic.to_xyz_d50(seen) * seen
    expected = generic.to_xyz_d50(generic.neutral_of()) * generic.neutral_of()
    np.testing.assert_allclose(balanced, expected, atol=1e-6)
    own = CameraColor.of(COLOR_D65)
    assert own.under(seen) is own
