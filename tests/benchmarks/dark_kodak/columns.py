"""Which camera, ISO and ratio, and what it makes of a picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rawpipe import Frame, NoiseModel, bayer
from rawpipe._published import ELD
from rawpipe.stages import RowNoise
from rawpipe.stages.enhance.training.batch import Batch, exposed
from rawpipe.stages.enhance.training.unprocess import sampled, typical, unprocess

CFA = "RGGB"
ISOS = (800, 3200)
RATIOS = (1, 4, 20, 100, 250, 300)
_FIRST = (100, 300)  # the ratios that the bar is at
_TUNING_SIDE = 256  # of the mosaic


@dataclass(frozen=True)
class Column:
    """One camera at one ISO, exposed `ratio` times shorter than it should."""

    camera: str
    iso: int
    ratio: int

    @property
    def name(self) -> str:
        return f"{self.camera} ISO {self.iso} x{self.ratio}"

    @property
    def model(self) -> NoiseModel:
        """With Tukey-lambda read noise, row noise and quantisation."""
        return NoiseModel.virtual(self.camera, iso=self.iso)


def columns() -> list[Column]:
    """All of them, those that the bar is at first."""
    order = (*_FIRST, *sorted(set(RATIOS) - set(_FIRST), reverse=True))
    return [Column(camera, iso, ratio) for ratio in order for iso in ISOS for camera in ELD]


@dataclass(frozen=True, eq=False)
class Exposed:
    """A picture (1, 4, h, w) as a column's camera exposed it."""

    column: Column
    batch: Batch

    @cached_property
    def model(self) -> NoiseModel:
        return self.column.model

    @cached_property
    def stable(self) -> tuple[NDArray[np.float32], NoiseModel]:
        """Planes (4, h, w) of noise with variance 1, rows removed, and the model that brings them back.

        The row noise that is left counts as read noise.
        """
        white, ratio = self.model.saturation_dn, self.column.ratio
        height, width = (2 * length for length in self.batch.dim.shape[-2:])
        counts = bayer.unpack(self.batch.dim[0] * white[:, None, None] / ratio, CFA, height, width)
        noisy = Frame.from_array(counts, CFA, white=white, noise=self.model.summary())
        quiet = RowNoise("picture", row_dn=float(self.model.row_sigma_dn))(noisy)
        assert quiet.noise is not None
        model = replace(self.model, read_sigma_dn=(self.model.read_sigma_dn**2 + quiet.noise.row**2).sqrt())
        return bayer.pack(model.vst(quiet.data, CFA), CFA).numpy(), model

    def restored(self, stable: NDArray[np.floating]) -> Tensor:
        """Planes (1, 4, h, w) at reference brightness, of stabilised ones that were cleaned."""
        planes, model = torch.from_numpy(np.ascontiguousarray(stable, np.float32)), self.stable[1]
        height, width = (2 * length for length in planes.shape[-2:])
        counts = bayer.pack(model.inverse_vst(bayer.unpack(planes, CFA, height, width), CFA), CFA)
        return (counts / model.saturation_dn[:, None, None] * self.column.ratio)[None]


def expose(name: str, clean: Tensor, column: Column) -> Exposed:
    """The same noise whenever a picture of this name is exposed so, whatever was exposed before."""
    seed = int.from_bytes(hashlib.sha256(f"{name} {column.name}".encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    return Exposed(column, exposed(clean, torch.tensor([float(column.ratio)]), column.model, generator))


def read_clean(path: Path, side: int | None = None) -> Tensor:
    """Packed planes (1, 4, h, w) that the mean camera saw of a picture, or of its middle `side` pixels."""
    with Image.open(path) as image:
        picture = torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0)[None] / 255
    if side is not None:
        top, left = ((length - side) // 2 for length in picture.shape[2:])
        picture = picture[..., top : top + side, left : left + side]
    return sampled(unprocess(picture, typical()))


def tuning_pictures(folders: list[Path], count: int = 8) -> dict[str, Tensor]:
    """The middles of `count` pictures, as many of each folder, evenly spaced in the order of their names."""
    found, each = {}, count // len(folders)
    for folder in folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".jpg", ".png"))
        for i in range(each):
            path = paths[int((i + 0.5) * len(paths) / each)]
            found[path.stem] = read_clean(path, _TUNING_SIDE)
    return found
