"""Pairs of dark and well-lit photographs, on folders of LOL's layout whose pictures are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rawpipe import FormatError
from rawpipe.stages.enhance.equalise import equalisation, equalised
from rawpipe.stages.enhance.training.config import Data
from rawpipe.stages.enhance.training.data import open_data
from rawpipe.stages.enhance.training.lol import TABLES, TEST, Lit, LolPatches, Shots, lol_files, read_pair, read_pairs

SIZE = (40, 48)


def write(path: Path, picture: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture.movedim(0, -1).numpy())).save(path)


def bright(seed: int, size: tuple[int, int] = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six pairs, the dark one an eighth of the other; every pixel tells where it is from."""
    for i in range(6):
        write(tmp_path / "lol" / "high" / f"{i}.png", bright(i))
        write(tmp_path / "lol" / "low" / f"{i}.png", bright(i) // 8)
    return tmp_path / "lol"


def patches(root: Path, **options: Any) -> LolPatches:
    return LolPatches(read_pairs(root, 16), **{"batch": 3, "side": 16, **options})


def same(one: Lit, other: Lit) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def places(shots: Shots, part: Tensor) -> list[tuple[int, int]]:
    """Where in the well-lit picture a part (3, h, w) is found."""
    windows = (shots.high / 255).unfold(1, part.shape[1], 1).unfold(2, part.shape[2], 1).movedim(0, 2)
    return [(top, left) for top, left in (windows == part).flatten(2).all(2).nonzero().tolist()]


def test_pairs_have_one_name_in_folders_laid_out_as_published(root: Path) -> None:
    named = lol_files(root)
    assert [files.name for files in named] == [str(i) for i in range(6)]
    assert all(files.low.parent.name == "low" and files.high.parent.name == "high" for files in named)
    (root / "high").rename(root / "normal")
    write(root / "normal" / "0.webp", bright(0))
    (root / "normal" / "0.png").unlink()  # suffixes may differ
    assert lol_files(root)[0].high == root / "normal" / "0.webp"


def test_the_root_of_lol_stands_for_its_training_part(root: Path) -> None:
    root.rename(root.with_name("our485"))
    (root.parent / TEST / "low").mkdir(parents=True)
    write(root.parent / TEST / "low" / "9.png", bright(9) // 8)
    write(root.parent / TEST / "high" / "9.png", bright(9))
    assert [files.name for files in lol_files(root.parent)] == [str(i) for i in range(6)]
    assert [files.name for files in lol_files(root.parent, TEST)] == ["9"]


def test_a_patch_is_one_place_of_all_three_pictures(root: Path) -> None:
    dataset, turned, seen = patches(root), 0, set()
    for batch in (dataset[index] for index in range(12)):
        assert [one.shape for one in batch] == [(3, 3, 16, 16)] * 3
        for parts in zip(*batch, strict=True):
            views = {flipped: [part.flip(2) if flipped else part for part in parts] for flipped in (False, True)}
            ((shots, flipped, (top, left)),) = (
                (shots, flipped, at)
                for shots in dataset.pairs
                for flipped, (_, _, high) in views.items()
                for at in places(shots, high)
            )
            low, equal, _ = views[flipped]
            whole = equalised(shots.low, equalisation(shots.low))
            assert torch.equal(low, shots.low[:, top : top + 16, left : left + 16] / 255)
            assert torch.equal(equal, whole[:, top : top + 16, left : left + 16])
            turned += flipped
            seen.add((shots.files.name, top, left))
    assert 9 <= turned <= 27 and len(seen) > 30  # of 36


def test_a_batch_depends_on_seed_and_number_alone(root: Path) -> None:
    one, other = patches(root), patches(root)
    batches = [one[i] for i in range(5)]
    assert all(same(other[i], batches[i]) for i in (4, 2, 0))
    assert not same(batches[0], batches[1]) and not same(patches(root, seed=1)[0], batches[0])


def test_a_crop_is_equalised_by_the_stored_table_of_its_whole_picture(root: Path) -> None:
    whole = torch.randint(64, (3, 90, 90), generator=torch.Generator().manual_seed(9)).to(torch.uint8)
    tables = (equalisation(whole) * 255).round().to(torch.uint8)
    np.savez(root / TABLES, **{str(i): tables.numpy() for i in range(6)})
    shots = read_pair(lol_files(root)[2])
    assert torch.equal(shots.tables, equalisation(whole))
    assert torch.equal(shots.part(3, 4, 8, 8).equal, equalised(shots.low, equalisation(whole))[:, 3:11, 4:12])


def test_stored_tables_that_do_not_fit_are_named(root: Path) -> None:
    files = lol_files(root)[0]
    for arrays, match in (
        ({"1": np.zeros((3, 256), np.uint8)}, "histeq_lut.npz, which holds no table for 0"),
        ({"0": np.zeros((3, 255), np.uint8)}, r"with uint8 \(3, 255\) for 0; expected uint8 \(3, 256\)"),
        ({"0": np.zeros((3, 256))}, "with float64"),
    ):
        np.savez(root / TABLES, **arrays)
        with pytest.raises(FormatError, match=match):
            read_pair(files)
    (root / TABLES).write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match="or is damaged"):
        read_pair(files)


def test_what_is_no_pair_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nowhere without low beside high or normal, and without them in our485"):
        lol_files(tmp_path / "nowhere")
    write(root / "low" / "7.png", bright(7))
    with pytest.raises(FormatError, match=r"7.png without a picture 7 in .*high; fetch it again"):
        lol_files(root)
    write(root / "high" / "7.png", bright(7, (40, 40)))
    with pytest.raises(FormatError, match=r"7.png of 40x48 and 40x40; expected one size: they are no pair"):
        read_pairs(root, 16)
    (root / "high" / "7.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(FormatError, match=r"high/7.png, which is no picture that can be read"):
        read_pairs(root, 16)
    write(root / "low" / "7.webp", bright(7))
    with pytest.raises(FormatError, match=r"7.webp beside 7.png; expected one picture of a name"):
        lol_files(root)
    for path in [*(root / "low").iterdir(), *(root / "high").iterdir()]:
        path.unlink()
    with pytest.raises(FormatError, match="low without pictures; expected pairs"):
        lol_files(root)


def test_small_pictures_are_passed_over_and_too_small_ones_refused(root: Path) -> None:
    for kind in ("low", "high"):
        write(root / kind / "0.png", bright(0, (20, 48)))
    assert len(read_pairs(root, 24)) == 5
    with pytest.raises(FormatError, match="without pairs of at least 64x64"):
        read_pairs(root, 64)
    with pytest.raises(FormatError, match=r"0.png of 20x48 pixels; expected at least 32x32"):
        patches(root, side=32)
    with pytest.raises(FormatError, match="got no pairs"):
        LolPatches([])


def test_every_nth_pair_is_held_out_and_validated_on_in_the_middle(root: Path) -> None:
    data = Data(lol=(root,), least=16, side=16, batch=2, hold_out=3)
    opened = open_data(data)
    assert isinstance(opened.batches, LolPatches)
    assert [shots.files.name for shots in opened.batches.pairs] == ["1", "2", "4", "5"]
    assert list(opened.held_out) == ["lol"] and isinstance(held := opened.held_out["lol"], Lit)
    expected = [read_pair(lol_files(root)[i]).part(12, 16, 16, 16) for i in (0, 3)]
    assert all(torch.equal(held.high[i], one.high) for i, one in enumerate(expected))
    assert all(torch.equal(held.equal[i], one.equal) for i, one in enumerate(expected))
    assert same(open_data(data).held_out["lol"], held)
    with pytest.raises(FormatError, match="expected at least two"):
        for i in range(1, 6):
            for kind in ("low", "high"):
                (root / kind / f"{i}.png").unlink()
        open_data(data)


def test_pairs_of_folders_of_their_own_are_validated_on_in_larger_parts(root: Path, tmp_path: Path) -> None:
    for kind in ("low", "high"):
        write(tmp_path / "others" / kind / "9.png", bright(9, (40, 48)))
    data = Data(lol=(root,), validate=(tmp_path / "others",), least=16, side=16, batch=2)
    opened = open_data(data)
    assert isinstance(opened.batches, LolPatches) and len(opened.batches.pairs) == 6
    assert torch.equal(
        opened.held_out["lol"].high[0], read_pair(lol_files(tmp_path / "others")[0]).part(4, 8, 32, 32).high
    )
    assert opened.sha256 != open_data(Data(lol=(root,), least=16, side=16, batch=2)).sha256
    with pytest.raises(FormatError, match=r"nowhere to validate on, which is no folder; name one in \[data\] validate"):
        open_data(Data(lol=(root,), validate=(tmp_path / "nowhere",), least=16, side=16))


def test_the_hash_is_of_all_pictures_and_tables(root: Path) -> None:
    data = Data(lol=(root,), least=16, side=16, hold_out=3)
    hashes = {open_data(data).sha256, open_data(data).sha256}
    for name in ("low/0.png", "high/1.png"):  # a held-out one, a learned one
        write(root / name, bright(7))
        hashes.add(open_data(data).sha256)
    np.savez(root / TABLES, **{str(i): np.zeros((3, 256), np.uint8) for i in range(6)})
    hashes.add(open_data(data).sha256)
    assert len(hashes) == 4
