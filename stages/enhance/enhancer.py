"""Enhancer: what `Enhance` asks of a model. Models own tensors only; the stage owns everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from rawpipe import Noise, _registry

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


class Enhancer(Protocol):
    """A frozen dataclass that cleans packed mosaics: black = 0, values below it and above saturation kept.

    Registered under `[project.entry-points."rawpipe.enhancers"]` it is found by name. More is optional:

    - `working_bytes`: what it needs for each pixel of the mosaic;
    - `exposure`: what `Enhance(exposure=None)` means, "auto" or a ratio; 1 if it doesn't say;
    - `trial`: packed rows and columns of the flat fields on which the stage tries what noise it leaves;
    - `bounded`: True if results end at 1; the stage then passes brighter areas through;
    - `weights_used()`: which weights, in one line that starts with their hash;
    - `weight_sets()`, static: files of the sets that come with it, by name, for `rawpipe info --weights`.
    """

    @property
    def halo(self) -> int | None:
        """Packed pixels of context that a result pixel needs; None = it must see the whole frame."""

    @property
    def grid(self) -> int:
        """Shifting the planes by a multiple of this shifts the result."""

    def prepared(self, given: Given) -> Run:
        """The model made ready for one frame."""


def named(name: str) -> Enhancer:
    """The enhancer registered under a name, with its defaults.

    Raises:
        PipelineError: there is none, or it can't be imported.
    """
    made: Enhancer = _registry.load(name, _registry.ENHANCERS)()
    return made
