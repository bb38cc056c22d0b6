"""Stage and Measured: what the pipeline asks of a stage, and what it can read off one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

from rawpipe._frame import Frame, Space


class Stage(Protocol):
    """A frozen dataclass that turns a frame into a frame; its fields are its parameters.

    The four properties are plain class attributes in most stages (`halo = 2`). One more is optional: `working_bytes`,
    what the stage needs for each pixel beside input and result, 200 if it doesn't say. Fields declared with
    `field(repr=False)` are not parameters: they hold what `measure` prepared, and no recipe or history shows them.

    A stage pads its own borders and returns the size it got, never writes into its input, and knows nothing of
    strips, history or progress.
    """

    @property
    def takes(self) -> Space:
        """Spaces it accepts, joined with `|`."""

    @property
    def gives(self) -> Space | None:
        """Space of the result; None = the same as taken."""

    @property
    def halo(self) -> int | None:
        """Pixels of context a result pixel needs; 0 = pointwise; None = it must see the whole frame.

        None also for a stage that changes height or width.
        """

    @property
    def grid(self) -> int:
        """Shifting the input by a multiple of this shifts the result: 1 anywhere, 2 on a mosaic, a network's stride."""

    def __call__(self, frame: Frame, /) -> Frame:
        """Run on a frame."""


@runtime_checkable
class Measured(Protocol):
    """A stage whose numbers come from the frame: it looks once, and answers with a stage that holds them."""

    @property
    def sees_pixels(self) -> bool:
        """Whether `measure` needs the pixels; if not, it gets a frame with the right metadata and few pixels."""

    def measure(self, frame: Frame, /) -> Stage:
        """The stage to run, its numbers found."""


def name_of(stage: object) -> str:
    """The name of a stage in recipes and history: its class name in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(stage).__name__).lower()


def parameters_of(stage: object) -> Mapping[str, Any]:
    """The parameters of a stage: the fields that its repr shows."""
    if not is_dataclass(stage):
        return {}
    return {f.name: getattr(stage, f.name) for f in fields(stage) if f.repr}
