"""Lines about networks: a bare pass of each, the stage around it, and the matrix product that both are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rawpipe._errors import FormatError
from rawpipe._frame import Frame, Noise, Space
from rawpipe._pipeline import Pipeline
from rawpipe.bench.measure import Line
from rawpipe.bench.picture import size_of
from rawpipe.stages.enhance import Enhance, Enhancer, ExposureDiffusion, LLFlow
from rawpipe.stages.enhance.exposure_diffusion import load as exposing
from rawpipe.stages.enhance.llflow import load as flowing
from rawpipe.stages.enhance.llflow.model import Design, Network

PEAK = "matrix product"
_CPU = torch.device("cpu")
_RATIO = 100.0
_MOST_BARE = 1.0  # megapixels: memory of a bare flow grows with all it sees
_COUNTED = 64  # rows and columns on which operations are counted, in proportion to the pixels


def matrix_product(side: int) -> Line:
    """A square product in float32."""
    one, other = torch.rand(side, side), torch.rand(side, side)
    return Line(PEAK, lambda: one @ other, side * side / 1e6, flops=2.0 * side**3)


def networks(megapixels: float) -> Iterator[Line]:
    """ExposureDiffusion with one step, and LLFlow on RAW; without weights that come along, a fresh network alone."""
    held = exposing.loaded("default", _CPU)
    name = "ExposureDiffusion"
    yield _bare(name, held.module, held.design.inputs, megapixels)
    yield _stage(name, ExposureDiffusion(steps=1), megapixels)
    try:
        flow, stage = flowing.loaded("default", _CPU).module, True
    except FormatError:
        flow, stage = Design("raw").build().requires_grad_(False).eval(), False
        flow = flow.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    small = min(megapixels, _MOST_BARE)
    yield _bare("LLFlow", _Likeliest(flow), flow.design.inputs, small)
    if stage:
        yield _stage("LLFlow", LLFlow(), small)


class _Likeliest(nn.Module):
    """A flow's pass from inputs to the likeliest planes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, dark: Tensor) -> Tensor:
        return self.network.estimate(dark)


def _bare(name: str, module: nn.Module, inputs: int, megapixels: float) -> Line:
    """The network alone, its inputs made before."""
    height, width = (length // 2 for length in size_of(megapixels))
    channels = torch.rand(1, inputs, height, width).contiguous(memory_format=torch.channels_last)
    flops = _counted(module, inputs) * height * width / _COUNTED**2

    def run() -> Tensor:
        with torch.inference_mode():
            found: Tensor = module(channels)
        return found

    return Line(f"{name}, bare network", run, megapixels, flops=flops)


def _counted(module: nn.Module, inputs: int) -> float:
    """Operations on a small picture."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.rand(1, inputs, _COUNTED, _COUNTED))
    return float(counter.get_total_flops())


def _stage(name: str, model: Enhancer, megapixels: float) -> Line:
    """Enhance in a pipeline of its own: inputs, tiles, guard, and the trial of the noise that is left."""
    noise = Noise(*(torch.full((4,), value) for value in (1e-4, 1e-3, 1e-4)))
    mosaic = 0.01 * torch.rand(size_of(megapixels))
    frame = replace(Frame.from_array(mosaic, "RGGB", space=Space.MOSAIC), noise=noise)
    pipeline = Pipeline([Enhance(model, exposure=_RATIO)])

    def run() -> Frame:
        with torch.inference_mode():
            return pipeline.run(frame)

    work: Callable[[], object] = run
    return Line(f"{name}, stage", work, megapixels, f"{name}, bare network")
