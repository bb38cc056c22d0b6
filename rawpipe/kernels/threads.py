"""Bands of rows on as many threads as torch may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
    pool = _pools.get(threads) or _pools.setdefault(threads, ThreadPoolExecutor(threads, "rawpipe"))
    return sum(one or 0 for one in pool.map(work, ((top, min(top + rows, height)) for top in range(0, height, rows))))
