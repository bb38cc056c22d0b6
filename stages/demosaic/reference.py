"""The methods of the colour-demosaicing library, on the CPU in float64: slow, and the yardstick for ours.

Its bilinear and Malvar borders repeat the edge pixel, which breaks the CFA phase: the outermost pixels are wrong.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def reference(mosaic: Tensor, cfa: str, method: str) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W), by colour-demosaicing's function of that method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports deprecated SciPy names, and misses matplotlib aloud
        import colour_demosaicing

        function = {
            "bilinear": colour_demosaicing.demosaicing_CFA_Bayer_bilinear,
            "malvar2004": colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004,
            "menon2007": colour_demosaicing.demosaicing_CFA_Bayer_Menon2007,
        }[method]
        flat = mosaic.detach().to("cpu", torch.float64).reshape(-1, *mosaic.shape[-2:])
        pictures = torch.stack([torch.from_numpy(function(one.numpy(), cfa)).movedim(-1, 0) for one in flat])
    return pictures.reshape(*mosaic.shape[:-2], 3, *mosaic.shape[-2:]).to(mosaic)
