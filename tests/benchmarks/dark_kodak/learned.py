"""Learned models by their weights, with the switches of their inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance import ExposureDiffusion, LLFlow
from rawpipe.stages.enhance.enhancer import Given
from rawpipe.stages.enhance.training.batch import Batch
from rawpipe.stages.enhance.weights import Weights

_SWITCHES: dict[str, Callable[[str], Any]] = {
    "guard": float, "strength": float, "temperature": float, "samples": int, "precision": str, "photons": str
}  # fmt: skip


@dataclass(frozen=True)
class Learned:
    """A model as it comes, but for what is switched.

    Args:
        model: with its weights and switches.
        clipped: whether it gets to see the input cut to 0..1.
        strength: from 0, the input, to 1, the model's result.
    """

    model: ExposureDiffusion | LLFlow
    clipped: bool = False
    strength: float = 1.0

    @classmethod
    def read(cls, given: str) -> Learned:
        """Of FILE, FILE:4 for four steps, or FILE:4,mirrored,guard=4,photons=drawn, in any order.

        Without FILE it is ExposureDiffusion with the set that it chooses for each column's noise.
        """
        path, _, switches = given.partition(":")
        options: dict[str, Any] = {"guard": 0.0}
        clipped = False
        for one in filter(None, switches.split(",")):
            name, _, value = one.partition("=")
            if name.isdigit():
                options["steps"] = int(name)
            elif name == "clipped":
                clipped = True
            elif name == "mirrored":
                options[name] = True
            elif name in _SWITCHES:
                options[name] = _SWITCHES[name](value)
            else:
                raise SystemExit(f"got {one!r} in {given}; expected steps, clipped, mirrored, {'=, '.join(_SWITCHES)}=")
        strength = options.pop("strength", 1.0)
        flow = Path(path).suffix == ".safetensors" and Weights.read(Path(path)).enhancer == "llflow"
        model = LLFlow(weights=path, **options) if flow else ExposureDiffusion(weights=path or None, **options)
        return cls(model, clipped, strength)

    @property
    def version(self) -> str:
        """What tells these weights and switches from others."""
        switched = replace(self.model, weights="default")  # wherever the file lies
        return " ".join(map(str, (self.model.weights_used(), switched, self.clipped, self.strength)))

    def passes(self, ratio: float) -> int:
        """How often the network runs: at a ratio of 1 there is nothing to collect."""
        return self.model.passes if isinstance(self.model, ExposureDiffusion) and ratio > 1 else 1

    def __call__(self, batch: Batch) -> Tensor:
        """Clean planes (1, 4, h, w), 0 to 1."""
        noise = Noise(batch.shot.flatten(), batch.read.flatten(), torch.zeros(4))
        run = self.model.prepared(Given(noise, float(batch.ratio), seed=0))
        dim = batch.dim.clamp(0, 1) if self.clipped else batch.dim
        result = run(dim, torch.zeros(2, dtype=torch.long))
        return (dim + self.strength * (result - dim)).clamp(0, 1)
