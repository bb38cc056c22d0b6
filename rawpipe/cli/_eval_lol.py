"""`rawpipe eval lol`: scores on pairs of display-referred pictures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rawpipe._errors import PipelineError
from rawpipe.cli._model import chosen
from rawpipe.cli._say import progress_bar

if TYPE_CHECKING:
    from rawpipe.stages.enhance.evaluation.display_methods import DisplayMethod
    from rawpipe.stages.enhance.evaluation.display_table import DisplayTable

LOL = "lol"
DEFAULT = "llflow"
UNLEARNED = ("none", "gamma", "equalised")
_OF_RAW = {"steps": "steps", "camera": "camera", "profile": "profile", "ratios": "ratios", "listed": "list"}


def check(options: argparse.Namespace) -> None:
    """Refuse what can't work before anything is read."""
    given = [flag for name, flag in _OF_RAW.items() if getattr(options, name) is not None]
    given += ["published"] if options.published else []
    if given:
        raise PipelineError(f"got --{given[0]} with {LOL}; leave it out: it is about RAW")
    if options.model in UNLEARNED and options.weights is not None:
        raise PipelineError(f"got --weights with --model {options.model}; leave them out")


def scored(options: argparse.Namespace) -> DisplayTable:
    """The table of the pairs in the folder."""
    from rawpipe.lpips import Lpips
    from rawpipe.stages.enhance.evaluation.display import OF_TRUTH
    from rawpipe.stages.enhance.evaluation.display_table import evaluate_display, lol_pairs
    from rawpipe.stages.enhance.evaluation.protocols import AS_IS

    method = _method(options)
    lpips = None if options.lpips is None else Lpips.read(options.lpips)
    pairs = lol_pairs(options.folder)[: options.limit]
    alignments = {"both": (AS_IS, OF_TRUTH), "yes": (OF_TRUTH,), "no": (AS_IS,)}[options.aligned]
    with progress_bar(len(pairs), "scoring", "pair", options.quiet) as bar:
        return evaluate_display(pairs, method, alignments, lpips, lambda row: bar.update())


def _method(options: argparse.Namespace) -> DisplayMethod:
    from rawpipe import Space
    from rawpipe.stages.enhance.evaluation.display_methods import DISPLAY_METHODS, enhanced

    if options.model in UNLEARNED:
        return DISPLAY_METHODS[options.model]
    model = chosen(options.model, {"weights": options.weights}, {"domain": "rgb"})
    if getattr(model, "takes", None) is not Space.RGB:
        raise PipelineError(
            f"got model {options.model}, which works on RAW; expected one for display-referred RGB: {DEFAULT}, or "
            f"{', '.join(UNLEARNED)}"
        )
    return enhanced(model, options.model, options.device)
