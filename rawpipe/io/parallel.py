"""Tiles and strips encoded by all cores, in order, while the next ones are made ready. Codecs release the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")

CORES = os.cpu_count() or 1


def encoded(encode: Callable[[Part], bytes], batches: Iterable[Iterable[Part]]) -> Iterator[bytes]:
    """What `encode` makes of every part, in order; two batches at most are in memory.

    Args:
        encode: called in threads.
        batches: parts that are encoded side by side; the next batch is drawn meanwhile, in the caller's thread.
    """
    with ThreadPoolExecutor(CORES) as pool:
        before: list[Future[bytes]] = []
        for batch in batches:
            now = [pool.submit(encode, part) for part in batch]
            yield from (one.result() for one in before)
            before = now
        yield from (one.result() for one in before)
