"""Memory that stays with the process while networks run.

glibc asks the system for every large tensor anew, and the system fills its pages with zeros when they are first
touched: half of the time of a network's pass over a large picture. Inside `kept` freed memory is used again instead.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of mallopt
_NEVER, _USUAL_MMAPS = -1, 65536
_ADAPTED = 2**25  # bytes: where glibc's own threshold ends when it adapts, as it does where tensors are freed
_SET_BY_USERS = ("MALLOC_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_inside = 0


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is freed inside stays with the process; when nobody is inside any more, it goes back to the system.

    Nothing is done where the system's library isn't glibc, or where its settings are the user's.
    """
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: _NEVER})
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set({_MMAP_MAX: _USUAL_MMAPS, _MMAP_THRESHOLD: _ADAPTED, _TRIM_THRESHOLD: 2 * _ADAPTED})
                library = _glibc()
                if library is not None:
                    library.malloc_trim(0)


def _set(options: dict[int, int]) -> None:
    library = _glibc()
    for option, value in options.items() if library is not None else ():
        library.mallopt(option, value)


@cache
def _glibc() -> Any:
    """The library, if it is this one and its settings are ours to change."""
    if any(name.startswith(_SET_BY_USERS) for name in os.environ):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018
    except (AttributeError, TypeError, OSError):  # another library; Windows
        return None
    return library
