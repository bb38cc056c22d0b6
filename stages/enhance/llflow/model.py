"""The model: an encoder and a flow, for RGB pictures as published, or for packed RAW planes.

References:
    Wang et al. (2022), Low-light image enhancement with normalizing flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawpipe import StageError
from rawpipe.stages.enhance.llflow.encoder import Conditions, Encoder
from rawpipe.stages.enhance.llflow.flow import STRIDE, Flow, Mapped, following_data
from rawpipe.stages.enhance.llflow.inputs import color_map, noise_map

DOMAINS = {"rgb": 3, "raw": 4}
"""What pictures it takes, and their channels."""

_SIZES = {"small": (32, 4, 4, (1,)), "large": (64, 24, 12, (1, 3, 5, 7))}


@dataclass(frozen=True)
class Design:
    """Which network.

    Args:
        domain: "rgb", display-referred pictures as published, or "raw", packed planes at the reference brightness.
        size: "small" or "large", the published ones.
        prior: whether the latent's mean is the colour map, or 0.
        light: how many times as much light as the likeliest picture a result gets, on RGB: at the end of a training it
            is measured on the pictures that were learned from; 1 = none more, as published.

    Raises:
        StageError: a word isn't known, or light isn't a number above 0.
    """

    domain: str = "raw"
    size: str = "small"
    prior: bool = True
    light: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.light < math.inf:
            raise StageError(f"got light {self.light!r}; expected a number above 0")
        for name, known in (("domain", DOMAINS), ("size", _SIZES)):
            if getattr(self, name) not in known:
                raise StageError(f"got {name} {getattr(self, name)!r}; expected {' or '.join(known)}")

    @property
    def channels(self) -> int:
        """Of a picture."""
        return DOMAINS[self.domain]

    @property
    def inputs(self) -> int:
        """Channels that `Network.conditions` takes: for RGB the logarithm and the equalised picture; for RAW the
        logarithm, the linear planes, the deviation of their noise and the logarithm of the exposure ratio.
        """
        return 2 * self.channels if self.domain == "rgb" else 3 * self.channels + 1

    def mean(self, colors: Tensor) -> Tensor:
        """Mean of the latent for a colour map (n, c, h, w): its cells of 8x8 as channels 64 c + 8 y + x, or 0."""
        latent = F.pixel_unshuffle(colors, STRIDE)
        return latent if self.prior else torch.zeros_like(latent)

    def build(self) -> Network:
        """The network, with fresh weights."""
        return Network(self)


class Encoded(NamedTuple):
    """A well-exposed picture as the flow sees it beside a dark one.

    Args:
        latent: (n, 64 c, h / 8, w / 8).
        log_det: of the map from picture to latent (n).
        colors: colour map that the encoder expects (n, c, h, w).
    """

    latent: Tensor
    log_det: Tensor
    colors: Tensor


class Network(nn.Module):
    """Encoder and flow; `forward` is the way from a picture to its latent.

    Args:
        design: which one.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        width, blocks, steps, shown = _SIZES[design.size]
        self.design = design
        self.RRDB = Encoder(design.inputs + 2 * design.channels, design.channels, width, blocks, shown)
        self.flowUpsamplerNet = Flow(design.channels, width * (1 + len(shown)), steps)

    def conditions(self, dark: Tensor) -> Conditions:
        """Of a dark picture, as `Design.inputs` says (n, inputs, h, w), its logarithm first; h and w multiples of 8."""
        colors = color_map(dark[:, : self.design.channels].exp())
        found: Conditions = self.RRDB(torch.cat([dark, colors, noise_map(colors)], 1))
        return found._replace(colors=found.colors.to(dark.dtype))

    def forward(self, dark: Tensor, picture: Tensor) -> Encoded:
        """The latent of a picture (n, c, h, w) beside a dark one."""
        conditions = self.conditions(dark)
        return Encoded(*self.encode(picture, conditions), conditions.colors)

    def encode(self, picture: Tensor, conditions: Conditions) -> Mapped:
        """The latent of a picture, and the logarithm of this direction's determinant."""
        found: Mapped = self.flowUpsamplerNet(picture, conditions.levels)
        return found

    def decode(self, latent: Tensor, conditions: Conditions) -> Mapped:
        """The picture of a latent, not clipped, and the logarithm of this direction's determinant."""
        found: Mapped = self.flowUpsamplerNet.inverse(latent, conditions.levels)
        return found

    def estimate(self, dark: Tensor) -> Tensor:
        """The picture at the latent's mean, the likeliest one, not clipped."""
        conditions = self.conditions(dark)
        return self.decode(self.design.mean(conditions.colors), conditions).value

    def initialise(self, dark: Tensor, picture: Tensor) -> None:
        """Let all normalisations follow this data: results of mean 0 and deviation 1, before the training."""
        with torch.no_grad(), following_data(self):
            self(dark, picture)


def bits_per_pixel(latent: Tensor, log_det: Tensor, mean: Tensor, pixels: int) -> Tensor:
    """Negative logarithm, to base 2, of the density of a picture, per pixel (n).

    Args:
        latent: (n, c, h, w).
        log_det: (n).
        mean: of the latent, whose deviation is 1.
        pixels: of the picture, h w.
    """
    normal = (latent - mean).square().sum((1, 2, 3)) + math.log(2 * math.pi) * latent[0].numel()
    return (normal / 2 - log_det) / (math.log(2) * pixels)
