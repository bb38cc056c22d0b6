from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from rawpipe import Frame, PipelineError, Space, _tiles
from rawpipe._tiles import WORKING_BYTES, Tiling, run_tiled, spans
from rawpipe.testing import synthetic_frame


@dataclass(frozen=True)
class Local:
    """Any halo and grid; does nothing."""

    halo: int = 0
    grid: int = 1

    takes = Space.MOSAIC | Space.CAMERA
    gives = None

    def __call__(self, frame: Frame, /) -> Frame:
        return frame


def cases() -> Iterator[tuple[int, int, int, int]]:
    """Length, step, halo and grid, drawn once for all."""
    draw = random.Random(1)
    for _ in range(400):
        yield draw.randrange(1, 300), draw.randrange(1, 90), draw.randrange(0, 25), draw.choice([1, 2, 3, 4, 8])


def test_kept_rows_cover_every_row_once() -> None:
    for length, step, halo, grid in cases():
        kept = [row for span in spans(length, step, halo, grid) for row in range(span.first, span.last)]
        assert kept == list(range(length)), (length, step, halo, grid)


def test_windows_have_one_size_start_on_the_grid_and_carry_the_halo() -> None:
    for length, step, halo, grid in cases():
        windows = list(spans(length, step, halo, grid))
        assert len({span.stop - span.start for span in windows}) == 1
        for span in windows:
            assert span.start % grid == 0
            assert 0 <= span.start <= max(span.first - halo, 0)
            assert min(span.last + halo, length) <= span.stop <= length


def test_no_window_takes_more_than_max_memory() -> None:
    draw = random.Random(2)
    bounded = 0
    for _ in range(300):
        frame = synthetic_frame(Space.MOSAIC, draw.randrange(10, 120), draw.randrange(10, 120), batch=(2,))
        stage = Local(draw.choice([0, 1, 2, 12]), draw.choice([1, 2, 3, 8]))
        limit = draw.randrange(10, 40_000) * WORKING_BYTES
        try:
            tiling = Tiling.of((stage,), frame, draw.choice([8, 64]), limit)
        except PipelineError:
            continue
        bounded += 1
        for y, x in tiling.windows(frame):
            assert 2 * (y.stop - y.start) * (x.stop - x.start) * WORKING_BYTES <= limit
    assert bounded > 100


def test_what_the_message_says_is_needed_is_enough() -> None:
    frame = synthetic_frame(Space.CAMERA, 61, 47)
    stages = (Local(5), Local(2, 8))
    with pytest.raises(PipelineError, match=r"got max_memory=20000; these stages need at least \d+ bytes") as caught:
        Tiling.of(stages, frame, 64, 20_000)
    need = int(str(caught.value).split()[-2])
    Tiling.of(stages, frame, 64, need)
    with pytest.raises(PipelineError):
        Tiling.of(stages, frame, 64, need // 2)


def test_a_frame_smaller_than_a_halo_runs_in_one_window() -> None:
    frame = synthetic_frame(Space.MOSAIC, 6, 4)
    tiling = Tiling.of((Local(24, 8),), frame, 64, frame.height * frame.width * WORKING_BYTES)
    assert len(list(tiling.windows(frame))) == 1


def test_halos_add_up_and_grids_meet() -> None:
    frame = synthetic_frame(Space.MOSAIC, 200, 40)
    tiling = Tiling.of((Local(1, 3), Local(12, 4)), frame, 64, None)
    assert (tiling.halo, tiling.grid, tiling.rows, tiling.columns) == (13, 12, 64, 40)


@pytest.mark.parametrize(
    ("megabytes", "windows", "rows"), [(0, 10, 192), (100, 5, 384), (1000, 3, 632), (10**6, 3, 632)]
)
def test_where_halos_are_large_strips_are_as_high_as_memory_allows(
    megabytes: int, windows: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tiles, "at_hand", lambda device: megabytes * 10**6)
    frame = Frame.from_array(torch.zeros(2000, 1000), "RGGB", space=Space.MOSAIC)
    tiling = Tiling.of((Local(50, 8),), frame, 64, None)
    found = list(tiling.windows(frame))
    assert (len(found), tiling.rows, tiling.columns) == (windows, rows, 1000)
    assert megabytes == 0 or (found[0][0].stop - found[0][0].start) * 1000 * WORKING_BYTES <= megabytes * 10**6


def test_no_window_more_than_needed_and_none_larger() -> None:
    for length, most, halo, grid in cases():
        step = _tiles._even(length, -(-most // grid) * grid, halo, grid)
        counts = [len(list(spans(length, one, halo, grid))) for one in (step, -(-most // grid) * grid)]
        assert counts[0] == counts[1] and step <= -(-most // grid) * grid, (length, most, halo, grid)
        assert step <= grid or len(list(spans(length, step - grid, halo, grid))) > counts[0], (length, most, halo, grid)


def test_a_stage_that_changes_the_size_must_say_so() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    with pytest.raises(PipelineError, match=r"got 17x40 pixels from a window of 34x40.*must declare halo = None"):
        run_tiled(lambda part: part.crop(0, 0, 17, 40), frame, Tiling(64, 40, 0, 2), lambda share: None)


def test_the_stitched_frame_stands_where_the_whole_one_stood() -> None:
    frame = synthetic_frame(Space.MOSAIC, 61, 59)
    shares: list[float] = []
    tiled = run_tiled(lambda part: replace(part, data=part.data + 1), frame, Tiling(8, 10, 2, 2), shares.append)
    assert tiled.data.equal(frame.data + 1)
    assert tiled.origin.equal(frame.origin)
    assert tiled.cfa == frame.cfa
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_gradients_go_through_the_windows() -> None:
    frame = synthetic_frame(Space.MOSAIC, 30, 30)
    asked = replace(frame, data=frame.data.clone().requires_grad_())
    tiled = run_tiled(lambda part: replace(part, data=part.data**2), asked, Tiling(8, 8, 2, 2), lambda share: None)
    (gradient,) = torch.autograd.grad(tiled.data.sum(), asked.data)
    torch.testing.assert_close(gradient, 2 * frame.data)
