"""Memory that is kept: touched for the first time once, and given back at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rawpipe import _heap
from rawpipe._heap import memory_kept

glibc = pytest.mark.skipif(_heap._glibc() is None, reason="the system's library isn't glibc, or set by the user")


@pytest.fixture
def no_library() -> Iterator[None]:
    _heap._glibc.cache_clear()
    yield
    _heap._glibc.cache_clear()


ALONE = """
import resource, time
from pathlib import Path
import torch
from rawpipe import _heap
from rawpipe._heap import memory_kept

_heap._PATIENCE = 1.0

def faults():  # pages that a chain of convolutions touches for the first time
    picture = torch.zeros(1, 4, 1024, 1024).to(memory_format=torch.channels_last)
    layers = [torch.nn.Conv2d(4 if i == 0 else 12, 12, 3, padding=1) for i in range(6)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.no_grad():
        for layer in layers:
            picture = layer(picture)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

faults()  # the first time, threads and libraries are loaded
before, outside = resident(), faults()
with memory_kept():
    first = sum(faults() for _ in range(6)) / 6
    try:
        with memory_kept():
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    nested, held = sum(faults() for _ in range(6)) / 6, resident() - before
with memory_kept():
    soon = faults()
while _heap._waiting:
    time.sleep(0.1)
print(outside, first, nested, soon, held, resident() - before)
"""


@glibc
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_inside_and_soon_after_fewer_pages_are_touched_first_and_in_the_end_all_go_back() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], check=True, capture_output=True, text=True, timeout=300)
    outside, first, nested, soon, held, left = map(float, done.stdout.split())
    assert outside > 10_000 and max(first, nested) < 0.4 * outside  # a seventh, as a rule
    assert soon < 0.1 * outside
    assert held > 50e6 and left < 20e6


@glibc
def test_threads_may_come_and_go() -> None:
    def enter() -> None:
        for _ in range(200):
            with memory_kept():
                torch.ones(300_000)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert _heap._inside == 0
    with memory_kept():
        assert not _heap.given_back()
    assert not _heap.given_back(patience=60)
    for _ in range(5):
        with memory_kept():
            assert _heap._kept
        assert _heap.given_back() and not _heap._kept
    assert sum(one.name == "rawpipe-memory" for one in threading.enumerate()) == 1


@glibc
def test_where_no_thread_can_start_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    while _heap._waiting:
        time.sleep(0.1)
    monkeypatch.setattr(threading.Thread, "start", refused)
    with memory_kept():
        assert _heap._inside == 0 and not _heap._kept


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_user_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    asked: list[object] = []
    monkeypatch.setattr("ctypes.CDLL", asked.append)
    with memory_kept():
        assert _heap._glibc() is None and asked == [] and _heap._inside == 0


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("error", [TypeError, AttributeError, OSError])
def test_other_libraries_are_left_alone(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise error

    for name in [name for name in os.environ if name.startswith(_heap._SET_BY_USERS)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("ctypes.CDLL", refused)
    with memory_kept():
        assert _heap._glibc() is None


@glibc
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python's own, from 3.12 on
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_child_that_was_forked_inside_starts_anew() -> None:
    with memory_kept():
        child = os.fork()
        if child == 0:
            anew = _heap._inside == 0 and not _heap._waiting
            with memory_kept():
                anew &= _heap._inside == 1
            os._exit(0 if anew and _heap._inside == 0 and not _heap._lock.locked() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
