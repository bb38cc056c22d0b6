"""LPIPS: how far two pictures are apart for the eye, by the features of a network.

The weights don't come with rawpipe: they are read from a file, LPIPS version 0.1 on AlexNet, as NumPy's .npz.

References:
    Zhang, Isola, Efros, Shechtman and Wang (2018), The unreasonable effectiveness of deep features as a perceptual
    metric, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe._errors import FormatError, FrameError

_LEAST = 31  # pixels: below, the last layer has none
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_LAYERS = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))  # outputs, inputs, side
_STRIDES = (4, 1, 1, 1, 1)
_POOLED = (False, True, True, False, False)  # before the layer


@dataclass(frozen=True, eq=False)
class Lpips:
    """Distances between pictures: 0 for the same, about 0.1 hardly apart, 0.7 very different.

    Args:
        kernels: of AlexNet's five convolutions (outputs, inputs, side, side).
        biases: of the same (outputs).
        weights: what a squared difference of each feature counts (outputs), per layer.
    """

    kernels: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        shapes = [(tuple(k.shape), tuple(b.shape), tuple(w.shape)) for k, b, w in self._parts()]
        expected = [((out, into, side, side), (out,), (out,)) for out, into, side in _LAYERS]
        if shapes != expected:
            raise FormatError(f"got an LPIPS network of {shapes}; expected AlexNet's, {expected}")

    def _parts(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        return list(zip(self.kernels, self.biases, self.weights, strict=True))

    @classmethod
    def read(cls, path: str | Path) -> Lpips:
        """The network in an .npz with AlexNet_0/Conv_i/kernel, .../bias and NetLinLayer_i/Conv_0/kernel.

        Kernels lie as side, side, inputs, outputs.

        Raises:
            FormatError: there is no such file, or it holds something else.
        """
        count = range(len(_LAYERS))
        try:
            with np.load(path, allow_pickle=False) as file:
                kernels = [torch.from_numpy(file[f"AlexNet_0/Conv_{i}/kernel"]).float() for i in count]
                biases = [torch.from_numpy(file[f"AlexNet_0/Conv_{i}/bias"]).float() for i in count]
                weights = [torch.from_numpy(file[f"NetLinLayer_{i}/Conv_0/kernel"]).float() for i in count]
        except OSError as error:
            raise FormatError(f"got {path}, which can't be read: {error.strerror or error}") from error
        except (BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
            raise FormatError(f"got {path}, which holds no LPIPS weights; expected version 0.1 on AlexNet") from error
        laid = tuple(kernel.movedim((3, 2), (0, 1)).contiguous() for kernel in kernels)
        return cls(laid, tuple(biases), tuple(weight.flatten() for weight in weights))

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Of every layer the features, of length 1 at each place (n, outputs, h, w): half of a distance's work.

        Args:
            pictures: display-referred sRGB (n, 3, H, W) in 0..1, sides of at least 31 pixels.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3 or min(pictures.shape[2:]) < _LEAST:
            raise FrameError(f"got pictures {tuple(pictures.shape)}; expected (n, 3, H, W) of {_LEAST} pixels or more")
        shift, scale = (pictures.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        x, found = (2 * pictures - 1 - shift) / scale, []
        for (kernel, bias, _), stride, pooled in zip(self._parts(), _STRIDES, _POOLED, strict=True):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            padding = 2 if kernel.shape[-1] > 3 else 1
            x = F.conv2d(x, kernel.to(x), bias.to(x), stride, padding).relu()
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def apart(self, one: list[Tensor], two: list[Tensor]) -> Tensor:
        """Distances (n) of pictures whose features are known."""
        total = one[0].new_zeros(())
        for a, b, weight in zip(one, two, self.weights, strict=True):
            total = total + ((a - b).square() * weight.to(a)[:, None, None]).sum(1).mean((1, 2))
        return total

    def __call__(self, one: Tensor, two: Tensor) -> Tensor:
        """Distances (n) of display-referred sRGB pictures (n, 3, H, W) in 0..1."""
        return self.apart(self.features(one), self.features(two))
