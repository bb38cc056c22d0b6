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
_kept = False  # whether the library is told to keep
_waiting = False  # whether a thread is there to give the memory back


@contextmanager
def memory_kept() -> Iterator[None]:
    """Whatever is freed inside stays with the process, and goes back when nobody has been inside for three seconds.

    In threads beside the first one this is so for blocks of less than 64 MB, the most that an arena of theirs holds:
    see `one_for_all_threads`. Nothing is done where the library isn't glibc, where its settings are the user's, or
    where no thread can be started to give the memory back.
    """
    global _inside, _left
    with _lock:
        entered = _glibc() is not None and _started()
        if entered:
            _keep(True)
            _inside += 1
    try:
        yield
    finally:
        if entered:
            with _lock:
                _inside = max(0, _inside - 1)  # in a child that was forked inside it is 0 already
                _left = time.monotonic()


def given_back(patience: float = 0.0) -> bool:
    """Give all memory back, unless somebody is or was inside `patience` seconds ago; whether that was done."""
    with _lock:
        if _inside or time.monotonic() < _left + patience:
            return False
        _keep(False)
        return True


def _keep(keep: bool) -> None:
    """Keep from now on, or not and give back what is free."""
    global _kept
    if keep != _kept:
        _set(_KEPT if keep else _USUAL)
        if not keep and (library := _glibc()) is not None:
            library.malloc_trim(0)
    _kept = keep


def _started() -> bool:
    """Whether a thread waits to give the memory back."""
    global _waiting
    if not _waiting:
        try:
            threading.Thread(target=_wait, name="rawpipe-memory", daemon=True).start()
        except RuntimeError:  # too many, or Python is about to end
            return False
        _waiting = True
    return True


def _wait() -> None:
    global _waiting
    while True:
        time.sleep(_PATIENCE / 4)
        if given_back(_PATIENCE):
            with _lock:
                if not _kept:  # nobody came in between
                    _waiting = False
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
    _lock, _inside, _waiting = threading.Lock(), 0, False
    _keep(False)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=_in_child)
