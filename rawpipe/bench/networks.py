"""Lines about networks: a bare pass of each, the stage around it, and the matrix product that both are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rawpipe._frame import Frame, Noise, Space
from rawpipe._heap import memory_kept
from rawpipe._pipeline import Pipeline
from rawpipe.bench.measure import CPU, Line
from rawpipe.bench.picture import size_of
from rawpipe.stages.enhance import Enhance, Enhancer, ExposureDiffusion, LLFlow
from rawpipe.stages.enhance.exposure_diffusion import load as exposing
from rawpipe.stages.enhance.llflow import load as flowing
from rawpipe.stages.enhance.loading import in_half

PEAKS = {torch.float32: "matrix product, float32", torch.bfloat16: "matrix product, bfloat16"}
_RATIO = 100.0
_LIGHT = 0.008  # of the brightest pixel: at the ratio no lamp, which would be passed through
_MOST = 25.0  # megapixels: memory of a bare network grows with all it sees, a flow takes minutes
_LARGER = 4  # the side of matrices on a GPU, which small ones don't fill
_COUNTED = 64  # rows and columns on which operations are counted, in proportion to the pixels


def networks(megapixels: float, side: int, device: torch.device = CPU) -> Iterator[Line]:
    """ExposureDiffusion with one step, and LLFlow on RAW.

    Args:
        megapixels: of the frame; bare networks, and LLFlow, only up to 25: memory of the one grows with all it sees,
            the other takes minutes.
        side: of the square matrices whose product shows what this machine can do; on a GPU they are larger.
        device: where they run.
    """
    types = [torch.float32] + ([torch.bfloat16] if in_half("auto", device) else [])
    for dtype in types:
        yield _product(side if device.type == "cpu" else _LARGER * side, dtype, device)
    small = megapixels <= _MOST
    held = exposing.loaded("default", device)
    flops = _counted(held.module, held.design.inputs, device)
    for dtype in types:
        if small:
            yield from _bare("ExposureDiffusion", held.module, held.design.inputs, flops, megapixels, dtype, device)
        stage = ExposureDiffusion(steps=1, precision=_name(dtype))
        yield _stage("ExposureDiffusion", stage, flops, megapixels, dtype, device)
    if not small:
        return
    flow = flowing.loaded("default", device).module
    flops = _counted(flow.estimate, flow.design.inputs, device)
    yield from _bare("LLFlow", flow.estimate, flow.design.inputs, flops, megapixels, torch.float32, device)
    yield _stage("LLFlow", LLFlow(), flops, megapixels, torch.float32, device)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _product(side: int, dtype: torch.dtype, device: torch.device) -> Line:
    """Of two square matrices."""
    one, other = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return Line(PEAKS[dtype], lambda: one @ other, side * side / 1e6, flops=2.0 * side**3)


def _bare(
    name: str,
    network: Callable[[Tensor], Tensor],
    inputs: int,
    flops: float,
    megapixels: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Iterator[Line]:
    """The network alone, its inputs made before; on a CPU once more with memory kept, as the stage runs it.

    `flops` are those of a packed pixel.
    """
    height, width = (length // 2 for length in size_of(megapixels))
    channels = torch.rand(1, inputs, height, width, device=device).contiguous(memory_format=torch.channels_last)

    def run(memory: Callable[[], AbstractContextManager[None]] = nullcontext) -> Tensor:
        mixed = dtype is torch.bfloat16
        with memory(), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            return network(channels)

    said, operations = f"{name}, bare network, {_name(dtype)}", flops * height * width
    yield Line(said, run, megapixels, flops=operations, peak=PEAKS[dtype])
    if device.type == "cpu":
        kept = f"{said}, memory kept"
        yield Line(kept, lambda: run(memory_kept), megapixels, said, operations, PEAKS[dtype], warm=True)


def _counted(network: Callable[[Tensor], Tensor], inputs: int, device: torch.device) -> float:
    """Operations for a packed pixel, counted on a small picture."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.rand(1, inputs, _COUNTED, _COUNTED, device=device))
    return float(counter.get_total_flops()) / _COUNTED**2


def _stage(
    name: str, model: Enhancer, flops: float, megapixels: float, dtype: torch.dtype, device: torch.device
) -> Line:
    """Enhance in a pipeline of its own, frame after frame: inputs, tiles, guard, the trial of the noise that is left.

    Operations are those of one bare pass: what halos and all else cost shows in the rate.
    """
    height, width = size_of(megapixels)
    noise = Noise(*(torch.full((4,), value) for value in (1e-4, 1e-3, 1e-4)))
    frame = Frame.from_array(_LIGHT * torch.rand(height, width), "RGGB", space=Space.MOSAIC, noise=noise).to(device)
    pipeline = Pipeline([Enhance(model, exposure=_RATIO)])

    def run() -> Frame:
        with torch.inference_mode():
            return pipeline.run(frame)

    said = _name(dtype)
    bare, operations = f"{name}, bare network, {said}", flops * height * width / 4
    return Line(f"{name}, stage, {said}", run, megapixels, bare, operations, PEAKS[dtype], warm=True)
