"""`rawpipe calibrate`: darks and flats, or ordinary photographs, into a camera profile."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawpipe._errors import FormatError, ProfileError
from rawpipe.cli._folder import check_there, make_folder
from rawpipe.cli._say import one_line_warnings, progress_bar

if TYPE_CHECKING:
    from rawpipe import CameraProfile
    from rawpipe.calibration.calibrate import Calibration
    from rawpipe.calibration.captures import Captures

_STATED = ("cfa", "black", "white", "bits", "iso", "exposure_s", "make", "model")
_NAMES = 3  # files that are named where many share a reason


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "captures", nargs="+", type=Path, metavar="CAPTURES", help="RAW files, arrays, or folders with all below them"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PROFILE", help="the profile, a .json file")
    parser.add_argument("--report", type=Path, metavar="HTML", help="a report with pictures, one .html file")
    parser.add_argument("--blind", action="store_true", help="estimate from ordinary photographs, or a single one")
    parser.add_argument("--serial", metavar="NUMBER", help="the body to take where there are several")
    files = parser.add_argument_group("what files don't say (only fills gaps; a captures.toml beside them says more)")
    files.add_argument("--iso", type=float, help="ISO speed")
    files.add_argument("--exposure", type=float, dest="exposure_s", metavar="SECONDS", help="exposure time")
    files.add_argument("--cfa", help="phase of the first pixel of arrays and TIFFs: RGGB, GRBG, GBRG or BGGR")
    files.add_argument("--black", type=float, metavar="DN", help="black level; by default that of the darks")
    files.add_argument("--white", type=float, metavar="DN", help="level at which arrays saturate")
    files.add_argument("--bits", type=int, help="bits of arrays; white is then 2**bits - 1")
    files.add_argument("--make", help="maker of the camera")
    files.add_argument("--model", help="model of the camera")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no warnings, no table")


def run(options: argparse.Namespace) -> int:
    """Look at the captures, measure, and write the profile; bad captures are named, and the others go on."""
    check_there(*options.captures)
    _check_targets(options)
    with one_line_warnings(options.quiet):
        if options.blind:
            profile = _blind(options)
            _write(profile.write, options.output)
            if not options.quiet:
                _print_blind(profile)
        else:
            captures = _scan(options)
            calibration = _measure(captures, options)
            _write(calibration.profile.write, options.output)
            if not options.quiet:
                _print(captures, calibration)
            if options.report is not None:
                _report(captures, calibration, options.report)
    if not options.quiet:
        print(options.output)
        if options.report is not None and not options.blind:
            print(options.report)
    return 0


def _check_targets(options: argparse.Namespace) -> None:
    """Refuse names that can't be written to before the work, not behind it."""
    for path, endings in ((options.output, (".json",)), (options.report, (".html", ".htm"))):
        if path is None:
            continue
        if path.is_dir() or path.suffix.lower() not in endings:
            raise FormatError(f"got {path}; expected the name of a file that ends in {' or '.join(endings)}")
        make_folder(path.parent)
    if options.blind and options.report is not None:
        raise FormatError("got --blind and --report; expected one of them: a report shows darks and flats")


def _stated(options: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name in _STATED if (value := getattr(options, name)) is not None}


def _scan(options: argparse.Namespace) -> Captures:
    from rawpipe.calibration.captures import scan

    with _share("looking at captures", options.quiet) as tell:
        return scan(options.captures, tell, serial=options.serial, **_stated(options))


def _measure(captures: Captures, options: argparse.Namespace) -> Calibration:
    from rawpipe.calibration.measure import measure_captures

    try:
        with _share("measuring", options.quiet) as tell:
            return measure_captures(captures, tell)
    except ProfileError:
        for line in _left_out(captures):
            print(line, file=sys.stderr)
        raise


def _write(write: Callable[[Path], None], path: Path) -> None:
    try:
        write(path)
    except OSError as error:
        raise FormatError(f"{path} can't be written: {error.strerror}") from error


def _report(captures: Captures, calibration: Calibration, path: Path) -> None:
    from rawpipe.calibration.report.page import write_report

    left_out = [(one.name, one.reason) for one in captures.refused]
    write_report(calibration, path, captures.notes, captures.advice, left_out)


def _blind(options: argparse.Namespace) -> CameraProfile:
    """The estimate from photographs; those that can't be used are named in a warning."""
    from rawpipe.calibration.blind import estimate_blind

    with _share("estimating", options.quiet) as tell:
        return estimate_blind(options.captures, tell, **_stated(options))


@contextmanager
def _share(text: str, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A progress bar as a function of the share that is done, and a word."""
    with progress_bar(1, text, "%", quiet) as bar:

        def tell(done: float, name: str) -> None:
            bar.set_description_str(f"{text}, {name}" if name else text, refresh=False)
            bar.update(max(0.0, done - bar.n))

        yield tell


def _print(captures: Captures, calibration: Calibration) -> None:
    """What was used, the numbers and verdict of each ISO, what was left out, and what to add."""
    from rawpipe.calibration.report.words import judge, mean, with_interval

    name = calibration.profile.name or captures.used[0].camera
    print(f"{name}: {len(captures.used)} captures used, {len(captures.refused)} left out\n")
    rows: list[tuple[str, ...]] = [("ISO", "darks", "flats", "gain K, DN/e", "read, DN", "row, DN", "verdict")]
    reasons = []
    for one in calibration.isos:
        darks, flats = captures.at(one.iso, "dark"), captures.at(one.iso, "flat")
        verdict = judge(one.numbers)
        numbers = []
        for name in ("gain_dn_per_e", "read_sigma_dn", "row_sigma_dn"):
            value, ci95 = mean(one.numbers.get(name))
            numbers.append("-" if value != value else with_interval(value, ci95))
        flat = f"{sum(map(len, flats))} of {len(flats)} levels" if flats else "-"
        rows.append((f"{one.iso:g}", str(sum(map(len, darks)) or "-"), flat, *numbers, verdict.headline.split(",")[0]))
        reasons += [f"  ISO {one.iso:g}: {reason}" for reason in verdict.reasons]
    _print_table(rows)
    for title, lines in (
        ("why", reasons),
        ("left out", _left_out(captures)),
        ("noticed", [f"  {note}" for note in captures.notes]),
        ("to add", [f"  {one}" for one in captures.advice]),
    ):
        if lines:
            print("\n".join((f"\n{title}:", *lines)))
    print()


def _print_blind(profile: CameraProfile) -> None:
    from rawpipe.calibration.report.words import mean, with_interval

    print(f"{profile.name}: estimated from photographs, not measured\n")
    rows: list[tuple[str, ...]] = [("ISO", "gain K, DN/e", "read, DN")]
    for iso, numbers in profile.noise.items():
        shown = []
        for name in ("gain_dn_per_e", "read_sigma_dn"):
            value, ci95 = mean(numbers.get(name))
            doubt = "" if name not in numbers or numbers[name].reliable else " (unreliable)"
            shown.append("-" if value != value else with_interval(value, ci95) + doubt)
        rows.append((iso, *shown))
    _print_table(rows)
    print()


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _left_out(captures: Captures) -> list[str]:
    """One line for every reason, with the files that share it."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in captures.refused:
        by_reason[one.reason].append(one.name)
    return [f"  {_few(names)}: {reason}" for reason, names in by_reason.items()]


def _few(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
