"""A compiled pipeline on the CPU: one pass where stages fuse, and what the stages themselves give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from rawpipe import Frame, Noise, Pipeline, RawpipeError, Space, StageError, bayer, kernels
from rawpipe._fuse import Join
from rawpipe._stage import Measured
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Demosaic,
    Exposure,
    Identity,
    Linearize,
    NoiseCalibration,
    ToneCurve,
    WhiteBalance,
)
from rawpipe.stages.default import default_stages
from rawpipe.testing import synthetic_frame

pytest.importorskip("numba")
QUARTER = 0.25 / 65535  # of a 16-bit step
SIZES = ((34, 40), (33, 47), (40, 33), (3, 2))
phases = pytest.mark.parametrize("cfa", bayer.PHASES)
counts = pytest.mark.parametrize("dtype", [torch.uint16, torch.float32])


@dataclass(frozen=True)
class Halved:
    """A stage of somebody else's, which doesn't know of fusion."""

    takes = Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = 0
    grid = 1

    def __call__(self, frame: Frame, /) -> Frame:
        return frame.scaled(0.5)


def assert_same(got: Frame, expected: Frame) -> None:
    """All that a frame says is the same, and its pixels within a quarter of a 16-bit step, above 1 relative to them."""
    assert got.data.dtype == expected.data.dtype and got.data.shape == expected.data.shape
    gap = (got.data.double() - expected.data.double()).abs() / expected.data.double().abs().clamp(min=1)
    assert float(gap.max()) <= QUARTER
    for name in ("black", "white", "pedestal", "wb", "exposure_gain", "neutral", "origin"):
        assert torch.equal(getattr(got, name), getattr(expected, name)), name
    for name in ("space", "cfa", "color", "applied", "history"):
        assert getattr(got, name) == getattr(expected, name), name
    assert (got.noise is None) == (expected.noise is None)
    if got.noise is not None and expected.noise is not None:
        assert torch.equal(got.noise.shot, expected.noise.shot) and torch.equal(got.noise.read, expected.noise.read)


def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ops each pass has done since."""
    seen: list[int] = []
    run = Join.run

    def counted(join: Join, frame: Frame) -> Frame:
        if join.ops:
            seen.append(len(join.ops))
        return run(join, frame)

    monkeypatch.setattr(Join, "run", counted)
    return seen


def develop(curve: str = "srgb", method: str = "malvar2004") -> Pipeline:
    stages = [BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic(method), ColorTransform(), ToneCurve(curve)]
    return Pipeline([Linearize(), *stages])


@phases
@counts
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", kernels.METHODS)
def test_a_whole_development_is_one_pass_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, cfa: str, dtype: torch.dtype, size: tuple[int, int], method: str
) -> None:
    frame = synthetic_frame(Space.SENSOR, *size, cfa, dtype=dtype)
    expected, seen = develop(method=method)(frame), passes(monkeypatch)
    assert_same(develop(method=method).compile()(frame), expected)
    assert seen == [6]


@phases
@counts
@pytest.mark.parametrize("box", [(1, 0, 20, 21), (0, 1, 33, 22), (3, 5, 30, 41)])
def test_crops_with_odd_origins_are_developed_alike(cfa: str, dtype: torch.dtype, box: tuple[int, ...]) -> None:
    frame = synthetic_frame(Space.SENSOR, 34, 47, cfa, dtype=dtype).crop(*box)
    assert_same(develop().compile()(frame), develop()(frame))


@phases
@counts
def test_menon_decides_in_one_pass_as_behind_single_stages(cfa: str, dtype: torch.dtype) -> None:
    frame = synthetic_frame(Space.SENSOR, 203, 190, cfa, dtype=dtype)
    noise = torch.rand(203, 190, generator=torch.Generator().manual_seed(1)) * 14000
    pipeline = Pipeline([BlackLevel(), WhiteBalance(), ClipHighlights(), Exposure(0.3), Demosaic("menon2007")])
    frame = replace(frame, data=noise.to(dtype))
    assert torch.equal(pipeline.compile()(frame).data, pipeline(frame).data)


ON_MOSAIC = (WhiteBalance(), Exposure(0.5), ClipHighlights())
ON_PLANES = (WhiteBalance(gains=(1.5, 1.0, 2.0)), ClipHighlights(), Exposure(-1.0))


@counts
@pytest.mark.parametrize("until", ["black_level", "demosaic", "color_transform", "tone_curve"])
@pytest.mark.parametrize("on_mosaic", [(), *((one,) for one in ON_MOSAIC), ON_MOSAIC], ids=repr)
@pytest.mark.parametrize("on_planes", [(), *((one,) for one in ON_PLANES), ON_PLANES], ids=repr)
def test_every_combination_of_stages_that_fuses_gives_the_same(
    dtype: torch.dtype, until: str, on_mosaic: tuple[Any, ...], on_planes: tuple[Any, ...]
) -> None:
    ends = {
        "black_level": [],
        "demosaic": [Demosaic(), *on_planes],
        "color_transform": [Demosaic(), *on_planes, ColorTransform(), Exposure(0.25), ClipHighlights()],
        "tone_curve": [Demosaic(), *on_planes, ColorTransform(), Exposure(0.25), ToneCurve()],
    }
    pipeline = Pipeline([Identity(), BlackLevel(), *on_mosaic, *ends[until]])
    frame = synthetic_frame(Space.SENSOR, 21, 18, "GRBG", dtype=dtype)
    assert_same(pipeline.compile()(frame), pipeline(frame))


@pytest.mark.parametrize("curve", ["srgb", "adobe_rgb", "rec2020", "prophoto", "linear"])
def test_curves_are_right_to_a_quarter_of_a_16_bit_step(curve: str) -> None:
    line = torch.cat([torch.linspace(-1.2, 1.2, 60001), torch.logspace(-12, 4, 20000), torch.zeros(3)])
    frame = replace(synthetic_frame(Space.RGB, 2, 40002), data=line.reshape(2, -1).expand(3, -1, -1).contiguous())
    truth = Pipeline([ToneCurve(curve)])(frame.as_type(torch.float64)).data
    got = Pipeline([ToneCurve(curve)]).compile()(frame).data
    gap = (got.double() - truth).abs() / truth.abs().clamp(min=1)
    assert float(gap.max()) <= QUARTER


def test_curves_and_matrices_let_nan_and_infinity_through() -> None:
    frame = synthetic_frame(Space.RGB, 4, 40)
    frame.data[:, 1, 3], frame.data[:, 2, 9], frame.data[:, 3, 30] = torch.nan, torch.inf, -torch.inf
    pipeline = Pipeline([Exposure(1.0), ToneCurve()])
    got, expected = pipeline.compile()(frame).data, pipeline(frame).data
    torch.testing.assert_close(got, expected, equal_nan=True, rtol=QUARTER, atol=QUARTER)


@counts
def test_a_linearization_table_fuses_too(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    frame = synthetic_frame(Space.SENSOR, 33, 40, dtype=dtype)
    table = torch.linspace(0, 1, 12000).square() * 15520
    frame = replace(frame, shot=replace(frame.shot, linearization=table))
    expected, seen = develop()(frame), passes(monkeypatch)
    assert_same(develop().compile()(frame), expected)
    assert seen == [7]


def test_what_develop_runs_is_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = synthetic_frame(Space.SENSOR, 40, 34, dtype=torch.uint16)
    linearize, *others = default_stages("tiff")
    pipeline = Pipeline([linearize, NoiseCalibration(shot_dn=1.0, read_dn=2.0), *others])
    expected, seen = pipeline(frame), passes(monkeypatch)
    assert_same(pipeline.compile()(frame), expected)
    assert seen == [6]


def test_noise_goes_along() -> None:
    noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 3e-3), torch.full((4,), 5e-4))
    frame = synthetic_frame(Space.SENSOR, 34, 40, noise=noise)
    pipeline = develop()[:"tone_curve"]
    got = pipeline.compile()(frame)
    assert got.noise is not None
    assert_same(got, pipeline(frame))


@phases
@counts
def test_stages_that_do_not_fuse_run_in_between(monkeypatch: pytest.MonkeyPatch, cfa: str, dtype: torch.dtype) -> None:
    stages = [BlackLevel(), WhiteBalance(), Halved(), Demosaic(), ColorTransform(), ToneCurve()]
    frame = synthetic_frame(Space.SENSOR, 61, 47, cfa, dtype=dtype)
    expected, seen = Pipeline(stages)(frame), passes(monkeypatch)
    assert_same(Pipeline(stages, rows=16).compile()(frame), expected)
    assert set(seen) == {2, 3}


@pytest.mark.parametrize("index", range(5))
def test_a_foreign_stage_may_stand_anywhere(index: int) -> None:
    stages: list[Any] = [BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform(), ToneCurve()]
    stages.insert(index + 1, Halved())
    frame = synthetic_frame(Space.SENSOR, 61, 47, "GBRG")
    assert_same(Pipeline(stages, rows=16).compile()(frame), Pipeline(stages)(frame))


def test_a_stage_of_your_own_may_join() -> None:
    @dataclass(frozen=True)
    class Joining(Halved):
        def lowered(self, frame: Frame, /) -> tuple[kernels.Op, ...]:
            return (kernels.Affine(torch.tensor(0.5)),)

    stages = (BlackLevel(), Joining(), Demosaic())
    frame = synthetic_frame(Space.SENSOR, 34, 40)
    measured = [s.measure(frame) if isinstance(s, Measured) else s for s in stages]
    assert Join.none(frame).on(measured, measured).count == 3
    assert_same(Pipeline(stages).compile()(frame), Pipeline(stages)(frame))


@pytest.mark.parametrize("fits", [True, False])
def test_a_stage_runs_once_on_a_corner_however_many_are_measured_behind_it(fits: bool) -> None:
    seen = []

    @dataclass(frozen=True)
    class Counted(Halved):
        def lowered(self, frame: Frame, /) -> tuple[kernels.Op, ...] | None:
            return (kernels.Affine(torch.tensor(0.5)),) if fits else None

        def __call__(self, frame: Frame, /) -> Frame:
            seen.append(tuple(frame.data.shape))
            return super().__call__(frame)

    stages = (BlackLevel(), Counted(), WhiteBalance(), Demosaic(), ColorTransform(), ToneCurve())
    frame = synthetic_frame(Space.SENSOR, 334, 340)
    result = Pipeline(stages).compile()(frame)
    assert [shape for shape in seen if max(shape) < 100] == [(24, 24)]
    assert len(seen) == 1 or not fits
    assert_same(result, Pipeline(stages)(frame))


@pytest.mark.parametrize("change", [lambda f: f.as_type(torch.float64), lambda f: f.as_type(torch.float16)])
def test_other_dtypes_run_as_they_are(monkeypatch: pytest.MonkeyPatch, change: Callable[[Frame], Frame]) -> None:
    frame, seen = change(synthetic_frame(Space.SENSOR, 34, 40)), passes(monkeypatch)
    assert torch.equal(develop().compile()(frame).data, develop()(frame).data)
    assert seen == []


@dataclass(frozen=True)
class Inverted:
    """A table, on the mosaic or on planes."""

    takes = Space.SENSOR | Space.MOSAIC | Space.CAMERA
    gives = None
    halo = 0
    grid = 1

    def lowered(self, frame: Frame, /) -> tuple[kernels.Op, ...]:
        return (kernels.Table(torch.tensor([1.0, 0.0])),)

    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=1 - frame.data.clamp(0, 1))


@pytest.mark.parametrize(("at", "expected"), [(0, [2]), (1, [1])])
def test_a_table_on_planes_runs_by_itself(monkeypatch: pytest.MonkeyPatch, at: int, expected: list[int]) -> None:
    stages: list[Any] = [Demosaic()]
    stages.insert(at, Inverted())
    frame = synthetic_frame(Space.MOSAIC, 34, 40)
    reference, seen = Pipeline(stages)(frame), passes(monkeypatch)
    assert_same(Pipeline(stages).compile()(frame), reference)
    assert seen == expected


def test_gradients_still_arrive() -> None:
    frame = synthetic_frame(Space.SENSOR, 34, 40)
    frame = replace(frame, data=frame.data.requires_grad_())
    (slope,) = torch.autograd.grad(develop().compile()(frame).data.sum(), frame.data)
    (expected,) = torch.autograd.grad(develop()(frame).data.sum(), frame.data)
    assert torch.equal(slope, expected)


def test_stacks_are_developed_frame_by_frame() -> None:
    frame = synthetic_frame(Space.SENSOR, 21, 34, "BGGR", batch=(2, 3))
    result = develop().compile()(frame)
    assert_same(result, develop()(frame))
    assert torch.equal(result[1].data[2], develop().compile()(frame[1][2]).data)


def test_the_input_stays_untouched_and_results_do_not_share_memory() -> None:
    frame = synthetic_frame(Space.SENSOR, 600, 402, dtype=torch.uint16)
    before, pipeline = frame.data.clone(), develop().compile()
    first = pipeline(frame).data
    kept = first.clone()
    second = pipeline(replace(frame, data=frame.data.flip(0))).data
    assert torch.equal(frame.data, before) and torch.equal(first, kept) and not torch.equal(first, second)


def test_errors_name_the_stage_as_ever() -> None:
    frame = synthetic_frame(Space.RGB, 34, 40)
    pipeline = Pipeline([ToneCurve(), Exposure(1.0)])
    for one in (pipeline, pipeline.compile()):
        with pytest.raises(StageError, match=r"stage 1 \(exposure\): got RGB with the curve 'srgb'"):
            one(frame)


def test_keep_progress_and_cancel_work() -> None:
    frame, shares = synthetic_frame(Space.SENSOR, 34, 40), []
    pipeline = develop()
    result, kept = pipeline.compile().run(frame, keep=["demosaic"], progress=lambda done, name: shares.append(done))
    expected, kept_then = pipeline.run(frame, keep=["demosaic"])
    assert_same(result, expected)
    assert_same(kept["demosaic"], kept_then["demosaic"])
    assert shares[-1] == 1.0 and shares == sorted(shares)

    class Set:
        def is_set(self) -> bool:
            return True

    with pytest.raises(RawpipeError, match="cancelled"):
        pipeline.compile().run(frame, cancel=Set())


def test_under_a_memory_limit_it_runs_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = synthetic_frame(Space.SENSOR, 200, 120)
    expected, seen = develop()(frame), passes(monkeypatch)
    assert_same(develop().compile().run(frame, max_memory=1_200_000), expected)
    assert len(seen) > 1


@pytest.mark.parametrize("method", kernels.METHODS)
def test_a_demosaicing_alone_is_cut_only_where_memory_is_short_or_the_kernels_do_not_take_it(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    heights: list[int] = []
    whole = kernels.demosaic

    def seen(method: str, data: torch.Tensor, cfa: str, reference: Any) -> torch.Tensor:
        heights.append(data.shape[-2])
        return whole(method, data, cfa, reference)

    monkeypatch.setattr(kernels, "demosaic", seen)
    frame, pipeline = synthetic_frame(Space.MOSAIC, 301, 120, "GBRG"), Pipeline([Demosaic(method)])
    alone = Demosaic(method)(frame)
    heights.clear()
    result = pipeline(frame)
    assert heights == [301]
    assert torch.equal(result.data, alone.data) and result.history[0].seconds is not None
    heights.clear()
    assert torch.equal(pipeline.run(frame, max_memory=2_000_000).data, alone.data)
    pipeline(frame.as_type(torch.float64))
    assert max(heights) < 301


def test_history_replays_to_the_same_bits() -> None:
    frame = synthetic_frame(Space.SENSOR, 34, 40, dtype=torch.uint16)
    result = develop().compile()(frame)
    assert all(step.seconds is None for step in result.history)
    assert torch.equal(Pipeline.from_history(result.history).compile()(frame).data, result.data)


def test_slices_and_replacements_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, frame = passes(monkeypatch), synthetic_frame(Space.SENSOR, 34, 40)
    develop().compile()[:"demosaic"](frame)
    develop().compile().replace("demosaic", Demosaic("bilinear"))(frame)
    assert seen == [3, 6]
