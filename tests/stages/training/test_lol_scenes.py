"""No picture that is validated on shows what a picture that is learned from shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe.stages.enhance.training.lol import lol_files
from rawpipe.stages.enhance.training.photographs import dead_leaves, read_picture

BY = 4  # pixels of a thumbnail's pixel
ALIKE = 0.5  # strangers in LOL reach 0.40, the same view at another exposure and with noise 0.64 or more


def edges(picture: Tensor) -> Tensor:
    """Gradients (2, h, w) of the logarithm of a thumbnail: exposure drops out, a curve changes their length alone."""
    thumbnail = (F.avg_pool2d(picture.float().mean(0)[None], BY)[0] + 8).log()
    return torch.stack([thumbnail[2:, 1:-1] - thumbnail[:-2, 1:-1], thumbnail[1:-1, 2:] - thumbnail[1:-1, :-2]])


def likeness(parts: Sequence[Tensor], whole: Tensor) -> Tensor:
    """Greatest correlation (n) of pictures of one size with any place of one that is as large or larger."""
    kernels, field = torch.stack([edges(part) for part in parts]), edges(whole)
    ones = torch.ones(1, 2, *kernels.shape[2:])
    energy = F.conv2d(field.square()[None], ones)[0].clamp(min=1e-6)
    length = kernels.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-6)
    return (F.conv2d(field[None], kernels)[0] / (length * energy.sqrt())).flatten(1).amax(1)


def exposed(picture: Tensor, top: int, left: int, side: int) -> Tensor:
    """A part of a picture, darker, behind another curve, with noise."""
    part = picture[:, top : top + side, left : left + side] / 255
    noise = 0.01 * torch.randn(part.shape, generator=torch.Generator().manual_seed(top))
    return ((0.4 * part.pow(1.2) + noise).clamp(0, 1) * 255).round().to(torch.uint8)


def test_a_part_of_a_picture_is_found_at_another_exposure_and_nothing_else_is() -> None:
    pictures = [picture[:, :120] for picture in dead_leaves(5, 160)]
    parts = [exposed(picture, 13, 30, 96) for picture in pictures[:3]]
    found = torch.stack([likeness(parts, whole) for whole in pictures], 1) > ALIKE
    assert torch.equal(found, torch.eye(3, 5).bool())


def test_no_scene_of_the_validation_is_learned_from(data: Path) -> None:
    folders = data / "lol_train447", data / "lol_val15"
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("needs lol_train447 and lol_val15")
    learned, held = ([read_picture(files.high) for files in lol_files(folder)] for folder in folders)
    for i, whole in enumerate(held):
        view = exposed(whole, 72 + i, 172 - i, 256)
        likenesses = likeness([view, *learned], whole)
        assert float(likenesses[0]) > ALIKE, "the picture itself isn't found"
        assert float(likenesses[1:].max()) < ALIKE, f"{lol_files(folders[1])[i].low} is learned from"
