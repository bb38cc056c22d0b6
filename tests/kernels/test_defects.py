"""The compiled search for defects: the reference's bits, whatever the phase, the size and the band."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, Noise, Pipeline, Space, bayer
from rawpipe.kernels import defects
from rawpipe.stages import BlackLevel, DefectPixels, Demosaic, WhiteBalance
from rawpipe.testing import synthetic_frame

pytest.importorskip("numba")
SIZES = ((2, 2), (3, 5), (7, 4), (33, 47), (64, 80), (130, 70), (6, defects._COLUMNS + 3))


def spoilt(height: int, width: int, cfa: str = "RGGB", known: bool = True, dtype: torch.dtype = torch.float32) -> Frame:
    """Noise with a defect in a hundred pixels; sites of different levels and noise."""
    draw = torch.Generator().manual_seed(height * width)
    data = 2000 + 20 * torch.randn(height, width, generator=draw)
    beyond = torch.rand(height, width, generator=draw) < 0.01
    data = torch.where(beyond, 16383 * torch.rand(height, width, generator=draw), data)
    noise = Noise(*(torch.rand(4, generator=draw) * size for size in (2.0, 8.0, 1.0)))
    frame = synthetic_frame(Space.SENSOR, height, width, cfa)
    black = frame.black + 100 * torch.rand(4, generator=draw)
    data = data.round() if dtype is torch.uint16 else data
    return replace(frame, data=data.to(dtype), black=black, noise=noise if known else None)


def by_torch(frame: Frame) -> Tensor:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DefectPixels, "banded", lambda *_: False)
        return DefectPixels(profile="none")(frame).data


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint16])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", SIZES)
def test_the_bits_are_the_references(size: tuple[int, int], cfa: str, known: bool, dtype: torch.dtype) -> None:
    frame = spoilt(*size, cfa, known, dtype)
    assert DefectPixels().banded(frame)
    expected = by_torch(frame)
    assert torch.equal(DefectPixels(profile="none")(frame).data, expected)
    if size[0] > 8:
        assert not torch.equal(expected, frame.data.float())


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bits_depend_on_no_band_and_no_strip(threads: int) -> None:
    frame = spoilt(500, 300)
    expected, before = by_torch(frame), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        stage = DefectPixels(profile="none")
        assert torch.equal(stage(frame).data, expected)
        strips = Pipeline([stage], rows=32).strips(frame, rows=32)
        assert torch.equal(torch.cat([part.data for part in strips]), expected)
    finally:
        torch.set_num_threads(before)


def test_stacks_and_views() -> None:
    frames = [spoilt(64, 80), replace(spoilt(64, 80), data=spoilt(80, 64).data.T)]
    stack = replace(frames[0], data=torch.stack([one.data for one in frames]))
    expected = torch.stack([by_torch(replace(stack, data=one.data)) for one in frames])
    assert torch.equal(DefectPixels(profile="none")(stack).data, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite_go_to_the_reference(value: float) -> None:
    frame = spoilt(64, 80)
    frame.data[20, 30] = value
    assert DefectPixels().banded(frame)
    torch.testing.assert_close(
        DefectPixels(profile="none")(frame).data, by_torch(frame), rtol=0, atol=0, equal_nan=True
    )


def test_gradients_and_levels_of_every_frame_of_a_stack_go_to_the_reference() -> None:
    frame = spoilt(64, 80)
    assert not DefectPixels().banded(replace(frame, data=frame.data.double()))
    assert not DefectPixels().banded(replace(frame, data=frame.data.clone().requires_grad_()))
    assert not DefectPixels().banded(replace(frame, black=frame.black.clone().requires_grad_()))
    assert not DefectPixels().banded(replace(frame, noise=frame.noise and frame.noise.map(lambda one: one[None])))
    assert not DefectPixels(detect=False).banded(frame)


def test_a_compiled_pipeline_searches_the_whole_frame_at_once_and_joins_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = spoilt(300, 200, dtype=torch.uint16)
    stages = [DefectPixels(), BlackLevel(), WhiteBalance(), Demosaic()]
    expected = Pipeline(stages, rows=32)(frame)
    heights: list[int] = []
    run = DefectPixels.__call__

    def seen(stage: DefectPixels, frame: Frame, /) -> Frame:
        heights.append(frame.height)
        return run(stage, frame)

    monkeypatch.setattr(DefectPixels, "__call__", seen)
    result = Pipeline(stages, rows=32).compile()(frame)
    assert heights.count(300) == 1 and all(height == 300 or height <= 64 for height in heights)
    torch.testing.assert_close(result.data, expected.data, rtol=0, atol=1e-6)
    assert result.history == expected.history
    heights.clear()
    limited = Pipeline(stages, rows=32).compile().run(frame, max_memory=3_000_000)
    assert max(heights) < 300 and torch.equal(limited.data, result.data)
