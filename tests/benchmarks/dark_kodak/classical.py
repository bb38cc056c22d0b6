"""Classical denoisers of stabilised planes, and the search for their best strength on other pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pywt
import torch
from columns import Column, Exposed, expose
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means
from torch import Tensor

Planes = NDArray[np.floating]
Settings = Mapping[str, Any]
_LEVELS, _MARGIN = 5, 16
_MOST = 12  # strengths tried in one direction before giving up


def nlm(planes: Planes, strength: float, patch: int, distance: int) -> Planes:
    """Non-local means over all planes at once."""
    options = {"patch_size": patch, "patch_distance": distance, "h": strength, "sigma": 1.0}
    clean: Planes = denoise_nl_means(planes.astype(np.float64), **options, channel_axis=0)
    return clean


def wavelet(planes: Planes, strength: float) -> Planes:
    """BayesShrink of the principal planes' undecimated wavelets: the mean over all shifts.

    References:
        Chang, Yu and Vetterli (2000), Adaptive wavelet thresholding for image denoising and compression.
        Coifman and Donoho (1995), Translation-invariant de-noising.
    """
    axes = np.linalg.eigh(np.cov(planes.reshape(4, -1)))[1].T.astype(planes.dtype)
    rotated = np.tensordot(axes, planes, 1)
    height, width = planes.shape[1:]
    ends = [(_MARGIN, _MARGIN + -(length + 2 * _MARGIN) % 2**_LEVELS) for length in (height, width)]
    scales = pywt.swt2(np.pad(rotated, ((0, 0), *ends), "reflect"), "db2", _LEVELS, axes=(1, 2), norm=True)
    shrunk = []
    for i, (coarse, details) in enumerate(scales):
        variance = (strength * 2.0 ** (i - _LEVELS)) ** 2  # of white noise at this scale, the coarsest first
        shrunk.append((coarse, tuple(_shrunk(detail, variance) for detail in details)))
    inner = (slice(None), slice(_MARGIN, _MARGIN + height), slice(_MARGIN, _MARGIN + width))
    return np.tensordot(axes.T, pywt.iswt2(shrunk, "db2", norm=True, axes=(1, 2))[inner], 1)


def _shrunk(detail: Planes, variance: float) -> Planes:
    signal = np.maximum(np.square(detail).mean((1, 2), keepdims=True) - variance, 1e-10)
    shrunk: Planes = np.sign(detail) * np.maximum(np.abs(detail) - variance / np.sqrt(signal), 0)
    return shrunk


METHODS: dict[str, Callable[..., Planes]] = {"nlm": nlm, "wavelet": wavelet}
# First strengths, log-spaced, and the settings that are tried with each.
_GRIDS: dict[str, tuple[tuple[float, ...], list[dict[str, int]]]] = {
    "nlm": (
        tuple(0.6 * 2 ** (i / 3) for i in range(-2, 3)),
        [{"patch": patch, "distance": distance} for patch in (3, 5) for distance in (6, 10)],
    ),
    "wavelet": (tuple(2 ** (i / 12) for i in range(-2, 3)), [{}]),  # a sharp optimum
}


def cleaned(method: str, dim: Exposed, settings: Settings) -> Tensor:
    """Planes (1, 4, h, w) at reference brightness, 0 to 1."""
    return dim.restored(METHODS[method](dim.stable[0], **settings)).clamp(0, 1)


class Tuning:
    """The best settings of each method in each column: those of the highest mean PSNR on the tuning pictures.

    Args:
        file: of JSON lines, to which what was found is added.
        pictures: clean planes by name; without any, only what the file holds is known.
    """

    def __init__(self, file: Path, pictures: Mapping[str, Tensor]) -> None:
        self.file, self.pictures = file, pictures
        lines = file.read_text().splitlines() if file.is_file() else []
        self.found: dict[tuple[str, str], Settings] = {
            (one["method"], one["column"]): one["settings"] for one in map(json.loads, lines)
        }

    def settings(self, method: str, column: Column) -> Settings:
        """Look them up, or search."""
        key = method, column.name
        if key not in self.found:
            if not self.pictures:
                raise SystemExit(f"got no strength of {method} for {column.name}; tune it: --tune <folder> <folder>")
            self.found[key] = self._search(method, column)
        return self.found[key]

    def _search(self, method: str, column: Column) -> Settings:
        dims = [(expose(name, clean, column), clean) for name, clean in self.pictures.items()]

        def tried(settings: Settings) -> float:
            errors = [(cleaned(method, dim, settings) - clean).square().mean().log10() for dim, clean in dims]
            return float(-10 * torch.stack(errors).mean())

        strengths, kinds = _GRIDS[method]
        results = [_climbed(tried, strengths, kind) for kind in kinds]
        psnr, settings, inside = max(results, key=lambda one: one[0])
        line = {"method": method, "column": column.name, "settings": settings, "psnr": psnr, "inside": inside}
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return settings


def _climbed(
    tried: Callable[[Settings], float], strengths: tuple[float, ...], kind: dict[str, int]
) -> tuple[float, dict[str, Any], bool]:
    """PSNR and settings of the best strength; the grid goes on where the best is at its edge."""
    step = strengths[1] / strengths[0]
    found = {strength: tried({"strength": strength, **kind}) for strength in strengths}
    for _ in range(_MOST):
        best = max(found, key=lambda one: found[one])
        if min(found) < best < max(found):
            break
        beyond = best * step if best == max(found) else best / step
        found[beyond] = tried({"strength": beyond, **kind})
    best = max(found, key=lambda one: found[one])
    return found[best], {"strength": round(best, 4), **kind}, min(found) < best < max(found)
