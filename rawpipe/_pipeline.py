"""Pipeline: stages in order, checked when built, run strip by strip, recorded so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, overload

from rawpipe import _recipe
from rawpipe._errors import PipelineError, unknown
from rawpipe._frame import Frame, Space, Step
from rawpipe._fuse import Late, Runner, torch_compiled
from rawpipe._run import CancelEvent, Progress, Run, Strips
from rawpipe._stage import Stage, name_of, parameters_of


@dataclass(frozen=True)
class Pipeline:
    """Stages in order. `Pipeline([BlackLevel(), Demosaic()])(frame)` gives a frame.

    Local stages are run together, strip by strip, which is faster and takes little memory; the result is the same as
    untiled. A pipeline holds no state: any number of threads may share one.

    Args:
        stages: stages, or their registered names.
        rows: rows of a strip, at least; more where the stages' halo asks for it.
        runner: runs a group of local stages on one strip. See `compile`.
        fuse: whether frames on the CPU do without the runner, and stages are fused. Likewise.

    Raises:
        PipelineError: a stage can't take what the one before it gives.
    """

    stages: tuple[Stage, ...]
    rows: int = field(default=64, repr=False)
    runner: Runner | None = field(default=None, repr=False, compare=False)
    fuse: bool = field(default=False, repr=False, compare=False)

    def __init__(
        self,
        stages: Iterable[Stage | str],
        rows: int = 64,
        runner: Runner | None = None,
        fuse: bool = False,
    ) -> None:
        if isinstance(stages, str):
            raise PipelineError(f"got {stages!r}; expected a list of stages: Pipeline([{stages!r}])")
        if not isinstance(rows, int) or rows < 1:
            raise PipelineError(f"got rows={rows!r}; expected 1 or more")
        made = tuple(_recipe.make(stage, {}) if isinstance(stage, str) else stage for stage in stages)
        object.__setattr__(self, "stages", made)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "runner", runner)
        object.__setattr__(self, "fuse", fuse)
        for index, stage in enumerate(made):
            if isinstance(stage, type) or not callable(stage) or not hasattr(stage, "takes"):
                raise PipelineError(
                    f"got {stage!r} at position {index}; expected a stage: an instance with takes and gives"
                )
        self._spaces(None)

    @property
    def gives(self) -> Space | None:
        """The space of the result, or those it may be in; None for a pipeline without stages."""
        return self._spaces(None)

    def _spaces(self, space: Space | None) -> Space | None:
        """Follow the spaces through all stages, from that of a frame where one is given, and check that they fit."""
        for index, stage in enumerate(self.stages):
            takes = stage.takes if space is None else stage.takes & space
            if space is not None and not takes:
                here = f"stage {index} ({self.names[index]}) takes {stage.takes.label}"
                if index == 0:
                    raise PipelineError(
                        f'got a frame in {space.label}; {here}. Start further on: pipeline["name of a stage":]'
                    )
                before = self.names[index - 1]
                do = f"Put a stage from {space.label} to {stage.takes.label} between them"
                if space is Space.CODES:
                    do = f"Put {before} last"
                raise PipelineError(f"{here}; stage {index - 1} ({before}) gives {space.label}. {do}")
            space = stage.gives or takes
        return space

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names; where one occurs again, `_2`, `_3` ... are added."""
        seen: dict[str, int] = {}
        names = []
        for stage in self.stages:
            name = name_of(stage)
            seen[name] = seen.get(name, 0) + 1
            names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return tuple(names)

    def index(self, name: str) -> int:
        """Position of a stage.

        Raises:
            PipelineError: no stage has that name.
        """
        if name not in self.names:
            raise PipelineError(unknown("stage", name, self.names))
        return self.names.index(name)

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    @overload
    def __getitem__(self, key: int | str) -> Stage: ...
    @overload
    def __getitem__(self, key: slice) -> Pipeline: ...
    def __getitem__(self, key: int | str | slice) -> Stage | Pipeline:
        """A stage by position or name; or, for a slice of either, a pipeline without the slice's end."""
        if isinstance(key, slice):
            start, stop = (self.index(end) if isinstance(end, str) else end for end in (key.start, key.stop))
            return replace(self, stages=self.stages[start : stop : key.step])
        return self.stages[self.index(key) if isinstance(key, str) else key]

    def replace(self, name: str, stage: Stage | str) -> Pipeline:
        """This pipeline with another stage in the place of the one called `name`."""
        at = self.index(name)
        return Pipeline([*self.stages[:at], stage, *self.stages[at + 1 :]], self.rows, self.runner, self.fuse)

    def compile(self, **options: Any) -> Pipeline:
        """This pipeline, faster, with the same results but for rounding.

        On the CPU neighbouring stages that offer `lowered` become one pass over float32 or uint16 pixels, which needs
        Numba; transfer curves are right to a quarter of a 16-bit step, other numbers to a few bits of float32. All
        other stages run as they are. On other devices `torch.compile` compiles the local stages, once for every size
        and phase; with `options`, which go to it, on the CPU too.
        """
        return replace(self, runner=torch_compiled(**options) if options else Late(), fuse=not options)

    # Running

    @overload
    def run(
        self,
        frame: Frame,
        *,
        keep: None = None,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
        max_memory: int | None = None,
    ) -> Frame: ...
    @overload
    def run(
        self,
        frame: Frame,
        *,
        keep: Sequence[str],
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
        max_memory: int | None = None,
    ) -> tuple[Frame, dict[str, Frame]]: ...
    def run(
        self,
        frame: Frame,
        *,
        keep: Sequence[str] | None = None,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
        max_memory: int | None = None,
    ) -> Frame | tuple[Frame, dict[str, Frame]]:
        """Run the stages on a frame.

        Args:
            frame: in a space that the first stage takes.
            keep: names of stages whose results are wanted too; the answer is then (frame, {name: frame}).
            progress: called with the share done (0 to 1) and the name of the stage at work.
            cancel: an event; once it is set, the run stops at the next strip, or the next pass over all rows.
            max_memory: bytes that the run may take beside the frames that go in and come out, as the stages state
                their needs: frames between groups of stages, windows, and what stages work with.

        Raises:
            StageError: a stage can't work on what it was given.
            PipelineError: the stages don't fit the frame's space, or `max_memory` is too little.
            Cancelled: `cancel` was set.
        """
        for name in keep or ():
            self.index(name)
        if max_memory is not None and not max_memory > 0:
            raise PipelineError(f"got max_memory={max_memory}; expected a positive number of bytes, or None")
        self._spaces(frame.space)
        how = (self.rows, self.runner, self.fuse)
        work = Run(self.stages, self.names, *how, frozenset(keep or ()), progress, cancel, max_memory)
        result = work.on(frame)
        return result if keep is None else (result, work.kept)

    __call__ = run

    def strips(
        self,
        frame: Frame,
        rows: int = 256,
        *,
        progress: Progress | None = None,
        cancel: CancelEvent | None = None,
    ) -> Strips:
        """The result strip by strip, from the top, for pictures that shouldn't be in memory as a whole.

        What is local behind the last stage that must see the whole frame runs when its strip is asked for; such a
        stage's own result is held. The strips have the result's pixels, space and history.

        Args:
            frame: as for `run`.
            rows: of a strip, about.
            progress: as for `run`.
            cancel: as for `run`.

        Raises:
            PipelineError: as `run`; the strips themselves raise as it does too.
        """
        if not isinstance(rows, int) or rows < 1:
            raise PipelineError(f"got rows={rows!r}; expected 1 or more")
        self._spaces(frame.space)
        how = (self.rows, self.runner, self.fuse)
        return Run(self.stages, self.names, *how, frozenset(), progress, cancel, None).strips(frame, rows)

    # Recipes

    def recipe(self) -> str:
        """This pipeline as TOML: every stage with its parameters, in order."""
        return _recipe.dumps((name_of(stage), parameters_of(stage)) for stage in self.stages)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the recipe to a file."""
        from rawpipe.io.atomic import replacing

        with replacing(path) as temporary:
            temporary.write_text(self.recipe(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Pipeline:
        """Read a recipe file.

        Raises:
            PipelineError: it isn't a recipe, or names a stage or parameter that doesn't exist.
        """
        return cls(_recipe.load(path))

    @classmethod
    def from_recipe(cls, text: str) -> Pipeline:
        """The pipeline that a recipe describes. Raises as `load`."""
        return cls(_recipe.loads(text))

    @classmethod
    def from_history(cls, history: Iterable[Step]) -> Pipeline:
        """The pipeline that made a frame, its measured numbers fixed: the same file gives the same bits again."""
        return cls(_recipe.make(step.name, step.parameters) for step in history)
