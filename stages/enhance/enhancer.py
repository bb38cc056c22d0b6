"""Enhancer: what `Enhance` asks of a model. Models own tensors only; the stage owns everything else."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from rawpipe import Noise, PipelineError, _registry
from rawpipe._stage import name_of

Run = Callable[[Tensor, Tensor], Tensor]
"""Packed planes R, Gr, Gb, B (..., 4, h, w) in, planes of the same shape, dtype and device out.

The second argument is where planes[..., 0, 0] stands in the whole frame: packed row and column (2). Whoever draws
random numbers keys them by it, so that tiles agree.
"""


class Given(NamedTuple):
    """What a model is told: planes are at the brightness of the result, at which 1 is saturation.

    Args:
        noise: of the planes, per site (4), on their device.
        ratio: by which the planes were made brighter, 1 or more.
        seed: of random draws.
    """

    noise: Noise
    ratio: float
    seed: int


class Shown(NamedTuple):
    """What a model for RGB is shown once, before it gets tiles.

    Args:
        picture: all of it, behind a display's curve, in 0..1 (3, H, W).
        brightness: of the result, over that of the model's own.
        seed: of random draws.
    """

    picture: Tensor
    brightness: float
    seed: int


class Enhancer(Protocol):
    """A frozen dataclass that cleans packed mosaics: black = 0, values below it and above saturation kept.

    Registered under `[project.entry-points."rawpipe.enhancers"]` it is found by name. More is optional:

    - `working_bytes`: what it needs for each pixel of the mosaic;
    - `exposure`: what `Enhance(exposure=None)` means, "auto" or a ratio; 1 if it doesn't say;
    - `trial`: packed rows and columns of the flat fields on which the stage tries what noise it leaves;
    - `bounded`: True if results end at 1; the stage then passes brighter areas through;
    - `takes`: `Space.RGB` for a model that works behind a display's curve; an `RgbEnhancer`;
    - `weights`: a parameter, name or path of the weights, which `Enhance(weights=...)` sets;
    - `sampled()`: the same model, drawing: with other seeds it gives other pictures;
    - `suited(noise)`: the same model with what it has for that noise, asked before `prepared`;
    - `weights_used()`: which weights, in one line that starts with their hash;
    - `weight_sets()`, static: files of the sets that come with it, by name, for `rawpipe info --weights`;
    - `graph()`: a `rawpipe.export.Graph` of its network, tensors in and tensors out, for `rawpipe export`.
    """

    @property
    def halo(self) -> int | None:
        """Packed pixels of context that a result pixel needs; None = it must see the whole frame."""

    @property
    def grid(self) -> int:
        """Shifting the planes by a multiple of this shifts the result."""

    def prepared(self, given: Given) -> Run:
        """The model made ready for one frame."""


class RgbEnhancer(Protocol):
    """An `Enhancer` for display-referred RGB: it has `shown` in place of `prepared`, and counts in pixels."""

    def shown(self, shown: Shown) -> Run:
        """The model made ready for tiles (3, h, w) of one picture."""


def named(text: str) -> Enhancer:
    """The enhancer registered under a name: "classical", or with parameters "exposure_diffusion(steps=1)".

    Raises:
        PipelineError: there is none of that name or with these parameters, or it can't be imported.
        StageError: it refuses a parameter's value.
    """
    name, bracket, _ = text.partition("(")
    kind = _registry.load(name.strip(), _registry.ENHANCERS)
    try:
        call = ast.parse(text.strip() if bracket else "f()", mode="eval").body
        assert isinstance(call, ast.Call) and not call.args
        made: Enhancer = kind(**{str(one.arg): ast.literal_eval(one.value) for one in call.keywords})
    except (SyntaxError, ValueError, TypeError, AssertionError) as error:
        known = ", ".join(f.name for f in fields(kind) if f.init) or "none"
        raise PipelineError(
            f'got model {text!r}; expected {name.strip()} or "{name.strip()}(parameter=value)", of {known}'
        ) from error
    return made


def spelt(enhancer: object) -> str | None:
    """What `named` makes this enhancer from, with the parameters that aren't as usual; None if it isn't registered."""
    name, kind = name_of(enhancer), type(enhancer)
    if not is_dataclass(enhancer) or name not in _registry.installed(_registry.ENHANCERS):
        return None
    if _registry.load(name, _registry.ENHANCERS) is not kind:
        return None
    usual = {f.name: f.default for f in fields(kind)}
    values = {f.name: getattr(enhancer, f.name) for f in fields(kind) if f.repr}
    changed = ", ".join(f"{key}={value!r}" for key, value in values.items() if value != usual[key])
    return f"{name}({changed})" if changed else name
