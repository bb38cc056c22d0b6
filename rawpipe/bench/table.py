"""What was measured as Markdown, and its place in a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rawpipe._errors import FormatError
from rawpipe.bench.measure import Measured
from rawpipe.io.atomic import replacing

PACKAGES = (
    "rawpipe-isp",
    "torch",
    "numpy",
    "numba",
    "rawpy",
    "tifffile",
    "opencv-python-headless",
    "kornia",
    "colour-demosaicing",
)
_COLUMNS = (
    "MP",
    "ms",
    "CPU, ms",
    "ns per pixel",
    "of what it is compared with",
    "GFLOP/s",
    "of this machine's",
    "peak MB",
)


def markers(group: str) -> tuple[str, str]:
    """The comments in a page between which the section of a group stands."""
    return f"<!-- rawpipe bench {group} -->", f"<!-- end of rawpipe bench {group} -->"


def table(found: Sequence[Measured], command: str, runs: int) -> str:
    """A section: machine, versions, date and command, a row for every line; of several sizes how the cost grows.

    Args:
        found: what was measured; lines compare with others of the same size.
        command: that measured it.
        runs: turns.
    """
    floors = {(one.line.name, one.line.megapixels): one.seconds for one in found}
    rates: dict[str, float | None] = {}
    rows = [f"`{command}`: {_machine()}, {date.today()}. Medians of {runs} turns{_load()}, default allocator.", ""]
    rows += [
        "| | MP | ms | CPU, ms | ns per pixel | of what it is compared with | GFLOP/s | of this machine's | peak MB |"
    ]
    rows += ["|---|---|---|---|---|---|---|---|---|"]
    for one in found:
        line = one.line
        rate = rates[line.name] = one.gigaflops
        base = None if line.floor is None else floors.get((line.floor, line.megapixels))
        peak = None if line.peak is None else rates.get(line.peak)  # the one measured last, beside this line
        cells = (
            line.name,
            f"{line.megapixels:.3g}",
            _milliseconds(one.seconds),
            "" if one.cpu_seconds is None else _milliseconds(one.cpu_seconds),
            f"{_ns(one):.1f}",
            "" if base is None else f"{one.seconds / base:.2f}x {line.floor}",
            "" if rate is None else f"{rate:.3g}" if rate < 100 else f"{rate:.0f}",
            "" if rate is None or peak is None else f"{rate / peak:.0%} of {line.peak}",
            "" if one.peak_mb is None else f"{one.peak_mb:.0f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows + _growth(found)) + "\n"


def _growth(found: Sequence[Measured]) -> list[str]:
    """How the cost of a pixel goes with the size, a column for each; nothing of a single size."""
    names = list(dict.fromkeys(one.line.name for one in found if one.line.flops is None or one.line.peak is not None))
    by = {(one.line.name, one.line.megapixels): f"{_ns(one):.1f}" for one in found}
    sizes = sorted({one.line.megapixels for one in found if one.line.name in names})
    if len(sizes) < 2:
        return []
    rows = [
        "",
        "| ns per pixel | " + " | ".join(f"{size:.3g} MP" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    return rows + [f"| {name} | " + " | ".join(by.get((name, size), "") for size in sizes) + " |" for name in names]


def _ns(one: Measured) -> float:
    """Of a pixel."""
    return 1e3 * one.seconds / one.line.megapixels


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def replaced(path: Path, group: str, section: str) -> bool:
    """Put a group's section between its two comments in a page; False, and nothing done, where they aren't.

    Raises:
        FormatError: there is no such page, or it can't be written.
    """
    opening, closing = markers(group)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path} can't be read; expected a page with {opening} and {closing} in it: {error}"
        ) from error
    head, begin, rest = text.partition(opening)
    _, end, tail = rest.partition(closing)
    if not begin or not end:
        return False
    with replacing(path) as temporary:
        temporary.write_text(f"{head}{opening}\n{section}{closing}{tail}", encoding="utf-8")
    return True


def _machine() -> str:
    """Processor, cores, threads, system and versions."""
    import torch

    named = [f"{package} {found}" for package in PACKAGES if (found := _version(package))]
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join([_processor(), threads, *gpus, f"Python {platform.python_version()}", *named])


def _load() -> str:
    """How busy the machine was in the last minute, where the system says so."""
    return f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
