"""Demosaic: a mosaic becomes three planes of camera RGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Frame, Space, StageError, kernels
from rawpipe._errors import unknown
from rawpipe.stages.demosaic.bilinear import bilinear
from rawpipe.stages.demosaic.malvar2004 import malvar2004
from rawpipe.stages.demosaic.menon2007 import menon2007
from rawpipe.stages.demosaic.noise import weights_of
from rawpipe.stages.demosaic.reference import reference
from rawpipe.stages.demosaic.superpixel import superpixel

METHODS: Mapping[str, Callable[[Tensor, str], Tensor]] = {
    "bilinear": bilinear,
    "malvar2004": malvar2004,
    "menon2007": menon2007,
    "superpixel": superpixel,
}
_HALO = {"bilinear": 1, "malvar2004": 2, "menon2007": 12, "superpixel": None}
BACKENDS = ("torch", "colour-demosaicing")


@dataclass(frozen=True)
class Demosaic:
    """Camera RGB at every pixel, interpolated from the mosaic.

    Takes: MOSAIC, (..., H, W). Gives: CAMERA, (..., 3, H, W); "superpixel" gives (..., 3, H // 2, W // 2).

    Args:
        method: "bilinear", "malvar2004", "menon2007" or "superpixel".
        backend: "torch"; or "colour-demosaicing", that library's implementation on the CPU.

    Raises:
        StageError: no such method or backend, or a frame smaller than one Bayer cell.
    """

    method: str = "malvar2004"
    backend: str = "torch"
    _noise_weights: tuple[Tensor, Tensor] | None = field(default=None, repr=False, compare=False)

    takes = Space.MOSAIC
    gives = Space.CAMERA
    grid = 2
    sees_pixels = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise StageError(unknown("method", self.method, METHODS))
        if self.backend not in BACKENDS:
            raise StageError(unknown("backend", self.backend, BACKENDS))
        if self.backend != "torch" and self.method == "superpixel":
            raise StageError(
                "got method 'superpixel' for backend 'colour-demosaicing', which has none; use backend='torch'"
            )

    @property
    def halo(self) -> int | None:
        """Context that the method needs."""
        return _HALO[self.method] if self.backend == "torch" else None

    @property
    def working_bytes(self) -> int:
        """Per pixel beside input and result; the reference library works on many float64 planes of the whole frame."""
        if self.backend == "torch":
            return {"superpixel": 0, "menon2007": 200}.get(self.method, 100)
        return 250

    def measure(self, frame: Frame, /) -> Demosaic:
        """Get the method's noise weights ready on the frame's device."""
        return replace(self, _noise_weights=self._weights(frame))

    def _weights(self, frame: Frame) -> tuple[Tensor, Tensor]:
        weights, row_weights = weights_of(METHODS[self.method], self.method)
        return weights.to(frame.device), row_weights.to(frame.device)

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        known = self.backend == "torch" and self.method in kernels.METHODS
        return (kernels.Demosaic(self.method),) if known else None

    def banded(self, frame: Frame, /) -> bool:
        """Whether the kernels take the frame's pixels."""
        return self.lowered(frame) is not None and kernels.usable(frame.data)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        cfa, data = str(frame.cfa), frame.data
        if frame.height < 2 or frame.width < 2:
            raise StageError(f"got {frame.height}x{frame.width} pixels; expected at least one 2x2 Bayer cell")
        if self.backend == "torch":
            planes = kernels.demosaic(self.method, data, cfa, METHODS[self.method])
        else:
            planes = reference(data, cfa, self.method)
        noise = frame.noise
        if noise is not None:
            signal = frame.neutral * frame.wb
            noise = noise.mixed(*(self._noise_weights or self._weights(frame)), signal[[0, 1, 1, 2]], signal)
        halves = 2 if self.method == "superpixel" else 1
        return replace(
            frame,
            data=planes,
            space=Space.CAMERA,
            cfa=None,
            black=_colors(frame.black),
            white=_colors(frame.white),
            pedestal=_colors(frame.pedestal),
            noise=noise,
            origin=frame.origin if halves == 1 else torch.div(frame.origin, halves, rounding_mode="floor"),
        )


def _colors(sites: Tensor) -> Tensor:
    """R, G, B from R, Gr, Gb, B: the lower of the two greens, which clips first."""
    return torch.stack([sites[0], torch.minimum(sites[1], sites[2]), sites[3]])
