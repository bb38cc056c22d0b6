"""A published checkpoint in the process of the published code, which is shown the clean picture: to reproduce figures.

References:
    Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawpipe.metrics import brightness_matched
from rawpipe.stages.enhance.exposure_diffusion.head import Estimate
from rawpipe.stages.enhance.exposure_diffusion.load import built, design_of, network_in
from rawpipe.stages.enhance.exposure_diffusion.model import Design, Light
from rawpipe.stages.enhance.exposure_diffusion.process import PHOTON_UNIT, expose, sampled, schedule

_MULTIPLE = 16


@dataclass(frozen=True, eq=False)
class PublishedProcess:
    """Planes R, G1, B, G2 (4, h, w) as published: photons are drawn, and every estimate is scaled by the clean picture.

    What a camera gives has no clean picture beside it, so this is for tests only: `ExposureDiffusion` does without.

    Args:
        weights: a published checkpoint (.pt, .pth).
        steps: passes of the network.
        seed: of the photons; the same for every picture.
        device: where it runs.
    """

    weights: Path
    steps: int = 3
    seed: int = 0
    device: str = "cpu"

    def __call__(self, dim: Tensor, truth: Tensor, ratio: float, gain_dn_per_e: float) -> Tensor:
        """The result, in 0..1.

        Args:
            dim: the input in 0..1, multiplied by the ratio and cut.
            truth: the clean picture.
            ratio: of the exposures; its fraction is dropped.
            gain_dn_per_e: published gain of the camera at the input's ISO.
        """
        design, module = self._network
        whole = float(int(ratio))
        dim, truth = (planes[None].float().to(self.device) for planes in (dim, truth))
        shot = torch.full((1, 1, 1, 1), whole * gain_dn_per_e / PHOTON_UNIT, device=dim.device)
        light = Light(shot, torch.zeros_like(shot))

        def estimate(state: Tensor, multiplier: Tensor) -> Estimate:
            channels = design.channels(state, multiplier, dim, light)
            return design.estimate(_padded(module, channels), state)

        levels = [torch.full_like(shot, level) for level in schedule(whole, self.steps).tolist()]
        draw = sampled(torch.Generator(dim.device).manual_seed(self.seed))
        return expose(
            estimate, dim, shot, levels, draw, corrected=lambda clean: brightness_matched(clean, truth), keep=False
        )[-1].clean[0]

    @property
    def weights_used(self) -> str:
        """Hash and name of the checkpoint."""
        return f"{hashlib.sha256(self.weights.read_bytes()).hexdigest()[:12]} {self.weights.name}"

    @cached_property
    def _network(self) -> tuple[Design, nn.Module]:
        tensors = network_in(self.weights)
        design = design_of(tensors, self.weights)
        return design, built(design, tensors, self.weights).to(self.device)


def _padded(module: Callable[[Tensor], Tensor], channels: Tensor) -> Tensor:
    """The network on channels mirrored to the next multiple of 16, all around, even where they are one."""
    height, width = channels.shape[-2:]
    down, across = (_MULTIPLE - length % _MULTIPLE for length in (height, width))
    top, left = down // 2, across // 2
    wide = F.pad(channels, (left, across - left, top, down - top), mode="reflect")
    return module(wide)[..., top : top + height, left : left + width]
