"""LLFlow for embedding: encoder and inverse flow at the latent's mean as a graph of tensors, in both domains."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawpipe.export import Graph, Port
from rawpipe.stages.enhance.graphs import NOISE_PORTS, OUTSIDE, clean_port, planes_port
from rawpipe.stages.enhance.llflow.domains import shown_raw, to_display, to_linear
from rawpipe.stages.enhance.llflow.flow import STRIDE, Mixing
from rawpipe.stages.enhance.llflow.inputs import logarithm
from rawpipe.stages.enhance.llflow.load import Loaded
from rawpipe.stages.enhance.llflow.model import Network

_SIZE = ("h", "w")
_TOLERANCE = 1e-3  # some hundred layers, each divided by its scale: rounding adds up
_RGB_PORTS = (
    Port("picture", (1, 3, *_SIZE), "dim RGB behind a display's curve (sRGB), 0 to 1", 0.0, 0.3),
    Port(
        "equalised",
        (1, 3, *_SIZE),
        "the same with equal histograms of all of the picture, in 0 to 1: equalizeHist of OpenCV on each channel in 8 "
        "bits, divided by 255; of a tile, cut from that of the whole picture",
    ),
)
_BRIGHT = Port("bright", (1, 3, *_SIZE), "well-exposed RGB behind sRGB's curve, 0 to 1")
_RGB_OUTSIDE = (
    "padding to multiples by reflection without repeating the edge is left to the host; light that the likeliest "
    "picture lacks is a gain here, a way along the latent in the stage"
)


class _Unmixing(nn.Module):
    """The way back through a `Mixing`, its matrix inverted already: graphs have no such operation.

    Args:
        mixing: the way there.
    """

    matrix: Tensor
    log_det: Tensor

    def __init__(self, mixing: Mixing) -> None:
        super().__init__()
        inverse = torch.linalg.inv(mixing.weight.detach().cpu().double()).float()
        self.register_buffer("matrix", inverse[:, :, None, None])
        self.register_buffer("log_det", torch.zeros(()))  # nobody asks for it

    def inverse(self, z: Tensor) -> Tensor:
        return F.conv2d(z, self.matrix)


def _backwards(network: Network) -> Network:
    """A copy of the network that runs backwards only."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Mixing):
                setattr(module, name, _Unmixing(child))
    return network


class _OnRaw(nn.Module):
    """The likeliest planes of dim ones."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor, shot: Tensor, read: Tensor, ratio: Tensor) -> Tensor:
        dark = shown_raw(planes, shot[:, None, None], read[:, None, None], ratio)
        return to_linear(self.network.estimate(dark))


class _OnRgb(nn.Module):
    """The likeliest picture of a dim one."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, equalised: Tensor) -> Tensor:
        dark = torch.cat([logarithm(picture.clamp(0, 1)), equalised], 1)
        return to_display(self.network.design.light * to_linear(self.network.estimate(dark)))


def graph_of(loaded: Loaded) -> Graph:
    """The network of loaded weights at temperature 0."""
    network, raw = _backwards(loaded.module), loaded.design.domain == "raw"
    return Graph(
        _OnRaw(network) if raw else _OnRgb(network),
        (planes_port(*_SIZE), *NOISE_PORTS) if raw else _RGB_PORTS,
        (clean_port(*_SIZE) if raw else _BRIGHT,),
        f"LLFlow: the likeliest well-exposed {'planes of a dim mosaic, packed RAW' if raw else 'picture of a dim one'}",
        multiple=STRIDE,
        tolerance=_TOLERANCE,
        says={
            "model": "llflow",
            "domain": loaded.design.domain,
            "weights": loaded.said,
            "temperature": "0",
            "outside": OUTSIDE if raw else _RGB_OUTSIDE,
        },
    )
