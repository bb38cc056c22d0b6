"""Classical: a variance-stabilising transform, and scikit-image's non-local means on the packed mosaic.

Non-local means replaces a pixel by the mean of the pixels around whose patches look like its own. The patches run
through all four planes at once, which is the same for any rotation of colours: decorrelating them first changes
nothing.

References:
    Buades, Coll and Morel (2005), A non-local algorithm for image denoising.
    Darbon et al. (2008), Fast nonlocal filtering applied to electron cryomicroscopy (the implementation).
    Mäkitalo and Foi (2013), Optimal inversion of the generalized Anscombe transformation for Poisson-Gaussian noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from rawpipe import NoiseModel, StageError, bayer
from rawpipe.stages.enhance.enhancer import Given, Run

_LEAST_GAIN = 1e-4  # of sigma: with less shot noise than that the transform runs out of digits
_PHASE = "RGGB"  # of planes laid out as a mosaic


@dataclass(frozen=True)
class Classical:
    """Non-local means where the noise has variance 1, on the CPU, without gradients.

    Row noise counts as read noise: what is left of it is treated as if pixels had it each for themselves.

    Args:
        h: how unlike patches may be, in standard deviations of the noise; more is smoother.
        patch: side of a patch in packed pixels, odd.
        distance: how far patches are looked for, in packed pixels.

    Raises:
        StageError: scikit-image isn't installed.
    """

    h: float = 0.6
    patch: int = 3
    distance: int = 6

    grid = 1
    working_bytes = 200

    def __post_init__(self) -> None:
        if not (isinstance(self.h, int | float) and 0 < self.h < 100):
            raise StageError(f"got h {self.h!r}; expected standard deviations of the noise, above 0")
        if not (type(self.patch) is int and self.patch > 0 and self.patch % 2):
            raise StageError(f"got patch {self.patch!r}; expected an odd number of pixels")
        if not (type(self.distance) is int and 0 < self.distance < 100):
            raise StageError(f"got distance {self.distance!r}; expected a number of pixels from 1 to 99")

    @property
    def halo(self) -> int:
        """From the pixel to the edge of the farthest patch."""
        return self.distance + self.patch // 2

    def prepared(self, given: Given) -> Run:
        """The transform for this noise around the denoiser."""
        if find_spec("skimage") is None:
            raise StageError(
                'Enhance("classical") needs scikit-image, which isn\'t installed: pip install "rawpipe-isp[classical]"'
            )
        noise = given.noise
        sigma = (noise.read**2 + noise.row**2).sqrt()
        gain = torch.maximum(noise.shot, _LEAST_GAIN * sigma).clamp(min=1e-12)
        model = NoiseModel(gain_dn_per_e=gain, read_sigma_dn=sigma)

        def run(planes: Tensor, _: Tensor) -> Tensor:
            height, width = (2 * length for length in planes.shape[-2:])
            stable = bayer.pack(model.vst(bayer.unpack(planes, _PHASE, height, width), _PHASE), _PHASE)
            clean = non_local_means(stable, self.h, self.patch, self.distance)
            return bayer.pack(model.inverse_vst(bayer.unpack(clean, _PHASE, height, width), _PHASE), _PHASE)

        return run


@torch.library.custom_op("rawpipe::non_local_means", mutates_args=())  # so that a compiled pipeline can call it
def non_local_means(planes: Tensor, h: float, patch: int, distance: int) -> Tensor:
    """Planes (..., 4, h, w) of noise with variance 1, cleaned together. In float64: its sums run over whole planes."""
    from skimage.restoration import denoise_nl_means

    flat = planes.detach().cpu().to(torch.float64).reshape(-1, *planes.shape[-3:]).numpy()
    clean = [
        denoise_nl_means(one, patch_size=patch, patch_distance=distance, h=h, sigma=1.0, channel_axis=0) for one in flat
    ]
    return torch.from_numpy(np.stack(clean)).reshape(planes.shape).to(planes)


@non_local_means.register_fake
def _(planes: Tensor, h: float, patch: int, distance: int) -> Tensor:
    return torch.empty_like(planes)
