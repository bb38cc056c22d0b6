"""A run keeps, records, reports, stops and stays within its memory, and says where it failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from rawpipe import (
    Cancelled,
    Frame,
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


def test_whole_frame_stages_that_need_no_memory_run_under_any_limit() -> None:
    frame = synthetic_frame(Space.MOSAIC, 64, 80)
    for stages in ([Crop(), Demosaic("superpixel")], [Orient()]):
        Pipeline(stages).run(frame, max_memory=1)
