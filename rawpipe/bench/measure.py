"""Lines are run in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rawpipe._heap import given_back

CPU = torch.device("cpu")
_ENOUGH_S = 20.0  # of one line, the first turn included
_REST_S = 0.02  # before a turn: threads of the line before wait for more work, and take a processor while they do
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
        outside: whether it runs in another process, whose memory and CPU time aren't seen.
        frames: how many `work` makes of the size; times are those of one.
        warm: whether it finds memory that was freed just before, as the next frame does, if need be by a turn of its
            own that isn't timed; for the others all goes back to the system first.
    """

    name: str
    work: Callable[[], object]
    megapixels: float
    floor: str | None = None
    flops: float | None = None
    peak: str | None = None
    outside: bool = False
    frames: int = 1
    warm: bool = False


@dataclass(frozen=True)
class Measured:
    """What a line took.

    Args:
        line: which.
        seconds: of a frame, median over the turns.
        cpu_seconds: likewise, of all threads; None = not known here.
        peak_mb: above what the process held before, in the first turn, result included, on a GPU in its memory; None =
            not known here.
    """

    line: Line
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None

    @property
    def gigaflops(self) -> float | None:
        """Per second."""
        return None if self.line.flops is None else self.line.flops / self.seconds / 1e9


def measured(
    lines: Sequence[Line],
    runs: int,
    progress: Callable[[str], None] = lambda name: None,
    device: torch.device = CPU,
) -> list[Measured]:
    """Medians of every line.

    Args:
        lines: to run, in turns. The first one warms up, and counts only for what takes too long for a second.
        runs: turns after the first one; fewer of what takes more than seconds.
        progress: called with the name of the line at work.
        device: where they run; a GPU is waited for.
    """
    peaks: dict[str, float | None] = {}
    times: dict[str, list[tuple[float, float]]] = {line.name: [] for line in lines}
    for turn in range(runs + 1):
        warm = False
        for line in lines:
            taken = times[line.name]
            if sum(wall for wall, _ in taken) > _ENOUGH_S:
                continue
            progress(line.name)
            if not line.warm:
                given_back()
            elif not warm:
                line.work()
            warm = line.warm
            before = None if turn else _reset(device)
            time.sleep(_REST_S)
            start, cpu = time.perf_counter(), time.process_time()
            line.work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append((time.perf_counter() - start, time.process_time() - cpu))
            if turn == 0:
                after = _peak(device)
                known = before is not None and after is not None and not line.outside
                peaks[line.name] = (after - before) / 1e6 if known else None  # type: ignore[operator]
    return [_median(line, times[line.name], peaks[line.name]) for line in lines]


def _median(line: Line, times: Sequence[tuple[float, float]], peak_mb: float | None) -> Measured:
    wall, cpu = (statistics.median(one) / line.frames for one in zip(*(times[1:] or times), strict=True))
    return Measured(line, wall, None if line.outside else cpu, peak_mb)


def _reset(device: torch.device) -> int | None:
    """Give memory back to the system and forget its peak; the bytes held now, None where none says."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc only
        _CLEAR.write_text("5")
    except (OSError, AttributeError, TypeError):
        return None
    return _bytes("VmRSS")


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _bytes("VmHWM")


def _bytes(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":")), None)
