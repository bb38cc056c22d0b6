"""`rawpipe export`: a camera profile in the form of another program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rawpipe._errors import FormatError
from rawpipe.cli._folder import check_there


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", type=Path, metavar="PROFILE", help="a camera profile, a .json file")
    parser.add_argument(
        "--to",
        choices=("darktable", "dng", "eld"),
        required=True,
        help="darktable's noise profiles, NoiseProfile of DNGs, or the parameters of ELD",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .json file to write")
    parser.add_argument("--maker", default="", help="the camera's maker in darktable's spelling")
    parser.add_argument("--model", default="", help="the camera's model in darktable's spelling, without the maker")
    parser.add_argument("-q", "--quiet", action="store_true", help="don't name the ISOs that aren't reliable")


def run(options: argparse.Namespace) -> int:
    """Write the file, and name what in it not to trust."""
    if options.output.suffix.lower() != ".json":
        raise FormatError(f"got {options.output}; expected the name of a file that ends in .json")
    names = {"maker": options.maker, "model": options.model}
    if options.to != "darktable" and any(names.values()):
        raise FormatError(f"got --maker or --model with --to {options.to}; expected them with --to darktable only")
    check_there(options.profile)
    from rawpipe import CameraProfile
    from rawpipe.calibration.export import doubts, write_export

    profile = CameraProfile.read(options.profile)
    write_export(profile, options.to, options.output, **(names if options.to == "darktable" else {}))
    if not options.quiet:
        for sentence in doubts(profile):
            print(f"warning: {sentence}", file=sys.stderr)
        print(options.output)
    return 0
