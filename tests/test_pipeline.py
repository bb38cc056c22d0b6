from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from rawpipe import (
    Frame,
    Noise,
    Pipeline,
    PipelineError,
    Space,
    StageError,
    bayer,
)
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Demosaic,
    Exposure,
    Identity,
    Linearize,
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
