"""The network on pictures of any size."""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe.stages.enhance.exposure_diffusion.load import Loaded
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.exposure_diffusion.unet import UNet

_SIDE = 64  # of the windows of a network that pools, where the weights don't say what it learned on
_AT_ONCE = 8


def side_of(design: Design) -> int | None:
    """Packed pixels along a window, for a network that pools over all it sees; None for others."""
    return design.window or _SIDE if design.pools else None


class Network:
    """A loaded network: channels (n, c, h, w) of any size in, output planes of the same size out.

    A UNet runs on the whole picture, mirrored at the bottom and right up to a multiple of its stride. A network that
    pools over all it sees is run on windows as large as the patches that it learned on, so that tiles agree: they
    overlap by a quarter, and the middle of each counts.

    Args:
        loaded: the network.
        mixed: whether it computes in bfloat16.
    """

    def __init__(self, loaded: Loaded, mixed: bool = False) -> None:
        self.design, self.module, self.mixed = loaded.design, loaded.module, mixed
        self.side = side_of(self.design)

    @property
    def grid(self) -> int:
        """Shifting the picture by a multiple of this shifts the result."""
        return UNet.stride if self.side is None else self.side - 2 * (self.side // 8)

    @property
    def reach(self) -> int:
        """Pixels around a result pixel that it depends on."""
        return UNet.radius if self.side is None else self.side

    def __call__(self, channels: Tensor) -> Tensor:
        """Run."""
        height, width = channels.shape[-2:]
        if self.side is None:
            padded = bayer.extended(bayer.extended(channels, 0, -height % self.grid, -2), 0, -width % self.grid, -1)
            return self._run(padded)[..., :height, :width]
        margin, step = self.side // 8, self.grid
        down, across = (-(-length // step) for length in (height, width))
        padded = bayer.extended(channels, margin, down * step - height + margin, -2)
        padded = bayer.extended(padded, margin, across * step - width + margin, -1)
        windows = padded.unfold(2, self.side, step).unfold(3, self.side, step)  # (n, c, down, across, side, side)
        batch = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels.shape[1], self.side, self.side)
        middle = slice(margin, margin + step)
        done = torch.cat([self._run(part)[..., middle, middle] for part in torch.split(batch, _AT_ONCE)])
        done = done.reshape(len(channels), down, across, -1, step, step).permute(0, 3, 1, 4, 2, 5)
        return done.reshape(len(channels), -1, down * step, across * step)[..., :height, :width]

    def laid_out(self, channels: Tensor) -> Tensor:
        """In the precision, and the order in memory, that convolutions want."""
        dtype = torch.bfloat16 if self.mixed else channels.dtype
        return channels.to(dtype, memory_format=torch.channels_last)

    def _run(self, channels: Tensor) -> Tensor:
        with torch.autocast(channels.device.type, torch.bfloat16, enabled=self.mixed):
            output: Tensor = self.module(self.laid_out(channels))
        return output
