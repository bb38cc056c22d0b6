"""ExposureDiffusion by its weights, with the switches of its inference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance.enhancer import Given
from rawpipe.stages.enhance.exposure_diffusion import ExposureDiffusion
from rawpipe.stages.enhance.training.batch import Batch


@dataclass(frozen=True)
class Learned:
    """A model as it comes, but for what is switched.

    Args:
        model: weights, steps, photons, guard, precision.
        clipped: whether it gets to see the input cut to 0..1.
        strength: from 0, the input, to 1, the model's result.
    """

    model: ExposureDiffusion
    clipped: bool = False
    strength: float = 1.0

    @classmethod
    def read(cls, given: str) -> Learned:
        """Of FILE, FILE:4 for four steps, or FILE:4,drawn,clipped,bfloat16,guard=4,strength=0.8; in any order."""
        path, _, switches = given.partition(":")
        steps, photons, guard, precision, clipped, strength = 3, "mean", 0.0, "float32", False, 1.0
        for one in filter(None, switches.split(",")):
            name, _, value = one.partition("=")
            if name.isdigit():
                steps = int(name)
            elif name == "drawn":
                photons = name
            elif name == "clipped":
                clipped = True
            elif name == "bfloat16":
                precision = name
            elif name == "guard":
                guard = float(value)
            elif name == "strength":
                strength = float(value)
            else:
                raise SystemExit(f"got {one!r} in {given}; expected steps, drawn, clipped, bfloat16, guard=, strength=")
        return cls(ExposureDiffusion(steps, path, photons, guard, precision), clipped, strength)

    @property
    def version(self) -> str:
        """What tells these weights and switches from others."""
        model = self.model
        switches = (model.steps, model.photons, model.guard, model.precision, self.clipped, self.strength)
        return " ".join(map(str, (model.weights_used().split()[0], *switches)))

    def passes(self, ratio: float) -> int:
        """How often the network runs: at a ratio of 1 there is nothing to collect."""
        return self.model.steps if ratio > 1 else 1

    def __call__(self, batch: Batch) -> Tensor:
        """Clean planes (1, 4, h, w), 0 to 1."""
        noise = Noise(batch.shot.flatten(), batch.read.flatten(), torch.zeros(4))
        run = self.model.prepared(Given(noise, float(batch.ratio), seed=0))
        dim = batch.dim.clamp(0, 1) if self.clipped else batch.dim
        result = run(dim, torch.zeros(2, dtype=torch.long))
        return (dim + self.strength * (result - dim)).clamp(0, 1)
