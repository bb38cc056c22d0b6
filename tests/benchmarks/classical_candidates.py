"""Denoisers for `Enhance("classical")` side by side, as a Markdown table.

    python tests/benchmarks/classical_candidates.py <folder of kodim*.png> [images]

Every fourth Kodak picture, its middle 512x512, is unprocessed and noised as in classical_denoise.py, without row noise.
All candidates get the same four planes of variance 1 and the same unbiased inverse; the error is that of the linear
mosaic, on the scale of its saturation. Needs scikit-image; PyWavelets and OpenCV are compared where they are installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classical_denoise import CFA, mosaic_of, psnr_db, virtual
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from rawpipe import NoiseModel, bayer

Planes = NDArray[Any]
Denoiser = Callable[[Planes], Planes]
ISOS = (1600, 6400, 12800)
DIM = 16  # the last column: ISO 12800, four stops under
# mean, R - B, Gr - Gb, R + B - Gr - Gb: noise stays white
OPPONENT = np.array(
    [[0.5, 0.5, 0.5, 0.5], [0.5**0.5, 0, 0, -(0.5**0.5)], [0, 0.5**0.5, -(0.5**0.5), 0], [0.5, -0.5, -0.5, 0.5]]
)


def nlm(h: float, patch: int, distance: int = 6) -> Denoiser:
    return lambda planes: denoise_nl_means(
        planes, patch_size=patch, patch_distance=distance, h=h, sigma=1.0, channel_axis=0
    )


def each(one: Denoiser) -> Denoiser:
    return lambda planes: np.stack([one(plane) for plane in planes])


def nlm_of_one(h: float, patch: int) -> Denoiser:
    return lambda plane: denoise_nl_means(plane, patch_size=patch, patch_distance=6, h=h, sigma=1.0)


def turned(rotation: Callable[[Planes], Planes], run: Denoiser) -> Denoiser:
    def denoise(planes: Planes) -> Planes:
        matrix = rotation(planes)
        return np.tensordot(matrix.T, run(np.tensordot(matrix, planes, 1)), 1)

    return denoise


def opponent(planes: Planes) -> Planes:
    return OPPONENT


def principal(planes: Planes) -> Planes:
    return np.linalg.eigh(np.cov(planes.reshape(4, -1)))[1].T


def wavelet(shifts: int) -> Denoiser:
    """BayesShrink with known sigma, averaged over shifts in both directions."""
    from skimage.restoration import denoise_wavelet

    def denoise(plane: Planes) -> Planes:
        total = np.zeros_like(plane)
        for dy in range(shifts):
            for dx in range(shifts):
                moved = np.roll(plane, (dy, dx), (0, 1))
                total += np.roll(denoise_wavelet(moved, sigma=1.0, wavelet="db2"), (-dy, -dx), (0, 1))
        return total / shifts**2

    return denoise


def opencv(h: float) -> Denoiser:
    """fastNlMeansDenoising on 16 bits, which compares patches by absolute differences."""
    import cv2

    def denoise(plane: Planes) -> Planes:
        low, scale = plane.min(), 65535 / np.ptp(plane)
        counts = np.round((plane - low) * scale).astype(np.uint16)
        return (
            cv2.fastNlMeansDenoising(
                counts, h=[h * scale], templateWindowSize=3, searchWindowSize=13, normType=cv2.NORM_L1
            )
            / scale
            + low
        )

    return denoise


def candidates() -> dict[str, Denoiser]:
    found: dict[str, Denoiser] = {
        "non-local means, 3x3 patches, planes together": nlm(0.6, 3),
        "the same, h = 0.8": nlm(0.8, 3),
        "the same, 5x5 patches": nlm(0.6, 5),
        "non-local means, 5x5, opponent planes each": turned(opponent, each(nlm_of_one(0.7, 5))),
        "total variation, opponent planes": turned(
            opponent, each(lambda plane: denoise_tv_chambolle(plane, weight=0.5))
        ),
    }
    if find_spec("pywt") is not None:
        found |= {
            "wavelet BayesShrink": each(wavelet(1)),
            "wavelet BayesShrink, opponent planes": turned(opponent, each(wavelet(1))),
            "wavelet BayesShrink, principal planes, 16 shifts": turned(principal, each(wavelet(4))),
        }
    if find_spec("cv2") is not None:
        found["OpenCV non-local means, 16 bits, opponent planes"] = turned(opponent, each(opencv(0.8)))
    return found


def table(images: list[Path]) -> str:
    rows: dict[str, list[list[float]]] = {}
    seconds: dict[str, float] = {}
    settings = [*((iso, 1) for iso in ISOS), (ISOS[-1], DIM)]
    for iso, dim in settings:
        full = virtual(iso)
        model = NoiseModel(gain_dn_per_e=full.gain_dn_per_e, read_sigma_dn=full.read_sigma_dn, quantisation_step_dn=1.0)
        column: dict[str, list[float]] = {}
        for path in images:
            truth = mosaic_of(path)[:, 128:640] * float(full.saturation_dn.min()) / dim
            white = float(full.saturation_dn.min()) / dim
            noisy = model.sample(truth, CFA, torch.Generator().manual_seed(0))
            stable = bayer.pack(model.vst(noisy, CFA), CFA).double().numpy()
            column.setdefault("noisy", []).append(psnr_db(noisy / white, truth / white))
            for name, run in candidates().items():
                start = time.perf_counter()
                clean = torch.from_numpy(np.ascontiguousarray(run(stable))).float()
                seconds[name] = seconds.get(name, 0) + time.perf_counter() - start
                result = model.inverse_vst(bayer.unpack(clean, CFA, *truth.shape), CFA)
                column.setdefault(name, []).append(psnr_db(result / white, truth / white))
        for name, values in column.items():
            rows.setdefault(name, []).append(values)
    megapixels = len(settings) * len(images) * truth.numel() / 1e6
    lines = [
        "| | " + " | ".join(f"ISO {iso}{f', 1/{dim}' if dim > 1 else ''}" for iso, dim in settings) + " | s per MP |"
    ]
    lines.append("|---|" + "---|" * (len(settings) + 1))
    for name, columns in rows.items():
        figures = " | ".join(f"{sum(column) / len(column):.2f}" for column in columns)
        lines.append(
            f"| {name} | {figures} | {seconds[name] / megapixels:.2f} |"
            if name in seconds
            else f"| {name} | {figures} | |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(2)
    found = sorted(Path(sys.argv[1]).glob("kodim*.png"))[::4]
    print(table(found[: int(sys.argv[2])] if len(sys.argv) > 2 else found))
