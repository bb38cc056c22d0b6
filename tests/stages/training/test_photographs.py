"""Clean patches come from the pictures, and from the generator alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rawpipe import FormatError
from rawpipe.stages.enhance.training.photographs import (
    Photographs,
    dead_leaves,
    read_folder,
    scikit_image_photographs,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def textures() -> list[torch.Tensor]:
    return dead_leaves(3, 96)


def test_patches_follow_from_the_generator_alone(textures: list[torch.Tensor]) -> None:
    source = Photographs(textures)
    one, again, other = (source.patches(6, 16, seeded(seed)) for seed in (0, 0, 1))
    assert one.shape == (6, 4, 16, 16) and one.dtype is torch.float32
    assert float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_a_patch_of_a_flat_picture_is_flat() -> None:
    source = Photographs([torch.full((3, 50, 70), 99, dtype=torch.uint8)])
    patches = source.patches(12, 16, seeded())
    torch.testing.assert_close(patches, patches[..., :1, :1].expand_as(patches), atol=1e-6, rtol=1e-5)


def test_pictures_are_shown_in_all_eight_orientations() -> None:
    ramp = torch.linspace(60, 200, 64).to(torch.uint8)
    across, down = ramp.expand(3, 64, 64), ramp[:, None].expand(3, 64, 64)
    picture = (across * 0.7 + down * 0.3).to(torch.uint8)
    green = Photographs([picture]).patches(64, 16, seeded())[:, 1]
    rows, columns = green[:, -1].mean(1) - green[:, 0].mean(1), green[:, :, -1].mean(1) - green[:, :, 0].mean(1)
    signs = zip((rows > 0).tolist(), (columns > 0).tolist(), (rows.abs() > columns.abs()).tolist(), strict=True)
    assert len(set(signs)) == 8


def test_brightness_dims_the_clean_picture_evenly_and_within_its_range(textures: list[torch.Tensor]) -> None:
    full, half, some = (
        Photographs(textures, brightness).patches(64, 16, seeded()) for brightness in ((1, 1), (0.5, 0.5), (0.25, 1))
    )
    torch.testing.assert_close(half, full / 2)
    share = some.sum((1, 2, 3)) / full.sum((1, 2, 3))
    assert 0.25 <= float(share.min()) < 0.3 and 0.9 < float(share.max()) <= 1


def test_the_hash_knows_every_pixel_and_the_order(textures: list[torch.Tensor]) -> None:
    changed = [textures[0].clone(), *textures[1:]]
    changed[0][0, 0, 0] += 1
    assert len({Photographs(one).sha256 for one in (textures, changed, textures[::-1], textures[:2])}) == 4
    assert Photographs(textures).sha256 == Photographs(list(textures)).sha256


def test_a_folder_is_read_in_the_order_of_names_without_what_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name, side in (("b.png", 40), ("a.png", 50), ("small.png", 30), ("below/c.PNG", 60)):
        Image.fromarray(np.full((side, 64, 3), side, np.uint8)).save(tmp_path / name, format="PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [tuple(one.shape) for one in read_folder(tmp_path, 40)] == [(3, 50, 64), (3, 40, 64), (3, 60, 64)]


def test_a_folder_without_pictures_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="without pictures of at least 40x40"):
        read_folder(tmp_path, 40)
    (tmp_path / "a.png").write_bytes(b"\x89PNG cut off")
    with pytest.raises(FormatError, match=r"a\.png, which is no picture that can be read"):
        read_folder(tmp_path, 40)


def test_drawn_textures_follow_from_their_seed_and_are_rich(textures: list[torch.Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(textures, dead_leaves(3, 96), strict=True))
    assert not torch.equal(textures[0], dead_leaves(1, 96, seed=1)[0])
    for picture in textures:
        assert picture.shape == (3, 96, 96) and picture.dtype is torch.uint8
        assert float(picture.float().std()) > 10 and len(picture.unique()) > 100


def test_scikit_image_brings_nine_photographs() -> None:
    pytest.importorskip("skimage")
    pictures = scikit_image_photographs()
    assert len(pictures) == 9
    assert all(one.dtype is torch.uint8 and one.shape[0] == 3 and min(one.shape[1:]) >= 192 for one in pictures)
