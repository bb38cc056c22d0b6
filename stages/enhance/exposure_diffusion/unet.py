"""UNet: the backbone of See in the Dark, with the key names of published checkpoints.

References:
    Chen et al. (2018), Learning to see in the dark, section 3.2.
    Ronneberger et al. (2015), U-Net: convolutional networks for biomedical image segmentation.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawpipe import FormatError

LEVELS = 5
_JOINED = tuple(f"conv{step}_1.weight" for step in range(LEVELS + 1, 2 * LEVELS))


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

    def widened(self, narrow: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a narrower one, with this one's own for what is new: it gives what that one gave.

        New channels are computed, from all there are, but nothing old takes them yet (as Chen et al. 2016, Net2Net).

        Raises:
            FormatError: they aren't those of a narrower one.
        """
        own = self.state_dict()
        fits = own.keys() == narrow.keys() and all(
            value.ndim == narrow[name].ndim
            and all(a >= b for a, b in zip(value.shape, narrow[name].shape, strict=True))
            for name, value in own.items()
        )
        if not fits:
            raise FormatError(
                "got weights to start from that are of another network; expected those of a UNet as wide, or narrower"
            )
        result = {name: value.detach().clone() for name, value in own.items()}
        for name, value in result.items():
            across = name.startswith("upv") and value.ndim > 1  # which has inputs first
            wide, old = (one.transpose(0, 1) if across else one for one in (value, narrow[name]))
            if wide.ndim == 1:
                wide[: len(old)] = old
                continue
            wide[: len(old)] = 0
            joined = 2 if name in _JOINED else 1  # what comes from below, and what was skipped
            for part, one in zip(wide.chunk(joined, 1), old.chunk(joined, 1), strict=True):
                part[: len(old), : one.shape[1]] = one
        return result

    def _convolved(self, step: int, x: Tensor) -> Tensor:
        for part in (1, 2):
            x = self.get_submodule(f"conv{step}_{part}")(x)
            x = F.leaky_relu(x, 0.2, inplace=True)  # x is ours, and fresh memory would take longer than the arithmetic
        return x
