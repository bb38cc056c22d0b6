"""Memory that stays with the process while networks, and stages on large windows, run.

glibc asks the system for every large tensor anew, and the system fills its pages with zeros when they are first
touched: half of the time of a network's pass over a large picture. Inside `memory_kept` what is freed is used again.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8  # of mallopt
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
_ADAPTED = 2**25  # bytes: where glibc's own threshold ends when it adapts, as it does where tensors are freed
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: _ADAPTED, _TRIM_THRESHOLD: 2 * _ADAPTED}
_PATIENCE = 3.0  # seconds for which memory waits for the next frame
_SET_BY_USERS = ("MALLOC_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_inside = 0
_left = 0.0  # when the last one went out
_waiting = False  # whether a thread is there to give the memory back


@contextmanager
def memory_kept() -> Iterator[None]:
    """Whatever is freed inside stays with the process, and goes back when nobody has been inside for three seconds.

    In threads beside the first one this is so for blocks of less than 64 MB, the most that an arena of theirs holds:
    see `one_for_all_threads`. Nothing is done where the library isn't glibc, or where its settings are the user's.
    """
    global _inside, _left, _waiting
    if _glibc() is None:
        yield
        return
    with _lock:
        _inside += 1
        if not _waiting:
            _set(_KEPT)
            _waiting = True
            threading.Thread(target=_wait, name="rawpipe-memory", daemon=True).start()
    try:
        yield
    finally:
        with _lock:
            _inside = max(0, _inside - 1)  # in a child that was forked inside it is 0 already
            _left = time.monotonic()


def given_back(patience: float = 0.0) -> bool:
    """Give all memory back, unless somebody is or was inside `patience` seconds ago; whether that was done."""
    global _waiting
    with _lock:
        if _inside or time.monotonic() < _left + patience:
            return False
        _waiting = False
        _set(_USUAL)
        if (library := _glibc()) is not None:
            library.malloc_trim(0)
        return True


def _wait() -> None:
    while True:
        time.sleep(_PATIENCE / 4)
        if given_back(_PATIENCE):
            return


def one_for_all_threads() -> None:
    """For a process that is ours, before it has threads: what `memory_kept` does is then done for all of them."""
    _set({_ARENA_MAX: 1})


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


def _in_child() -> None:
    """A child has one thread, which isn't inside and doesn't wait, and nobody holds its lock."""
    global _lock, _inside, _waiting
    _lock, _inside = threading.Lock(), 0
    if _waiting:
        _waiting = False
        _set(_USUAL)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_in_child)
