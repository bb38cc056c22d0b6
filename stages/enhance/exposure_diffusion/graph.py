"""ExposureDiffusion for embedding: the network and its steps as a graph of tensors."""

from __future__ import annotations

from torch import Tensor, nn

from rawpipe.export import Graph
from rawpipe.stages.enhance.exposure_diffusion.load import Loaded
from rawpipe.stages.enhance.exposure_diffusion.model import LEAST_SHOT, Light
from rawpipe.stages.enhance.exposure_diffusion.unet import UNet
from rawpipe.stages.enhance.exposure_diffusion.windows import side_of
from rawpipe.stages.enhance.graphs import NOISE_PORTS, OUTSIDE, clean_port, planes_port


class _Exposed(nn.Module):
    """The clean planes of dim ones, photons as expected.

    Args:
        loaded: the network.
        steps: passes of it.
    """

    def __init__(self, loaded: Loaded, steps: int) -> None:
        super().__init__()
        self.design, self.network, self.steps = loaded.design, loaded.module, steps

    def forward(self, planes: Tensor, shot: Tensor, read: Tensor, ratio: Tensor) -> Tensor:
        light = Light(shot[:, None, None].clamp(min=LEAST_SHOT), read[:, None, None])
        levels = [1 + (ratio - 1) * (step / self.steps) for step in range(self.steps + 1)]
        return self.design.exposed(self.network, planes, light, levels)


def graph_of(loaded: Loaded, steps: int) -> Graph:
    """The network of loaded weights, run for some steps."""
    side = side_of(loaded.design)
    size = ("h", "w") if side is None else (side, side)
    says = {"model": "exposure_diffusion", "weights": loaded.said, "steps": str(steps), "outside": OUTSIDE}
    if side is not None:
        says["windows"] = (
            f"the network pools over all it sees: cut windows of {side} x {side}, {side - 2 * (side // 8)} apart, and "
            f"leave out {side // 8} of each at every edge"
        )
    return Graph(
        _Exposed(loaded, steps),
        (planes_port(*size), *NOISE_PORTS),
        (clean_port(*size),),
        "ExposureDiffusion: packed RAW planes of a dim mosaic, well exposed and clean",
        multiple=UNet.stride if side is None else 1,
        says=says,
    )
