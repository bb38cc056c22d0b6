"""Graphs as ONNX files, checked against torch before they take their name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rawpipe._errors import FormatError, RawpipeError, StageError
from rawpipe.export.graph import Graph, Port
from rawpipe.io.atomic import replacing

INSTALL = 'pip install "rawpipe-isp[onnx]"'
LEAST = 16
"""The smallest height and width that a graph is made for."""
_OPSET = 18
_TRACED, _CHECKED = (40, 56), (72, 48)
_LOUD = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def write_onnx(graph: Graph, path: str | PathLike[str]) -> float | None:
    """The largest difference between onnxruntime's result and torch's, of a size other than the traced one.

    The file takes its name when the difference is within the graph's tolerance; None: onnxruntime isn't installed, and
    nothing was checked.

    Args:
        graph: what to write.
        path: of a file that ends in .onnx.

    Raises:
        StageError: a library isn't installed, or torch can't export the graph.
        FormatError: the file can't be written, or computes something else.
    """
    if Path(path).suffix.lower() != ".onnx":
        raise FormatError(f"got {path}; expected the name of a file that ends in .onnx")
    with replacing(path) as temporary:
        temporary.write_bytes(_made(graph))
        return _difference(graph, temporary)


def _made(graph: Graph) -> bytes:
    """The file's content."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise StageError(f"ONNX files need {error.name}, which isn't installed: {INSTALL}") from error
    with _quiet(), torch.no_grad():
        try:
            followed = torch.export.export(
                _Called(graph.module).eval(), graph.tried(*_TRACED), dynamic_shapes=_dynamic(graph), strict=False
            )
            program = torch.onnx.export(
                followed,
                dynamo=True,
                opset_version=_OPSET,
                input_names=[port.name for port in graph.inputs],
                output_names=[port.name for port in graph.outputs],
                custom_translation_table={torch.ops.aten.copysign.Tensor: _copysign},
                verbose=False,
            )
        except Exception as error:  # torch's exporter has many, most of them pages long
            below = _first(error)
            reason = str(below) if isinstance(below, RawpipeError) else _in_one_line(below)
            raise StageError(f"torch can't export {graph.title}: {reason}") from error
    assert program is not None
    return _described(program.model_proto, graph)


class _Called(nn.Module):
    """A module whose inputs are all positional, so that their sizes can be spelt in order."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs)


def _dynamic(graph: Graph) -> tuple[tuple[dict[int, Any] | None, ...]]:
    """Which sizes stay open."""
    least = -(-LEAST // graph.multiple)
    sizes = {name: torch.export.Dim(name, min=least) * graph.multiple for name in ("h", "w")}
    if graph.multiple == 1:
        sizes = {name: torch.export.Dim(name, min=least) for name in sizes}
    shapes = ({at: sizes[size] for at, size in enumerate(port.shape) if size in sizes} for port in graph.inputs)
    return (tuple(shape or None for shape in shapes),)


def _copysign(size: Any, sign: Any) -> Any:
    """ONNX has no copysign; zeros count as positive."""
    from onnxscript import opset18 as op

    size = op.Abs(size)
    return op.Where(op.Less(sign, op.Sub(sign, sign)), op.Neg(size), size)


def _described(model: Any, graph: Graph) -> bytes:
    """The file with what hosts need to know, and without what torch says of this machine."""
    from rawpipe import __version__

    model.producer_name, model.producer_version = "rawpipe", __version__
    model.doc_string = graph.title
    del model.metadata_props[:]
    facts = {
        "multiple": str(graph.multiple),
        "h and w": f"multiples of {graph.multiple}, {LEAST} or more" if _open(graph) else "fixed",
        **{f"input {port.name}": _told(port) for port in graph.inputs},
        **{f"output {port.name}": _told(port) for port in graph.outputs},
        "tolerance": f"{graph.tolerance:g}, against torch",
        **graph.says,
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    body = model.graph
    del body.value_info[:], body.metadata_props[:]
    for part in [*body.node, *body.initializer, *(node for one in model.functions for node in one.node)]:
        part.doc_string = ""
        del part.metadata_props[:]
    for ports, values in ((graph.inputs, body.input), (graph.outputs, body.output)):
        for port, value in zip(ports, values, strict=True):
            value.doc_string = port.says
            del value.metadata_props[:]
            for size, dim in zip(port.shape, value.type.tensor_type.shape.dim, strict=True):
                if isinstance(size, str):
                    dim.dim_param = size
    content: bytes = model.SerializeToString()
    return content


def _open(graph: Graph) -> bool:
    return any(isinstance(size, str) for port in graph.inputs for size in port.shape)


def _told(port: Port) -> str:
    shape = ", ".join(map(str, port.shape))
    return f"float32 ({shape}): {port.says}"


def _difference(graph: Graph, path: Path) -> float | None:
    """Of a file's result from torch's, on usual inputs of another size."""
    try:
        import onnxruntime
    except ImportError:
        return None
    inputs = graph.tried(*_CHECKED)
    with torch.no_grad():
        wanted = graph.module(*inputs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        named = {port.name: one.numpy() for port, one in zip(graph.inputs, inputs, strict=True)}
        found = session.run(None, {one.name: named[one.name] for one in session.get_inputs()})
    except Exception as error:  # its errors share no class
        raise FormatError(f"onnxruntime can't run {graph.title}: {_in_one_line(error)}") from error
    gaps = [float((torch.from_numpy(one) - right).abs().max()) for one, right in zip(found, wanted, strict=True)]
    if not max(gaps) <= graph.tolerance:  # nan too
        raise FormatError(
            f"got results of onnxruntime that differ from torch's by {max(gaps):.2g}; expected {graph.tolerance:g} at "
            "most: nothing was written; try other versions of onnx, onnxscript and onnxruntime"
        )
    return max(gaps)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter says to its developers isn't shown."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _first(error: BaseException) -> BaseException:
    """What went wrong first, or what of ours says it."""
    while error.__cause__ is not None and not isinstance(error, RawpipeError):
        error = error.__cause__
    return error


def _in_one_line(error: BaseException) -> str:
    """The first line of an error, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
