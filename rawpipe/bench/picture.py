"""Lines about pictures: demosaicing and the way to sRGB, ours and peers', beside copies of the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from rawpipe._frame import Frame, Space
from rawpipe._pipeline import Pipeline
from rawpipe.bench.measure import CPU, Line
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    DefectPixels,
    Demosaic,
    Quantize,
    ToneCurve,
    WhiteBalance,
)

FLOATS, COUNTS, CODES = "copy float32 to float32", "copy uint16 to float32", "copy uint16 to uint16"
METHODS = ("bilinear", "malvar2004", "menon2007")
_MOST_OF_DOUBLES = 30.0  # megapixels: colour-demosaicing holds many planes of float64
_NEUTRAL = (0.45, 1.0, 0.62)


def size_of(megapixels: float) -> tuple[int, int]:
    """Height and width of 2 to 3, multiples of 32."""
    height = 32 * max(1, round((megapixels * 1e6 * 2 / 3) ** 0.5 / 32))
    return height, 32 * max(1, round(megapixels * 1e6 / height / 32))


def counts_of(megapixels: float, device: torch.device = CPU) -> Tensor:
    """A mosaic (h, w) of 14 bits, uint16: shapes, and noise."""
    height, width = size_of(megapixels)
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.linspace(0, 9, height)[:, None], torch.linspace(0, 9, width)
    light = 4000 + 3000 * rows.sin() * columns.cos()
    return (light + 60 * torch.randn(height, width, generator=generator)).clamp(0, 16383).to(torch.uint16).to(device)


def frame_of(counts: Tensor) -> Frame:
    """Counts with black, white, neutral and colours."""
    return Frame.from_array(counts, "RGGB", black=512, bits=14, neutral=_NEUTRAL, matrix="generic")


def demosaicing(megapixels: float, device: torch.device = CPU) -> Iterator[Line]:
    """From a linear mosaic to camera RGB; of peers, those that run on the device."""
    counts = counts_of(megapixels, device)
    floats = counts.float() / 16383
    frame = Frame.from_array(floats, "RGGB", space=Space.MOSAIC)
    yield Line(FLOATS, _copied(floats, torch.float32), megapixels)
    for method in METHODS:
        yield Line(f"rawpipe {method}", _run(Pipeline([Demosaic(method)]), frame), megapixels, FLOATS)
    yield Line(CODES, _copied(counts, torch.uint16), megapixels)
    on_cpu = device.type == "cpu"
    cv2, kornia = _found("cv2") if on_cpu else None, _found("kornia.color")
    if cv2 is not None:
        codes, kind = counts.numpy(), cv2.COLOR_BayerRGGB2RGB
        yield Line("OpenCV bilinear, uint16", lambda: cv2.demosaicing(codes, kind), megapixels, CODES)
    if kornia is not None:
        batch = floats[None, None]
        yield Line("kornia bilinear", lambda: kornia.raw_to_rgb(batch, kornia.CFA.BG), megapixels, FLOATS)
    peer = _found("colour_demosaicing") if on_cpu and megapixels <= _MOST_OF_DOUBLES else None
    if peer is not None:
        doubles = floats.double().numpy()
        for name in ("bilinear", "Malvar2004", "Menon2007"):
            work = getattr(peer, f"demosaicing_CFA_Bayer_{name}")
            yield Line(f"colour-demosaicing {name}", _called(work, doubles), megapixels, FLOATS)


def developing(megapixels: float, device: torch.device = CPU) -> Iterator[Line]:
    """From counts to sRGB, in float32 and as codes: black, white balance, highlights, Malvar, colour, curve."""
    counts = counts_of(megapixels, device)
    frame = frame_of(counts)
    pipeline = Pipeline([BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform(), ToneCurve()])
    yield Line(COUNTS, _copied(counts, torch.float32), megapixels)
    yield Line("rawpipe counts to sRGB", _run(pipeline, frame), megapixels, COUNTS)
    compiled = pipeline.compile()
    if device.type != "cpu" or getattr(compiled, "fuse", False):  # torch.compile there takes half a minute first
        yield Line("rawpipe counts to sRGB, compiled", _run(compiled, frame), megapixels, COUNTS)
        codes = Pipeline([*pipeline, Quantize()]).compile()
        yield Line(CODES, _copied(counts, torch.uint16), megapixels)
        yield Line("rawpipe counts to sRGB, uint16, compiled", _run(codes, frame), megapixels, CODES)
        mended = Pipeline([DefectPixels(), *codes]).compile()
        yield Line("the same with DefectPixels ahead", _run(mended, frame), megapixels, CODES)


def _copied(source: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """One plane read, three written, into memory that was touched before."""
    if source.dtype is torch.uint16:  # of 14 bits; torch copies the same bytes as int16 at twice the speed
        source = source.view(torch.int16)
    dtype = torch.int16 if dtype is torch.uint16 else dtype
    result = torch.zeros((3, *source.shape), dtype=dtype, device=source.device)
    return lambda: result.copy_(source.expand_as(result))


def _run(pipeline: Pipeline, frame: Frame) -> Callable[[], object]:
    return lambda: pipeline.run(frame)


def _called(work: Callable[..., object], mosaic: object) -> Callable[[], object]:
    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work(mosaic, "RGGB")

    return run


def _found(name: str) -> Any:
    """A peer, None if it isn't installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(name)
        except ImportError:
            return None
