"""Learned models from their weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawpipe.stages.enhance.exposure_diffusion.head import Estimate
from rawpipe.stages.enhance.exposure_diffusion.model import Design, Light
from rawpipe.stages.enhance.exposure_diffusion.process import expose, schedule
from rawpipe.stages.enhance.training.batch import Batch
from rawpipe.stages.enhance.weights import Weights

_GRID = 16  # packed pixels: the network halves its input four times


@dataclass(frozen=True, eq=False)
class Learned:
    """A network and how many steps it takes, in mean field.

    Args:
        design: what the network is shown, and what is made of its output.
        network: in evaluation mode.
        steps: passes of the network.
        version: what tells these weights from others.
    """

    design: Design
    network: nn.Module
    steps: int
    version: str

    @classmethod
    def read(cls, path: Path, steps: int) -> Learned:
        weights = Weights.read(path)
        design = Design(**weights.model)
        network = design.build()
        network.load_state_dict(dict(weights.tensors))
        network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(design, network, steps, f"{weights.sha256[:12]}:{steps}")

    def __call__(self, batch: Batch) -> Tensor:
        """Clean planes (1, 4, h, w), 0 to 1."""
        height, width = batch.dim.shape[-2:]
        dim = F.pad(batch.dim, (0, -width % _GRID, 0, -height % _GRID), mode="reflect")
        light = Light(batch.ratio, batch.shot, batch.read)

        def estimate(state: Tensor, multiplier: Tensor) -> Estimate:
            shown = self.design.channels(state, multiplier, dim, light)
            return self.design.estimate(self.network(shown.contiguous(memory_format=torch.channels_last)), state)

        multipliers = list(schedule(float(batch.ratio), self.steps).float())
        shot = batch.shot.clamp(min=1e-6)
        clean = expose(estimate, dim, shot, multipliers, markov=self.design.markov)[-1].clean
        return clean[..., :height, :width].clamp(0, 1)
