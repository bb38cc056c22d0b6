"""Enhance: less noise, and more light, by a model of your choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from rawpipe import Frame, Noise, Space, StageError, bayer
from rawpipe.stages.enhance.brightness import MOST, auto_ratio
from rawpipe.stages.enhance.enhancer import Enhancer, Given, Run, named
from rawpipe.stages.enhance.left import TRIAL, left
from rawpipe.stages.enhance.limits import HIGHLIGHT_RADIUS, passed_through


@dataclass(frozen=True)
class Enhance:
    """A mosaic with less noise, and brighter by the exposure ratio: white becomes the ratio, nothing is clipped.

    The stage packs the mosaic for the model, multiplies, blends, passes through what is too bright for the model, and
    says what noise is left: on a flat field; in texture more is.

    Takes: MOSAIC, with `noise`. Gives: the same.

    Args:
        model: name of a registered enhancer, or an `Enhancer`.
        exposure: the ratio from 1 to 300 by which the frame gets brighter; "auto" finds it in the frame; None = what
            the model is for: "auto" for exposure_diffusion, 1 for classical.
        strength: from 0, the picture as it was, to 1, the model's.
        seed: of random draws, where a model makes any.
        weights: the model's weights, in a line that starts with their hash; None = those it has. A history names
            them, and a frame is not enhanced by others in their name.

    Raises:
        StageError: the frame doesn't know its noise, the model lacks a library, or its weights are others.
        PipelineError: no enhancer has that name.
    """

    model: Enhancer | str = "classical"
    exposure: float | str | None = None
    strength: float = 1.0
    seed: int = 0
    weights: str | None = None
    _ready: Ready | None = field(default=None, repr=False, compare=False)

    takes = Space.MOSAIC
    gives = None

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            object.__setattr__(self, "_enhancer", named(self.model))
        elif isinstance(self.model, type) or not callable(getattr(self.model, "prepared", None)):
            raise StageError(f"got model {self.model!r}; expected the name of an enhancer, or one: Classical(h=0.8)")
        else:
            object.__setattr__(self, "_enhancer", self.model)
        if not (isinstance(self.strength, int | float) and 0 <= self.strength <= 1):
            raise StageError(f"got strength {self.strength!r}; expected a number from 0 to 1")
        exposure = self.exposure
        if exposure is not None and exposure != "auto":
            if isinstance(exposure, bool | str) or not 1 <= float(exposure) <= MOST:
                raise StageError(
                    f"got exposure {exposure!r}; expected the ratio, from 1 to {MOST:g}, by which the frame is too "
                    'dark, or "auto"; Exposure() darkens, and brightens further'
                )
            object.__setattr__(self, "exposure", float(exposure))
        if type(self.seed) is not int:
            raise StageError(f"got seed {self.seed!r}; expected a whole number")

    @property
    def enhancer(self) -> Enhancer:
        """The model itself."""
        made: Enhancer = self.__dict__["_enhancer"]
        return made

    @property
    def sees_pixels(self) -> bool:
        """Whether the ratio is found in the pixels."""
        return self._wanted == "auto"

    @property
    def _wanted(self) -> float | str:
        wanted: float | str = getattr(self.enhancer, "exposure", 1.0) if self.exposure is None else self.exposure
        return wanted

    @property
    def halo(self) -> int | None:
        """The model's, that of bright areas, and a cell that the frame may cut."""
        halo = self.enhancer.halo
        return None if halo is None else 2 * (max(halo, HIGHLIGHT_RADIUS if self._bounded else 0) + 1)

    @property
    def _bounded(self) -> bool:
        return bool(getattr(self.enhancer, "bounded", False))

    @property
    def grid(self) -> int:
        """The model's."""
        return 2 * self.enhancer.grid

    @property
    def working_bytes(self) -> int:
        """The model's, if it says."""
        return int(getattr(self.enhancer, "working_bytes", 400))

    def measure(self, frame: Frame, /) -> Enhance:
        """Find the ratio, get the model ready for the frame's noise, and try what it leaves."""
        if frame.noise is None:
            raise StageError(
                "got a frame that doesn't know its noise; put NoiseCalibration() before Enhance (if it is there, its "
                "`source` in the history says why it found none), or give noise=... when you make the frame"
            )
        used = self._weights_used()
        wanted = self._wanted
        ratio = auto_ratio(frame) if isinstance(wanted, str) else float(wanted)
        ratio = float(f"{ratio:.6g}")  # as a recipe has it
        unit = frame.white - frame.black
        noise = frame.noise.scaled(ratio / unit)
        run = partial(
            _blended, self.enhancer.prepared(Given(noise, ratio, self.seed)), noise, self._bounded, float(self.strength)
        )
        scale = (unit / ratio, torch.full((), ratio, device=unit.device))
        trial = getattr(self.enhancer, "trial", TRIAL)
        ready = Ready(run, *scale, left(run, noise, torch.ones_like(unit), trial).scaled(unit))
        return replace(self, exposure=ratio, weights=used, _ready=ready)

    def _weights_used(self) -> str | None:
        """What the model says of its weights.

        Raises:
            StageError: they are not those that are asked for.
        """
        describe = getattr(self.enhancer, "weights_used", None)
        used: str | None = None if describe is None else describe()
        if self.weights is not None and self.weights.split()[:1] != (used or "").split()[:1]:
            raise StageError(f"got weights {used}; expected {self.weights}: install the rawpipe that had them")
        return used

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._ready is None:
            return self.measure(frame)(frame)
        cfa, ready = str(frame.cfa), self._ready
        unit = ready.unit[:, None, None].to(bayer.as_float(frame.data).dtype)
        place = (frame.origin[:2] - torch.tensor(bayer.offset(cfa, 0), device=frame.device)) // 2
        planes = ready.run(bayer.pack(bayer.as_float(frame.data), cfa) / unit, place.long()) * (unit * ready.ratio)
        return replace(
            frame,
            data=bayer.unpack(planes, cfa, frame.height, frame.width),
            black=frame.black * ready.ratio,
            white=frame.white * ready.ratio,
            noise=ready.left,
            exposure_gain=frame.exposure_gain * ready.ratio,
        )


@dataclass(frozen=True, eq=False)
class Ready:
    """What `measure` prepared.

    Args:
        run: the model, blended.
        unit: what 1 of the model's brightness is in the frame it gets, per site (4).
        ratio: by which the frame gets brighter ().
        left: noise of the result.
    """

    run: Run
    unit: Tensor
    ratio: Tensor
    left: Noise


def _blended(run: Run, noise: Noise, bounded: bool, strength: float, planes: Tensor, place: Tensor) -> Tensor:
    """The model's result, or on the way to it; bright areas as they were."""
    if strength == 0:
        return planes
    result = run(planes, place)
    if bounded:
        result = passed_through(planes, result, noise)
    return result if strength == 1 else planes + strength * (result - planes)
