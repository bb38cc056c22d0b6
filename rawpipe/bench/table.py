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

BEGIN, END = "<!-- rawpipe bench -->", "<!-- end of rawpipe bench -->"
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


def table(found: Sequence[Measured], command: str, runs: int) -> str:
    """The section: machine, versions, date and command, then a row for every line.

    Args:
        found: what was measured; lines compare with others of the same size.
        command: that measured it.
        runs: turns.
    """
    floors = {(one.line.name, one.line.megapixels): one.seconds for one in found}
    rates = {one.line.name: one.gigaflops for one in found}
    rows = [f"`{command}`: {_machine()}, {date.today()}. Medians of {runs} turns, default allocator.", ""]
    rows += ["| | MP | ms | ns per pixel | of what it is compared with | GFLOP/s | of this machine's | peak MB |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    for one in found:
        line, rate = one.line, one.gigaflops
        floors[line.name, line.megapixels] = one.seconds  # of a copy that two groups make, that of the line's own turns
        base = None if line.floor is None else floors.get((line.floor, line.megapixels))
        peak = None if line.peak is None else rates.get(line.peak)
        cells = (
            line.name,
            f"{line.megapixels:.3g}",
            f"{1e3 * one.seconds:.3g}" if one.seconds < 1 else f"{1e3 * one.seconds:.0f}",
            f"{1e3 * one.seconds / line.megapixels:.1f}",
            "" if base is None else f"{one.seconds / base:.2f}x {line.floor}",
            "" if rate is None else f"{rate:.0f}",
            "" if rate is None or peak is None else f"{rate / peak:.0%} of {line.peak}",
            "" if one.peak_mb is None else f"{one.peak_mb:.0f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def replaced(path: Path, section: str) -> bool:
    """Put the section between the two marker comments of a page; False, and nothing done, where they aren't.

    Raises:
        FormatError: there is no such page, or it can't be written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} can't be read; expected a page with {BEGIN} and {END} in it: {error}") from error
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        return False
    with replacing(path) as temporary:
        temporary.write_text(f"{head}{BEGIN}\n{section}{END}{tail}", encoding="utf-8")
    return True


def _machine() -> str:
    """Processor, cores, threads, system and versions."""
    import torch

    named = [f"{package} {found}" for package in PACKAGES if (found := _version(package))]
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return ", ".join([_processor(), threads, f"Python {platform.python_version()}", *named])


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
