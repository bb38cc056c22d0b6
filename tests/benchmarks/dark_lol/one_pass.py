"""The simplest learned peer: a U-Net that sees what LLFlow sees, and learns by distance in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rawpipe.stages.enhance.equalise import equalisation, in_8_bits
from rawpipe.stages.enhance.evaluation.display import OF_TRUTH, psnr_in_8_bits
from rawpipe.stages.enhance.exposure_diffusion.unet import UNet
from rawpipe.stages.enhance.llflow.domains import shown_rgb
from rawpipe.stages.enhance.llflow.learn import pair
from rawpipe.stages.enhance.training.config import Data
from rawpipe.stages.enhance.training.data import open_data
from rawpipe.stages.enhance.training.lol import Lit
from rawpipe.stages.enhance.training.loop import Judged, Settings, train

_WIDTH = 24  # 4.4 million parameters; the small LLFlow has 5.0


class OnePass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(6, 3, _WIDTH)

    def forward(self, dark: Tensor) -> Tensor:
        result: Tensor = self.unet(dark)
        return result


@dataclass(frozen=True)
class ByDistance:
    held_out: dict[str, Lit]

    def build(self) -> nn.Module:
        return OnePass()

    def loss(self, network: Any, batch: Lit, index: int) -> Tensor:
        dark, bright = pair(batch)
        distance: Tensor = (network(dark) - bright).abs().mean()
        return distance

    def judge(self, network: Any, device: torch.device) -> Judged:
        lit = self.held_out["lol"]
        found = network(pair(lit)[0]).float()
        each = {"lol": psnr_in_8_bits, f"lol, {OF_TRUTH}": partial(psnr_in_8_bits, alignment=OF_TRUTH)}
        figures = {
            name: sum(measure(*two) for two in zip(found, lit.high, strict=True)) / len(found)
            for name, measure in each.items()
        }
        return Judged(figures, torch.cat([lit.low[0], found[0].clamp(0, 1), lit.high[0]], 2))


def learned(pairs: Path, folder: Path, steps: int) -> Path:
    """Weights, learned from the batches that LLFlow's configuration `rgb-cpu` draws."""
    opened = open_data(Data(lol=(pairs,), side=96, batch=4))
    settings = Settings(steps, rate=5e-4, accelerator="cpu", checkpoint_every=500)
    tensors = train(ByDistance(opened.held_out), opened.batches, settings, folder, f"one pass {opened.sha256} {steps}")
    save_file(tensors, folder / "one_pass.safetensors")
    return folder / "one_pass.safetensors"


def picture_by(path: Path) -> Any:
    """What makes a picture (3, H, W) of a dark one with these weights."""
    network = OnePass().eval()
    network.load_state_dict(load_file(path))

    def picture(dark: Tensor) -> Tensor:
        shown = shown_rgb(dark[None], equalisation(in_8_bits(dark)))
        height, width = dark.shape[-2:]
        padded = F.pad(shown, (0, -width % UNet.stride, 0, -height % UNet.stride), mode="reflect")
        with torch.inference_mode():
            result: Tensor = network(padded)[0, :, :height, :width].clamp(0, 1)
        return result

    return picture
