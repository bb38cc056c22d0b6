"""The compiled search for defects: the reference's bits, whatever the phase, the size and the band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Frame, FrameError, Noise, Pipeline, Space, bayer
from rawpipe.kernels import defects
from rawpipe.stages import BlackLevel, DefectPixels, Demosaic, WhiteBalance
from rawpipe.stages.defect_pixels import stage as room
from rawpipe.testing import synthetic_frame

pytest.importorskip("numba")
SIZES = ((2, 2), (3, 5), (7, 4), (33, 47), (64, 80), (130, 70), (6, defects.COLUMNS + 3))


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
        patched.setattr(room, "_levels", lambda _: None)
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
def test_bands_with_pixels_that_are_not_finite_go_to_the_reference_by_strips(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = spoilt(501, 300, "GBRG")
    frame.data[20, 30] = value
    assert DefectPixels().banded(frame)
    expected, cleaned = by_torch(frame), DefectPixels._cleaned
    heights: list[int] = []

    def seen(stage: DefectPixels, data: Tensor, part: Frame) -> Tensor:
        heights.append(part.height)
        return cleaned(stage, data, part)

    monkeypatch.setattr(DefectPixels, "_cleaned", seen)
    result = DefectPixels(profile="none")(frame).data
    torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
    assert heights and max(heights) <= 64 + 2 * defects.HALO


def test_gradients_and_levels_of_every_frame_of_a_stack_go_to_the_reference() -> None:
    frame = spoilt(64, 80)
    assert not DefectPixels().banded(replace(frame, data=frame.data.double()))
    assert not DefectPixels().banded(replace(frame, data=frame.data.clone().requires_grad_()))
    assert not DefectPixels().banded(replace(frame, black=frame.black.clone().requires_grad_()))
    assert not DefectPixels().banded(replace(frame, noise=frame.noise and frame.noise.map(lambda one: one[None])))
    assert not DefectPixels(detect=False).banded(frame)


@pytest.mark.parametrize("which", ["shot", "read", "black"])
def test_levels_that_are_not_finite_and_negative_noise_go_to_the_reference(which: str) -> None:
    frame = spoilt(64, 80)
    assert frame.noise is not None
    wrong = torch.tensor([1.0, float("nan"), 1.0, 1.0])
    changed = {"black": wrong} if which == "black" else {"noise": replace(frame.noise, **{which: wrong})}
    assert not DefectPixels().banded(replace(frame, **changed))
    assert not DefectPixels().banded(replace(frame, noise=replace(frame.noise, shot=-torch.ones(4))))


@pytest.mark.parametrize("size", [(1, 50), (50, 1)])
def test_less_than_a_cell_is_refused_on_every_path(size: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match="expected at least one 2x2 Bayer cell"):
        DefectPixels(profile="none")(spoilt(*size))


def test_levels_that_torch_follows_go_to_the_reference() -> None:
    frame = spoilt(34, 40)
    assert frame.noise is not None
    noise, stage = frame.noise, DefectPixels(profile="none")

    def cleaned(read: Tensor) -> Tensor:
        return stage(replace(frame, noise=replace(noise, read=read))).data

    reads = torch.stack([noise.read, 2 * noise.read])
    assert torch.equal(torch.func.vmap(cleaned)(reads), torch.stack([cleaned(one) for one in reads]))


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


@dataclass(frozen=True)
class Smooth:
    """Goes through the rows by itself, and can't do less than its halo."""

    takes = Space.MOSAIC
    gives = None
    halo = 20
    grid = 1

    def banded(self, frame: Frame, /) -> bool:
        return True

    def __call__(self, frame: Frame, /) -> Frame:
        mean = F.avg_pool2d(F.pad(frame.data[None, None], [20] * 4, mode="reflect"), 41, 1)
        return replace(frame, data=mean[0, 0])


@pytest.mark.parametrize("ahead", [[], [WhiteBalance()]])
@pytest.mark.parametrize("behind", [[], [WhiteBalance()], [Smooth()]])
def test_other_stages_that_go_by_rows_see_at_least_their_halo(ahead: list[Any], behind: list[Any]) -> None:
    frame = synthetic_frame(Space.MOSAIC, 150, 160)
    pipeline = Pipeline([*ahead, Smooth(), *behind])
    reports: list[float] = []
    result = pipeline.compile().run(frame, progress=lambda share, name: reports.append(share))
    torch.testing.assert_close(result.data, pipeline(frame).data, rtol=0, atol=1e-5)
    assert reports == sorted(reports) and reports[-1] == 1 and len(reports) >= 1 + len(behind)
