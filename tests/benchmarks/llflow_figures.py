"""Two figures of LLFlow: brightness along its latent, and how widely its samples spread.

    python tests/benchmarks/llflow_figures.py <folder for the pictures>

`llflow_brightness.svg` and `.jpg`: photographs that come with scikit-image, made dark and noisy behind a display's
curve; their likeliest picture's latent is moved along the direction in which it gets brighter, and the mean of linear
light is plotted over how far. `llflow_spread.svg`: a photograph as RAW, exposed too short by a Sony A7S2; standard
deviation over samples, relative to the light itself, by how much light there was.

Needs scikit-image.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from rawpipe import Frame, NoiseModel, Pipeline
from rawpipe.stages import BlackLevel, Enhance, NoiseCalibration
from rawpipe.stages.enhance import LLFlow, spread
from rawpipe.stages.enhance.equalise import equalisation, in_8_bits
from rawpipe.stages.enhance.llflow.brightness import direction
from rawpipe.stages.enhance.llflow.domains import shown_rgb, to_display, to_linear
from rawpipe.stages.enhance.llflow.load import loaded
from rawpipe.stages.enhance.training.curve import svg
from rawpipe.stages.enhance.training.photographs import scikit_image_photographs
from rawpipe.stages.enhance.training.unprocess import sampled, typical, unprocess

_SIDE = 192
_STEPS = torch.linspace(-2, 2, 9)
_COLUMNS = ((800, 20), (800, 100), (3200, 100), (3200, 300))  # ISO and ratio
_LEVELS = 2.0 ** torch.arange(-7.0, 0.0)  # of light, edges of the bins


def photographs(count: int) -> list[Tensor]:
    """Squares (3, H, W) in 0..1."""
    found = [one for one in scikit_image_photographs() if min(one.shape[1:]) >= 2 * _SIDE and not one[0].equal(one[2])]
    found = [one for one in found if one.float().mean() > 255 / 5]  # in a black sky nothing gets brighter
    return [one[:, : 2 * _SIDE, : 2 * _SIDE] / 255 for one in found[:count]]


def brightness(folder: Path) -> None:
    network = loaded("lol", torch.device("cpu")).module
    generator = torch.Generator().manual_seed(0)
    lines, rows = {}, []
    for number, photograph in enumerate(photographs(3), 1):
        light = to_linear(photograph[:, ::2, ::2]) / 40
        noisy = light + 0.001 * torch.randn(light.shape, generator=generator)
        dark = to_display(noisy)
        with torch.inference_mode():
            conditions = network.conditions(shown_rgb(dark[None], equalisation(in_8_bits(dark))))
            way, mean = direction(network, conditions), network.design.mean(conditions.colors)
            found = [network.decode(mean + step * way, conditions).value[0].clamp(0, 1) for step in _STEPS]
        means = [float(to_linear(one).mean()) for one in found]
        assert means == sorted(means), means
        lines[f"photograph {number}"] = [100 * one for one in means]
        rows.append(torch.cat([dark, *found[::2]], 2))
    label = "mean light of the result, % of white"
    text = svg(_STEPS.tolist(), lines, label, "way along the latent: 1 = a picture 1.25 times as bright")
    (folder / "llflow_brightness.svg").write_text(text, encoding="utf-8")
    sheet = (torch.cat(rows, 1).clamp(0, 1) * 255).round().byte()
    Image.fromarray(sheet.movedim(0, -1).numpy()).save(folder / "llflow_brightness.jpg", quality=88)


def spreading(folder: Path) -> None:
    (photograph,) = photographs(1)
    truth = sampled(unprocess(photograph[None], typical()))[0].clamp(0, 1)
    middles = (_LEVELS[1:] * _LEVELS[:-1]).sqrt()
    lines = {}
    for iso, ratio in _COLUMNS:
        camera = NoiseModel.virtual("SonyA7S2", iso=iso)
        white = float(camera.saturation_dn.min())
        mosaic = torch.nn.functional.pixel_shuffle(truth[None], 2)[0, 0]
        counts = camera.sample(mosaic * white / ratio, "RGGB", torch.Generator().manual_seed(0)) + 512
        frame = Frame.from_array(counts, "RGGB", black=512, white=512 + white, bits=14, iso=iso)
        frame = Pipeline([NoiseCalibration(camera), BlackLevel()])(frame)
        enhance = Enhance(LLFlow(temperature=1.0), exposure=ratio)
        off = spread(enhance, frame, 8)
        clean = Pipeline([Enhance(LLFlow(), exposure=ratio)])(frame).data
        bins = [(clean >= low) & (clean < high) for low, high in pairwise(_LEVELS.tolist())]
        lines[f"ISO {iso} x{ratio}"] = [100 * float((off[one] / clean[one]).mean()) for one in bins]
    text = svg(middles.log2().tolist(), lines, "spread of samples, % of the light", "log2 of the light, 0 = white")
    (folder / "llflow_spread.svg").write_text(text, encoding="utf-8")
    print(lines)


if __name__ == "__main__":
    brightness(Path(sys.argv[1]))
    spreading(Path(sys.argv[1]))
