"""Pairs of SID and ELD, on folders of the same layout whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import FormatError, NoiseModel, ProfileError, bayer
from rawpipe.stages.enhance.training.pairs import Pair, eld_pairs, noise_of, sid_pairs
from rawpipe.stages.enhance.training.planes import centre, packed, published_planes

TRAIN, TEST, VAL = "00001", "10003", "20007"


def test_the_first_digit_of_a_scene_says_its_split(datasets: Any) -> None:
    root = datasets.sid((TRAIN, 0.1, 10), (TEST, 0.04, 10), (VAL, 0.1, 30))
    for split, scene, ratio in (("train", TRAIN, 100), ("test", TEST, 250), ("val", VAL, 300)):
        (pair,) = sid_pairs(root, split)
        assert (pair.scene, pair.nominal, pair.iso, pair.camera) == (scene, ratio, 200, "SonyA7S2")
        assert pair.ratio == pytest.approx(ratio) and pair.noisy.parent.name == "short"


def test_exposures_are_those_of_the_names_and_their_ratio_is_capped(datasets: Any) -> None:
    (pair,) = sid_pairs(datasets.sid((TEST, 0.033, 10)))
    assert (pair.ratio, pair.nominal) == (300.0, 300)


def test_without_a_list_the_longest_exposure_of_the_scene_is_the_clean_one(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10), (TEST, 0.1, 30))
    assert [pair.clean.name for pair in sid_pairs(root)] == ["10003_00_30s.dng"]


def test_a_list_says_what_belongs_together(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10), (TEST, 0.1, 30), ("10005", 0.1, 10))
    line = "./Sony/short/10003_00_0.1s.dng ./Sony/long/10003_00_10s.dng ISO6400 F8\n"
    (root / "Sony_test_list.txt").write_text(line + "\n")
    (pair,) = sid_pairs(root)
    assert pair.clean.name == "10003_00_10s.dng" and pair.iso == 6400
    own = root / "mine.txt"
    own.write_text("10005_00_0.1s.dng 10005_00_10s.dng 100\n")
    assert [(pair.scene, pair.iso) for pair in sid_pairs(root, listed=own)] == [("10005", 200)]


def test_ratios_choose_pairs(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10), ("10005", 0.04, 10))
    assert [pair.scene for pair in sid_pairs(root, ratios=(250, 300))] == ["10005"]
    with pytest.raises(FormatError, match=r"for ratios 300; it has 100, 250"):
        sid_pairs(root, ratios=(300,))


def test_eld_takes_the_nearest_reference_and_the_ratio_of_iso_times_time(datasets: Any) -> None:
    pairs = eld_pairs(datasets.eld())
    assert [(pair.noisy.stem, pair.clean.stem, pair.nominal) for pair in pairs] == [
        ("IMG0004", "IMG0006", 100),
        ("IMG0005", "IMG0006", 200),
        ("IMG0009", "IMG0011", 100),
        ("IMG0010", "IMG0011", 200),
        ("IMG0014", "IMG0016", 100),
        ("IMG0015", "IMG0016", 200),
    ]
    assert [pair.ratio for pair in pairs] == pytest.approx([100, 200] * 3, rel=1e-3)
    assert {(pair.scene, pair.iso, pair.camera) for pair in pairs} == {("scene-1", 800, "SonyA7S2")}


def test_eld_has_a_folder_for_each_camera(datasets: Any) -> None:
    datasets.eld("SonyA7S2")
    root = datasets.eld("NikonD850")
    assert {pair.camera for pair in eld_pairs(root)} == {"SonyA7S2", "NikonD850"}
    assert {pair.camera for pair in eld_pairs(root, "NikonD850")} == {"NikonD850"}
    assert {pair.camera for pair in eld_pairs(root / "NikonD850", ratios=(200,))} == {"NikonD850"}
    with pytest.raises(FormatError, match=r"got camera 'NikonD85'; expected one of .* did you mean 'NikonD850'"):
        eld_pairs(root, "NikonD85")


def test_a_short_exposure_that_is_the_longer_one_is_no_pair(datasets: Any) -> None:
    root = datasets.sid((TEST, 10, 0.1), noisy=False)
    with pytest.raises(FormatError, match=r"10003_00_10s.dng.*0.01 times as much; expected 1 or more"):
        sid_pairs(root)


def test_folders_that_are_laid_out_otherwise_are_refused(datasets: Any, tmp_path: Path) -> None:
    root = datasets.sid((TEST, 0.1, 10))
    empty = tmp_path / "empty"
    (empty / "Sony" / "short").mkdir(parents=True)
    (empty / "Sony" / "long").mkdir()
    for make, match in (
        (lambda: sid_pairs(root / "Sony"), "without Sony/short; expected SID as published: name the folder that has"),
        (lambda: sid_pairs(root, "tset"), "got split 'tset'; .* did you mean 'test'"),
        (lambda: sid_pairs(empty), "for pairs; it has none"),
        (lambda: sid_pairs(root, "train"), "split train for pairs; it has none"),
        (lambda: sid_pairs(root, listed=root / "none.txt"), "the list .*none.txt can't be read"),
        (lambda: eld_pairs(tmp_path / "none"), "which is no folder"),
        (lambda: eld_pairs(root), "without a folder such as SonyA7S2/scene-1"),
    ):
        with pytest.raises(FormatError, match=match):
            make()


def test_files_that_are_missing_or_misnamed_are_named(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10))
    table = root / "Sony_test_list.txt"
    for text, match in (
        ("./Sony/short/10004_00_0.1s.ARW ./Sony/long/10004_00_10s.ARW\n", "line 1 of .* names ./Sony/short/10004_00"),
        ("\nonly-one\n", "'only-one' in line 2"),
    ):
        table.write_text(text)
        with pytest.raises(FormatError, match=match):
            sid_pairs(root)
    table.unlink()
    alone = datasets.write("Sony/short/10009_00_0.1s.dng", datasets.scene())
    with pytest.raises(FormatError, match="10009_00_0.1s.dng without a long exposure of scene 10009"):
        sid_pairs(root)
    alone.rename(alone.with_name("first.dng"))
    with pytest.raises(FormatError, match=r"first.dng; expected a name such as 00001_00_0.1s.ARW"):
        sid_pairs(root)


def test_eld_pictures_that_are_missing_or_say_no_exposure_are_named(datasets: Any) -> None:
    root = datasets.eld()
    (root / "SonyA7S2" / "scene-1" / "IMG0011.dng").unlink()
    with pytest.raises(FormatError, match="scene-1 without IMG0011; fetch it again"):
        eld_pairs(root)
    datasets.write("SonyA7S2/scene-1/IMG0011.dng", datasets.scene(), iso=None)
    with pytest.raises(FormatError, match="IMG0011.dng, which doesn't say its ISO"):
        eld_pairs(root)
    datasets.write("SonyA7S2/scene-1/IMG0011.dng", datasets.scene())
    (root / "SonyA7S2" / "scene-2").mkdir()
    with pytest.raises(FormatError, match="scene-2 without RAW files"):
        eld_pairs(root, ratios=(100,))


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_packed_planes_are_whole_cells_of_linear_light(datasets: Any, cfa: str) -> None:
    levels = torch.tensor([100.0, 200.0, -30.0, 16000.0])
    path = datasets.write("flat.dng", bayer.spread(levels, cfa, 36, 40), cfa=cfa)
    planes = packed(path)
    top, left = bayer.offset(cfa, 0)
    assert planes.shape == (4, 18 - top, 20 - left) and planes.dtype is torch.float32
    expected = (levels.clamp(max=15871) / 15871)[:, None, None].expand_as(planes)
    torch.testing.assert_close(planes, expected, atol=1e-6, rtol=0)  # noise below black stays


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_published_planes_are_cut_at_black_and_have_the_greens_apart(datasets: Any, cfa: str) -> None:
    levels = torch.tensor([100.0, 200.0, -30.0, 700.0])
    planes = published_planes(datasets.write("flat.dng", bayer.spread(levels, cfa, 36, 40), cfa=cfa))
    expected = torch.tensor([100.0, 200.0, 700.0, 0.0]) / (16383 - 512)
    torch.testing.assert_close(planes, expected[:, None, None].expand(4, 18, 20), atol=1e-7, rtol=0)


def test_the_middle_is_the_middle() -> None:
    planes = torch.arange(4 * 7 * 9.0).view(4, 7, 9)
    assert torch.equal(centre(planes, 3, "x"), planes[:, 2:5, 3:6])
    with pytest.raises(FormatError, match="got x of 7x9 packed pixels; expected at least 8x8"):
        centre(planes, 8, "x")


def pair(**changes: Any) -> Pair:
    facts = {"noisy": Path("a"), "clean": Path("b"), "ratio": 100.0, "nominal": 100, "scene": "1", "iso": 400.0}
    return Pair(**{**facts, "camera": "SonyA7S2", **changes})


def test_noise_is_that_of_the_camera_unless_given() -> None:
    published = NoiseModel.virtual("SonyA7S2", iso=400)
    assert torch.equal(noise_of(pair()).gain_dn_per_e, published.gain_dn_per_e)
    nikon = NoiseModel.virtual("NikonD850", iso=400)
    assert torch.equal(noise_of(pair(), "NikonD850").gain_dn_per_e, nikon.gain_dn_per_e)
    assert noise_of(pair(camera="mine"), published) is published
    with pytest.raises(ProfileError, match=r"the noise of a: got published camera 'mine'.*give a profile"):
        noise_of(pair(camera="mine"))


def test_an_extended_iso_has_the_noise_of_100() -> None:
    base = NoiseModel.virtual("SonyA7S2", iso=100)
    assert torch.equal(noise_of(pair(iso=50.0)).gain_dn_per_e, base.gain_dn_per_e)
