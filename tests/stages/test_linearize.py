from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rawpipe import Frame, Space
from rawpipe.stages import Linearize
from rawpipe.testing import synthetic_frame

# A companding table like a camera's: fine steps in the shadows, coarse ones above.
TABLE = torch.cat([torch.arange(0.0, 64), torch.arange(64.0, 1024, 8), torch.arange(1024.0, 16384, 64)])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float64])
def test_every_code_becomes_its_entry_of_the_table(dtype: torch.dtype) -> None:
    codes = torch.arange(240).reshape(12, 20).to(dtype)
    frame = Frame.from_array(codes, "RGGB", white=16383, linearization=TABLE)
    result = Linearize()(frame)
    torch.testing.assert_close(result.data.double(), TABLE[:240].reshape(12, 20).double(), rtol=0, atol=0)
    assert result.applied == ("linearization",)
    assert (result.space, result.cfa) == (Space.SENSOR, "RGGB")


def test_codes_past_the_end_get_the_last_value_and_fractions_are_interpolated() -> None:
    codes = torch.tensor([[-3.0, 0.0, 70.5, 1.25], [1e6, len(TABLE) - 1.0, len(TABLE) - 0.5, 63.5]])
    result = Linearize()(Frame.from_array(codes, "RGGB", white=16383, linearization=TABLE)).data
    between = float(TABLE[70] + TABLE[71]) / 2
    last = float(TABLE[-1])
    assert result.tolist() == [[0, 0, between, 1.25], [last, last, last, float(TABLE[63] + TABLE[64]) / 2]]


def test_levels_stay_since_the_file_states_them_behind_the_table() -> None:
    frame = Frame.from_array(torch.zeros(4, 4), "RGGB", black=256, white=16383, linearization=TABLE)
    result = Linearize()(frame)
    assert result.black.equal(frame.black)
    assert result.white.equal(frame.white)


def test_a_frame_without_a_table_passes_unchanged() -> None:
    frame = synthetic_frame(dtype=torch.uint16)
    assert Linearize()(frame) is frame


def test_what_is_linear_already_is_not_looked_up_again() -> None:
    frame = Frame.from_array(torch.arange(64.0).reshape(8, 8), "RGGB", white=16383, linearization=TABLE * 2)
    once = Linearize()(frame)
    assert Linearize()(once) is once
    decoded = replace(frame, applied=("linearization",))  # what a reader says whose decoder has looked the codes up
    assert Linearize()(decoded) is decoded


def test_gradients_are_the_slope_of_the_table() -> None:
    codes = torch.tensor([[10.5, 70.5], [200.5, 3.25]], requires_grad=True)
    frame = Frame.from_array(codes, "RGGB", white=16383, linearization=TABLE)
    (gradient,) = torch.autograd.grad(Linearize()(frame).data.sum(), codes)
    assert gradient.tolist() == [[1, 8], [64, 1]]
