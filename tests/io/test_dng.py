from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import FormatError, Frame, Pipeline, RawpipeWarning, Space, bayer
from rawpipe.bayer import PHASES
from rawpipe.io.dng_encode import Levels
from rawpipe.io.ifd import EXIF_IFD, SUB_IFDS, Directory, read_tree
from rawpipe.stages import BlackLevel, Crop, Demosaic, Exposure, Orient, WhiteBalance
from rawpipe.testing import synthetic_frame


def tree(path: Path) -> tuple[Directory, Directory]:
    (root,) = read_tree(path.read_bytes())
    return root, root.children[SUB_IFDS][0]


def linear(height: int = 34, width: int = 40, cfa: str = "RGGB", **options) -> Frame:
    return BlackLevel()(synthetic_frame(Space.SENSOR, height, width, cfa, **options))


@pytest.mark.parametrize("cfa", PHASES)
@pytest.mark.parametrize("size", [(34, 40), (33, 47), (300, 517)])
def test_an_unchanged_mosaic_comes_back_bit_for_bit_with_its_border(tmp_path: Path, cfa: str, size: tuple[int, int]):
    source = synthetic_frame(Space.SENSOR, *size, cfa, dtype=torch.float64)
    frame = WhiteBalance()(BlackLevel()(source))
    frame.write(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng")
    assert np.array_equal(back.data.numpy(), source.data.numpy())
    assert back.cfa == cfa
    assert torch.equal(back.black, source.black) and torch.equal(back.white, source.white)
    assert torch.allclose(back.neutral, source.neutral, atol=1e-6)
    whole = Frame.read(tmp_path / "x.dng", area="sensor")
    expected = source.shot.sensor.clone()
    top, left, bottom, right = source.shot.active_area
    expected[top:bottom, left:right] = source.data.to(torch.uint16)
    assert np.array_equal(whole.data.numpy(), expected.numpy())
    assert back.shot.active_area == source.shot.active_area


@pytest.mark.parametrize("corner", [(7, 38), (6, 39), (7, 39)])
@pytest.mark.parametrize("area", ["active", "sensor"])
def test_an_odd_origin_is_written_even_and_loses_no_picture(
    foreign_dng, tmp_path: Path, corner: tuple[int, int], area: str
):
    from rawpipe.io.ifd import LONG, SHORT, Tag, rationals

    top, left = corner
    pixels = np.random.default_rng(0).integers(600, 15000, (80, 100)).astype(np.uint16)
    path = foreign_dng(
        pixels,
        Tag(50713, SHORT, (2, 2)),
        rationals(50714, (512, 516, 520, 508)),
        Tag(50717, LONG, (15520,)),
        Tag(50829, LONG, (top, left, 77, 97)),
        cfa="GBRG",
    )
    source = Frame.read(path)
    BlackLevel()(Frame.read(path, area=area)).write(tmp_path / "even.dng")
    back = Frame.read(tmp_path / "even.dng")
    assert back.shot.active_area[0] % 2 == 0 and back.shot.active_area[1] % 2 == 0
    assert np.array_equal(back.data.numpy(), source.data.numpy())
    assert back.cfa == source.cfa and torch.equal(back.black, source.black)


@pytest.mark.parametrize("cfa", PHASES)
@pytest.mark.parametrize("box", [(0, 0, 30, 32), (1, 0, 30, 31), (0, 1, 29, 30), (3, 5, 60, 63)])
def test_a_crop_is_written_with_its_own_phase(tmp_path: Path, cfa: str, box: tuple[int, int, int, int]):
    source = synthetic_frame(Space.SENSOR, 64, 70, cfa)
    Pipeline([BlackLevel(), Crop(box)])(source).write(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng")
    assert back.cfa == bayer.rephase(cfa, box[0], box[1])
    assert np.array_equal(back.data.numpy(), source.data[box[0] : box[2], box[1] : box[3]].numpy())
    assert torch.equal(back.black, source.black)


def test_raw_counts_can_be_written_as_they_are(tmp_path: Path):
    source = synthetic_frame(Space.SENSOR, 34, 40, "GBRG", dtype=torch.uint16)
    source.write(tmp_path / "x.dng")
    assert np.array_equal(Frame.read(tmp_path / "x.dng").data.numpy(), source.data.numpy())


def test_your_own_black_is_what_the_file_says(tmp_path: Path):
    source = synthetic_frame(Space.SENSOR)
    BlackLevel(black=(500.25, 501.0, 502.0, 503.5))(source).write(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng")
    assert back.black.tolist() == [500.25, 501.0, 502.0, 503.5]
    assert np.array_equal(back.data.numpy(), source.data.numpy())


def test_sites_with_different_whites_are_brought_to_the_lowest():
    source = synthetic_frame(Space.SENSOR)
    whites = torch.tensor([15000.0, 15520.0, 15400.0, 15200.0])
    frame = BlackLevel()(replace(source, white=whites, shot=replace(source.shot, white=whites)))
    levels = Levels.of(frame)
    assert (levels.white, levels.limit) == (15000, 15000)


def test_camera_rgb_is_stored_over_16_bits_without_white_balance(tmp_path: Path):
    frame = Pipeline([BlackLevel(), WhiteBalance(), Demosaic("bilinear")])(synthetic_frame(Space.SENSOR, 60, 70))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        frame.write(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng")
    assert back.space is Space.CAMERA
    expected = (frame.data / frame.wb[:, None, None]).clamp(0, 1)
    assert float((back.data - expected).abs().max()) <= 0.5 / 65535 + 1e-6
    _, raw = tree(tmp_path / "x.dng")
    assert raw.tags[50714].numbers() == (0, 0, 0) and raw.tags[50717].integers() == (65535,) * 3
    assert 33422 not in raw.tags


def test_half_size_camera_rgb_keeps_the_recommended_crop_in_proportion(tmp_path: Path):
    frame = Pipeline([BlackLevel(), Demosaic("superpixel")])(synthetic_frame(Space.SENSOR, 60, 80, level=0.5))
    frame.write(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng")
    assert back.data.shape == (3, 30, 40) and back.shot.default_crop == (2, 2, 28, 38)


# Colour, metadata, opcodes.


def test_no_matrix_is_an_error_that_says_what_to_do_and_generic_is_recorded(tmp_path: Path):
    frame = linear()
    bare = replace(frame, shot=replace(frame.shot, color=None))
    with pytest.raises(FormatError, match="generic"):
        bare.write(tmp_path / "x.dng")
    assert not (tmp_path / "x.dng").exists()
    step = bare.write(tmp_path / "x.dng", matrix="generic")
    assert step.parameters["matrix"] == "generic"
    assert "generic" in tree(tmp_path / "x.dng")[0].tags[305].text()
    bare.write(tmp_path / "y.dng", matrix=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert tree(tmp_path / "y.dng")[0].tags[50721].numbers() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_metadata_arrives(tmp_path: Path):
    frame = linear()
    shot = replace(
        frame.shot, exposure_s=1 / 125, f_number=4.0, focal_mm=35.0, lens="35mm", serial="77", source="a.NEF", iso=6400
    )
    replace(frame, shot=shot).write(tmp_path / "x.dng")
    root, raw = tree(tmp_path / "x.dng")
    back = Frame.read(tmp_path / "x.dng").shot
    assert (back.make, back.model, back.serial, back.lens) == ("Rawpipe", "Rawpipe Synthetic", "77", "35mm")
    assert (back.iso, back.f_number, back.focal_mm, back.orientation) == (6400, 4.0, 35.0, 6)
    assert back.exposure_s == pytest.approx(1 / 125)
    assert root.tags[50827].text() == "a.NEF"
    assert root.tags[50706].raw() == root.tags[50707].raw() == b"\1\4\0\0"
    assert len(root.tags[50781].raw()) == 16
    assert root.children[EXIF_IFD]
    assert 50830 not in raw.tags  # MaskedAreas make readers measure black again


def test_the_pixel_id_changes_with_the_pixels_only(tmp_path: Path):
    ids = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        linear(seed=seed).write(tmp_path / f"{name}.dng")
        ids.append(tree(tmp_path / f"{name}.dng")[0].tags[50781].raw())
    assert ids[0] == ids[1] != ids[2]
    assert (tmp_path / "a.dng").read_bytes() == (tmp_path / "b.dng").read_bytes()


def test_previews_show_the_processed_pixels_in_colour(tmp_path: Path):
    frame = Exposure(1.0)(WhiteBalance()(linear(600, 1000, level=0.2)))
    frame.write(tmp_path / "x.dng")
    root, _ = tree(tmp_path / "x.dng")
    assert max(root.tags[256].integers()[0], root.tags[257].integers()[0]) <= 256
    at, size = root.tags[273].integers()[0], root.tags[279].integers()[0]
    thumbnail = np.frombuffer((tmp_path / "x.dng").read_bytes()[at : at + size], np.uint8)
    srgb = round(255 * (1.055 * 0.4 ** (1 / 2.4) - 0.055))
    assert abs(thumbnail.astype(int) - srgb).max() <= 1  # neutral grey, twice as bright as it was taken


OPCODES = (b"\0\0\0\0", b"\0\0\0\0", b"\0\0\0\0")


@pytest.mark.parametrize(
    ("stages", "kept", "warned"),
    [
        ((), {51008, 51009, 51022}, ()),
        ((WhiteBalance(),), {51008, 51009, 51022}, ()),
        ((Exposure(1.0),), {51009, 51022}, (1,)),
        ((Crop((2, 2, 30, 30)),), set(), (1, 2, 3)),
        ((Demosaic(),), {51022}, (1, 2)),
        ((Orient(),), set(), ()),
    ],
)
def test_opcode_lists_are_kept_only_while_they_are_true(tmp_path: Path, stages, kept, warned):
    source = synthetic_frame(Space.SENSOR, 60, 70, level=0.2)
    source = replace(source, shot=replace(source.shot, opcodes=OPCODES))
    frame = Pipeline([BlackLevel(), *stages])(source)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frame.write(tmp_path / "x.dng")
    _, raw = tree(tmp_path / "x.dng")
    assert {code for code in (51008, 51009, 51022) if code in raw.tags} == kept
    assert [f"OpcodeList{n}" in str([str(w.message) for w in said]) for n in (1, 2, 3)] == [
        n in warned for n in (1, 2, 3)
    ]


def test_an_applied_opcode_list_is_not_written_again(tmp_path: Path):
    source = synthetic_frame(Space.SENSOR, 60, 70, level=0.2)
    frame = BlackLevel()(replace(source, shot=replace(source.shot, opcodes=OPCODES), applied=("opcodes2",)))
    frame.write(tmp_path / "x.dng")
    _, raw = tree(tmp_path / "x.dng")
    assert 51009 not in raw.tags and 51008 in raw.tags


# Refusals.


def test_what_a_dng_cannot_hold_is_refused(tmp_path: Path):
    frame = linear()
    with pytest.raises(FormatError, match="RGB"):
        synthetic_frame(Space.RGB).write(tmp_path / "x.dng")
    with pytest.raises(FormatError, match="stack"):
        BlackLevel()(synthetic_frame(batch=(2,))).write(tmp_path / "x.dng")
    with pytest.raises(FormatError, match="linear yet"):
        sensor = synthetic_frame()
        replace(sensor, shot=replace(sensor.shot, linearization=torch.arange(9.0))).write(tmp_path / "x.dng")
    with pytest.raises(FormatError, match="headroom"):
        frame.write(tmp_path / "x.dng", headroom=0.5)
    with pytest.raises(FormatError, match=r"ends in .dng"):
        frame.write(tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["x.dng", "x.tif"])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, bad: float, name: str):
    (tmp_path / name).write_bytes(b"precious")
    frame = linear(300, 300)
    spoiled = replace(frame, data=frame.data.clone())
    spoiled.data[290, 290] = bad
    with pytest.raises(FormatError, match="nan or infinite"):
        spoiled.write(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(FormatError, match="make the folder"):
        linear().write(tmp_path / "no" / "x.dng")
