"""Enhance: less noise, by a model of your choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor

from rawpipe import Frame, Noise, Space, StageError, bayer
from rawpipe.stages.enhance.enhancer import Enhancer, Run, named
from rawpipe.stages.enhance.left import left


@dataclass(frozen=True)
class Enhance:
    """A mosaic with less noise.

    The stage packs the mosaic for the model, blends, and says what noise is left: on a flat field; in texture more is.

    Takes: MOSAIC, with `noise`. Gives: the same.

    Args:
        model: name of a registered enhancer, or an `Enhancer`.
        strength: from 0, the picture as it was, to 1, the model's.

    Raises:
        StageError: the frame doesn't know its noise, or the model lacks a library.
        PipelineError: no enhancer has that name.
    """

    model: Enhancer | str = "classical"
    strength: float = 1.0
    _run: Run | None = field(default=None, repr=False, compare=False)
    _left: Noise | None = field(default=None, repr=False, compare=False)

    takes = Space.MOSAIC
    gives = None
    sees_pixels = False

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            object.__setattr__(self, "_enhancer", named(self.model))
        elif isinstance(self.model, type) or not callable(getattr(self.model, "prepared", None)):
            raise StageError(f"got model {self.model!r}; expected the name of an enhancer, or one: Classical(h=0.8)")
        else:
            object.__setattr__(self, "_enhancer", self.model)
        if not (isinstance(self.strength, int | float) and 0 <= self.strength <= 1):
            raise StageError(f"got strength {self.strength!r}; expected a number from 0 to 1")

    @property
    def enhancer(self) -> Enhancer:
        """The model itself."""
        made: Enhancer = self.__dict__["_enhancer"]
        return made

    @property
    def halo(self) -> int | None:
        """The model's, and a cell that the frame may cut."""
        halo = self.enhancer.halo
        return None if halo is None else 2 * (halo + 1)

    @property
    def grid(self) -> int:
        """The model's."""
        return 2 * self.enhancer.grid

    @property
    def working_bytes(self) -> int:
        """The model's, if it says."""
        return int(getattr(self.enhancer, "working_bytes", 400))

    def measure(self, frame: Frame, /) -> Enhance:
        """Get the model ready for the frame's noise, and try what it leaves."""
        if frame.noise is None:
            raise StageError(
                "got a frame that doesn't know its noise; put NoiseCalibration() before Enhance (if it is there, its "
                "`source` in the history says why it found none), or give noise=... when you make the frame"
            )
        run = partial(_blended, self.enhancer.prepared(frame.noise), float(self.strength))
        return replace(self, _run=run, _left=left(run, frame.noise, frame.white - frame.black))

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._run is None:
            return self.measure(frame)(frame)
        cfa = str(frame.cfa)
        planes = self._run(bayer.pack(frame.data, cfa))
        return replace(frame, data=bayer.unpack(planes, cfa, frame.height, frame.width), noise=self._left)


def _blended(run: Run, strength: float, planes: Tensor) -> Tensor:
    """The model's result, or on the way to it."""
    if strength == 0:
        return planes
    result = run(planes)
    return result if strength == 1 else planes + strength * (result - planes)
