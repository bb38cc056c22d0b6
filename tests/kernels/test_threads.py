"""Bands on several threads: all of them once, and nobody still at work when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from rawpipe.kernels.threads import over_rows

WIDE = 10_000


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("height", [1, 31, 33, 640, 1001])
def test_every_row_is_in_one_band_and_what_they_give_is_added(threads: int, height: int) -> None:
    seen: list[tuple[int, int]] = []

    def work(rows: tuple[int, int]) -> int:
        seen.append(rows)
        return rows[1] - rows[0]

    assert over_rows(work, height, WIDE) == height
    assert [row for rows in sorted(seen) for row in range(*rows)] == list(range(height))


def test_what_goes_wrong_is_raised_when_all_threads_have_stopped(threads: int) -> None:
    at_work: set[int] = set()

    def work(rows: tuple[int, int]) -> None:
        here = threading.get_ident()
        at_work.add(here)
        time.sleep(0.01)
        at_work.discard(here)
        if rows[0] == 0:
            raise ValueError("the first band")

    with pytest.raises(ValueError, match="the first band"):
        over_rows(work, 1000, WIDE)
    assert not at_work


def test_many_callers_do_not_wait_for_each_other_for_ever(threads: int) -> None:
    with ThreadPoolExecutor(8) as callers:
        assert (
            list(callers.map(lambda _: over_rows(lambda rows: rows[1] - rows[0], 1000, WIDE), range(40))) == [1000] * 40
        )
