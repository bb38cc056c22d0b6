"""Codes of 16 bits: rounded and clipped as NumPy does it, and nothing that isn't finite is passed off as a code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rawpipe import StageError, bayer
from rawpipe.colorimetry import CURVES
from rawpipe.kernels import Affine, Clip, Demosaic, Encode, Matrix, Op, Quantize

pytest.importorskip("numba")
from rawpipe.kernels.compiled import Program  # needs Numba

MATRIX = torch.tensor([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.0, -0.4, 1.4]])
TO_PLANES: list[Op] = [Affine(torch.tensor(1 / 15000), -0.03), Clip(torch.tensor(1.0)), Demosaic("malvar2004")]


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(34, 40), (33, 47)])
@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32])
@pytest.mark.parametrize("ops", [[], [Matrix(MATRIX)], [Matrix(MATRIX), Encode(CURVES["srgb"])]], ids=len)
def test_codes_are_the_floats_rounded(cfa: str, size: tuple[int, int], dtype: torch.dtype, ops: list[Op]) -> None:
    pixels = (torch.rand(size, generator=torch.Generator().manual_seed(0)) * 16383).round().to(dtype)
    floats = Program([*TO_PLANES, *ops], True)(pixels, cfa).double().numpy() * 65535
    codes = Program([*TO_PLANES, *ops, Quantize()], True)(pixels, cfa)
    assert codes.dtype == torch.uint16
    assert np.abs(codes.numpy() - floats.clip(0, 65535)).max() <= 0.5 + 0.02  # float32's last bits at a half


def test_planes_become_codes_too() -> None:
    line = torch.linspace(-0.5, 1.5, 30000).reshape(1, 100, 300).expand(3, -1, -1)
    codes = Program([Quantize()], False)(line, None)
    assert np.array_equal(codes.numpy(), (line.numpy() * np.float32(65535) + 0.5).clip(0.5, 65535).astype(np.uint16))


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_right_to_a_quarter_of_a_code(name: str) -> None:
    line = torch.cat([torch.linspace(-0.5, 1.5, 60000), torch.linspace(-30, 4, 30000).exp()])
    line = line.reshape(1, 300, 300).expand(3, -1, -1)
    codes = Program([Encode(CURVES[name]), Quantize()], False)(line, None)
    truth = CURVES[name].encode(line.double()).clamp(0, 1).numpy() * 65535
    assert np.abs(codes.numpy() - truth).max() <= 0.5 + 0.25


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("mosaic", [True, False])
def test_pixels_that_are_not_finite_are_refused(bad: float, mosaic: bool) -> None:
    pixels = torch.ones((20, 22) if mosaic else (3, 20, 22))
    pixels[..., 7, 9] = bad
    program = Program([*([Demosaic("bilinear")] if mosaic else []), Quantize()], mosaic)
    with pytest.raises(StageError, match="got nan or infinite pixels; expected finite ones"):
        program(pixels, "RGGB")
