"""Files of random weights, and dim scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import Frame, Noise, Space
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.weights import Weights

SMALL = Design("unet", 4)
NOISE = Noise(torch.full((4,), 1e-4), torch.full((4,), 3e-4), torch.full((4,), 1e-4))


def write(folder: Path, design: Design = SMALL, name: str = "w", **about: Any) -> str:
    """A file of random weights; its last layer is made small, so that results look like pictures."""
    torch.manual_seed(0)
    tensors = {key: value.clone() for key, value in design.build().state_dict().items()}
    for key in tensors:
        if key.startswith(("conv10_1", "ending")):
            tensors[key] *= 0.1
    stated: dict[str, Any] = {
        "licence": "Apache-2.0",
        "research_only": False,
        "learned_from": "nothing",
        "training": {},
    }
    path = folder / f"{name}.safetensors"
    Weights("exposure_diffusion", name, asdict(design), **(stated | about), tensors=tensors).write(path)
    return str(path)


@pytest.fixture(scope="session")
def written() -> Callable[..., str]:
    """Writes files of random weights."""
    return write


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of random weights of a small UNet."""
    return write(tmp_path_factory.mktemp("weights"))


def dim(height: int, width: int, cfa: str = "RGGB", level: float = 0.01) -> Frame:
    """A dim mosaic with shapes in it, and noise that it knows."""
    y, x = torch.meshgrid(torch.arange(height) / 64, torch.arange(width) / 64, indexing="ij")
    truth = level * (0.6 + 0.3 * torch.sin(3 * y) * torch.cos(2 * x) + 0.4 * ((y % 1.5 > 0.7) & (x % 2 > 1.1)))
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(height, width, generator=generator) * (1e-4 * truth + 9e-8).sqrt()
    noise = noise + 1e-4 * torch.randn(height, 1, generator=generator)
    return replace(Frame.from_array(truth + noise, cfa, space=Space.MOSAIC), noise=NOISE)


@pytest.fixture
def scene() -> Callable[..., Frame]:
    """Makes dim mosaics."""
    return dim


@pytest.fixture
def noise() -> Noise:
    """What a scene knows of its noise."""
    return NOISE
