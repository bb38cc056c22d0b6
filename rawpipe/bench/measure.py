"""Lines are run in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_SLOW_S = 4.0
_SLOW_RUNS = 1  # beside the first one, which warms up, and counts for slow lines
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Line:
    """What is run.

    Args:
        name: as the table has it.
        work: to time; its result is dropped.
        megapixels: of the frame.
        floor: name of the line that it is compared with: a copy of its own bytes, or a bare network; None = none.
        flops: floating-point operations, for networks.
        peak: name of the matrix product whose rate theirs is compared with.
        outside: whether it runs in another process, whose memory isn't seen.
    """

    name: str
    work: Callable[[], object]
    megapixels: float
    floor: str | None = None
    flops: float | None = None
    peak: str | None = None
    outside: bool = False


@dataclass(frozen=True)
class Measured:
    """What a line took.

    Args:
        line: which.
        seconds: median over the turns.
        peak_mb: above what the process held before, in the first turn, result included; None = not known here.
    """

    line: Line
    seconds: float
    peak_mb: float | None

    @property
    def gigaflops(self) -> float | None:
        """Per second."""
        return None if self.line.flops is None else self.line.flops / self.seconds / 1e9


def measured(lines: Sequence[Line], runs: int, progress: Callable[[str], None] = lambda name: None) -> list[Measured]:
    """Medians of every line.

    Args:
        lines: to run, in turns.
        runs: turns after the first one; what takes more than four seconds has one.
        progress: called with the name of the line at work.
    """
    peaks: dict[str, float | None] = {}
    times: dict[str, list[float]] = {line.name: [] for line in lines}
    first: dict[str, float] = {}
    for turn in range(runs + 1):
        for line in lines:
            slow = first.get(line.name, 0.0) > _SLOW_S
            if slow and turn > _SLOW_RUNS:
                continue
            progress(line.name)
            before = None if turn else _reset()
            start = time.perf_counter()
            line.work()
            taken = time.perf_counter() - start
            if turn == 0:
                first[line.name] = taken
                after = _kilobytes("VmHWM")
                known = before is not None and after is not None and not line.outside
                peaks[line.name] = (after - before) * 1024 / 1e6 if known else None  # type: ignore[operator]
            if turn or taken > _SLOW_S:
                times[line.name].append(taken)
    return [Measured(line, statistics.median(times[line.name]), peaks[line.name]) for line in lines]


def _reset() -> int | None:
    """Give memory back to the system and forget its peak; what the process holds now, in kB, None where none says."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc only
        _CLEAR.write_text("5")
    except (OSError, AttributeError, TypeError):
        return None
    return _kilobytes("VmRSS")


def _kilobytes(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), None)
