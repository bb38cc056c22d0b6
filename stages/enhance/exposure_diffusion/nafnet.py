"""NAFNet: gates instead of activations, with the key names of published checkpoints.

References:
    Chen et al. (2022), Simple baselines for image restoration, section 3.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter, init

EPSILON = 1e-6


class NAFNet(nn.Module):
    """Planes (n, c, h, w) of any size in, planes (n, outputs, h, w) out.

    Every block pools over all it sees, so that a result depends on the size of the picture or window it runs on.

    Args:
        inputs: channels in.
        outputs: channels out.
        width: channels of the first level; every level below has twice as many.
        encoders: blocks of every level on the way down.
        middle: blocks at the bottom.
        decoders: blocks of every level on the way up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 16,
        encoders: tuple[int, ...] = (),
        middle: int = 1,
        decoders: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.stride = 2 ** len(encoders)
        self.intro = nn.Conv2d(inputs, width, 3, padding=1)
        self.ending = nn.Conv2d(width, outputs, 3, padding=1)
        sizes = [width * 2**level for level in range(len(encoders))]
        bottom = width * self.stride
        self.encoders = nn.ModuleList(_blocks(size, count) for size, count in zip(sizes, encoders, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in sizes)
        self.middle_blks = _blocks(bottom, middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * size, 4 * size, 1, bias=False), nn.PixelShuffle(2)) for size in sizes[::-1]
        )
        self.decoders = nn.ModuleList(_blocks(size, count) for size, count in zip(sizes[::-1], decoders, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Run; zeros fill up to a multiple of the stride at the bottom and right."""
        height, width = x.shape[-2:]
        x = self.intro(F.pad(x, (0, -width % self.stride, 0, -height % self.stride)))
        skips = []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.middle_blks(x)
        for up, blocks in zip(self.ups, self.decoders, strict=True):
            x = blocks(up(x) + skips.pop())
        result: Tensor = self.ending(x)
        return result[..., :height, :width]


def _blocks(size: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(size) for _ in range(count)))


class NAFBlock(nn.Module):
    """A depthwise part and a pointwise one, each normalised, gated and added to its input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.beta = Parameter(init.zeros_(Tensor(1, size, 1, 1)))
        self.gamma = Parameter(init.zeros_(Tensor(1, size, 1, 1)))
        self.conv1 = nn.Conv2d(size, 2 * size, 1)
        self.conv2 = nn.Conv2d(2 * size, 2 * size, 3, padding=1, groups=2 * size)
        self.conv3 = nn.Conv2d(size, size, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(size, size, 1))
        self.conv4 = nn.Conv2d(size, 2 * size, 1)
        self.conv5 = nn.Conv2d(size, size, 1)
        self.norm1, self.norm2 = ChannelNorm(size), ChannelNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        y = _gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.conv3(y * self.sca(y)) * self.beta
        result: Tensor = x + self.conv5(_gate(self.conv4(self.norm2(x)))) * self.gamma
        return result


class ChannelNorm(nn.Module):
    """Every pixel normalised over its channels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = Parameter(init.ones_(Tensor(size)))
        self.bias = Parameter(init.zeros_(Tensor(size)))

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        result: Tensor = (x - mean) / (variance + EPSILON).sqrt() * self.weight[:, None, None]
        return result + self.bias[:, None, None]


def _gate(x: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=1)
    return left * right
