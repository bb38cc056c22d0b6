"""What `Enhance("classical")` is worth on Kodak24 noised as a Sony A7S2, as Markdown tables.

    python tests/benchmarks/classical_denoise.py <folder of kodim*.png> [images]

A picture is made linear (sRGB), its red and blue are divided by the gains of daylight, and it is sampled as RGGB: the
scene's white saturates green. Counts are drawn from `NoiseModel.virtual("SonyA7S2", iso)`: shot, Tukey-lambda read
noise, row noise and quantisation. Then NoiseCalibration, BlackLevel, RowNoise("picture"), Enhance("classical"), with
the true noise, that of half and of twice the ISO, and the blind estimate of the same noisy picture.

First table: PSNR of the linear mosaic, saturation = 1. Second: after white balance, malvar2004 and the sRGB curve,
against the clean mosaic developed likewise; eight outermost pixels left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rawpipe import Frame, NoiseModel, Pipeline, Stage, bayer
from rawpipe.colorimetry import CURVES
from rawpipe.stages import BlackLevel, Demosaic, Enhance, NoiseCalibration, RowNoise, WhiteBalance

CFA = "RGGB"
ISOS = (800, 1600, 3200, 6400, 12800)
NEUTRAL = (0.5, 1.0, 0.65)
BLACK, BORDER = 512.0, 8
_GAINS = (2.0, 1.0, 1 / 0.65)


def virtual(iso: float) -> NoiseModel:
    return NoiseModel.virtual("SonyA7S2", iso=iso)


def mosaic_of(path: Path) -> Tensor:
    """Linear mosaic (H, W), saturation = 1."""
    picture = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).movedim(-1, 0).double() / 255
    linear = torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    linear = linear * torch.tensor(NEUTRAL)[:, None, None]
    channel = bayer.spread(torch.tensor([0, 1, 1, 2]), CFA, *picture.shape[-2:])
    return linear.gather(0, channel[None])[0].float()


def psnr_db(picture: Tensor, truth: Tensor) -> float:
    return float(-10 * (picture.double() - truth.double()).square().mean().log10())


def developed(mosaic: Frame) -> Tensor:
    rgb = Pipeline([WhiteBalance(gains=_GAINS), Demosaic("malvar2004")])(mosaic).data
    return CURVES["srgb"].encode(rgb.clamp(0, 1))[:, BORDER:-BORDER, BORDER:-BORDER]


def frame_of(truth: Tensor, model: NoiseModel, seed: int) -> tuple[Frame, Frame]:
    """The noisy frame in counts, and the clean one as BlackLevel would leave it."""
    saturation = float(model.saturation_dn.min())
    counts = model.sample(truth * saturation, CFA, torch.Generator().manual_seed(seed)) + BLACK
    options = {"cfa": CFA, "black": BLACK, "white": BLACK + saturation, "bits": 14}
    noisy = Frame.from_array(counts, **options)
    return noisy, BlackLevel()(Frame.from_array(truth * saturation + BLACK, **options))


def variants(iso: int) -> dict[str, Stage]:
    return {
        "right profile": NoiseCalibration(virtual(iso)),
        "half the ISO": NoiseCalibration(virtual(iso / 2)),
        "twice the ISO": NoiseCalibration(virtual(2 * iso)),
        "blind": NoiseCalibration("blind"),
    }


def figures(images: list[Path], iso: int) -> dict[str, list[tuple[float, float]]]:
    """Of every variant the PSNR of every image, in the mosaic and developed; nan where the estimate is in doubt."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number, path in enumerate(images):
        noisy, clean = frame_of(mosaic_of(path), virtual(iso), number)
        target = developed(clean)
        linear = BlackLevel()(noisy)
        results = {"noisy": linear}
        for name, calibration in variants(iso).items():
            results[name] = Pipeline([calibration, BlackLevel(), RowNoise("picture"), Enhance("classical")])(noisy)
        pairs = {
            name: (psnr_db(one.data, clean.data), psnr_db(developed(one), target)) for name, one in results.items()
        }
        doubtful = "unreliable" in results["blind"].history[0].parameters["source"]
        pairs["blind, where it calls itself reliable"] = (float("nan"),) * 2 if doubtful else pairs["blind"]
        for name, pair in pairs.items():
            found.setdefault(name, []).append(pair)
    return found


def main(images: list[Path]) -> None:
    columns = {}
    for iso in ISOS:
        columns[iso] = {name: torch.tensor(pairs) for name, pairs in figures(images, iso).items()}
        print(f"ISO {iso} done", file=sys.stderr)
    for which, title in enumerate(("linear mosaic", "developed")):
        print(f"\n| {title} | " + " | ".join(f"ISO {iso}" for iso in ISOS) + " |\n|---|" + "---|" * len(ISOS))
        for name in columns[ISOS[0]]:
            cells = []
            for column in columns.values():
                values, before = column[name][:, which], column["noisy"][:, which]
                known = values.isfinite()
                count = "" if known.all() else f" of {int(known.sum())}"
                gain = f" ({(values - before)[known].mean():+.2f}{count})" if name != "noisy" else ""
                cells.append(f"{values[known].mean():.2f}{gain}" if known.any() else "none")
            print(f"| {name} | {' | '.join(cells)} |")
    least = {iso: (one["right profile"] - one["noisy"])[:, 0].min() for iso, one in columns.items()}
    print("\nleast gain of an image, right profile, linear: " + ", ".join(f"{i}: {g:+.2f}" for i, g in least.items()))


if __name__ == "__main__":
    torch.set_num_threads(2)
    found = sorted(Path(sys.argv[1]).glob("kodim*.png"))
    if not found:
        sys.exit(f"no kodim*.png in {sys.argv[1]}; name the folder that holds them")
    main(found[: int(sys.argv[2])] if len(sys.argv) > 2 else found)
