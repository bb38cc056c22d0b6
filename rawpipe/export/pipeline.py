"""A pipeline as a graph: what its stages do to pixels, with the numbers of camera and photo as inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn

from rawpipe._errors import PipelineError, RawpipeError, StageError
from rawpipe._frame import Frame, Space
from rawpipe._pipeline import Pipeline
from rawpipe._stage import Measured, Stage
from rawpipe.export.graph import Graph, Port

_MOST = 16  # numbers in one input: a matrix, levels of sites; more are a map, of one camera
_CONSTANTS = 64  # numbers beside the pixels' way, as demosaicing has for noise
_ADVICE = "leave it out of the recipe, and run rawpipe for it; models are exported by their own names"
_USUAL = {Space.SENSOR: (400.0, 16000.0)}


@dataclass(frozen=True)
class _Slot:
    """A number of a stage that becomes an input.

    Args:
        stage: its position.
        field: of the stage.
        name: of the input.
        says: what it is.
    """

    stage: int
    field: str
    name: str
    says: str


class _Chain(nn.Module):
    """Stages, ready for a frame, as a function of pixels and numbers."""

    def __init__(self, stages: Sequence[Stage], names: Sequence[str], slots: Sequence[_Slot], frame: Frame) -> None:
        super().__init__()
        self.stages, self.names, self.slots, self.frame = tuple(stages), tuple(names), tuple(slots), frame

    def forward(self, pixels: Tensor, *numbers: Tensor) -> Tensor:
        frame, rest = replace(self.frame, data=pixels), list(numbers)
        if frame.space is Space.SENSOR:
            frame = replace(frame, white=rest.pop(0))
        stages = list(self.stages)
        for slot, number in zip(self.slots, rest, strict=True):
            stages[slot.stage] = replace(stages[slot.stage], **{slot.field: number})  # type: ignore[type-var]
        for name, stage in zip(self.names, stages, strict=True):
            try:
                frame = stage(frame)
            except Exception as error:  # a stage that isn't plain torch fails in its own way when it is followed
                raise StageError(_refusal(name, str(error).strip().partition("\n")[0])) from error
        return frame.data


def pipeline_graph(pipeline: Pipeline, cfa: str = "RGGB") -> Graph:
    """What local stages of plain torch do to pixels.

    What they measured, white balance or a colour matrix, are inputs: one graph serves every photo. The tables and
    opcode lists that a file may hold aren't in it.

    Args:
        pipeline: the stages.
        cfa: phase of the pixel at the top left, for pipelines that start with a mosaic.

    Raises:
        StageError: a stage sees the whole frame, changes its size, holds a map, or isn't plain torch.
        PipelineError: there are no stages.
    """
    from rawpipe.testing import synthetic_frame  # known levels, neutral and colours

    if not len(pipeline):
        raise PipelineError("got a pipeline without stages; expected one or more")
    space = _first_space(pipeline)
    frame = synthetic_frame(space, 40, 56, cfa)
    stages, slots, result = _ready(pipeline, frame)
    low, high = _USUAL.get(space, (-0.05, 1.05))
    shape = ("h", "w") if space.is_mosaic else (3, "h", "w")
    ports = [Port("pixels", shape, _said(space, cfa), low, high)]
    if space is Space.SENSOR:
        says = "level at which the sensor saturates, in DN, for R, Gr, Gb, B"
        ports.append(Port("white", (4,), says, *_range(frame.white)))
    for slot in slots:
        values = getattr(stages[slot.stage], slot.field)
        ports.append(Port(slot.name, tuple(values.shape), slot.says, *_range(values)))
    given = ("h", "w") if result.space.is_mosaic else (3, "h", "w")
    return Graph(
        _Chain(stages, pipeline.names, slots, frame),
        ports,
        (Port("result", given, _said(result.space, cfa, result)),),
        f"rawpipe's stages {', '.join(pipeline.names)}",
        multiple=2 if space.is_mosaic else 1,
        says={"recipe": pipeline.recipe()} | ({"cfa": cfa} if space.is_mosaic else {}),
    )


def pipeline_inputs(pipeline: Pipeline, frame: Frame) -> dict[str, Tensor]:
    """What the graph of a pipeline takes for a frame, by name. Raises as `pipeline_graph`."""
    stages, slots, _ = _ready(pipeline, frame)
    levels = {"white": frame.white} if frame.space is Space.SENSOR else {}
    numbers = {slot.name: getattr(stages[slot.stage], slot.field).float() for slot in slots}
    return {"pixels": frame.data.float()} | levels | numbers


def _first_space(pipeline: Pipeline) -> Space:
    """The earliest space that the pipeline can start in."""
    for space in (Space.SENSOR, Space.MOSAIC, Space.CAMERA, Space.RGB):
        try:
            pipeline._spaces(space)
        except PipelineError:
            continue
        return space
    raise PipelineError("got stages that no frame goes through; expected them in an order that fits")


def _ready(pipeline: Pipeline, frame: Frame) -> tuple[list[Stage], list[_Slot], Frame]:
    """The stages with their numbers for a frame, where these are, and the result."""
    stages, slots = [], []
    for index, (name, stage) in enumerate(zip(pipeline.names, pipeline, strict=True)):
        if stage.halo is None:
            raise StageError(_refusal(name, "it sees the whole frame, or changes its size"))
        try:
            ready = stage.measure(frame) if isinstance(stage, Measured) else stage
            frame = ready(frame)
        except RawpipeError as error:
            raise StageError(_refusal(name, str(error))) from error
        if frame.space is Space.CODES:
            raise StageError(_refusal(name, "a graph gives float32"))
        slots += list(_slots(index, name, ready))
        stages.append(ready)
    return stages, slots, frame


def _slots(index: int, name: str, stage: Any) -> Iterator[_Slot]:
    """The numbers that a stage measured.

    Raises:
        StageError: it has more than numbers.
    """
    for one in fields(stage) if is_dataclass(stage) else ():
        value = getattr(stage, one.name)
        if one.repr or value is None or isinstance(value, bool):
            continue
        if isinstance(value, Tensor) and value.numel() <= _MOST:
            if value.numel():
                says = one.metadata.get("says", f"numbers that the stage {name} measures in a frame")
                yield _Slot(index, one.name, name + one.name, says)
        elif not _constant(value):
            raise StageError(_refusal(name, "it holds a map or more of one camera"))


def _constant(value: object) -> bool:
    """Whether it is a few tensors that may stay as they are."""
    tensors = isinstance(value, tuple) and all(isinstance(part, Tensor) for part in value)
    return tensors and sum(part.numel() for part in value) <= _CONSTANTS  # type: ignore[attr-defined]


def _refusal(name: str, reason: str) -> str:
    return f"the stage {name} can't be exported: {reason}; {_ADVICE}"


def _range(values: Tensor) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _said(space: Space, cfa: str, frame: Frame | None = None) -> str:
    """What pixels in a space are."""
    if space is Space.SENSOR:
        return f"counts in DN as they come from the sensor, black included; {cfa} from the top left"
    if space is Space.MOSAIC:
        return f"a linear mosaic, black 0, saturation 1 or more, not clipped; {cfa} from the top left"
    if space is Space.CAMERA:
        return "linear camera RGB, black 0, not clipped"
    color = None if frame is None else frame.color
    return "RGB" if color is None else f"RGB of the space {color.space} behind the curve {color.curve}, not clipped"
