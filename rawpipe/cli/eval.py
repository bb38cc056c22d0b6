"""`rawpipe eval`: score a model on real pairs of a dark and a well-lit picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rawpipe._errors import FormatError, PipelineError
from rawpipe.cli import _eval_lol
from rawpipe.cli._eval_lol import LOL
from rawpipe.cli._folder import check_there, make_folder
from rawpipe.cli._model import chosen
from rawpipe.cli._say import one_line_warnings, progress_bar
from rawpipe.cli.develop import device_of

if TYPE_CHECKING:
    from rawpipe.stages.enhance.evaluation.methods import Method
    from rawpipe.stages.enhance.evaluation.scores import Table

PROTOCOLS = ("sid-center-512", "sid-full", "eld-full")
_FORMATS = {"text": "", "csv": ".csv", "markdown": ".md"}
_NONE = "none"
_PUBLISHED = "exposure_diffusion"
_STEPS = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "protocol",
        choices=(*PROTOCOLS, LOL),
        metavar="PROTOCOL",
        help=f"{', '.join(PROTOCOLS)} or {LOL}: what is scored; figures of different ones can't be compared",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="SID, ELD or LOL, laid out as published")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="exposure_diffusion (default), classical, your own, or none: only brightened. With "
        f"{LOL}: {_eval_lol.DEFAULT} (default), your own, {' or '.join(_eval_lol.UNLEARNED)}",
    )
    parser.add_argument("--weights", metavar="PATH", help="weights of the model; default: its own")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of the model; default: its own")
    parser.add_argument(
        "--camera",
        metavar="NAME",
        help="published noise to assume, such as SonyA7S2; default: that "
        "of the camera. With ELD also the camera to score",
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="profile of the camera, instead of published noise"
    )
    parser.add_argument(
        "--ratios", type=float, nargs="+", metavar="R", help="exposure ratios to score; default: all of the protocol"
    )
    parser.add_argument(
        "--list",
        type=Path,
        dest="listed",
        metavar="FILE",
        help="with SID: pairs to score, a short and a long file in each line, instead of Sony_test_list.txt",
    )
    parser.add_argument(
        "--aligned",
        choices=("both", "yes", "no"),
        default="both",
        help="whether results are scaled to the clean picture's brightness before they are scored; default both",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="the published preprocessing and process, which is "
        "shown the clean picture at every step; takes --weights of the authors'",
    )
    parser.add_argument(
        "--lpips", type=Path, metavar="FILE", help=f"with {LOL}: weights of LPIPS 0.1 on AlexNet (.npz), to measure it"
    )
    parser.add_argument("--format", choices=_FORMATS, help="default: what the output's ending says, else text")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: to the terminal")
    parser.add_argument("--limit", type=int, metavar="N", help="score only the first N pairs")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps ...; default cpu")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no warnings")


def run(options: argparse.Namespace) -> int:
    """Score the pairs, and print or write the table."""
    if options.model is None:
        options.model = _eval_lol.DEFAULT if options.protocol == LOL else _PUBLISHED
    _check(options)
    device_of(options.device)
    with one_line_warnings(options.quiet):
        text = _rendered(options)
    if options.output is None:
        sys.stdout.write(text)
    else:
        from rawpipe.io.atomic import replacing

        with replacing(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        if not options.quiet:
            print(options.output)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what can't work before anything is read."""
    if options.limit is not None and options.limit < 1:
        raise PipelineError(f"got --limit {options.limit}; expected 1 or more")
    if options.protocol == LOL:
        _eval_lol.check(options)
    else:
        _check_raw(options)
    check_there(options.folder, options.profile, options.listed)
    if options.output is not None:
        if options.output.is_dir():
            raise FormatError(f"got the folder {options.output}; expected the name of a file in it")
        make_folder(options.output.parent)


def _check_raw(options: argparse.Namespace) -> None:
    if options.lpips is not None:
        raise PipelineError(f"got --lpips with {options.protocol}; expected it with {LOL} only: it knows no RAW")
    if options.camera is not None and options.profile is not None:
        raise PipelineError("got --camera and --profile; expected one of them: both say what the noise is")
    if options.listed is not None and not options.protocol.startswith("sid-"):
        raise PipelineError(f"got --list with {options.protocol}; expected it with SID only")
    if options.model == _NONE and (options.weights is not None or options.steps is not None):
        raise PipelineError("got --weights or --steps with --model none; leave them out")
    if options.published:
        if options.model != _PUBLISHED:
            raise PipelineError(f"got --published with --model {options.model}; expected {_PUBLISHED}")
        if options.weights is None or Path(options.weights).suffix == ".safetensors":
            raise PipelineError(
                f"got --published with {options.weights or 'no weights'}; expected --weights and a checkpoint (.pt) of "
                "the authors, which you have to get from them"
            )
        if options.profile is not None:
            raise PipelineError("got --published with --profile; expected --camera: it knows published gains only")


def _enhanced(options: argparse.Namespace) -> Method:
    from rawpipe import CameraProfile
    from rawpipe.stages.enhance.evaluation.methods import Enhanced

    noise = options.camera if options.profile is None else CameraProfile.read(options.profile)
    if options.model == _NONE:
        return Enhanced(None, _NONE, noise, options.device)
    model = chosen(options.model, {"steps": options.steps, "weights": options.weights}, {})
    return Enhanced(model, options.model, noise, options.device)


def _published(options: argparse.Namespace) -> Method:
    from rawpipe.stages.enhance.evaluation.methods import Published
    from rawpipe.stages.enhance.exposure_diffusion.published import PublishedProcess

    path = Path(options.weights).expanduser()
    if not path.is_file():
        raise FormatError(f"got weights {path}; there is no such file")
    steps = _STEPS if options.steps is None else options.steps
    if not 1 <= steps <= 16:
        raise PipelineError(f"got --steps {steps}; expected a whole number from 1 to 16")
    process = PublishedProcess(path, steps, device=options.device)
    return Published(process, options.model, steps, process.weights_used, options.camera)


def _scored(method: Method, options: argparse.Namespace) -> Table:
    from rawpipe.stages.enhance.evaluation.protocols import ALIGNED, AS_IS, protocol
    from rawpipe.stages.enhance.evaluation.scores import evaluate

    rules = protocol(options.protocol)
    pairs = rules.pairs(options.folder, options.ratios, options.camera, options.listed)[: options.limit]
    cameras = dict.fromkeys(pair.camera for pair in pairs)
    if options.profile is not None and len(cameras) > 1:
        raise PipelineError(f"got --profile for pictures of {', '.join(cameras)}; expected one camera: name its folder")
    alignments = {"both": (AS_IS, ALIGNED), "yes": (ALIGNED,), "no": (AS_IS,)}[options.aligned]
    with progress_bar(len(pairs), "scoring", "pair", options.quiet) as bar:
        return evaluate(rules, pairs, method, alignments, lambda row: bar.update())


def _rendered(options: argparse.Namespace) -> str:
    ending = "" if options.output is None else options.output.suffix.lower()
    form = options.format or next((name for name, own in _FORMATS.items() if own and own == ending), "text")
    if options.protocol == LOL:
        from rawpipe.stages.enhance.evaluation.display_table import DISPLAY_FORMATS

        return DISPLAY_FORMATS[form](_eval_lol.scored(options))
    from rawpipe.stages.enhance.evaluation.render import FORMATS

    return FORMATS[form](_scored(_published(options) if options.published else _enhanced(options), options))
