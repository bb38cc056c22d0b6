"""A result strip by strip is the result, and is written as the result is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from rawpipe import FormatError, Frame, Pipeline, PipelineError, Space
from rawpipe.io.dng import write_dng
from rawpipe.io.tiff import write_tiff
from rawpipe.stages import BlackLevel, ColorTransform, Crop, Demosaic, Exposure, Orient, ToneCurve, WhiteBalance
from rawpipe.stages.default import default_stages
from rawpipe.testing import synthetic_frame

PIPELINES = {
    "local": Pipeline(default_stages("tiff")),
    "measured": Pipeline([BlackLevel(), WhiteBalance("gray_world"), Demosaic(), ColorTransform(), Exposure("auto")]),
    "whole frame first": Pipeline([BlackLevel(), WhiteBalance(), Orient(), Demosaic(), ColorTransform(), ToneCurve()]),
    "whole frame last": Pipeline([BlackLevel(), Demosaic(), Crop((3, 5, 180, 100))]),
    "mosaic": Pipeline([BlackLevel()]),
    "nothing": Pipeline([]),
}
pipelines = pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)


@pytest.fixture
def frame() -> Frame:
    return synthetic_frame(Space.SENSOR, 203, 130, "GBRG", dtype=torch.uint16)


@pipelines
@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_strips_joined_are_the_result(pipeline: Pipeline, frame: Frame, rows: int) -> None:
    expected = pipeline(frame)
    strips = pipeline.strips(frame, rows)
    assert (strips.height, strips.width) == (expected.height, expected.width)
    frames = list(strips)
    joined = torch.cat([one.data for one in frames], dim=-2)
    torch.testing.assert_close(joined, expected.data, rtol=1e-6, atol=1e-6)  # torch's power depends on the place
    for one in frames:
        assert (one.space, one.color, one.history) == (expected.space, expected.color, expected.history)
        assert one.width == expected.width
    tops = torch.tensor([0, *(one.height for one in frames)]).cumsum(0)
    assert [int(one.origin[0]) for one in frames] == [int(expected.origin[0]) + int(top) for top in tops[:-1]]


@pipelines
def test_a_tiff_of_strips_is_the_tiff_of_the_frame(pipeline: Pipeline, frame: Frame, tmp_path: Path) -> None:
    step = pipeline(frame).write(tmp_path / "whole.tif")
    assert write_tiff(pipeline.strips(frame, 50), tmp_path / "strips.tif") == step
    whole, strips = (tifffile.imread(tmp_path / name) for name in ("whole.tif", "strips.tif"))
    assert np.array_equal(whole, strips)
    with tifffile.TiffFile(tmp_path / "whole.tif") as one, tifffile.TiffFile(tmp_path / "strips.tif") as other:
        assert {tag.code for tag in one.pages[0].tags} == {tag.code for tag in other.pages[0].tags}
        assert one.pages[0].tags[700].value == other.pages[0].tags[700].value  # XMP, the history in it


@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")  # synthetic noise goes below zero
@pytest.mark.parametrize("ev", [0.0, -1.0, 1.5])
@pytest.mark.parametrize("size", [(203, 130), (611, 530)])
@pytest.mark.parametrize("rows", [37, 300])
def test_a_linear_dng_of_strips_is_the_dng_of_the_frame(
    ev: float, size: tuple[int, int], rows: int, tmp_path: Path
) -> None:
    frame = synthetic_frame(Space.SENSOR, *size, "GBRG", dtype=torch.uint16)
    pipeline = Pipeline([BlackLevel(), WhiteBalance(), Demosaic(), Exposure(ev)])
    pipeline(frame).write(tmp_path / "whole.dng")
    write_dng(pipeline.strips(frame, rows), tmp_path / "strips.dng")
    assert (tmp_path / "strips.dng").read_bytes() == (tmp_path / "whole.dng").read_bytes()


def test_a_dng_of_a_mosaic_in_strips_is_that_of_the_frame(frame: Frame, tmp_path: Path) -> None:
    pipeline = Pipeline([BlackLevel()])
    pipeline(frame).write(tmp_path / "whole.dng")
    write_dng(pipeline.strips(frame, 50), tmp_path / "strips.dng")
    assert (tmp_path / "strips.dng").read_bytes() == (tmp_path / "whole.dng").read_bytes()


def test_strips_of_rgb_are_no_dng(frame: Frame, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="got an RGB frame"):
        write_dng(PIPELINES["local"].strips(frame), tmp_path / "x.dng")
    assert not list(tmp_path.iterdir())


def test_a_stage_that_fails_leaves_no_file(frame: Frame, tmp_path: Path) -> None:
    shares: list[float] = []

    class Stop:
        def is_set(self) -> bool:
            return bool(shares)

    strips = Pipeline([BlackLevel()]).strips(frame, 64, progress=lambda done, name: shares.append(done), cancel=Stop())
    with pytest.raises(Exception, match="cancelled"):
        write_tiff(strips, tmp_path / "x.tif")
    assert 0 < shares[0] < 1 and not list(tmp_path.iterdir())


def test_a_strip_has_rows() -> None:
    with pytest.raises(PipelineError, match="got rows=0; expected 1 or more"):
        Pipeline([]).strips(synthetic_frame(), 0)
