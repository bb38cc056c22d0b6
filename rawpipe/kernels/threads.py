"""Bands of rows on as many threads as torch may use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

_BANDS = 4  # for each thread, so that none waits long for the last
_ROWS = 32  # of a band, at least: its neighbours above and below are loaded twice
_PIXELS = 2**17  # below, one thread is done before others have woken up

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_pools.clear)  # threads don't survive one


def over_rows(work: Callable[[tuple[int, int]], int | None], height: int, width: int, least: int = _ROWS) -> int:
    """Call `work((first, behind the last))` for bands of `least` rows or more; the sum of what it gives."""
    threads = torch.get_num_threads()
    if threads == 1 or height * width < _PIXELS:
        return work((0, height)) or 0
    rows = max(least, -(-height // (_BANDS * threads)))
    bands = deque((top, min(top + rows, height)) for top in range(0, height, rows))

    def drained() -> int:
        found = 0
        while True:
            try:
                band = bands.popleft()
            except IndexError:
                return found
            found += work(band) or 0

    pool = _pools.get(threads) or _pools.setdefault(threads, ThreadPoolExecutor(threads - 1, "rawpipe"))
    # The caller works too: it runs already, and systems put the others where nothing does.
    others = [pool.submit(drained) for _ in range(threads - 1)]
    try:
        found = drained()
    finally:
        bands.clear()
        wait([other for other in others if not other.cancel()])
    return found + sum(other.result() for other in others if not other.cancelled())
