"""`rawpipe develop`: RAW files into DNG or TIFF."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rawpipe._errors import FormatError, PipelineError, RawpipeError
from rawpipe._heap import one_for_all_threads
from rawpipe.cli._folder import check_there
from rawpipe.cli._overlap import overlapped
from rawpipe.cli._say import one_line_warnings, progress_bar
from rawpipe.io.container import check_container, raw_files
from rawpipe.io.parallel import CORES

if TYPE_CHECKING:
    from rawpipe import Pipeline
    from rawpipe._run import Strips

TARGETS = {"dng": ".dng", "linear-dng": ".dng", "tiff": ".tif"}
_TIFF = (".tif", ".tiff")
_COMPRESSIONS = ("none", "zstd", "zlib")
_READERS = ("rawpy", "flashraw")
_MOST_AHEAD = 4  # files: LibRaw decodes each on one core, and every one is a frame in memory


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="RAW files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a file, or a folder for several inputs")
    parser.add_argument(
        "--to", choices=TARGETS, help="kind of file; by default what the output's ending says, else tiff"
    )
    parser.add_argument("--demosaic", metavar="METHOD", help="bilinear, malvar2004, menon2007 or superpixel")
    parser.add_argument(
        "--enhance", metavar="MODEL", help="clean the mosaic by its noise: exposure_diffusion, classical, or your own"
    )
    parser.add_argument(
        "--exposure", metavar="RATIO", help='with --enhance, how many times too dark it is, from 1 to 300, or "auto"'
    )
    parser.add_argument("--ev", metavar="EV", help='stops of exposure, or "auto"')
    parser.add_argument("--recipe", type=Path, help="a TOML recipe to run instead of the default stages")
    parser.add_argument("--until", metavar="STAGE", help="stop behind this stage")
    parser.add_argument("--matrix", help='color matrix for files without one: "generic", or nine numbers with commas')
    parser.add_argument(
        "--reader", choices=_READERS, default="rawpy", help="who decodes; default rawpy, which is LibRaw"
    )
    parser.add_argument("--compression", choices=_COMPRESSIONS, help="of TIFFs, without loss; default none")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps ...; default cpu")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no warnings, no file names")


def run(options: argparse.Namespace) -> int:
    """Develop all inputs; a bad one is reported, and the others go on."""
    to = options.to or ("dng" if options.output.suffix.lower() == ".dng" else "tiff")
    files = _files(options.inputs)
    targets = _targets(files, options.output, TARGETS[to])
    check_there(options.recipe)
    refused = _refused(files)
    one_for_all_threads()  # the one that writes runs the last stages
    failed = 0
    with (
        one_line_warnings(options.quiet),
        progress_bar(len(files), "developing", "file", options.quiet) as bar,
        closing(refused or _developed(files, targets, to, options)) as outcomes,
    ):
        for source, target, error in zip(files, targets, outcomes, strict=True):
            if error is not None:
                failed += 1
                text = " ".join(str(error).split())
                text = text if isinstance(error, RawpipeError) else f"{type(error).__name__}: {text}"
                bar.write(f"error: {text if source.name in text else f'{source}: {text}'}", file=sys.stderr)
            elif not options.quiet:
                bar.write(str(target), file=sys.stdout)
            bar.update()
    if failed and len(files) > 1:
        print(f"{len(files) - failed} of {len(files)} files developed, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _refused(files: list[Path]) -> Generator[BaseException | None, None, None] | None:
    """Why each file can't be read, where none can, found without torch; None as soon as one may be."""
    errors = []
    for file in files:
        try:
            check_container(file)
        except FormatError as error:
            errors.append(error)
        else:
            return None
    return (error for error in errors)


def _developed(
    files: list[Path], targets: list[Path], to: str, options: argparse.Namespace
) -> Generator[BaseException | None, None, None]:
    """What became of each file, in order, the next ones read and the one before it written meanwhile."""
    from rawpipe import Frame, Space, io

    pipeline = _pipeline(to, options)
    _check_kind(options, pipeline, targets[0])
    matrix = _matrix(options.matrix)
    device_of(options.device)

    def read(names: tuple[Path, Path]) -> Frame:
        return Frame.read(names[0], reader=options.reader, matrix=matrix, device=options.device)

    def work(names: tuple[Path, Path], frame: Frame) -> Frame | Strips:
        source, target = names
        stages = _pipeline(to, options, demosaiced=True) if frame.cfa is None and options.recipe is None else pipeline
        if frame.shot.color is None and (target.suffix.lower() == ".dng" or "color_transform" in stages.names):
            raise FormatError(
                f"{source} has no color matrix; give --matrix and nine numbers, or --matrix generic for plausible "
                "colors"
            )
        if frame.device.type == "cpu":  # elsewhere a compiler runs for longer than one picture takes
            stages = stages.compile()
        if target.suffix.lower() in _TIFF or stages.gives is Space.CAMERA:
            return stages.strips(frame)  # what is left to do is done while the file is written
        with progress_bar(1, source.name, "%", options.quiet) as bar:
            return stages.run(frame, progress=lambda done, name: bar.update(max(0.0, done - bar.n)))

    def write(names: tuple[Path, Path], result: Frame | Strips, progress: Callable[[float], None]) -> None:
        names[1].parent.mkdir(parents=True, exist_ok=True)
        io.write(result, names[1], compression=options.compression, progress=progress)

    ahead = max(1, min(CORES // 2, _MOST_AHEAD))
    yield from overlapped(zip(files, targets, strict=True), read, work, write, ahead)


def _files(inputs: list[Path]) -> list[Path]:
    """The RAW files that the inputs name; a folder stands for those directly in it."""
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = raw_files(path)
            if not found:
                raise FormatError(f"got the folder {path} without RAW files; expected files such as .nef, .cr3, .dng")
            files += found
        else:
            files.append(path)
    return files


def _targets(files: list[Path], output: Path, suffix: str) -> list[Path]:
    """Where each result goes: to the file named, or into the folder named, one file per input."""
    ending = output.suffix.lower()
    if output.is_dir() or not ending:
        if output.is_file():
            raise FormatError(f"got the file {output}; expected a folder, or a name that ends in .dng, .tif or .tiff")
        stems = Counter(file.stem for file in files)
        targets = [output / ((file.stem if stems[file.stem] == 1 else file.name) + suffix) for file in files]
    elif ending != ".dng" and ending not in _TIFF:
        raise FormatError(
            f"got the output {output}; expected a name that ends in .dng, .tif or .tiff, or a folder: "
            "one with a dot in its name must be there already"
        )
    elif len(files) > 1:
        raise FormatError(f"got {len(files)} inputs for the file {output}; expected a folder")
    else:
        targets = [output]
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


def _check_kind(options: argparse.Namespace, pipeline: Pipeline, target: Path) -> None:
    """Refuse a kind of file that its name, or what the stages give, contradicts."""
    from rawpipe import Space

    if options.to is not None and (TARGETS[options.to] == ".dng") != (target.suffix.lower() == ".dng"):
        raise FormatError(
            f"got --to {options.to} and the output {target.name}; expected names of one kind: leave out one"
        )
    held = {"dng": Space.SENSOR | Space.MOSAIC, "linear-dng": Space.CAMERA}.get(
        options.to or "", Space.SENSOR | Space.MOSAIC | Space.CAMERA
    )
    if options.compression is not None and target.suffix.lower() == ".dng":
        raise FormatError(
            f"got --compression {options.compression} for {target.name}; leave it out: a DNG is lossless JPEG"
        )
    gives = pipeline.gives
    if target.suffix.lower() == ".dng" and gives is not None and not gives & held:
        raise FormatError(
            f"got stages that end in {gives.label} for {target.name}; "
            f"a {options.to or 'DNG'} holds {held.label}: stop earlier with --until, or choose another kind"
        )


def _pipeline(to: str, options: argparse.Namespace, demosaiced: bool = False) -> Pipeline:
    """The stages to run, with what the command line asks for; fewer for a file that is demosaiced already."""
    from rawpipe import Pipeline
    from rawpipe._recipe import make
    from rawpipe.stages.default import default_stages

    method = options.demosaic
    if options.recipe is not None:
        pipeline = Pipeline.load(options.recipe)
        if options.enhance is not None:
            raise PipelineError(f"got --enhance {options.enhance} and --recipe; write it into the recipe")
        if options.exposure is not None:
            raise PipelineError(f"got --exposure {options.exposure} and --recipe; write it into the recipe")
        if method and "demosaic" in pipeline.names:
            pipeline = pipeline.replace("demosaic", make("demosaic", {"method": method}))
    else:
        if options.enhance is not None and demosaiced:
            raise PipelineError(f"got --enhance {options.enhance} for pixels that are demosaiced; it works on mosaics")
        if options.exposure is not None and options.enhance is None:
            raise PipelineError(f"got --exposure {options.exposure} without --enhance; expected both, or --ev")
        pipeline = Pipeline(
            default_stages(
                to,
                demosaic=method or "malvar2004",
                enhance=options.enhance,
                exposure=_number(options.exposure, "--exposure", "a ratio from 1 to 300"),
                demosaiced=demosaiced,
            )
        )
    if method and not demosaiced and "demosaic" not in pipeline.names:
        raise PipelineError(f"got --demosaic {method}; these stages keep the mosaic: use --to linear-dng or tiff")
    if options.ev is not None:
        exposure = make("exposure", {"ev": _number(options.ev, "--ev", "a number of stops")})
        known = "exposure" in pipeline.names
        pipeline = pipeline.replace("exposure", exposure) if known else Pipeline([*pipeline, exposure])
    return pipeline[: pipeline.index(options.until) + 1] if options.until else pipeline


def _number(text: str | None, option: str, expected: str) -> float | str | None:
    try:
        return text if text is None or text == "auto" else float(text)
    except ValueError:
        raise PipelineError(f'got {option} {text}; expected {expected}, or "auto"') from None


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
    """The name of a device that this machine can use.

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
