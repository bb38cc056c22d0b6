"""Enhancer: what `Enhance` asks of a model. Models own tensors only; the stage owns everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from rawpipe import Noise, _registry

Run = Callable[[Tensor], Tensor]
"""Packed planes R, Gr, Gb, B (..., 4, h, w) in, planes of the same shape, dtype and device out."""


class Enhancer(Protocol):
    """A frozen dataclass that cleans packed mosaics: black = 0, values below it and above saturation kept.

    Registered under `[project.entry-points."rawpipe.enhancers"]` it is found by name. One more property is optional:
    `working_bytes`, what it needs for each pixel of the mosaic.
    """

    @property
    def halo(self) -> int | None:
        """Packed pixels of context that a result pixel needs; None = it must see the whole frame."""

    @property
    def grid(self) -> int:
        """Shifting the planes by a multiple of this shifts the result."""

    def prepared(self, noise: Noise) -> Run:
        """The model made ready for planes of this noise, which is per site (4), in their unit, on their device."""


def named(name: str) -> Enhancer:
    """The enhancer registered under a name, with its defaults.

    Raises:
        PipelineError: there is none, or it can't be imported.
    """
    made: Enhancer = _registry.load(name, _registry.ENHANCERS)()
    return made
