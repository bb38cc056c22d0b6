"""`rawpipe export --to onnx`: a model or a pipeline as one file for other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rawpipe._errors import FormatError, PipelineError, StageError

if TYPE_CHECKING:
    from rawpipe.export import Graph

DEVELOP = "develop"
OF_MODELS = ("weights", "steps", "domain")
_OF_FILES = ("linearize", "opcodes")  # in what `rawpipe develop` runs: they apply what a file holds


def export(options: argparse.Namespace) -> int:
    """Write the file, and say how far it is from torch."""
    if options.output.suffix.lower() != ".onnx":
        raise FormatError(f"got {options.output}; expected the name of a file that ends in .onnx")
    if options.maker or options.model:
        raise FormatError("got --maker or --model with --to onnx; expected them with --to darktable only")
    graph = _graph(options)
    from rawpipe.cli._say import one_line_warnings
    from rawpipe.export import write_onnx

    with one_line_warnings(options.quiet):
        difference = write_onnx(graph, options.output)
    if difference is None:
        print("warning: onnxruntime isn't installed; the file was not checked", file=sys.stderr)
    if not options.quiet:
        print(options.output)
        if difference is not None:
            print(f"onnxruntime's result differs from torch's by {difference:.1e}, allowed {graph.tolerance:.0e}")
    return 0


def _graph(options: argparse.Namespace) -> Graph:
    """Of the recipe, the stages of `rawpipe develop`, or the model that was named."""
    name = str(options.source)
    recipe = options.source.suffix.lower() == ".toml"
    if not recipe and name != DEVELOP:
        if options.cfa is not None:
            raise PipelineError(
                f"got --cfa for {name}, which takes planes in the same order of all phases; leave it out"
            )
        return _graph_of_model(name, options)
    given = [option for option in OF_MODELS if getattr(options, option) is not None]
    if given:
        raise PipelineError(f"got --{given[0]} for {name}; expected it with the name of a model")
    from rawpipe import Pipeline
    from rawpipe.bayer import check_phase
    from rawpipe.export import pipeline_graph
    from rawpipe.stages.default import default_stages

    if recipe:
        pipeline = Pipeline.load(options.source)
    else:
        every = Pipeline(default_stages("tiff"))
        pipeline = Pipeline(stage for stage, at in zip(every, every.names, strict=True) if not at.startswith(_OF_FILES))
    return pipeline_graph(pipeline, check_phase(options.cfa or "RGGB"))


def _graph_of_model(name: str, options: argparse.Namespace) -> Graph:
    from rawpipe.cli._model import chosen

    if Path(name).suffix:
        raise FormatError(f"got {name} with --to onnx; expected a model's name, a recipe (.toml), or {DEVELOP}")
    model = chosen(name, {option: getattr(options, option) for option in OF_MODELS}, {})
    if not hasattr(model, "graph"):
        raise StageError(
            f"got {name}, which is no network of plain torch and can't be exported; expected exposure_diffusion or "
            "llflow, or a model of your own with `graph()`"
        )
    graph: Graph = model.graph()
    return graph
