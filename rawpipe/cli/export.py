"""`rawpipe export`: a camera profile in the form of another program; a model or a pipeline as ONNX."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rawpipe._errors import FormatError
from rawpipe.cli._export_onnx import DEVELOP, OF_MODELS, export
from rawpipe.cli._folder import check_there


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="WHAT",
        help=f"a camera profile (.json); for onnx a model's name, a recipe (.toml), or {DEVELOP!r}: its stages",
    )
    parser.add_argument(
        "--to",
        choices=("darktable", "dng", "eld", "onnx"),
        required=True,
        help="darktable's noise profiles, NoiseProfile of DNGs, the parameters of ELD, or a graph for ONNX runtimes",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .json or .onnx to write")
    parser.add_argument("--maker", default="", help="the camera's maker in darktable's spelling")
    parser.add_argument("--model", default="", help="the camera's model in darktable's spelling, without the maker")
    parser.add_argument("--weights", help="of a model for onnx: the name of a set, or a path")
    parser.add_argument("--steps", type=int, help="of a model for onnx: passes of the network")
    parser.add_argument("--domain", choices=("raw", "rgb"), help="of llflow for onnx; default raw")
    parser.add_argument("--cfa", metavar="PHASE", help="of a pipeline for onnx: RGGB (default), GRBG, GBRG or BGGR")
    parser.add_argument("-q", "--quiet", action="store_true", help="don't name the file, or the ISOs not to trust")


def run(options: argparse.Namespace) -> int:
    """Write the file, and name what in it not to trust."""
    if options.to == "onnx":
        return export(options)
    given = [option for option in (*OF_MODELS, "cfa") if getattr(options, option) is not None]
    if given:
        raise FormatError(f"got --{given[0]} with --to {options.to}; expected it with --to onnx only")
    if options.output.suffix.lower() != ".json":
        raise FormatError(f"got {options.output}; expected the name of a file that ends in .json")
    names = {"maker": options.maker, "model": options.model}
    if options.to != "darktable" and any(names.values()):
        raise FormatError(f"got --maker or --model with --to {options.to}; expected them with --to darktable only")
    check_there(options.source)
    from rawpipe import CameraProfile
    from rawpipe.calibration.export import doubts, write_export

    profile = CameraProfile.read(options.source)
    write_export(profile, options.to, options.output, **(names if options.to == "darktable" else {}))
    if not options.quiet:
        for sentence in doubts(profile):
            print(f"warning: {sentence}", file=sys.stderr)
        print(options.output)
    return 0
