"""The training loss: every step's estimate and both of its parts against the clean picture.

References:
    Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rawpipe.stages.enhance.exposure_diffusion.head import Estimate


class StepWeights(nn.Module):
    """Weights of the steps: learned for all but the last, which takes what they leave of 1."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.full((steps - 1,), 1 / steps))

    def forward(self) -> Tensor:
        """The weights (steps)."""
        free = self.free.clamp(0, 1)
        return torch.cat([free, 1 - free.sum(0, keepdim=True)])


def exposure_loss(estimates: Sequence[Estimate], clean: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum over steps of |y - clean| + |X - clean| M + |clip(R + x) - clean| (1 - M), each averaged."""
    return (torch.stack([step_loss(one, clean) for one in estimates]) * weights).sum()


def step_loss(estimate: Estimate, clean: Tensor) -> Tensor:
    """The loss of one step."""
    return (estimate.clean - clean).abs().mean() + parts_loss(estimate, clean)


def parts_loss(estimate: Estimate, clean: Tensor) -> Tensor:
    """The head's two predictions, each where the mask trusts it; 0 without a head."""
    mask, direct, residual = estimate.mask, estimate.direct, estimate.residual
    if mask is None or direct is None or residual is None:
        return clean.new_zeros(())
    return ((direct - clean).abs() * mask + (residual - clean).abs() * (1 - mask)).mean()


def poisson_divergence(estimate: Tensor, clean: Tensor, least: float = 0.2) -> Tensor:
    """The published `--loss kl`: p ln(p / q) + q - p where both are at least 0.2, |p - q| elsewhere, averaged.

    Here p is the estimate and q the clean picture, so it is the divergence of Poisson means from p to q.
    """
    bright = (clean >= least) & (estimate >= least)
    p, q = torch.where(bright, estimate, 1.0), torch.where(bright, clean, 1.0)
    return torch.where(bright, p * (p / q).log() + q - p, (estimate - clean).abs()).mean()
