"""What dark shading, row noise and flat field are worth, in decibels on synthetic frames: a Markdown table.

    python tests/benchmarks/corrections_worth.py [folder of kodim*.png]

The sensor: 14 bits, K = 3 DN per electron, 6 DN read noise (a Sony A7S2 at ISO 3200), rows of 3 DN, a dark level that
bends by 12 DN peak to peak across the sensor, a response of 70 % in the corners. The scene is a smooth one of
1536x2304 pixels, or Kodak pictures (768x512), at full exposure, 1/16 and 1/64. One correction is added after the other,
each from the profile that tells the truth; the error is that of the linear mosaic on the scale of the exposure's white,
against the clean scene.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from classical_denoise import mosaic_of
from torch import Tensor

from rawpipe import CameraProfile, Frame, NoiseModel, Pipeline, Quantity, Stage
from rawpipe._on_sensor import SiteMap
from rawpipe.stages import BlackLevel, DarkShading, Enhance, FlatField, NoiseCalibration, RowNoise

CFA, BLACK, WHITE = "RGGB", 512.0, 16095.0
MODEL = NoiseModel(gain_dn_per_e=3.0, read_sigma_dn=6.0, row_sigma_dn=3.0, quantisation_step_dn=1.0)
COLUMNS = 96  # of the masked border beside the picture


def profile(size: tuple[int, int]) -> CameraProfile:
    """The truth: maps of 24 x 36 points, the same for all sites but for an offset."""
    y, x = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 36), indexing="ij")
    shading = 5 * np.sin(2.5 * y + 1) * np.cos(2 * x) + 2 * x
    shading = 12 * (shading - shading.mean()) / np.ptp(shading)
    fall_off = 1 - 0.3 * (y**2 + x**2) / 2
    numbers = {
        "gain_dn_per_e": Quantity(3.0),
        "read_sigma_dn": Quantity(6.0),
        "row_sigma_dn": Quantity(3.0),
        "quantisation_step_dn": Quantity(1.0),
    }
    return CameraProfile(
        make="Rawpipe",
        model="Synthetic",
        cfa=CFA,
        bits=14,
        size=size,
        active_area=(0, 0, *size),
        noise={"3200": numbers},
        stored={
            "dark_shading_k": np.stack([shading / 3200] * 4),
            "dark_shading_b": np.zeros((4, 24, 36)),
            "flat_field": np.stack([fall_off / fall_off.mean()] * 4),
        },
    )


def shot(scene: Tensor, camera: CameraProfile, seed: int) -> Frame:
    """Counts of a scene (H, W) in DN, with a masked border on the left that shares the rows' offsets."""
    height, width = scene.shape
    clean = Frame.from_array(scene, CFA, black=BLACK, white=WHITE, bits=14, iso=3200, make="Rawpipe", model="Synthetic")
    response = torch.from_numpy(camera.maps["flat_field"]).float()
    dark = torch.from_numpy(camera.maps["dark_shading_k"]).float() * 3200
    seen = scene * SiteMap.of(response / response.max(), clean).laid_on(clean)
    whole = torch.cat([torch.zeros(height, COLUMNS), seen], dim=1)
    counts = MODEL.sample(whole, CFA, torch.Generator().manual_seed(seed)) + BLACK
    counts[:, COLUMNS:] += SiteMap.of(dark, clean).laid_on(clean)
    return Frame.from_array(
        counts.round().clamp(0, 16383),
        CFA,
        black=BLACK,
        white=WHITE,
        bits=14,
        iso=3200,
        make="Rawpipe",
        model="Synthetic",
        active_area=(0, COLUMNS, height, COLUMNS + width),
        sensor=counts.round().clamp(0, 16383).to(torch.int32),
    ).crop(0, COLUMNS, height, width)


def smooth() -> Tensor:
    """Slow waves of light, 0 to 1, with a few edges."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 1536), torch.linspace(0, 1, 2304), indexing="ij")
    waves = 0.25 + 0.2 * torch.sin(9 * y + 4 * x) * torch.cos(7 * x)
    return waves + 0.4 * ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.03) - 0.04 * (y > 0.8)


def steps(camera: CameraProfile) -> dict[str, list[Stage]]:
    known, level, dark, flat = NoiseCalibration(camera), BlackLevel(), DarkShading(camera), FlatField(camera)
    found: dict[str, list[Stage]] = {
        "black level only": [known, level],
        "+ flat field": [known, level, flat],
        "+ dark shading": [known, level, dark, flat],
        "+ row noise (picture)": [known, level, dark, RowNoise("picture"), flat],
        "+ row noise (masked border)": [known, level, dark, RowNoise("masked"), flat],
    }
    found["flat field, Enhance"] = [known, level, flat, Enhance()]
    found["flat field, dark shading, Enhance"] = [known, level, dark, flat, Enhance()]
    found["all, Enhance"] = [known, level, dark, RowNoise("masked"), flat, Enhance()]
    found["all, Enhance before the flat field"] = [known, level, dark, RowNoise("masked"), Enhance(), flat]
    return found


def column(scenes: list[Tensor], exposure: float) -> dict[str, float]:
    total: dict[str, float] = {}
    for number, scene in enumerate(scenes):
        camera = profile((scene.shape[0], scene.shape[1]))
        frame = shot(scene * (WHITE - BLACK) * exposure, camera, number)
        for name, stages in steps(camera).items():
            error = Pipeline(stages)(frame).data / exposure - scene
            total[name] = total.get(name, 0.0) - 10 * float(error.double().square().mean().log10()) / len(scenes)
    return total


def main(kodak: list[Path]) -> None:
    columns = {}
    for name, scenes in (("smooth scene", [smooth()]), ("Kodak", [mosaic_of(path) for path in kodak])):
        for under in (1, 16, 64) if scenes else ():
            columns[f"{name}, {'full' if under == 1 else f'1/{under}'}"] = column(scenes, 1 / under)
    print("| PSNR, dB | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(f"{figures[name]:.2f}" for figures in columns.values()) + " |")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(sorted(Path(sys.argv[1]).glob("kodim*.png"))[::4] if len(sys.argv) > 1 else [])
