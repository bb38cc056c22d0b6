"""Memory for results, kept from frame to frame.

The first touch of a fresh page costs more than the arithmetic on it, so that the memory of a result goes back to a
small store when nobody holds it any more: no tensor, no view of one, no array made from one.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

LIMIT = 2**30
"""Bytes that are kept, at most."""
Block = np.ndarray[Any, np.dtype[np.uint8]]
_SMALL = 2**20  # below, the system's allocator keeps them itself
_SPARE = 1.25  # of what is needed: a larger one is kept for others

_free: deque[Block] = deque()  # appended to by finalizers in any thread, so no lock


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor on the CPU with any values in it, in memory that was in use before if there is some of this size."""
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size < _SMALL:
        return torch.empty(shape, dtype=dtype)
    block = _taken(size)
    if block is None:
        block = np.empty(size, np.uint8)
    lent = block[:size]  # the tensor's storage holds this view, and nothing else does
    weakref.finalize(lent, _back, block).atexit = False
    return torch.from_numpy(lent).view(dtype).view(shape)


def kept() -> int:
    """Bytes that wait to be used again."""
    return sum(block.nbytes for block in tuple(_free))


def drop() -> None:
    """Give all that is kept back to the system."""
    _free.clear()


def _taken(size: int) -> Block | None:
    for _ in range(len(_free)):
        try:
            block = _free.popleft()
        except IndexError:  # another thread was faster
            return None
        if size <= block.nbytes <= _SPARE * size:
            return block
        _free.append(block)
    return None


def _back(block: Block) -> None:
    """Keep a block, the newest ones as far as the limit goes."""
    if block.nbytes > LIMIT:
        return
    _free.append(block)
    while kept() > LIMIT:
        try:
            _free.popleft()
        except IndexError:
            return
