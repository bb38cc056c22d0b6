from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from rawpipe import Color, FormatError, Frame, FrameError, Noise, Pipeline, PipelineError, Space, StageError, bayer
from rawpipe.cli._contact import _visible
from rawpipe.io import write
from rawpipe.stages import BlackLevel, ColorTransform, Demosaic, Exposure, Quantize, ToneCurve, WhiteBalance
from rawpipe.testing import synthetic_frame

DEVELOP = [BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform(), ToneCurve(), Quantize()]


def rgb(values: torch.Tensor, **changes: Any) -> Frame:
    """RGB of these values, all planes alike."""
    return replace(synthetic_frame(Space.RGB, 2, 2), data=values.expand(3, *values.shape), **changes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("compiled", [False, True])
def test_every_code_has_the_values_around_it(dtype: torch.dtype, compiled: bool) -> None:
    codes = torch.arange(65536, dtype=torch.float64)
    values = (codes[:, None] + torch.tensor([-0.48, 0.0, 0.48])) / 65535
    pipeline = Pipeline([Quantize()])
    result = (pipeline.compile() if compiled else pipeline)(rgb(values.to(dtype)))
    assert result.data.dtype is torch.uint16
    assert torch.equal(result.data.long(), codes.long()[:, None].expand(3, -1, 3))


@pytest.mark.parametrize("compiled", [False, True])
def test_halves_go_up_and_what_lies_beyond_is_clipped(compiled: bool) -> None:
    values = torch.tensor([[-1e30, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 1e30]])
    pipeline = Pipeline([Quantize()])
    result = (pipeline.compile() if compiled else pipeline)(rgb(values))
    assert result.data[1].tolist() == [[0, 0, 0, 0, 32768, 65535, 65535, 65535]]


def test_both_paths_give_the_same_bits() -> None:
    pytest.importorskip("numba")
    values = torch.rand(301, 407, generator=torch.Generator().manual_seed(0)) * 1.1 - 0.05
    one, other = (pipeline(rgb(values)) for pipeline in (Pipeline([Quantize()]), Pipeline([Quantize()]).compile()))
    assert torch.equal(one.data, other.data) and torch.equal(one.white, other.white)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(34, 40), (33, 47)])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_development_gives_its_floats_rounded(cfa: str, size: tuple[int, int], compiled: bool) -> None:
    frame = synthetic_frame(Space.SENSOR, *size, cfa, dtype=torch.uint16)
    floats, pipeline = Pipeline(DEVELOP[:-1])(frame), Pipeline(DEVELOP)
    result = (pipeline.compile() if compiled else pipeline)(frame)
    gap = (result.data.double() - (floats.data.double() * 65535).clamp(0, 65535)).abs()
    assert float(gap.max()) <= 0.5 + 0.25 + 0.02
    assert torch.equal(result.white, floats.white * 65535) and torch.equal(result.black, floats.black * 65535)
    assert result.color == Color("srgb", "srgb") and [step.name for step in result.history][-1] == "quantize"


def test_noise_is_no_longer_known() -> None:
    noise = Noise(*(torch.full((3,), 1e-3),) * 3)
    assert Quantize()(rgb(torch.rand(4, 4), noise=noise)).noise is None


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("compiled", [False, True])
def test_pixels_that_are_not_finite_are_refused(bad: float, compiled: bool) -> None:
    values = torch.ones(40, 50)
    values[30, 41] = bad
    pipeline = Pipeline([Quantize()])
    with pytest.raises(StageError, match="got nan or infinite pixels; expected finite ones"):
        (pipeline.compile() if compiled else pipeline)(rgb(values))


@pytest.mark.parametrize("stage", [Exposure(1.0), ToneCurve(), Quantize()], ids=repr)
def test_no_stage_goes_on_from_codes(stage: Any) -> None:
    with pytest.raises(PipelineError, match="quantize\\) gives CODES. Put quantize last"):
        Pipeline([Quantize(), stage])


def test_codes_are_uint16_or_no_frame() -> None:
    codes = Quantize()(rgb(torch.rand(4, 4)))
    with pytest.raises(FrameError, match=r"got torch.float32 in CODES; expected torch.uint16: work on RGB"):
        codes.scaled(2.0)
    with pytest.raises(FrameError, match="got CODES with color None; expected a Color"):
        replace(codes, color=None)


def test_a_tiff_stores_the_codes_and_a_dng_none(tmp_path: Path) -> None:
    frame = synthetic_frame(Space.SENSOR, 70, 50, dtype=torch.uint16)
    result = Pipeline(DEVELOP)(frame)
    step = result.write(tmp_path / "whole.tif")
    write(Pipeline(DEVELOP).strips(frame, 16), tmp_path / "strips.tif")
    assert (tmp_path / "whole.tif").read_bytes() == (tmp_path / "strips.tif").read_bytes()
    assert np.array_equal(tifffile.imread(tmp_path / "whole.tif"), np.moveaxis(result.data.numpy(), 0, -1))
    assert step.parameters["clipped_above"] == step.parameters["clipped_below"] == 0
    with pytest.raises(FormatError, match="got an RGB frame; a DNG holds a mosaic or camera RGB"):
        result.write(tmp_path / "x.dng")


def test_a_contact_sheet_shows_codes_as_what_they_are_codes_of() -> None:
    frame = ToneCurve()(rgb(torch.rand(8, 8)))
    (codes, gain), (floats, _) = _visible(Quantize()(frame)), _visible(frame)
    assert gain == 1.0 and float((codes - floats).abs().max()) < 1e-5
