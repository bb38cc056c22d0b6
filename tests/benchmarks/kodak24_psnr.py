"""PSNR of the demosaicing methods on Kodak24 as a Markdown table: `python tests/benchmarks/kodak24_psnr.py <folder>`.

Each picture is sampled as RGGB, demosaiced in float64, clipped to 0..1, and compared without its eight outermost
pixels; the error is averaged over the three channels. The folder holds kodim01.png ... kodim24.png; without an
argument it is $RAWPIPE_DATA/kodak24.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rawpipe import Frame, Space, bayer
from rawpipe.stages import Demosaic

BORDER = 8
CFA = "RGGB"
METHODS = ("bilinear", "malvar2004", "menon2007")
BACKENDS = ("torch", "colour-demosaicing")


def by_us(method: str, backend: str) -> Callable[[Tensor], Tensor]:
    stage = Demosaic(method, backend)
    return lambda mosaic: stage(Frame.from_array(mosaic, CFA, space=Space.MOSAIC)).data


def by_opencv_vng(mosaic: Tensor) -> Tensor:
    """OpenCV's VNG, which takes eight bits only; it names a phase by its second row."""
    import cv2

    counts = (mosaic * 255).round().byte().numpy()
    return torch.from_numpy(cv2.cvtColor(counts, cv2.COLOR_BayerBG2RGB_VNG)).movedim(-1, 0).double() / 255


def psnr_db(picture: Tensor, truth: Tensor) -> float:
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return float(-10 * (picture.clamp(0, 1)[inner] - truth[inner]).square().mean().log10())


def table(images: Iterable[Path]) -> str:
    methods = {f"{method}, {backend}": by_us(method, backend) for method in METHODS for backend in BACKENDS}
    if find_spec("cv2") is not None:
        methods["VNG, OpenCV (8 bits)"] = by_opencv_vng
    figures = []
    for path in images:
        truth = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).movedim(-1, 0).double() / 255
        channel = bayer.spread(torch.tensor([0, 1, 1, 2]), CFA, *truth.shape[-2:])
        mosaic = truth.gather(0, channel[None])[0]
        figures.append((path.stem, [psnr_db(run(mosaic), truth) for run in methods.values()]))
    figures.append(("**mean**", torch.tensor([row for _, row in figures], dtype=torch.float64).mean(dim=0).tolist()))
    head = f"| image | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}"
    return "\n".join([head, *(f"| {name} | {' | '.join(f'{db:.2f}' for db in row)} |" for name, row in figures)])


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAWPIPE_DATA", ".") + "/kodak24")
    found = sorted(folder.glob("kodim*.png"))
    if not found:
        sys.exit(f"no kodim*.png in {folder}; name the folder that holds them")
    print(table(found))
