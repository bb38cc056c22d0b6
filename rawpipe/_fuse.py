"""Fusion: neighbouring local stages that say what they do to pixels become one pass over the picture.

Only the pixels take the short way. What a frame says about them comes from the very stages, run on its corner, so that
levels, noise and errors are those of a pipeline that isn't compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from rawpipe import kernels
from rawpipe._frame import Frame
from rawpipe._stage import Stage

_CORNER = 12  # rows and columns: enough for stages to show what they make of the rest of a frame
_GRAPHS = ("reduce-overhead", "max-autotune")
_RECOMPILE_LIMIT = 64  # four phases x a few groups of stages x the picture sizes that a process meets

Call = Callable[[Frame], Frame]
"""A stage with what the pipeline does around it: its place in errors, the check of its result."""
Runner = Callable[[tuple[Stage, ...], Frame], Frame]


def apply(stages: tuple[Stage, ...], frame: Frame) -> Frame:
    """Run stages one after another: the only function that `torch.compile` ever gets."""
    for stage in stages:
        frame = stage(frame)
    return frame


def torch_compiled(**options: Any) -> Runner:
    """`apply`, compiled in a recompile scope of its own; `options` go to `torch.compile`.

    Modes that record CUDA graphs write each result over the one before: it is copied.
    """
    ours = {"fullgraph": True, "dynamic": False, "isolate_recompiles": True, "recompile_limit": _RECOMPILE_LIMIT}
    known = signature(torch.compile).parameters  # the last two came with torch 2.13
    compiled: Runner = torch.compile(apply, **{name: value for name, value in ours.items() if name in known} | options)
    if options.get("mode") not in _GRAPHS and not (options.get("options") or {}).get("triton.cudagraphs"):
        return compiled

    return lambda stages, frame: compiled(stages, frame).map(Tensor.clone)


def corner_for(stages: Sequence[Stage]) -> int:
    """Rows and columns of a corner that is more than the context of all these stages."""
    return 2 * sum(stage.halo or 0 for stage in stages) + 8


class Late:
    """`torch_compiled`, made when it is first needed: torch's compiler takes a second to import."""

    def __init__(self) -> None:
        self._runner: Runner | None = None

    def __call__(self, stages: tuple[Stage, ...], frame: Frame) -> Frame:
        """Run."""
        self._runner = self._runner or torch_compiled()
        return self._runner(stages, frame)


@dataclass(frozen=True)
class Join:
    """Stages from the first of a group on that can be run as one pass.

    Args:
        after: the frame's corner behind them.
        usable: whether any are, and the frame's pixels are for the compiled path.
        count: how many.
        ops: what they do to pixels.
    """

    after: Frame
    usable: bool
    count: int = 0
    ops: tuple[kernels.Op, ...] = ()

    @classmethod
    def none(cls, frame: Frame, fuse: bool = True, size: int = _CORNER) -> Join:
        """None so far: the corner is `size` rows and columns of the frame, or what there is."""
        corner = frame.crop(0, 0, min(frame.height, size), min(frame.width, size))
        return cls(corner, fuse and kernels.usable(frame.data))

    def then(self, stage: Stage, call: Call) -> Join | None:
        """With one more; None where it doesn't fit."""
        if not self.usable or not isinstance(stage, kernels.Lowered):
            return None
        if self.ops and isinstance(self.ops[-1], kernels.Quantize):
            return None
        ops = stage.lowered(self.after)
        if ops is None or (any(isinstance(op, kernels.Table) for op in ops) and not self.after.space.is_mosaic):
            return None  # tables are for codes of the mosaic
        return replace(self, after=call(self.after), count=self.count + 1, ops=(*self.ops, *ops))

    def on(self, stages: Sequence[Stage], calls: Sequence[Call]) -> Join:
        """With as many more of the group's stages as fit."""
        join = self
        for stage, call in zip(stages[self.count :], calls[self.count :], strict=True):
            further = join.then(stage, call)
            if further is None:
                break
            join = further
        return join

    def run(self, frame: Frame) -> Frame:
        """The frame behind the stages."""
        if not self.ops:
            return replace(self.after, data=frame.data, origin=frame.origin)
        from rawpipe.kernels.compiled import Program

        pixels = Program(self.ops, frame.space.is_mosaic)(frame.data, frame.cfa)
        return replace(self.after, data=pixels, origin=frame.origin)


def fused(stages: Sequence[Stage], calls: Sequence[Call], frame: Frame) -> Frame:
    """Run local stages on a frame: what fuses in one pass, the rest as it is."""
    while stages:
        join = Join.none(frame).on(stages, calls)
        frame = join.run(frame) if join.count else calls[0](frame)
        done = max(1, join.count)
        stages, calls = stages[done:], calls[done:]
    return frame


def at_once(stages: Sequence[Stage], calls: Sequence[Call], frame: Frame, join: Join) -> list[Call] | None:
    """Steps that each go through all rows of a frame by themselves; None where a stage doesn't.

    Args:
        stages: of a group.
        calls: to run each by itself.
        frame: that they are for.
        join: as many of the first ones as are joined already.
    """
    if not all(isinstance(stage, kernels.Lowered | kernels.Banded) for stage in stages):
        return None
    size = max(_CORNER, corner_for(stages))
    if min(join.after.height, join.after.width) < min(size, frame.height, frame.width):
        join = Join.none(frame, size=size)
    steps: list[Call] = []
    while stages:
        join = join.on(stages, calls)
        if join.count:
            steps.append(join.run)
            corner, done = join.after, join.count
        elif isinstance(stages[0], kernels.Banded) and stages[0].banded(join.after):
            steps.append(calls[0])
            corner, done = calls[0](join.after) if len(stages) > 1 else join.after, 1
        else:
            return None
        stages, calls = stages[done:], calls[done:]
        if stages:
            join = Join.none(corner, size=size)
    return steps
