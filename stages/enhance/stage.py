"""Enhance: less noise, and more light, by a model of your choice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, cast

from rawpipe import Frame, Space, StageError
from rawpipe.stages.enhance.brightness import MOST, auto_ratio
from rawpipe.stages.enhance.enhancer import Enhancer, RgbEnhancer, named, spelt
from rawpipe.stages.enhance.limits import HIGHLIGHT_RADIUS
from rawpipe.stages.enhance.slots import check_mosaic, given, mosaic_ready, rgb_ready

_HASHED = re.compile(r"[0-9a-f]{12} ([^ ,]+)")


def _method(model: object) -> str:
    """What a model is asked for."""
    return "shown" if getattr(model, "takes", None) is Space.RGB else "prepared"


@dataclass(frozen=True)
class Enhance:
    """A mosaic with less noise, and brighter by the exposure ratio: white becomes the ratio, nothing is clipped.

    The stage packs the mosaic for the model, multiplies, blends, passes through what is too bright for the model, and
    says what noise is left: on a flat field; in texture more is. Pixels that are nan or infinite stay what they are,
    and count as black for those around them.

    On RGB the model's result is between 0 and 1, and no noise is known.

    Takes: MOSAIC, with `noise`, black = 0; or RGB behind a display's curve, for a model that works there. Gives: the
    same.

    Args:
        model: name of a registered enhancer, with parameters if need be: "exposure_diffusion(steps=1)"; or an
            `Enhancer`.
        exposure: the ratio from 1 to 300 by which the frame gets brighter; "auto" finds it in the frame; None = what
            the model is for: "auto" for exposure_diffusion, 1 for classical. On RGB, where the model finds its own
            brightness: how many times as bright as that, below 1 too.
        strength: from 0, the picture as it was, to 1, the model's.
        seed: of random draws, where a model makes any.
        weights: name of a set, or a path; None = the model's own. A history has hash, name, licence and training data
            here, and a replay refuses other weights of that name.
        found: filled in where the ratio was found in the frame, for the history.

    Raises:
        StageError: the frame doesn't know its noise, the model lacks a library, or its weights are others.
        PipelineError: no enhancer has that name or those parameters.
        FormatError: the weights can't be used.
    """

    model: Enhancer | str = "classical"
    exposure: float | str | None = None
    strength: float = 1.0
    seed: int = 0
    weights: str | None = None
    found: str = ""
    _ready: Ready | None = field(default=None, repr=False, compare=False)
    _trial: bool = field(default=True, repr=False, compare=False)

    gives = None

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            made = named(self.model)
        elif isinstance(self.model, type) or not callable(getattr(self.model, _method(self.model), None)):
            raise StageError(f"got model {self.model!r}; expected the name of an enhancer, or one: Classical(h=0.8)")
        else:
            made = self.model
            object.__setattr__(self, "model", spelt(made) or made)
        object.__setattr__(self, "_enhancer", self._with_weights(made))
        if not (isinstance(self.strength, int | float) and 0 <= self.strength <= 1):
            raise StageError(f"got strength {self.strength!r}; expected a number from 0 to 1")
        exposure = self.exposure
        if exposure is not None and exposure != "auto":
            least = 1 / MOST if self.takes is Space.RGB else 1.0
            if not isinstance(exposure, int | float) or isinstance(exposure, bool) or not least <= exposure <= MOST:
                raise StageError(
                    f"got exposure {exposure!r}; expected the ratio, from {least:.2g} to {MOST:g}, by which the frame "
                    'is too dark, or "auto"; Exposure() darkens, and brightens further'
                )
            object.__setattr__(self, "exposure", float(exposure))
        if type(self.seed) is not int:
            raise StageError(f"got seed {self.seed!r}; expected a whole number")
        if self._ready is not None and self._ready.asked != self._asked:  # changed by dataclasses.replace
            object.__setattr__(self, "_ready", None)

    def _with_weights(self, made: Enhancer) -> Enhancer:
        if self.weights is None:
            return made
        if not hasattr(made, "weights"):
            raise StageError(f"got weights {self.weights!r} for {self.model!r}, which has none")
        hashed = _HASHED.match(self.weights)
        if hashed is None:
            return replace(made, weights=self.weights)  # type: ignore[type-var]
        sets: dict[str, object] = getattr(made, "weight_sets", dict)()
        own = next(f.default for f in fields(made) if f.name == "weights")  # type: ignore[arg-type]
        usual = getattr(made, "weights", own) == own
        return replace(made, weights=hashed[1]) if usual and hashed[1] in sets else made  # type: ignore[type-var]

    @property
    def takes(self) -> Space:
        """MOSAIC, or what the model says."""
        return getattr(self.enhancer, "takes", Space.MOSAIC)

    @property
    def enhancer(self) -> Enhancer:
        """The model itself."""
        made: Enhancer = self.__dict__["_enhancer"]
        return made

    @property
    def _asked(self) -> tuple[Any, ...]:
        return (self.model, self.exposure, self.strength, self.seed, self.weights)

    @property
    def sees_pixels(self) -> bool:
        """Whether the ratio is found in the pixels, or the model sees all of an RGB picture before it starts."""
        return self._wanted == "auto" or self.takes is Space.RGB

    @property
    def _wanted(self) -> float | str:
        wanted: float | str = getattr(self.enhancer, "exposure", 1.0) if self.exposure is None else self.exposure
        return wanted

    @property
    def halo(self) -> int | None:
        """The model's; on a mosaic that of bright areas too, and of a cell that the frame may cut."""
        halo = self.enhancer.halo
        if halo is None or self._cell == 1:
            return halo
        return 2 * (max(halo, HIGHLIGHT_RADIUS if self._bounded else 0) + 1)

    @property
    def _cell(self) -> int:
        return 2 if self.takes.is_mosaic else 1

    @property
    def _bounded(self) -> bool:
        return bool(getattr(self.enhancer, "bounded", False))

    @property
    def grid(self) -> int:
        """The model's."""
        return self._cell * self.enhancer.grid

    @property
    def working_bytes(self) -> int:
        """The model's, if it says."""
        return int(getattr(self.enhancer, "working_bytes", 400))

    def measure(self, frame: Frame, /) -> Enhance:
        """Find the ratio, get the model ready for the frame, and try what noise it leaves."""
        if not frame.space & self.takes:
            raise StageError(f"got {frame.space.label}; {self.model} takes {self.takes.label}")
        enhancer, found = self.enhancer, self.found
        if frame.space is Space.RGB:
            wanted = 1.0 if isinstance(self._wanted, str) else float(self._wanted)
            ready: Callable[[], Callable[[Frame], Frame]] = partial(
                rgb_ready, cast(RgbEnhancer, enhancer), frame, wanted, self.seed, float(self.strength)
            )
        else:
            check_mosaic(frame)
            if isinstance(self._wanted, str):
                wanted = float(f"{auto_ratio(frame):.6g}")  # as a recipe has it
                found = "exposure found in the picture"
            else:
                wanted = float(self._wanted)
            told = given(frame, wanted, self.seed)
            enhancer = enhancer.suited(told.noise) if hasattr(enhancer, "suited") else enhancer
            ready = partial(mosaic_ready, enhancer, frame, told, float(self.strength), self._trial)
        used, model = self._weights_used(enhancer), self.model  # others are refused before any work
        if self.weights is not None and not _HASHED.match(self.weights):  # a set or a path, which the model keeps
            model = spelt(self.enhancer) or self.enhancer
        chosen = replace(self, model=model, exposure=wanted, weights=used, found=found)
        return replace(chosen, _ready=Ready(ready(), chosen._asked))

    def _weights_used(self, enhancer: Enhancer) -> str | None:
        """What the model says of its weights.

        Raises:
            StageError: a history names others.
        """
        describe: Callable[[], str] | None = getattr(enhancer, "weights_used", None)
        used = None if describe is None else describe()
        if self.weights and _HASHED.match(self.weights) and self.weights.split()[0] != (used or "").split()[0]:
            raise StageError(f"got weights {used}; expected {self.weights}: install the rawpipe that had them")
        return used

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        return self.measure(frame)(frame) if self._ready is None else self._ready.run(frame)


@dataclass(frozen=True, eq=False)
class Ready:
    """What `measure` prepared, and the parameters that it was prepared for."""

    run: Callable[[Frame], Frame]
    asked: tuple[Any, ...]
