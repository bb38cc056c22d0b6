"""`rawpipe train`: pictures and a configuration into the weights of a model."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rawpipe._errors import RawpipeError
from rawpipe.cli._say import one_line_warnings, progress_bar

_SMOOTH = 0.02  # share of a step's loss in the one that is shown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help="what to train: exposure_diffusion, llflow")
    parser.add_argument("config", metavar="CONFIG", help="a .toml file, or the name of one that comes with the model")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="for weights, checkpoint and curve"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="pictures to learn from, in place of those the configuration names; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        dest="changes",
        help="in place of what the configuration says; may be repeated",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no figures, no warnings")


def run(options: argparse.Namespace) -> int:
    """Train, or go on with a training that was stopped; the weights are written at the end."""
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # for each further device this command runs once more, in silence
    parent = os.getppid()
    try:
        with one_line_warnings(options.quiet or not first):
            path = _trained(options, options.quiet or not first)
    except (Exception, KeyboardInterrupt) as error:
        if first or not (isinstance(error, RawpipeError | KeyboardInterrupt) or _orphaned(parent)):
            raise
        return 1
    if first and not options.quiet:
        print(path)
    return 0


def _orphaned(parent: int) -> bool:
    """Whether the first process is gone, which has said why, or is about to."""
    for _ in range(50):
        if os.getppid() != parent:
            return True
        time.sleep(0.1)
    return False


def _trained(options: argparse.Namespace, quiet: bool) -> Path:
    from rawpipe.stages.enhance.training.run import configured, run

    config = configured(options.model, options.config, options.changes, options.data)
    with progress_bar(config.training.steps, "training", "step", quiet) as bar:
        return run(options.model, config, options.output, _shown_in(bar, quiet), _told(quiet))


def _shown_in(bar: tqdm[Any], quiet: bool) -> Callable[[int, float], None]:
    smooth: list[float] = []

    def progress(step: int, loss: float) -> None:
        if not smooth:
            smooth.append(loss)
            bar.initial = bar.n = step - 1
            if step > 1 and not quiet:
                tqdm.write(f"goes on from step {step - 1}")
        smooth[0] += _SMOOTH * (loss - smooth[0])
        bar.set_postfix_str(f"loss {smooth[0]:.3f}", refresh=False)
        bar.update()

    return progress


def _told(quiet: bool) -> Callable[[int, Mapping[str, float]], None]:
    def validated(step: int, figures: Mapping[str, float]) -> None:
        if not quiet:
            tqdm.write(f"step {step}: " + "; ".join(f"{name} {value:.2f}" for name, value in figures.items()))

    return validated
