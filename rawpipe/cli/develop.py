"""`rawpipe develop`: RAW files into DNG or TIFF."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawpipe._errors import FormatError, PipelineError, RawpipeError
from rawpipe.cli._say import one_line_warnings, progress_bar

if TYPE_CHECKING:
    from rawpipe import Pipeline

TARGETS = {"dng": ".dng", "linear-dng": ".dng", "tiff": ".tif"}
Named = tuple[str, dict[str, Any]]
_COUNTS: list[Named] = [("linearize", {}), ("opcodes", {"number": 1}), ("black_level", {}), ("opcodes", {"number": 2})]
STAGES: dict[str, list[Named]] = {
    "dng": [("linearize", {}), ("black_level", {})],  # opcode lists are carried over
    "linear-dng": [*_COUNTS, ("white_balance", {}), ("demosaic", {})],
    "tiff": [
        *_COUNTS,
        ("white_balance", {}),
        ("clip_highlights", {}),
        ("demosaic", {}),
        ("opcodes", {"number": 3}),
        ("color_transform", {}),
        ("exposure", {}),
        ("tone_curve", {}),
    ],
}
_ON_MOSAIC = {"linearize", "black_level", "demosaic"}  # what a demosaiced DNG has behind it
SUFFIXES = frozenset(
    [
        ".3fr",
        ".ari",
        ".arw",
        ".bay",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".kdc",
        ".mdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".ptx",
        ".raf",
        ".raw",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
    ]
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="RAW files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a file, or a folder for several inputs")
    parser.add_argument(
        "--to", choices=TARGETS, help="kind of file; by default what the output's ending says, else tiff"
    )
    parser.add_argument("--demosaic", metavar="METHOD", help="bilinear, malvar2004, menon2007 or superpixel")
    parser.add_argument("--ev", metavar="EV", help='stops of exposure, or "auto"')
    parser.add_argument("--recipe", type=Path, help="a TOML recipe to run instead of the default stages")
    parser.add_argument("--until", metavar="STAGE", help="stop behind this stage")
    parser.add_argument("--matrix", help='color matrix for files without one: "generic", or nine numbers with commas')
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps ...; default cpu")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no warnings, no file names")


def run(options: argparse.Namespace) -> int:
    """Develop all inputs; a bad one is reported, and the others go on."""
    files = _files(options.inputs)
    to = options.to or {".dng": "dng"}.get(options.output.suffix.lower(), "tiff")
    targets = _targets(
        files, options.output, TARGETS[to], alone=len(options.inputs) == 1 and options.inputs[0].is_file()
    )
    pipeline = _pipeline(to, options)
    matrix = _matrix(options.matrix)
    failed = 0
    with one_line_warnings(options.quiet), progress_bar(len(files), "developing", "file", options.quiet) as bar:
        for source, target in zip(files, targets, strict=True):
            try:
                _develop(source, target, to, pipeline, matrix, options)
            except RawpipeError as error:
                failed += 1
                text = str(error)
                bar.write(f"error: {text if source.name in text else f'{source}: {text}'}", file=sys.stderr)
            else:
                if not options.quiet:
                    bar.write(str(target), file=sys.stdout)
            bar.update()
    if failed and len(files) > 1:
        print(f"{len(files) - failed} of {len(files)} files developed, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _develop(
    source: Path, target: Path, to: str, pipeline: Pipeline, matrix: object, options: argparse.Namespace
) -> None:
    from rawpipe import Frame

    frame = Frame.read(source, matrix=matrix, device=device_of(options.device))
    if frame.cfa is None and options.recipe is None:
        pipeline = _pipeline(to, options, demosaiced=True)
    with progress_bar(1, source.name, "%", options.quiet) as bar:
        result = pipeline.run(frame, progress=lambda done, name: bar.update(max(0.0, done * 0.7 - bar.n)))
        result.write(target, progress=lambda done: bar.update(max(0.0, 0.7 + done * 0.3 - bar.n)))


def _files(inputs: list[Path]) -> list[Path]:
    """The RAW files that the inputs name; a folder stands for those directly in it."""
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(
                one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")
            )
            if not found:
                raise FormatError(f"got the folder {path} without RAW files; expected files such as .nef, .cr3, .dng")
            files += found
        else:
            files.append(path)
    return files


def _targets(files: list[Path], output: Path, suffix: str, alone: bool) -> list[Path]:
    """Where each result goes: to the file named, or into the folder named, one file per input."""
    if alone and not output.is_dir() and output.suffix.lower() in (".dng", ".tif", ".tiff"):
        targets = [output]
    else:
        if output.is_file():
            raise FormatError(f"got the file {output} for {len(files)} inputs; expected a folder")
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FormatError(f"the folder {output} can't be made: {error.strerror}") from error
        stems = Counter(file.stem for file in files)
        targets = [output / ((file.stem if stems[file.stem] == 1 else file.name) + suffix) for file in files]
    doubled = [target for target, times in Counter(targets).items() if times > 1]
    if doubled:
        raise FormatError(f"got several inputs that would become {doubled[0]}; develop them into different folders")
    sources = {file.resolve() for file in files}
    for target in targets:
        if target.resolve() in sources:
            raise FormatError(
                f"got {target} as output and input; expected another folder: the original is never overwritten"
            )
    return targets


def _pipeline(to: str, options: argparse.Namespace, demosaiced: bool = False) -> Pipeline:
    """The stages to run, with what the command line asks for; fewer for a file that is demosaiced already."""
    from rawpipe import Pipeline
    from rawpipe._recipe import make

    if options.recipe is not None:
        pipeline = Pipeline.load(options.recipe)
    else:
        chosen = [one for one in STAGES[to] if not demosaiced or one[0] not in _ON_MOSAIC]
        pipeline = Pipeline(
            [make(name, values) for name, values in chosen if not demosaiced or values.get("number", 3) == 3]
        )
    if options.demosaic and not demosaiced:
        if "demosaic" not in pipeline.names:
            raise PipelineError(
                f"got --demosaic {options.demosaic}; these stages keep the mosaic: use --to linear-dng or tiff"
            )
        pipeline = pipeline.replace("demosaic", make("demosaic", {"method": options.demosaic}))
    if options.ev is not None:
        exposure = make("exposure", {"ev": _ev(options.ev)})
        known = "exposure" in pipeline.names
        pipeline = pipeline.replace("exposure", exposure) if known else Pipeline([*pipeline, exposure])
    return pipeline[: pipeline.index(options.until) + 1] if options.until else pipeline


def _ev(text: str) -> float | str:
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError:
        raise PipelineError(f'got --ev {text}; expected a number of stops, or "auto"') from None


def _matrix(text: str | None) -> object:
    if text is None or text == "generic":
        return text
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 9:
        raise FormatError(
            f'got --matrix {text}; expected "generic", or nine numbers with commas: XYZ to camera RGB, row by row'
        )
    return [values[0:3], values[3:6], values[6:9]]


def device_of(name: str) -> str:
    """The device of that name, if this machine can use it.

    Raises:
        PipelineError: it can't.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise PipelineError(
            f"got --device {name}, which this machine can't use: {str(error).splitlines()[0]}; use cpu"
        ) from None
    return name
