"""Noise from one photograph: gain found in Kodak24 noised as a Sony A7S2, as Markdown tables.

`python tests/benchmarks/blind_kodak.py <folder>`: the folder holds kodim01.png ... kodim24.png; without an argument it
is $RAWPIPE_DATA/kodak24. Each picture is taken from sRGB to linear light, sampled as RGGB so that white is the sensor's
saturation, and noised by `NoiseModel.virtual("SonyA7S2", iso)`: shot, read and row noise, rounding, clipping.

The pictures are scans of film with grain of their own, as strong as the noise of ISO 700 to 3000. So they are used
twice: with the grain removed (details of a few eight-bit steps set to zero: soft thresholds in an undecimated wavelet
transform), and as they are, where no estimate from one frame can tell grain from noise, and "unreliable" is the right
answer. The error is that of the worst site.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import convolve1d

from rawpipe import Frame, NoiseModel, bayer
from rawpipe._blind import BlindNoise, measure_blind

ISOS = (100, 200, 400, 800, 1600, 3200, 6400, 12800)
CFA, BLACK, RANGE = "RGGB", 512, 15583
GRAIN = (6, 3, 2, 1)  # thresholds per scale, in eight-bit steps
B3 = np.array([1, 4, 6, 4, 1]) / 16


def without_grain(picture: np.ndarray) -> np.ndarray:
    """sRGB (H, W, 3), 0 to 1: Starck, Murtagh and Bijaoui (1998), the a trous transform with a B3 spline."""
    smooth, details = picture, 0.0
    for scale, steps in enumerate(GRAIN):
        kernel = np.zeros(4 * 2**scale + 1)
        kernel[:: 2**scale] = B3
        smoother = convolve1d(convolve1d(smooth, kernel, axis=0, mode="mirror"), kernel, axis=1, mode="mirror")
        detail = smooth - smoother
        details = details + np.sign(detail) * np.maximum(np.abs(detail) - steps / 255, 0)
        smooth = smoother
    return np.clip(smooth + details, 0, 1)


def mosaic(path: Path, prepare: Callable[[np.ndarray], np.ndarray]) -> torch.Tensor:
    """A picture as mean signal above black (H, W), in DN."""
    srgb = prepare(np.asarray(Image.open(path).convert("RGB")) / 255)
    linear = torch.from_numpy(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4))
    channel = bayer.spread(torch.tensor([0, 1, 1, 2]), CFA, *linear.shape[:2])
    return linear.gather(-1, channel[..., None])[..., 0].float() * RANGE


def noised(light: torch.Tensor, noise: NoiseModel, seed: int) -> Frame:
    pixels = noise.sample(light, CFA, torch.Generator().manual_seed(seed))
    counts = (pixels + BLACK).round().clamp(0, BLACK + RANGE).numpy().astype(np.uint16)
    return Frame.from_array(counts, CFA, black=BLACK, white=BLACK + RANGE, iso=noise.iso)


def error(found: BlindNoise, truth: float) -> float:
    return float((found.model.gain_dn_per_e / truth - 1).abs().max())


def table(images: Iterable[Path], prepare: Callable[[np.ndarray], np.ndarray], together: int = 1) -> str:
    """One row per ISO; `together` pictures are given to each estimate."""
    lights = [mosaic(path, prepare) for path in images]
    lines = [
        "| ISO | K, DN/e | error, median of all | called reliable | their error, median | worst | K in the interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for iso in ISOS:
        noise = NoiseModel.virtual("SonyA7S2", iso=iso)
        truth = float(noise.gain_dn_per_e[0])
        frames = [noised(light, noise, 1000 * iso + i) for i, light in enumerate(lights)]
        found = [measure_blind(frames[i : i + together]) for i in range(0, len(frames), together)]
        errors = [error(one, truth) for one in found]
        trusted = [one for one in found if one.reliable]
        own = [error(one, truth) for one in trusted]
        ends = [pair for one in trusted for pair in one.quantities["gain_dn_per_e"].ci95 or ()]
        inside = np.mean([low <= truth <= high for low, high in ends]) if ends else np.nan  # type: ignore[misc]
        shown = [f"{np.median(own):.0%}", f"{max(own):.0%}", f"{inside:.0%}"] if own else ["-"] * 3
        cells = [f"{iso}", f"{truth:.3f}", f"{np.median(errors):.0%}", f"{len(own)} of {len(found)}", *shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAWPIPE_DATA", ".") + "/kodak24")
    files = sorted(folder.glob("kodim*.png"))
    if not files:
        sys.exit(f"no kodim*.png in {folder}; name the folder that holds them")
    print("Grain removed:\n\n" + table(files, without_grain))
    print("\nGrain removed, four pictures together:\n\n" + table(files, without_grain, 4))
    print("\nAs they are:\n\n" + table(files, lambda picture: picture))
