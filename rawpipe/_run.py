"""Run: one pass of a pipeline over one frame, with its progress, its clock and its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from rawpipe import _registry, kernels
from rawpipe._errors import Cancelled, PipelineError, RawpipeError, StageError
from rawpipe._frame import Frame, Space, Step
from rawpipe._fuse import Call, Join, Runner, at_once, corner_for, fused
from rawpipe._heap import memory_kept
from rawpipe._stage import Measured, Stage, name_of, parameters_of
from rawpipe._tiles import Tiling, run_tiled, tiles, working_bytes

_PROBE = (24, 256)  # least and most rows and columns of a corner that shows what metadata stages give

_LARGE = 2**23  # pixels: 32 MB in float32

Progress = Callable[[float, str], None]


class CancelEvent(Protocol):
    """What `cancel=` takes: `threading.Event`, `multiprocessing.Event`, or anything with this method."""

    def is_set(self) -> bool:
        """Whether the run should stop."""


@dataclass
class Strips:
    """A result from the top down: iterate over its frames once, each as wide as the whole and some rows high.

    Args:
        height: rows of the whole result.
        width: columns.
        frames: the strips.
    """

    height: int
    width: int
    frames: Iterator[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return self.frames


@dataclass(frozen=True)
class _Group:
    """Local stages to run together: on a window, with reports of the share that is done, and their times."""

    stages: tuple[Stage, ...]
    calls: Sequence[Call]
    last: int
    fuse: bool
    run: Callable[[Frame], Frame]
    report: Callable[[float], None]
    timed: Callable[[], list[tuple[Stage, float | None]]]


@dataclass
class _Seen:
    """What stages that wait make of a corner of the frame, to see what metadata they give.

    Args:
        size: rows and columns of the corner.
        join: the first of them, as far as they can be run as one pass.
        corner: behind all of them.
        done: how many.
    """

    size: int
    join: Join
    corner: Frame
    done: int = 0

    def go_on(self, stage: Stage, call: Call) -> None:
        """Run one more."""
        joined = self.join.then(stage, call) if self.join.count == self.done else None
        self.join, self.corner = (self.join, call(self.corner)) if joined is None else (joined, joined.after)
        self.done += 1


@dataclass
class Run:
    """The stages, how to run them, and the local ones that wait to be run together.

    Arguments are those of `Pipeline` and `Pipeline.run`.
    """

    stages: Sequence[Stage]
    names: Sequence[str]
    rows: int
    runner: Runner | None
    fuse: bool
    keep: frozenset[str]
    progress: Progress | None
    cancel: CancelEvent | None
    max_memory: int | None
    kept: dict[str, Frame] = field(default_factory=dict)
    _waiting: list[tuple[int, Stage]] = field(default_factory=list)
    _seen: _Seen | None = None
    _given: Frame | None = None

    def on(self, frame: Frame) -> Frame:
        """Run all stages on a frame."""
        return self._flush(self._until_last(frame))

    def strips(self, frame: Frame, rows: int) -> Strips:
        """Run all stages, the last group of local ones whenever its next strip is asked for."""
        frame = self._until_last(frame)
        return Strips(frame.height, frame.width, self._stripped(frame, rows))

    def _until_last(self, frame: Frame) -> Frame:
        """Run the stages, but for the last group of local ones, which waits."""
        self._given = frame
        for index, stage in enumerate(self.stages):
            if isinstance(stage, Measured):
                if stage.sees_pixels:
                    frame = self._flush(frame)
                seen = self._probe(frame)
                with _at(index, self.names[index]):
                    stage = stage.measure(seen)
            self._waiting.append((index, stage))
            if stage.halo is None:
                self._waiting.pop()
                frame = self._whole(self._flush(frame), index, stage)
            if self.names[index] in self.keep:
                frame = self.kept[self.names[index]] = self._flush(frame)
        return frame

    def _probe(self, frame: Frame) -> Frame:
        """A frame with the metadata that the waiting stages will give, and only a corner of the pixels."""
        if not self._waiting:
            return frame
        least, most = _PROBE
        size = min(corner_for([stage for _, stage in self._waiting]), most)
        if self._seen is None or self._seen.size < size:
            none = Join.none(frame, self.fuse, max(size, least))
            self._seen = _Seen(max(size, least), none, none.after)
        for index, stage in self._waiting[self._seen.done :]:
            self._seen.go_on(stage, self._call(index, stage, _Clock(frame.device)))
        return self._seen.corner

    def _whole(self, frame: Frame, index: int, stage: Stage) -> Frame:
        """Run a stage that must see the whole frame."""
        working = frame.height * frame.width * working_bytes((stage,), frame)
        need = working + self._held(frame, (stage,) if working else (), index)
        if self.max_memory is not None and need > self.max_memory:
            raise PipelineError(
                f"stage {index} ({self.names[index]}) works on the whole frame, about {need} bytes; "
                f"got max_memory={self.max_memory}"
            )
        self._check()
        clock = _Clock(frame.device)
        with _at(index, self.names[index]), clock:
            after = _called(stage, frame)
        self._report(index + 1, index)
        return _recorded(replace(after, history=frame.history), [(stage, clock.seconds())])

    def _flush(self, frame: Frame) -> Frame:
        """Run the local stages that wait: in one pass where they fuse, or else window by window."""
        if not self._waiting:
            return frame
        joined = self._seen.join if self._seen is not None else Join.none(frame, self.fuse)
        group = self._group(frame)
        given = replace(frame, history=())
        steps = self._at_once(group, given, joined)
        if steps is not None:
            after = given
            for done, step in enumerate(steps, 1):
                self._check()
                after = step(after)
                group.report(done / len(steps))
        else:
            held = self._held(frame, group.stages, group.last)
            tiling = Tiling.of(group.stages, frame, self.rows, self.max_memory, held)
            after = run_tiled(group.run, given, tiling, group.report)
        return _recorded(replace(after, history=frame.history), group.timed())

    def _at_once(self, group: _Group, frame: Frame, join: Join) -> list[Call] | None:
        """Steps that take the whole frame, if there are such: strips would only be copied once more."""
        if self.max_memory is not None:
            return None
        if group.fuse:
            return at_once(group.stages, group.calls, frame, join)
        stage = group.stages[0]
        if len(group.stages) > 1 or self.runner is not None or not isinstance(stage, kernels.Banded):
            return None
        return [group.calls[0]] if stage.banded(frame) else None

    def _stripped(self, frame: Frame, rows: int) -> Iterator[Frame]:
        """What the stages that wait give, strip by strip."""
        if not self._waiting:
            for top in range(0, frame.height, rows):
                yield frame.crop(top, 0, min(rows, frame.height - top), frame.width)
            return
        group = self._group(frame)
        tiling = Tiling.of(group.stages, frame, rows, None)
        for _, _, part in tiles(group.run, replace(frame, history=()), tiling, group.report):
            yield _recorded(replace(part, history=frame.history), [(stage, None) for stage in group.stages])

    def _group(self, frame: Frame) -> _Group:
        """The local stages that wait, which then no longer do, and how to run them on a window."""
        waiting, self._waiting, self._seen = self._waiting, [], None
        stages = tuple(stage for _, stage in waiting)
        first, last = waiting[0][0], waiting[-1][0]
        clocks = [_Clock(frame.device) for _ in stages]
        calls = [self._call(index, stage, clock) for (index, stage), clock in zip(waiting, clocks, strict=True)]
        fuse = self.fuse and frame.device.type == "cpu"

        def run(window: Frame) -> Frame:
            self._check()
            with memory_kept() if _is_large(window) else nullcontext():
                if fuse:
                    return fused(stages, calls, window)
                if self.runner is not None:
                    return _checked(self.runner(stages, window), _space_behind(stages, window.space))
                for call in calls:
                    window = call(window)
                return window

        def timed() -> list[tuple[Stage, float | None]]:
            each = not fuse and self.runner is None
            return [(stage, clock.seconds() if each else None) for stage, clock in zip(stages, clocks, strict=True)]

        return _Group(
            stages, calls, last, fuse, run, lambda share: self._report(first + share * len(stages), last), timed
        )

    def _call(self, index: int, stage: Stage, clock: _Clock) -> Call:
        """A stage that says where it stands when it fails, and how long it took."""

        def call(frame: Frame) -> Frame:
            with _at(index, self.names[index]), clock:
                return _called(stage, frame)

        return call

    def _held(self, frame: Frame, stages: Sequence[Stage], last: int) -> int:
        """Bytes of the frames between groups of stages: what this group takes and gives, unless the caller has it."""
        assert self._given is not None
        storage = frame.data.untyped_storage()
        held = 0 if storage.data_ptr() == self._given.data.untyped_storage().data_ptr() else storage.nbytes()
        if stages and last < len(self.stages) - 1:
            planes = (1 if _space_behind(stages, frame.space).is_mosaic else 3) / (1 if frame.space.is_mosaic else 3)
            held += int(planes * frame.data.numel()) * max(4, frame.data.element_size())
        return held

    def _check(self) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("the run was cancelled; nothing was written, and the frame that went in is as it was")

    def _report(self, done: float, index: int) -> None:
        if self.progress is not None:
            self.progress(done / len(self.stages), self.names[index])


def _is_large(window: Frame) -> bool:
    """Whether a plane of it is more than allocators keep themselves."""
    return window.device.type == "cpu" and window.height * window.width >= _LARGE


def _space_behind(stages: Sequence[Stage], space: Space) -> Space:
    for stage in stages:
        space = stage.gives or space
    return space


def _called(stage: Stage, frame: Frame) -> Frame:
    """The result of a stage, in the space that it says it gives.

    Raises:
        StageError: it is in another one, or no frame.
    """
    return _checked(stage(frame), stage.gives or frame.space)


def _checked(result: object, space: Space) -> Frame:
    if not isinstance(result, Frame):
        raise StageError(f"got {type(result).__name__} from the stage; expected a Frame: does it return its result?")
    if not result.space & space:
        raise StageError(
            f"got a result in {result.space.label}; expected {space.label}, as the stage declares: correct its `gives`"
        )
    return result


def _recorded(frame: Frame, ran: Sequence[tuple[Stage, float | None]]) -> Frame:
    """The frame with the stages that ran added to its history."""
    steps = tuple(
        Step(name_of(stage), parameters_of(stage), _registry.provider(name_of(stage)), seconds)
        for stage, seconds in ran
    )
    return replace(frame, history=(*frame.history, *steps))


class _at:
    """Adds the stage's position and name to what goes wrong inside it, once."""

    def __init__(self, index: int, name: str) -> None:
        self.place = f"stage {index} ({name})"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RawpipeError):
            raise StageError(f"{self.place}: {error}") from error
        if error is not None:
            error.add_note(f"in {self.place}")


class _Clock:
    """Adds up the time spent inside it; on a GPU by events, so that nothing waits until the end."""

    def __init__(self, device: torch.device) -> None:
        self.gpu = device.type == "cuda"
        self.spans: list[tuple[Any, Any]] = []

    def _now(self) -> Any:
        if not self.gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def __enter__(self) -> None:
        self.start = self._now()

    def __exit__(self, *_: object) -> None:
        self.spans.append((self.start, self._now()))

    def seconds(self) -> float:
        """Seconds spent inside so far."""
        if not self.gpu:
            return float(sum(end - start for start, end in self.spans))
        torch.cuda.synchronize()
        return float(sum(start.elapsed_time(end) for start, end in self.spans)) / 1000
