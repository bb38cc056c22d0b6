"""The adaptive residual head: a prediction of the picture and one of a residual, mixed by a learned mask.

References:
    Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, equation 12.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """What the head makes of a network's output.

    Args:
        clean: the picture (n, 4, h, w), 0 to 1.
        mask: share of the direct prediction (n, 1, h, w); None without the head.
        direct: the picture predicted directly, not clipped; None without the head.
        residual: the state plus the predicted residual, clipped; None without the head.
        raw_residual: the same, not clipped.
    """

    clean: Tensor
    mask: Tensor | None = None
    direct: Tensor | None = None
    residual: Tensor | None = None
    raw_residual: Tensor | None = None


def adaptive(output: Tensor, state: Tensor) -> Estimate:
    """M clip(X) + (1 - M) clip(R + x): M = sigmoid of channel 0, X channels 1 to 4, R channels 5 to 8.

    Args:
        output: of the network (n, 9, h, w).
        state: current picture x (n, 4, h, w).
    """
    mask, direct = output[:, :1].sigmoid(), output[:, 1:5]
    raw = output[:, 5:] + state
    residual = raw.clamp(0, 1)
    return Estimate(mask * direct.clamp(0, 1) + (1 - mask) * residual, mask, direct, residual, raw)


def plain(output: Tensor) -> Estimate:
    """The output itself (n, 4, h, w), clipped."""
    return Estimate(output.clamp(0, 1))
