"""The Canon 550D's frame of a ColorChecker with and without Enhance: a contact sheet, and the noise left in its greys.

    python tests/benchmarks/dark_real.py <canon_550d_ml_colorchecker.dng> <sheet.png>

The file's noise is unknown: NoiseCalibration estimates it from the picture and its masked border. Exposure is found by
Enhance("exposure_diffusion"), and given to the others, so that all pictures are equally bright. The noise is the
standard deviation within each of the six grey patches after white balance on the mosaic, in percent of the patch's own
mean, a plane of slope and curvature taken off (the light isn't even), mean over sites.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from rawpipe import Frame, Pipeline, Stage, bayer
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    DefectPixels,
    Demosaic,
    Enhance,
    NoiseCalibration,
    RowNoise,
    ToneCurve,
    WhiteBalance,
)

# Row and column of the first and the last grey patch, and half a patch, in pixels.
GREYS = ((930.0, 703.0), (921.0, 1259.0))
HALF = 22
CROPS = ((600, 680, 360, 540), (300, 1180, 240, 360))  # row, column, height, width


def greys(frame: Frame) -> list[tuple[float, float]]:
    """Of every grey patch the mean, and the noise relative to it."""
    found = []
    for column in range(6):
        across = column / 5
        y, x = ((1 - across) * np.array(GREYS[0]) + across * np.array(GREYS[1])).round().astype(int)
        patch = frame.crop(int(y) - HALF, int(x) - HALF, 2 * HALF, 2 * HALF)
        planes = bayer.pack(patch.data, str(patch.cfa)).double()
        v, u = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in planes.shape[1:]), indexing="ij")
        smooth = torch.stack([one.flatten() for one in (torch.ones_like(u), u, v, u * v, u * u, v * v)], 1)
        flat = planes.flatten(1).T
        rest = flat - smooth @ torch.linalg.lstsq(smooth, flat).solution
        means = flat.mean(0)
        found.append((float(means[1:3].mean()), float((rest.std(0) / means).mean())))
    return found


def main(source: Path, sheet: Path) -> None:
    frame = Frame.read(source)
    prepared = Pipeline([NoiseCalibration("blind"), BlackLevel(), RowNoise("picture"), DefectPixels()])(frame)
    learned = Enhance("exposure_diffusion").measure(prepared)
    ratio = float(str(learned.exposure))
    models: dict[str, Stage] = {
        "not enhanced": Enhance("classical", exposure=ratio, strength=0.0),
        "classical": Enhance("classical", exposure=ratio),
        "exposure_diffusion": learned,
        "llflow": Enhance("llflow", exposure=ratio),
    }
    print(f"ratio found: {ratio:.3g}; noise: {prepared.history[0].parameters['source']}\n")
    print("| noise, % of the patch | white | 2 | 3 | 4 | 5 | black |\n|---|---|---|---|---|---|---|")
    rows = []
    for name, stage in models.items():
        result = stage(prepared)
        figures = greys(WhiteBalance()(result))
        print(f"| {name} | " + " | ".join(f"{100 * noise:.2f}" for _, noise in figures) + " |")
        rgb = Pipeline([WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform(), ToneCurve()])(result)
        rows.append((name, (rgb.data.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()))
    _draw(rows, sheet)


def _draw(rows: list[tuple[str, np.ndarray]], sheet: Path) -> None:
    gap, label, wide = 8, 22, 420
    cells = []
    for name, pixels in rows:
        parts = [
            Image.fromarray(pixels).resize((wide, wide * pixels.shape[0] // pixels.shape[1]), Image.Resampling.BOX)
        ]
        for y, x, height, width in CROPS:
            part = Image.fromarray(np.ascontiguousarray(pixels[y : y + height, x : x + width]))
            parts.append(part.resize((wide, wide * height // width), Image.Resampling.NEAREST))
        cell = Image.new("RGB", (wide, label + sum(part.height + gap for part in parts)), (24, 24, 24))
        ImageDraw.Draw(cell).text((4, 3), name, fill=(240, 240, 240), font=ImageFont.load_default(15))
        top = label
        for part in parts:
            cell.paste(part, (0, top))
            top += part.height + gap
        cells.append(cell)
    image = Image.new("RGB", (len(cells) * (wide + gap) + gap, cells[0].height + gap), (24, 24, 24))
    for index, cell in enumerate(cells):
        image.paste(cell, (gap + index * (wide + gap), gap))
    image.save(sheet, quality=88)
    print(f"\n{sheet}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
