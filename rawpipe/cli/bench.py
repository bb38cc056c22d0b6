"""`rawpipe bench`: speed and memory of this machine, beside copies of the same bytes and what others do."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rawpipe._errors import FormatError, PipelineError

if TYPE_CHECKING:
    import torch

    from rawpipe.bench.measure import Line, Measured

GROUPS = ("demosaic", "kernels", "develop", "files", "networks")
_QUICK = (0.03, 1, 256)  # megapixels, turns, side of the matrices
_USUAL = (24.0, 5, 2048)
_ON_DEVICES = ("demosaic", "develop", "networks")
_PROGRAMS = ("darktable-cli", "rawtherapee-cli")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--megapixels", type=float, nargs="+", metavar="MP", help="of the frames, such as 6 24 61 100 151"
    )
    parser.add_argument("--runs", type=int, help="turns after the first one; default 5")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="some of what is measured, one group after another")
    parser.add_argument(
        "--device", default="cpu", help=f"cpu, cuda ...; on others than the CPU there are {', '.join(_ON_DEVICES)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny frames, to see that it works; other programs left out"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PAGE",
        help="a Markdown page with the marker comments of each group, whose section is put between them",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="don't say what is at work")


def run(options: argparse.Namespace) -> int:
    """Measure, and write the tables."""
    megapixels, runs, side = _QUICK if options.quick else _USUAL
    sizes, runs = options.megapixels or [megapixels], runs if options.runs is None else options.runs
    if not all(0 < size <= 1000 for size in sizes) or runs < 1:
        raise PipelineError(f"got {sizes} megapixels and {runs} runs; expected 0 to 1000, and 1 or more")
    if options.output is not None and not options.output.is_file():
        raise FormatError(f"got {options.output}, which is no file; expected a page to write into")
    on_cpu = options.device == "cpu"
    groups = options.only or (GROUPS if on_cpu else _ON_DEVICES)
    if not on_cpu and not set(groups) <= set(_ON_DEVICES):
        raise PipelineError(f"got {', '.join(groups)} on {options.device}; expected {', '.join(_ON_DEVICES)}")
    import torch

    from rawpipe.bench.measure import measured
    from rawpipe.bench.table import markers, replaced, table
    from rawpipe.cli.develop import device_of

    device = torch.device(device_of(options.device))
    for group in groups:  # each is written as soon as it is measured
        found: list[Measured] = []
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for size in sizes:  # lines of one size are compared, and run in turns
                lines = list(_lines(group, size, side, Path(folder), device))
                if options.quick:
                    lines = [line for line in lines if line.name not in _PROGRAMS]
                found += measured(lines, runs, lambda name: _say(name, options.quiet), device)
            _say("", options.quiet)
        section = table(found, _command(group, options), runs)
        place = group if on_cpu else f"{group} {device.type}"
        if options.output is None or not replaced(options.output, place, section):
            if options.output is not None:
                print(
                    f"warning: {options.output} lacks {' and '.join(markers(place))}; it is as it was", file=sys.stderr
                )
            print(f"{section}")
    return 0


def _lines(group: str, megapixels: float, side: int, folder: Path, device: torch.device) -> Iterator[Line]:
    """Of a group."""
    from rawpipe.bench.files import files
    from rawpipe.bench.kernels import alone
    from rawpipe.bench.networks import networks
    from rawpipe.bench.picture import demosaicing, developing

    if group == "demosaic":
        yield from demosaicing(megapixels, device)
    elif group == "kernels":
        yield from alone(megapixels)
    elif group == "develop":
        yield from developing(megapixels, device)
    elif group == "files":
        yield from files(megapixels, folder)
    else:
        yield from networks(megapixels, side, device)


def _command(group: str, options: argparse.Namespace) -> str:
    """What measures a group as here, but for the page."""
    words = ["rawpipe bench"]
    if options.megapixels:
        words += ["--megapixels", *(f"{size:g}" for size in options.megapixels)]
    words.append(f"--only {group}")
    if options.device != "cpu":
        words.append(f"--device {options.device}")
    if options.runs:
        words.append(f"--runs {options.runs}")
    return " ".join(words + (["--quick"] if options.quick else []))


def _say(name: str, quiet: bool) -> None:
    if not quiet and sys.stderr.isatty():
        print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)
