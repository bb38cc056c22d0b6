"""Patches of real files, on DNGs whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import FormatError, NoiseModel
from rawpipe.stages.enhance.training.batch import Synthetic
from rawpipe.stages.enhance.training.pairs import sid_pairs
from rawpipe.stages.enhance.training.planes import packed
from rawpipe.stages.enhance.training.raw_patches import Cache, PairPatches, RawFiles


def drawn(source: RawFiles, seed: int, count: int = 3) -> torch.Tensor:
    return source.patches(count, 8, torch.Generator().manual_seed(seed))


@pytest.fixture
def clean(datasets: Any) -> Path:
    for number, cfa in enumerate(("RGGB", "BGGR")):
        datasets.write(f"clean/{number}.dng", datasets.scene() * (1 + number), cfa=cfa)
    return datasets.folder / "clean"


def test_patches_follow_from_the_generator_alone(clean: Path) -> None:
    one, two = drawn(RawFiles(clean), 1), drawn(RawFiles(clean, memory_bytes=1), 1)
    assert one.shape == (3, 4, 8, 8) and one.dtype is torch.float32
    assert torch.equal(one, two) and not torch.equal(one, drawn(RawFiles(clean), 2))
    assert float(one.min()) >= 0 and float(one.max()) <= 1


def test_patches_are_places_in_the_pictures_turned_but_never_mixed(clean: Path) -> None:
    source = RawFiles(clean)
    windows = torch.cat([packed(path).unfold(1, 8, 1).unfold(2, 8, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
                         for path in source.files]).clamp(0, 1)  # fmt: skip
    turns = set()
    for patch in drawn(source, 0, 24):
        for turn in range(8):
            back = patch.transpose(1, 2) if turn & 4 else patch
            back = back.flip([dim for dim in (1, 2) if turn & dim])
            if bool(((windows - back).abs().amax((1, 2, 3)) < 1e-3).any()):
                turns.add(turn)
                break
        else:
            pytest.fail("a patch that is no place of a picture")
    assert len(turns) > 4


def test_the_longest_unused_picture_leaves_memory_first() -> None:
    reads: list[str] = []

    def read(path: Path) -> torch.Tensor:
        reads.append(path.name)
        return torch.zeros(4, 10, 10)

    cache = Cache(2 * 4 * 100 * 2)  # two pictures in half precision
    for name in "abacab":
        cache.get(Path(name), read)
    assert "".join(reads) == "abcb"


def test_a_source_is_known_by_its_files(clean: Path) -> None:
    before = RawFiles(clean).sha256
    assert before == RawFiles(clean).sha256 and len(before) == 64
    (clean / "1.dng").unlink()
    assert RawFiles(clean).sha256 != before


def test_a_source_serves_synthetic_batches(clean: Path) -> None:
    batch = Synthetic(RawFiles(clean), batch=2, side=8)[5]
    assert batch.dim.shape == (2, 4, 8, 8)


def test_a_folder_without_raw_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="without RAW files; expected clean pictures"):
        RawFiles(tmp_path)


def test_a_picture_smaller_than_the_patch_is_named(clean: Path) -> None:
    with pytest.raises(FormatError, match=r"\d.dng of \d+x\d+ packed pixels; expected at least 64x64"):
        RawFiles(clean).patches(1, 64, torch.Generator())


@pytest.fixture
def pairs(datasets: Any) -> Any:
    return sid_pairs(datasets.sid(("00001", 0.1, 10), ("00002", 0.04, 10)), "train")


def test_batches_of_pairs_follow_from_seed_and_index_alone(pairs: Any) -> None:
    data = PairPatches(pairs, batch=4, side=16)
    again = PairPatches(pairs, batch=4, side=16, memory_bytes=1)
    for index in (0, 7):
        for one, two in zip(data[index], again[index], strict=True):
            assert torch.equal(one, two)
    assert not torch.equal(data[0].dim, data[1].dim)
    assert not torch.equal(data[0].dim, PairPatches(pairs, batch=4, side=16, seed=1)[0].dim)


def test_both_pictures_of_a_pair_show_the_same_place_at_the_same_brightness(pairs: Any) -> None:
    data = PairPatches(pairs, batch=64, side=16)
    batch = data[0]
    assert batch.ratio.shape == (64, 1, 1, 1) and set(batch.ratio.flatten().tolist()) == {100.0, 250.0}
    error = (batch.dim - batch.clean)[batch.clean.amax((1, 2, 3)) < 0.9].mean()
    assert abs(float(error)) < 0.002
    near = (batch.dim - batch.clean).square().mean((1, 2, 3))
    far = (batch.dim - batch.clean.flip(0)).square().mean((1, 2, 3))
    assert float(near.mean()) < float(far.mean())


def test_the_noise_that_a_batch_states_is_that_of_its_pictures(datasets: Any, pairs: Any) -> None:
    model = NoiseModel(gain_dn_per_e=datasets.gain_dn_per_e, read_sigma_dn=1.5, quantisation_step_dn=1.0)
    batch = PairPatches(pairs, model, batch=128, side=16)[0]
    inside = batch.clean.amax((1, 2, 3)) < 0.9
    variance = (batch.shot * batch.clean + batch.read.square()).expand_as(batch.dim)[inside]
    error = (batch.dim - batch.clean)[inside]
    assert float((error.square() / variance).mean()) == pytest.approx(1, abs=0.06)


def test_pictures_of_two_sizes_are_no_pair(datasets: Any) -> None:
    root = datasets.sid(("00001", 0.1, 10))
    datasets.write("Sony/long/00001_00_10s.dng", datasets.scene((40, 40)))
    with pytest.raises(FormatError, match="expected one size: they are no pair"):
        PairPatches(sid_pairs(root, "train"), batch=1, side=16)[0]


def test_no_pairs_are_refused() -> None:
    with pytest.raises(FormatError, match="got no pairs"):
        PairPatches([])
