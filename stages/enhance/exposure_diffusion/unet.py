"""UNet: the backbone of See in the Dark, with the key names of published checkpoints.

References:
    Chen et al. (2018), Learning to see in the dark, section 3.2.
    Ronneberger et al. (2015), U-Net: convolutional networks for biomedical image segmentation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 5


class UNet(nn.Module):
    """Planes (n, c, h, w) in, planes (n, outputs, h, w) out; h and w multiples of 16.

    Args:
        inputs: channels in.
        outputs: channels out.
        width: channels of the first level; every level below has twice as many.
    """

    stride = 16
    radius = 107
    """Pixels around a result pixel that it depends on."""

    def __init__(self, inputs: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(LEVELS)]
        for level, size in enumerate(sizes, 1):
            self._pair(level, inputs if level == 1 else size // 2, size)
        for step, size in enumerate(reversed(sizes[:-1]), LEVELS + 1):
            self.add_module(f"upv{step}", nn.ConvTranspose2d(2 * size, size, 2, stride=2))
            self._pair(step, 2 * size, size)
        self.conv10_1 = nn.Conv2d(width, outputs, 1)

    def _pair(self, step: int, inputs: int, outputs: int) -> None:
        self.add_module(f"conv{step}_1", nn.Conv2d(inputs, outputs, 3, padding=1))
        self.add_module(f"conv{step}_2", nn.Conv2d(outputs, outputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        skips = []
        for level in range(1, LEVELS + 1):
            x = self._convolved(level, x)
            if level < LEVELS:
                skips.append(x)
                x = F.max_pool2d(x, 2)
        for step in range(LEVELS + 1, 2 * LEVELS):
            up = self.get_submodule(f"upv{step}")(x)
            x = self._convolved(step, torch.cat([up, skips.pop()], 1))
        result: Tensor = self.conv10_1(x)
        return result

    def _convolved(self, step: int, x: Tensor) -> Tensor:
        for part in (1, 2):
            x = self.get_submodule(f"conv{step}_{part}")(x)
            x = F.leaky_relu(x, 0.2, inplace=True)  # x is ours, and fresh memory would take longer than the arithmetic
        return x
