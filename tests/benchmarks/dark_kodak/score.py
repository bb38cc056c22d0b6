"""How far a result is from the truth: packed, and developed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from rawpipe import Frame, Space, bayer
from rawpipe.colorimetry import CURVES
from rawpipe.lpips import Lpips
from rawpipe.metrics import delta_e_2000, lab
from rawpipe.stages import Demosaic
from rawpipe.stages.enhance.training.unprocess import typical

CFA, BORDER = "RGGB", 8
METRICS = {"psnr": "PSNR, dB", "ssim": "SSIM", "delta_e": "ΔE2000", "lpips": "LPIPS"}


def developed(planes: Tensor) -> Tensor:
    """Linear sRGB (3, H, W), 0 to 1, of packed planes (1, 4, h, w): what `unprocess` did to colours, undone."""
    matrix, gains = typical()
    height, width = (2 * length for length in planes.shape[-2:])
    balanced = (planes[0] * gains[0, [0, 1, 1, 2], None, None]).clamp(0, 1)
    mosaic = Frame.from_array(bayer.unpack(balanced, CFA, height, width), CFA, space=Space.MOSAIC)
    rgb = torch.einsum("ij,jhw->ihw", torch.linalg.inv(matrix[0]), Demosaic("malvar2004")(mosaic).data)
    return rgb[:, BORDER:-BORDER, BORDER:-BORDER].clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Truth:
    """A clean picture (1, 4, h, w), and what results are compared with.

    Args:
        clean: the picture.
        network: LPIPS; None = without.
    """

    clean: Tensor
    network: Lpips | None

    @cached_property
    def _lab(self) -> Tensor:
        return lab(developed(self.clean))

    @cached_property
    def _features(self) -> list[Tensor]:
        assert self.network is not None
        return self.network.features(_encoded(developed(self.clean)))

    def scores(self, result: Tensor) -> dict[str, float]:
        """Figures of a result (1, 4, h, w), 0 to 1."""
        linear = developed(result)
        planes = [one[0].double().numpy() for one in (result, self.clean)]
        found = {
            "psnr": float(-10 * (result - self.clean).double().square().mean().log10()),
            "ssim": float(structural_similarity(*planes, channel_axis=0, data_range=1.0, win_size=7)),
            "delta_e": float(delta_e_2000(lab(linear), self._lab).mean()),
        }
        if self.network is not None:
            found["lpips"] = float(self.network.apart(self.network.features(_encoded(linear)), self._features))
        return found


def _encoded(linear: Tensor) -> Tensor:
    return CURVES["srgb"].encode(linear)[None]
