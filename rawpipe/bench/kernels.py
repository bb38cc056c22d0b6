"""Lines about demosaicing without a pipeline: the stage alone, beside the torch reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rawpipe._frame import Frame, Space
from rawpipe.bench.measure import Line
from rawpipe.bench.picture import FLOATS, METHODS, counts_of
from rawpipe.stages import Demosaic
from rawpipe.stages.demosaic.malvar2004 import malvar2004
from rawpipe.stages.demosaic.menon2007 import menon2007

_STRIP = 64  # rows, which the cache holds


def alone(megapixels: float) -> Iterator[Line]:
    """From a linear mosaic to camera RGB in memory that was touched before, as a copy of the same bytes has it."""
    floats = counts_of(megapixels).float() / 16383
    frame, result = Frame.from_array(floats, "RGGB", space=Space.MOSAIC), torch.zeros(3, *floats.shape)
    yield Line(FLOATS, lambda: result.copy_(floats.expand_as(result)), megapixels)
    for method in METHODS:
        yield Line(f"{method}, stage alone", _called(Demosaic(method), frame), megapixels, FLOATS)
    for reference in (malvar2004, menon2007):
        yield Line(f"{reference.__name__}, torch in strips", _stripped(reference, floats), megapixels, FLOATS)


def _called(stage: Demosaic, frame: Frame) -> Callable[[], object]:
    return lambda: stage(frame)


def _stripped(reference: Callable[[Tensor, str], Tensor], mosaic: Tensor) -> Callable[[], object]:
    return lambda: [reference(mosaic[top : top + _STRIP], "RGGB") for top in range(0, len(mosaic), _STRIP)]
