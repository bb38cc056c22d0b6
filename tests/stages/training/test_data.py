"""What a configuration names is what is learned from; what is held out is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rawpipe import FormatError
from rawpipe.stages.enhance.training.batch import Batch, Synthetic
from rawpipe.stages.enhance.training.config import Data
from rawpipe.stages.enhance.training.data import Mixed, Opened, open_data
from rawpipe.stages.enhance.training.photographs import Photographs, dead_leaves, read_folder
from rawpipe.stages.enhance.training.raw_patches import PairPatches

SMALL: dict[str, Any] = {"least": 32, "side": 16, "batch": 2}


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six grey pictures, brighter from one to the next."""
    (folder := tmp_path / "pictures").mkdir()
    for i in range(6):
        Image.fromarray(np.full((40, 48, 3), 40 * (i + 1), np.uint8)).save(folder / f"{i}.png")
    return folder


def levels(opened: Opened, count: int = 40) -> set[float]:
    """Greens of the flat patches that are learned from."""
    return {round(float(opened.batches[i].clean[0, 1, 0, 0]), 3) for i in range(count)}


def test_every_nth_photograph_is_held_out_and_never_learned(pictures: Path) -> None:
    opened = open_data(Data((pictures,), hold_out=3, brightness=(1, 1), **SMALL))
    every = read_folder(pictures, 32)
    learned, held = [every[i] for i in (1, 2, 4, 5)], [every[0], every[3]]
    assert same(opened.batches[3], Synthetic(Photographs(learned, (1, 1)), 2, 16)[3])
    assert same(opened.held_out["x20"], Synthetic(Photographs(held, (1, 1)), 6, 16, (20, 20))[0])


def test_of_what_comes_with_us_all_is_learned_if_there_are_photographs(pictures: Path) -> None:
    opened = open_data(Data((pictures,), dead_leaves=1, hold_out=3, **SMALL))
    learned = [one for i, one in enumerate(read_folder(pictures, 32)) if i % 3]
    expected = Synthetic(Photographs(learned + dead_leaves(1, 512)), 2, 16)
    assert all(same(opened.batches[i], expected[i]) for i in range(3))
    alone = open_data(Data(dead_leaves=2, **SMALL))
    assert set(alone.held_out) == {"x4", "x20", "x100", "x300"}


def test_validation_keeps_to_the_ratios_that_are_learned(pictures: Path) -> None:
    for ratios, names in (((1, 30), ["x4", "x20"]), ((1, 2), ["x2"]), ((250, 300), ["x300"])):
        opened = open_data(Data((pictures,), ratios=ratios, **SMALL))
        assert list(opened.held_out) == names
        assert float(opened.held_out[names[-1]].ratio.max()) == pytest.approx(float(names[-1][1:]))


def test_the_hash_knows_what_is_learned_and_what_is_held_out(pictures: Path) -> None:
    data = Data((pictures,), hold_out=3, **SMALL)
    hashes = {open_data(data).sha256, open_data(Data((pictures,), hold_out=4, **SMALL)).sha256}
    for i in (0, 1):  # a held-out one, a learned one
        Image.fromarray(np.full((40, 48, 3), 7, np.uint8)).save(pictures / f"{i}.png")
        hashes.add(open_data(data).sha256)
    assert len(hashes) == 4


def test_clean_raw_files_are_learned_from_without_those_held_out(datasets: Any) -> None:
    for i in range(4):
        datasets.write(f"clean/{i}.dng", torch.full((72, 88), 2000.0 * (i + 1)))
    opened = open_data(Data(raw=(datasets.folder / "clean",), hold_out=2, **SMALL))
    assert levels(opened) == {round(2000 * i / 15871, 3) for i in (2, 4)}
    held = opened.held_out["x4"].clean[:, 0, 0, 0]
    assert {round(float(one), 3) for one in held} <= {round(2000 * i / 15871, 3) for i in (1, 3)}


def test_pairs_are_learned_from_as_they_are_and_held_out_by_scene(datasets: Any) -> None:
    root = datasets.sid(("00001", 0.1, 10), ("00001", 0.04, 10), ("00002", 0.1, 10), ("00003", 0.1, 30))
    opened = open_data(Data(pairs=(root,), hold_out=3, **SMALL))
    assert isinstance(opened.batches, PairPatches) and list(opened.held_out) == ["pairs"]
    assert [pair.scene for pair in opened.batches.pairs] == ["00002", "00003"]
    assert set(opened.held_out["pairs"].ratio.flatten().tolist()) <= {100.0, 250.0}


def test_pairs_of_eld_are_known_by_their_folders(datasets: Any) -> None:
    eld = open_data(Data(pairs=(datasets.eld(scenes=2),), hold_out=2, **SMALL))
    assert isinstance(eld.batches, PairPatches) and {pair.scene for pair in eld.batches.pairs} == {"scene-2"}


def test_several_kinds_come_in_equal_shares_that_follow_from_the_index(pictures: Path, datasets: Any) -> None:
    root = datasets.sid(("00001", 0.1, 10), ("00002", 0.1, 10))
    mixed = open_data(Data((pictures,), pairs=(root,), hold_out=2, **SMALL)).batches
    assert isinstance(mixed, Mixed) and len(mixed.parts) == 2
    kinds = [next(k for k, part in enumerate(mixed.parts) if same(mixed[i], part[i])) for i in range(60)]
    assert 15 < sum(kinds) < 45 and len(set(zip(kinds[::2], kinds[1::2], strict=True))) == 4
    assert same(mixed[7], mixed[7])


def test_what_comes_with_us_is_passed_over_too_where_it_is_smaller_than_a_patch() -> None:
    pytest.importorskip("skimage")
    batches = open_data(Data(scikit_image=True, dead_leaves=1, least=512, side=256, hold_out=9)).batches
    assert isinstance(batches, Synthetic) and isinstance(batches.source, Photographs)
    assert sorted(min(one.shape[1:]) for one in batches.source.pictures)[0] == 512
    assert batches[3].clean.shape[-1] == 256
    with pytest.raises(FormatError, match="got 0 picture of at least 513x513 to learn"):
        open_data(Data(dead_leaves=2, least=513))


def test_a_folder_that_is_missing_or_too_small_is_named(pictures: Path, datasets: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere to learn from, which is no folder; name one in \[data\]"):
        open_data(Data((tmp_path / "nowhere",)))
    for path in sorted(pictures.iterdir())[1:]:
        path.unlink()
    with pytest.raises(FormatError, match="expected at least two"):
        open_data(Data((pictures,), **SMALL))
    datasets.write("clean/0.dng", datasets.scene())
    with pytest.raises(FormatError, match="with one RAW file"):
        open_data(Data(raw=(datasets.folder / "clean",), **SMALL))
    with pytest.raises(FormatError, match="got pairs of 1 scene"):
        open_data(Data(pairs=(datasets.sid(("00001", 0.1, 10)),), **SMALL))
