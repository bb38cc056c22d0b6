from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from rawpipe import (
    Cancelled,
    Frame,
    Noise,
    Pipeline,
    PipelineError,
    Space,
    StageError,
    Step,
    bayer,
)
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Crop,
    Demosaic,
    Exposure,
    Identity,
    Linearize,
    Orient,
    ToneCurve,
    WhiteBalance,
)
from rawpipe.testing import synthetic_frame

phases = pytest.mark.parametrize("cfa", bayer.PHASES)

# The curve's pow is vectorised, and differs by an ulp in the last few elements of a row; without it bits are equal.
ULP = 3e-7


def develop(method: str = "malvar2004", **options: Any) -> Pipeline:
    return Pipeline(
        [
            Linearize(),
            BlackLevel(),
            WhiteBalance("gray_world"),
            ClipHighlights(),
            Demosaic(method),
            ColorTransform(),
            Exposure("auto"),
            ToneCurve(),
        ],
        **options,
    )


@dataclass(frozen=True)
class Spy:
    """Calls `look` on every window that it sees."""

    look: Callable[[Frame], object]
    halo: int | None = 0

    takes = Space.SENSOR | Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    grid = 1

    def __call__(self, frame: Frame, /) -> Frame:
        self.look(frame)
        return frame


# Ports


def test_neighbours_that_do_not_fit_are_named_when_the_pipeline_is_built() -> None:
    message = (
        r"stage 1 \(demosaic\) takes MOSAIC; stage 0 \(linearize\) gives SENSOR. "
        r"Put a stage from SENSOR to MOSAIC between them"
    )
    with pytest.raises(PipelineError, match=message):
        Pipeline([Linearize(), Demosaic()])


def test_a_stage_that_keeps_its_space_hands_it_on_to_the_check() -> None:
    Pipeline([BlackLevel(), Identity(), ClipHighlights(), Demosaic()])
    with pytest.raises(
        PipelineError, match=r"stage 3 \(black_level_2\) takes SENSOR; stage 2 \(identity\) gives CAMERA"
    ):
        Pipeline([BlackLevel(), Demosaic(), Identity(), BlackLevel()])


def test_stages_before_the_first_fixed_space_narrow_what_can_come_in() -> None:
    with pytest.raises(PipelineError, match=r"stage 1 \(linearize\) takes SENSOR; .* gives MOSAIC or CAMERA"):
        Pipeline([WhiteBalance(), Linearize()])


def test_the_frame_is_checked_before_anything_runs() -> None:
    message = r"got a frame in SENSOR; stage 0 \(demosaic\) takes MOSAIC. Start further on"
    with pytest.raises(PipelineError, match=message):
        Pipeline([Demosaic()])(synthetic_frame())


def test_a_frames_space_is_followed_through_all_stages_before_any_runs() -> None:
    pipeline = Pipeline([Identity(), Exposure(), Demosaic()])
    frame = synthetic_frame(Space.CAMERA, 16, 16)
    with pytest.raises(PipelineError, match=r"stage 2 \(demosaic\) takes MOSAIC; stage 1 \(exposure\) gives CAMERA"):
        pipeline(frame)


@dataclass(frozen=True)
class Liar:
    """A stage that doesn't give what it says."""

    result: Any = None
    takes = Space.MOSAIC
    gives = Space.CAMERA
    halo: int | None = 0
    grid = 2

    def __call__(self, frame: Frame, /) -> Frame:
        return frame if self.result is None else self.result


@pytest.mark.parametrize("halo", [0, None])
def test_a_stage_that_does_not_give_what_it_declares_is_named(halo: int | None) -> None:
    frame = synthetic_frame(Space.MOSAIC, 16, 16)
    with pytest.raises(StageError, match=r"stage 0 \(liar\): got a result in MOSAIC; expected CAMERA"):
        Pipeline([Liar(halo=halo)])(frame)
    with pytest.raises(StageError, match=r"got Tensor from the stage; expected a Frame"):
        Pipeline([Liar(frame.data, halo)])(frame)


@pytest.mark.parametrize("wrong", [Demosaic, lambda frame: frame, 3, None])
def test_what_is_no_stage_is_refused(wrong: Any) -> None:
    with pytest.raises(PipelineError, match=r"at position 1; expected a stage: an instance with takes and gives"):
        Pipeline([BlackLevel(), wrong])


@pytest.mark.parametrize("rows", [0, -3, 2.5])
def test_strips_have_rows(rows: Any) -> None:
    with pytest.raises(PipelineError, match="expected 1 or more"):
        Pipeline([BlackLevel()], rows=rows)


def test_a_single_name_is_not_taken_letter_by_letter() -> None:
    with pytest.raises(PipelineError, match=r"got 'demosaic'; expected a list of stages"):
        Pipeline("demosaic")


def test_an_empty_pipeline_hands_the_frame_on() -> None:
    frame = synthetic_frame()
    assert Pipeline([])(frame) is frame


# Building


def test_names_and_slices() -> None:
    pipe = develop()
    assert pipe.names[:3] == ("linearize", "black_level", "white_balance")
    assert pipe[:"demosaic"].names == pipe.names[:4]
    assert pipe["demosaic":].names == pipe.names[4:]
    assert pipe["black_level":"exposure"].names == pipe.names[1:6]
    assert pipe[1:-1].names == pipe.names[1:-1]
    assert pipe["demosaic"] == pipe[4] == Demosaic()
    assert (len(pipe), list(pipe)) == (8, list(pipe.stages))


def test_a_stage_that_occurs_again_gets_a_number() -> None:
    pipe = Pipeline([Exposure(1.0), Exposure(2.0), Exposure(3.0)])
    assert pipe.names == ("exposure", "exposure_2", "exposure_3")
    assert pipe["exposure_2"] == Exposure(2.0)
    assert pipe.replace("exposure_2", Exposure(7.0)).stages == (Exposure(1.0), Exposure(7.0), Exposure(3.0))


def test_replace_swaps_one_stage_and_checks_again() -> None:
    pipe = develop()
    assert pipe.replace("demosaic", Demosaic("menon2007"))["demosaic"] == Demosaic("menon2007")
    assert pipe.replace("tone_curve", "identity").names[-1] == "identity"
    assert pipe["demosaic"] == Demosaic()
    with pytest.raises(PipelineError, match=r"stage 5 \(color_transform\) takes CAMERA"):
        pipe.replace("demosaic", Identity())


def test_an_unknown_name_gets_a_suggestion() -> None:
    for use in (lambda: develop()["demozaic"], lambda: develop()[:"demozaic"], lambda: develop().index("demozaic")):
        with pytest.raises(PipelineError, match=r"got stage 'demozaic'; .*did you mean 'demosaic'"):
            use()
    with pytest.raises(PipelineError, match="did you mean 'demosaic'"):
        develop().run(synthetic_frame(), keep=["demozaic"])


def test_pipelines_with_equal_stages_are_equal() -> None:
    assert develop(rows=8) == develop(rows=8)
    assert develop() != develop("bilinear")
    assert eval(repr(develop())) == develop()


# The same result, whole or in windows


@phases
@pytest.mark.parametrize("method", ["bilinear", "malvar2004", "menon2007"])
@pytest.mark.parametrize("size", [(64, 70), (77, 61)], ids=["even", "odd"])
def test_strips_and_tiles_equal_the_untiled_run(cfa: str, method: str, size: tuple[int, int]) -> None:
    frame = synthetic_frame(Space.SENSOR, *size, cfa, dtype=torch.uint16)
    whole = frame
    for stage in develop(method):  # one after the other, on the whole frame
        whole = stage(whole)
    linear = develop(method)[:"tone_curve"]
    for options in ({"rows": 10_000}, {"rows": 10}, {"rows": 10, "max_memory": 60 * 60 * 200 + 97 * 61 * 4 * 12}):
        memory = options.pop("max_memory", None)
        got = develop(method, **options).run(frame, max_memory=memory)
        assert (got.data - whole.data).abs().max() <= ULP
        assert (got.cfa, got.space, got.color) == (whole.cfa, whole.space, whole.color)
        for name in ("black", "white", "wb", "exposure_gain", "neutral", "origin"):
            assert torch.equal(getattr(got, name), getattr(whole, name)), name
    bits = [replace(linear, rows=rows)(frame).data for rows in (10, 10_000)]
    assert bits[0].equal(bits[1])


def test_a_batch_equals_its_frames() -> None:
    batch = synthetic_frame(Space.SENSOR, batch=(2, 3), cfa="GBRG")
    pipe = Pipeline([BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform(), Exposure(1.0)], rows=4)
    together = pipe(batch)
    assert together.data.shape == (2, 3, 3, 34, 40)
    for i in range(2):
        for j in range(3):
            assert together.data[i, j].equal(pipe(batch[i][j]).data)


def test_the_frame_that_goes_in_stays_as_it_is() -> None:
    frame = synthetic_frame(dtype=torch.uint16)
    before = frame.data.clone()
    develop()(frame)
    assert frame.data.equal(before)
    assert frame.history == ()


def test_gradients_reach_the_input_through_a_whole_pipeline() -> None:
    frame = synthetic_frame(Space.MOSAIC, 24, 26, level=0.4)
    asked = replace(frame, data=frame.data.clone().requires_grad_())
    pipe = Pipeline([WhiteBalance(), Demosaic("menon2007"), ColorTransform(), ToneCurve()], rows=4)
    (gradient,) = torch.autograd.grad(pipe(asked).data.sum(), asked.data)
    assert gradient.isfinite().all()
    assert (gradient != 0).all()


# Interpolation makes the noise of the three planes alike, and a matrix with negative coefficients takes part of it out
# again. A frame's noise doesn't hold what the planes share, so behind a matrix it is an upper bound.
@phases
@pytest.mark.parametrize(
    ("method", "least"), [("superpixel", 0.95), ("bilinear", 0.95), ("malvar2004", 0.42), ("menon2007", 0.38)]
)
def test_the_noise_of_a_developed_flat_field_is_at_most_what_the_frame_says(
    cfa: str, method: str, least: float
) -> None:
    noise = Noise(torch.full((4,), 3e-4), torch.full((4,), 4e-3), torch.full((4,), 1e-9))
    frame = synthetic_frame(Space.SENSOR, 256, 256, cfa, level=0.25, noise=noise, dtype=torch.float64)
    result = Pipeline([BlackLevel(), WhiteBalance(), Demosaic(method), ColorTransform(), Exposure(0.5)])(frame)
    planes = result.crop(12, 12, result.height - 24, result.width - 24).data.unbind()
    assert result.noise is not None
    said = result.noise.variance(torch.stack([plane.mean() for plane in planes]).float())
    share = torch.stack([plane.var() for plane in planes]) / said
    assert share.max() < 1.05
    assert share.min() > least


# keep, history, replay


def test_keep_gives_the_frames_in_between() -> None:
    frame = synthetic_frame()
    result, kept = develop().run(frame, keep=["black_level", "demosaic"])
    assert list(kept) == ["black_level", "demosaic"]
    assert kept["black_level"].data.equal(BlackLevel()(frame).data)
    assert kept["demosaic"].data.equal(develop()[:"color_transform"](frame).data)
    assert [len(one.history) for one in (kept["black_level"], kept["demosaic"], result)] == [2, 5, 8]
    assert develop().run(frame, keep=[])[1] == {}


def test_history_tells_stages_parameters_provider_and_time() -> None:
    from rawpipe import __version__

    pipe = develop()
    history = pipe(synthetic_frame(Space.SENSOR, 200, 300)).history
    assert tuple(step.name for step in history) == pipe.names
    assert {step.provider for step in history} == {f"rawpipe-isp {__version__}"}
    assert all(step.seconds is not None and 0 < step.seconds < 60 for step in history)
    found = {step.name: step.parameters for step in history}
    assert found["demosaic"] == {"method": "malvar2004", "backend": "torch"}
    assert len(found["white_balance"]["gains"]) == 3
    assert isinstance(found["exposure"]["ev"], float)


def test_time_does_not_count_when_steps_are_compared() -> None:
    assert Step("a", {}, "p", 1.0) == Step("a", {}, "p", 2.0)


def test_history_goes_on_over_several_runs() -> None:
    frame = develop()[:"demosaic"](synthetic_frame())
    assert tuple(step.name for step in develop()["demosaic":](frame).history) == develop().names


@phases
def test_replaying_the_history_gives_the_same_bits_without_measuring(cfa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import rawpipe.stages.black_level.stage as black_level
    import rawpipe.stages.exposure.stage as exposure
    import rawpipe.stages.white_balance.stage as white_balance

    frame = synthetic_frame(Space.SENSOR, 61, 47, cfa, dtype=torch.uint16)
    pipe = develop().replace("black_level", BlackLevel("masked", area=(0, 8, 60, 30)))
    once = pipe(frame)

    def forbidden(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(black_level, "masked_black", forbidden)
    monkeypatch.setattr(white_balance, "_gray_world", forbidden)
    monkeypatch.setattr(exposure, "auto_ev", forbidden)
    with pytest.raises(AssertionError, match="measured again"):
        pipe(frame)
    again = Pipeline.from_history(once.history)(frame)
    assert again.data.equal(once.data)
    assert again.history == once.history
    recipe = Pipeline.from_recipe(Pipeline.from_history(once.history).recipe())
    assert recipe(frame).data.equal(once.data)


# Progress, cancel, memory, threads


def test_progress_never_goes_back_and_ends_at_one() -> None:
    heard: list[tuple[float, str]] = []
    pipe = Pipeline([*develop()[:"tone_curve"], Orient(), Crop((0, 0, 20, 20)), ToneCurve(), Identity()], rows=4)
    pipe.run(synthetic_frame(), progress=lambda share, name: heard.append((share, name)))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert shares[-1] == 1.0
    assert {name for _, name in heard} <= set(pipe.names)


def test_a_cancelled_run_stops_at_the_next_strip_and_leaves_nothing() -> None:
    frame, cancel, strips = synthetic_frame(Space.SENSOR, 64, 40), threading.Event(), []

    def stop_at_the_third(window: Frame) -> None:
        strips.append(window.origin[0])
        if len(strips) == 3:
            cancel.set()

    before = frame.data.clone()
    with pytest.raises(Cancelled, match="the run was cancelled"):
        Pipeline([Spy(stop_at_the_third), *develop()], rows=4).run(frame, cancel=cancel)
    assert len(strips) == 3
    assert frame.data.equal(before)
    assert frame.history == ()


def test_a_run_cancelled_beforehand_does_nothing() -> None:
    cancel = threading.Event()
    cancel.set()
    for halo in (0, None):
        with pytest.raises(Cancelled):
            Pipeline([Spy(pytest.fail, halo)]).run(synthetic_frame(), cancel=cancel)


def test_max_memory_makes_the_windows_smaller() -> None:
    sizes: list[int] = []
    pipe = Pipeline([Spy(lambda window: sizes.append(window.height * window.width)), *develop()], rows=10_000)
    between = 97 * 61 * 4 * 4  # a mosaic that is measured, and camera RGB made of it
    for limit in (100_000, 500_000, 10**9):
        sizes.clear()
        pipe.run(synthetic_frame(Space.SENSOR, 97, 61), max_memory=limit + between)
        assert limit / 8 < max(sizes) * 200 <= limit + between or max(sizes) == 97 * 61


def test_frames_between_groups_of_stages_count_as_memory() -> None:
    """Beside the windows: a mosaic that gray world measures, none of which the caller has."""
    frame = synthetic_frame(Space.SENSOR, 200, 200, level=0.4)
    mosaic = 200 * 200 * 4
    alone = Pipeline([BlackLevel(), WhiteBalance()])
    measured = Pipeline([BlackLevel(), WhiteBalance("gray_world")])
    alone.run(frame, max_memory=mosaic)
    with pytest.raises(PipelineError, match="need at least"):
        measured.run(frame, max_memory=mosaic)
    measured.run(frame, max_memory=2 * mosaic)
    whole = Pipeline([BlackLevel(), Orient(6), Demosaic("superpixel")])
    with pytest.raises(PipelineError, match=r"works on the whole frame|need at least"):
        whole.run(frame, max_memory=mosaic)
    whole.run(frame, max_memory=3 * mosaic)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none_is_refused(limit: int) -> None:
    with pytest.raises(PipelineError, match="expected a positive number of bytes"):
        develop().run(synthetic_frame(), max_memory=limit)


def test_too_little_memory_is_an_error_that_says_how_much_is_needed() -> None:
    with pytest.raises(PipelineError, match=r"got max_memory=1000; these stages need at least \d+ bytes"):
        develop("menon2007").run(synthetic_frame(), max_memory=1000)
    with pytest.raises(PipelineError, match=r"stage 0 \(demosaic\) works on the whole frame, about \d+ bytes; got max"):
        Pipeline([Demosaic(backend="colour-demosaicing")]).run(synthetic_frame(Space.MOSAIC), max_memory=1000)


def test_two_threads_share_one_pipeline() -> None:
    pipe = develop(rows=8)
    frames = [synthetic_frame(Space.SENSOR, 97, 61, cfa, seed=seed) for seed, cfa in enumerate(bayer.PHASES)] * 3
    alone = [pipe(frame) for frame in frames]
    with ThreadPoolExecutor(2) as threads:
        shared = list(threads.map(pipe, frames))
    for one, other in zip(alone, shared, strict=True):
        assert one.data.equal(other.data)
        assert one.history == other.history


# Errors


def test_what_goes_wrong_in_a_stage_is_reported_with_its_place_once() -> None:
    frame = Frame.from_array(torch.rand(3, 8, 8))
    with pytest.raises(StageError, match=r"^stage 1 \(color_transform\): got a frame without a color matrix") as caught:
        Pipeline([Identity(), ColorTransform()])(frame)
    assert isinstance(caught.value.__cause__, StageError)
    assert "stage 1" not in str(caught.value.__cause__)


def test_an_error_of_another_kind_keeps_its_kind_and_gets_a_note() -> None:
    def broken(window: Frame) -> None:
        raise ZeroDivisionError("by hand")

    with pytest.raises(ZeroDivisionError, match="by hand") as caught:
        Pipeline([Identity(), Spy(broken)])(synthetic_frame())
    assert caught.value.__notes__ == ["in stage 1 (spy)"]


# Compiling


@pytest.mark.parametrize(
    ("pipe", "expected"),
    [
        (  # nothing looks at the pixels: one group of local stages, compiled once per phase
            Pipeline([Linearize(), BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform()]),
            4,
        ),
        (develop(), 9),  # gray world and auto exposure cut it in three; the last no longer knows a phase
    ],
    ids=["one group", "three groups"],
)
def test_one_compilation_serves_all_photos_of_a_size_and_phase(pipe: Pipeline, expected: int) -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    compiled = replace(pipe, rows=16).compile(backend=counter)
    for cfa in bayer.PHASES:
        for index, iso in enumerate((100, 400, 6400)):
            frame = synthetic_frame(Space.SENSOR, 64, 80, cfa, dtype=torch.uint16, seed=index)
            assert frame.shot.neutral is not None
            shot = replace(
                frame.shot,
                iso=iso,
                make=f"Maker {index}",
                exposure_s=0.01 * (index + 1),
                neutral=frame.shot.neutral * torch.tensor([1 + index / 50, 1, 1 - index / 50]),
            )
            frame = replace(
                frame,
                shot=shot,
                neutral=shot.neutral,
                black=frame.black + index,
                noise=Noise(*(torch.full((4,), 1.0 + index),) * 3),
                history=tuple(Step("before", {"number": n}) for n in range(index)),
            )
            got, eager = compiled(frame), pipe(frame)
            torch.testing.assert_close(got.data, eager.data, rtol=0, atol=1e-5)
            assert got.history == eager.history
            assert got.history[-1].seconds is None
    assert counter.frame_count == expected


def test_a_process_may_meet_more_sizes_and_pipelines_than_dynamos_default_of_eight() -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    for ev in (1.0, 2.0):
        compiled = Pipeline([Exposure(ev)], rows=64).compile(backend=counter)
        for size in range(10, 20, 2):
            frame = synthetic_frame(Space.MOSAIC, size, 20)
            torch.testing.assert_close(compiled(frame).data, frame.data * 2**ev)
    assert counter.frame_count == 10


def test_whole_frame_stages_that_need_no_memory_run_under_any_limit() -> None:
    frame = synthetic_frame(Space.MOSAIC, 64, 80)
    for stages in ([Crop(), Demosaic("superpixel")], [Orient()]):
        Pipeline(stages).run(frame, max_memory=1)
