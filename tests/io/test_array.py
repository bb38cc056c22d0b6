from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import CameraColor, Color, Frame, FrameError, Noise, Pipeline, Space
from rawpipe.stages import BlackLevel, Demosaic, WhiteBalance

COUNTS = np.arange(12 * 14, dtype=np.uint16).reshape(12, 14)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_a_numpy_array_is_shared_not_copied(dtype: Any) -> None:
    array = COUNTS.astype(dtype)
    frame = Frame.from_array(array, "RGGB", bits=14)
    assert frame.data.data_ptr() == array.ctypes.data
    assert (frame.space, frame.cfa, frame.data.shape) == (Space.SENSOR, "RGGB", (12, 14))


def test_a_torch_tensor_is_shared_not_copied() -> None:
    tensor = torch.rand(3, 8, 9)
    frame = Frame.from_array(tensor)
    assert frame.data.data_ptr() == tensor.data_ptr()
    assert frame.space is Space.CAMERA


class Foreign:
    """What CuPy, JAX and the like look like from outside."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def test_an_array_of_another_library_is_shared_through_dlpack() -> None:
    array = COUNTS.copy()
    assert Frame.from_array(Foreign(array), "RGGB", bits=14).data.data_ptr() == array.ctypes.data


@pytest.mark.parametrize("view", [COUNTS[::-1], COUNTS[:, ::-1], COUNTS[2:, ::3]])
def test_dlpack_of_a_view_has_the_views_values(view: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(Frame.from_array(Foreign(view), "RGGB", bits=14).data.numpy(), view)


def test_views_of_arrays_are_shared_too() -> None:
    array = np.zeros((20, 30), dtype=np.uint16)
    assert Frame.from_array(array[2:, ::3], "RGGB", bits=14).data.data_ptr() == array[2:].ctypes.data


def test_a_read_only_array_is_taken_without_a_warning_and_stays_as_it_is() -> None:
    array = COUNTS.copy()
    array.flags.writeable = False
    frame = Frame.from_array(array, "RGGB", bits=14, neutral=(0.5, 1, 0.5))
    Pipeline([BlackLevel(), WhiteBalance(), Demosaic()])(frame)
    assert np.array_equal(array, COUNTS)


@pytest.mark.parametrize("array", [COUNTS.astype(">u2"), COUNTS[::-1], COUNTS[:, ::-1]], ids=["endian", "up", "left"])
def test_what_torch_cannot_share_is_copied_with_the_same_values(array: np.ndarray[Any, Any]) -> None:
    frame = Frame.from_array(array, "RGGB", bits=14)
    assert np.array_equal(frame.data.numpy(), array.astype("=u2"))


def test_levels_may_be_one_number_or_one_per_site() -> None:
    frame = Frame.from_array(COUNTS, "GRBG", black=(1, 2, 3, 4), white=1000)
    assert frame.black.tolist() == [1, 2, 3, 4]
    assert frame.white.tolist() == [1000] * 4
    assert frame.black.dtype is torch.float32
    assert Frame.from_array(COUNTS, "GRBG", bits=12).white.tolist() == [4095] * 4
    assert Frame.from_array(COUNTS, "GRBG", white=4000).shot.bits == 12


def test_a_linear_array_saturates_at_one() -> None:
    frame = Frame.from_array(torch.rand(4, 6), "RGGB", space=Space.MOSAIC)
    assert (frame.black.tolist(), frame.white.tolist()) == ([0] * 4, [1] * 4)


def test_the_neutral_is_scaled_to_green_and_becomes_the_one_in_use() -> None:
    frame = Frame.from_array(COUNTS, "RGGB", bits=14, neutral=(1, 2, 1.5))
    assert frame.neutral.tolist() == [0.5, 1, 0.75]
    assert frame.wb.tolist() == [1, 1, 1]
    assert float(frame.exposure_gain) == 1


def test_without_a_neutral_the_matrix_gives_one_and_without_a_cameras_matrix_it_is_grey() -> None:
    own = CameraColor.of(CameraColor.generic().color1)
    frame = Frame.from_array(COUNTS, "RGGB", bits=14, matrix=own)
    torch.testing.assert_close(frame.neutral.double(), own.neutral_of(), rtol=1e-6, atol=0)
    assert frame.shot.neutral is None
    assert Frame.from_array(COUNTS, "RGGB", bits=14, matrix="generic").neutral.tolist() == [1, 1, 1]
    assert Frame.from_array(COUNTS, "RGGB", bits=14).neutral.tolist() == [1, 1, 1]


def test_noise_may_be_given_as_numbers() -> None:
    frame = Frame.from_array(COUNTS, "RGGB", bits=14, noise=(0.5, (1, 2, 3, 4)))
    assert isinstance(frame.noise, Noise)
    assert frame.noise.shot.tolist() == [0.5] * 4
    assert frame.noise.read.tolist() == [1, 2, 3, 4]
    assert frame.noise.row.tolist() == [0] * 4


def test_further_facts_go_to_the_shot() -> None:
    shot = Frame.from_array(COUNTS, "RGGB", bits=14, iso=800, exposure_s=0.1, make="M", orientation=6).shot
    assert (shot.iso, shot.exposure_s, shot.make, shot.orientation) == (800, 0.1, "M", 6)
    assert (shot.size, shot.active_area, shot.source) == ((12, 14), (0, 0, 12, 14), "")


def test_leading_dimensions_are_a_batch() -> None:
    frame = Frame.from_array(np.zeros((5, 2, 4, 6), np.uint16), "RGGB", bits=14)
    assert (frame.data.shape, frame.height, frame.width) == ((5, 2, 4, 6), 4, 6)


PICTURE = np.zeros((4, 6, 3), np.float32)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        ([[1, 2], [3, 4]], {"cfa": "RGGB"}, "got list; expected integers or floating numbers in a NumPy array"),
        ("bayer.raw", {"cfa": "RGGB"}, "got str; expected integers"),
        (COUNTS.astype(complex), {"cfa": "RGGB"}, "got an array of complex128; expected integers or floating"),
        (COUNTS > 3, {"cfa": "RGGB"}, "got an array of bool; expected integers or floating"),
        (Foreign(COUNTS > 3), {"cfa": "RGGB"}, "got an array of bool; expected integers or floating"),
        (Foreign(COUNTS.astype(complex)), {"cfa": "RGGB"}, "got an array of complex128; expected integers or floating"),
        (COUNTS.astype(np.longdouble), {"cfa": "RGGB"}, "expected integers or floating"),
        (torch.zeros(4, 4, dtype=torch.bool), {"cfa": "RGGB"}, r"got an array of torch.bool; expected integers or fl"),
        (torch.zeros(4, 4) * 1j, {"cfa": "RGGB"}, r"got an array of torch.complex64; expected integers or floating"),
        (COUNTS[0], {"cfa": "RGGB"}, r"got an array of shape \(14,\); expected \(..., H, W\)"),
        (COUNTS[:0], {"cfa": "RGGB"}, r"with pixels in it"),
        (COUNTS, {"cfa": "RGGB"}, "got counts without white; expected the level .* white=16383 or bits=14"),
        (COUNTS, {"cfa": "rggb", "bits": 14}, "got CFA 'rggb'; expected one of RGGB"),
        (COUNTS, {"bits": 14}, "got torch.uint16 for CAMERA; expected floating numbers where 1 is saturation"),
        (PICTURE, {}, r"expected planes first: numpy.moveaxis\(array, -1, -3\)"),
        (PICTURE[..., 0], {}, r"got CAMERA data \(4, 6\) and cfa None; expected \(..., 3, H, W\)"),
        (PICTURE.transpose(2, 0, 1), {"space": Space.RGB}, "got RGB with color None; expected a Color"),
        (PICTURE.transpose(2, 0, 1), {"color": Color("srgb")}, "got CAMERA with color"),
        (COUNTS, {"cfa": "RGGB", "white": 100, "black": 200}, "expected white above black"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "black": (1, 2)}, "expected one number, or 4: R, Gr, Gb, B"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "black": float("nan")}, "got black nan; expected one number"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "black": "dark"}, "got black 'dark'; expected one number, or 4"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "neutral": (1, 0, 1)}, "expected three positive numbers"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "neutral": "daylight"}, "expected three positive numbers"),
        (COUNTS, {"cfa": "RGGB", "bits": 0}, "got bits 0; expected a whole number from 1 to 32"),
        (COUNTS, {"cfa": "RGGB", "bits": "14"}, "got bits '14'; expected a whole number"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "iso": "high"}, "got iso 'high'; expected a positive number, or None"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "exposure_s": -1}, "got exposure_s -1; expected a positive number"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "orientation": 9}, "got orientation 9; expected EXIF's 1 to 8"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "serail": "7"}, "got argument 'serail'; .* did you mean 'serial'"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "linearization": "gamma"}, "got linearization 'gamma'; expected"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "noise": 3}, r"expected Noise, or \(shot, read\)"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "matrix": "canon"}, "expected \"generic\", a 3x3 matrix, or a CameraC"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "matrix": np.zeros((3, 3))}, "expected an invertible 3x3 matrix"),
        (COUNTS, {"cfa": "RGGB", "bits": 14, "matrix": [[1, 2], [3]]}, "expected an invertible 3x3 matrix"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_named_with_what_was_expected(array: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        Frame.from_array(array, **options)
