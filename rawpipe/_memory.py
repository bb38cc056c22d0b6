"""Memory that a run takes when nobody says how much it may take."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_UNKNOWN = 2**30  # where the system doesn't say, as Windows
_MEMINFO, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


def at_hand(device: torch.device) -> int:
    """Bytes for one run: a quarter of the device's memory, or half of what is free if that is less.

    A quarter of all first, so that one machine cuts the same tiles every time unless its memory is short.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
    else:
        free, total = _of_the_system()
    return min(total // 4, free // 2)


def _of_the_system() -> tuple[int, int]:
    """Free bytes and all bytes that this process may use; a container's limit counts as all."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = 4 * _UNKNOWN
    limit = _text(_GROUP).strip()
    if limit.isdigit():
        total = min(total, int(limit))
    fields = dict(line.split(":", 1) for line in _text(_MEMINFO).splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else total
    return min(free, total), total


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no Linux
        return ""
