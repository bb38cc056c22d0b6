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
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rawpipe import Frame, NoiseModel, Pipeline, RawpipeError, Stage, bayer
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
    found: dict[str, Stage] = {
        "right profile": NoiseCalibration(virtual(iso)),
        "half the ISO": NoiseCalibration(virtual(iso / 2)),
        "twice the ISO": NoiseCalibration(virtual(2 * iso)),
    }
    if find_spec("rawpipe._blind") is not None:
        found["blind"] = NoiseCalibration("blind")
    return found


def figures(images: list[Path], iso: int) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """Of every variant the PSNR in the mosaic and developed, per image; and seconds of Enhance per megapixel."""
    found: dict[str, list[tuple[float, float]]] = {}
    seconds = pixels = 0.0
    for number, path in enumerate(images):
        noisy, clean = frame_of(mosaic_of(path), virtual(iso), number)
        target = developed(clean)
        linear = BlackLevel()(noisy)
        results = {"noisy": linear}
        for name, calibration in variants(iso).items():
            stages = [calibration, BlackLevel(), RowNoise("picture"), Enhance("classical")]
            start = time.perf_counter()
            try:
                results[name] = Pipeline(stages)(noisy)
            except RawpipeError as error:
                print(f"{path.stem}, ISO {iso}, {name}: {error}", file=sys.stderr)
                results[name] = linear  # not denoised
            seconds, pixels = seconds + time.perf_counter() - start, pixels + clean.data.numel()
        for name, result in results.items():
            pair = psnr_db(result.data, clean.data), psnr_db(developed(result), target)
            found.setdefault(name, []).append(pair)
    return found, 1e6 * seconds / pixels


def main(images: list[Path]) -> None:
    columns = {iso: figures(images, iso) for iso in ISOS}
    names = list(columns[ISOS[0]][0])
    for which, title in enumerate(("linear mosaic", "developed")):
        print(f"\n| {title} | " + " | ".join(f"ISO {iso}" for iso in ISOS) + " |\n|---|" + "---|" * len(ISOS))
        for name in names:
            cells = []
            for iso in ISOS:
                values = torch.tensor([pair[which] for pair in columns[iso][0][name]])
                before = torch.tensor([pair[which] for pair in columns[iso][0]["noisy"]])
                gain = f" ({values.mean() - before.mean():+.2f})" if name != "noisy" else ""
                cells.append(f"{values.mean():.2f}{gain}")
            print(f"| {name} | {' | '.join(cells)} |")
    worst = {
        iso: min(b[0] - a[0] for a, b in zip(*(columns[iso][0][n] for n in ("noisy", "right profile")), strict=True))
        for iso in ISOS
    }
    print(
        "\nleast gain of an image, right profile, linear: "
        + ", ".join(f"{iso}: {gain:+.2f}" for iso, gain in worst.items())
    )
    print(f"{sum(seconds for _, seconds in columns.values()) / len(ISOS):.2f} s per megapixel, all stages")


if __name__ == "__main__":
    torch.set_num_threads(2)
    found = sorted(Path(sys.argv[1]).glob("kodim*.png"))
    if not found:
        sys.exit(f"no kodim*.png in {sys.argv[1]}; name the folder that holds them")
    main(found[: int(sys.argv[2])] if len(sys.argv) > 2 else found)
