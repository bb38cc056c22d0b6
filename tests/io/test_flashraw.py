from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import CameraColor, FormatError, Frame, Noise, Shot, Space
from rawpipe.bayer import PHASES
from rawpipe.cli import main
from rawpipe.io import flash, libraw
from rawpipe.io.ifd import DOUBLE, LONG, SHORT, Tag, rationals
from rawpipe.testing import synthetic_frame

pytest.importorskip("flashraw", reason="needs the extra flashraw")


@pytest.fixture(autouse=True)
def nothing_agreed_yet(monkeypatch):
    monkeypatch.setattr(flash, "_agreed", set())


def assert_same(one: object, other: object, name: str = "frame") -> None:
    """All fields alike; matrices within what LibRaw keeps as float32."""
    assert type(one) is type(other), name
    if isinstance(one, Frame | Shot | Noise | CameraColor):
        for field in fields(one):
            if field.name != "source" or not isinstance(one, CameraColor):
                assert_same(getattr(one, field.name), getattr(other, field.name), f"{name}.{field.name}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        exact = name.endswith(("data", "sensor"))
        assert one.dtype == other.dtype and (torch.equal(one, other) if exact else torch.allclose(one, other)), name
    else:
        assert one == other, name


def read_both(path: Path, **options) -> tuple[Frame, Frame]:
    return Frame.read(path, reader="rawpy", **options), Frame.read(path, reader="flashraw", **options)


@pytest.mark.parametrize("area", ["active", "sensor"])
@pytest.mark.parametrize("size", [(40, 50), (300, 570)])
@pytest.mark.parametrize("cfa", PHASES)
def test_a_mosaic_is_the_same_frame(tmp_path: Path, cfa: str, size: tuple[int, int], area: str):
    synthetic_frame(Space.SENSOR, *size, cfa, dtype=torch.uint16).write(tmp_path / "x.dng")
    one, other = read_both(tmp_path / "x.dng", area=area)
    assert_same(one, other)
    assert area == "sensor" or other.origin.tolist() == [*other.shot.active_area[:2], *other.shot.size]


@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_camera_rgb_is_the_same_frame(tmp_path: Path):
    synthetic_frame(Space.CAMERA, 300, 570).write(tmp_path / "x.dng")
    assert_same(*read_both(tmp_path / "x.dng"))


@pytest.mark.parametrize("cfa", PHASES)
@pytest.mark.parametrize("corner", [(0, 0), (7, 9)])
def test_what_others_write_is_the_same_frame(foreign_dng, cfa: str, corner: tuple[int, int]):
    codes = np.random.default_rng(0).integers(0, 1024, (80, 100)).astype(np.uint16)
    table = tuple((np.arange(1024) ** 2 // 16).tolist())
    tags = (
        Tag(50712, SHORT, table),
        Tag(50713, SHORT, (2, 2)),
        rationals(50714, (512, 516, 520, 508)),
        Tag(50717, LONG, (table[-1],)),
        Tag(50829, LONG, (*corner, 75, 93)),
        Tag(50830, LONG, (0, 0, 6, 100)),
        rationals(50719, (3, 2)),
        rationals(50720, (70, 60)),
        Tag(51041, DOUBLE, (1e-4, 1e-7)),
    )
    one, other = read_both(foreign_dng(codes, *tags, cfa=cfa))
    assert_same(one, other)
    assert np.array_equal(other.shot.sensor.numpy(), np.array(table)[codes])


def test_floating_samples_are_the_same_frame(foreign_dng):
    pixels = np.random.default_rng(2).random((48, 64)).astype(np.float32)
    assert_same(*read_both(foreign_dng(pixels, Tag(339, SHORT, (3,)), Tag(50717, LONG, (1,)))))


REFUSED = {  # what rawpy reads, and flashraw must not
    "kodak_dc50.kdc": r"iso None and 84\.0",
    "photoprism_canon6d_linear.dng": "lossy JPEG",
    "skia_dng_with_preview.dng": "lossy JPEG",
}
SAME = {
    "canon_550d_ml_colorchecker.dng",
    "nikon_d1_berlin.nef",
    "raspberrypi_pidng_640x480.dng",
    "adobe_sdk_14_linear14bit_1000x100.dng",
}


@pytest.mark.parametrize("area", ["active", "sensor"])
@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_every_real_file_is_the_same_frame_or_an_error_that_names_the_other_reader(data: Path, area: str):
    same = set()
    for path in sorted([*(data / "raw").iterdir(), *(data / "raw_negative").iterdir()]):
        try:
            expected = Frame.read(path, area=area)
        except FormatError:
            with pytest.raises(FormatError) as caught:
                Frame.read(path, area=area, reader="flashraw")
            assert len(str(caught.value).splitlines()) == 1
            continue
        if path.name in REFUSED:
            with pytest.raises(FormatError, match=REFUSED[path.name] + '.*use reader="rawpy"'):
                Frame.read(path, area=area, reader="flashraw")
        else:
            assert_same(expected, Frame.read(path, area=area, reader="flashraw"))
            same.add(path.name)
    assert same >= {name for name in SAME if any(data.glob(f"raw*/{name}"))}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, share: float):
    synthetic_frame(Space.SENSOR, 600, 570, dtype=torch.uint16).write(tmp_path / "x.dng")
    whole = (tmp_path / "x.dng").read_bytes()
    (tmp_path / "x.dng").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FormatError) as caught:
        Frame.read(tmp_path / "x.dng", reader="flashraw")
    assert "x.dng" in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_lost_tiles_are_refused_and_not_filled(tmp_path: Path):
    synthetic_frame(Space.SENSOR, 600, 570, dtype=torch.uint16).write(tmp_path / "x.dng")
    whole = bytearray((tmp_path / "x.dng").read_bytes())
    at = whole.index(b"\xff\xd8\xff", len(whole) // 3)  # a tile's start of image
    whole[at : at + 40] = bytes(40)
    (tmp_path / "x.dng").write_bytes(whole)
    with pytest.raises(FormatError, match="can't be decoded: flashraw says"):
        Frame.read(tmp_path / "x.dng", reader="flashraw")


def test_lossy_samples_are_left_to_rawpy(foreign_dng):
    path = foreign_dng(np.full((40, 40), 900, np.uint16), Tag(259, SHORT, (34892,)))
    with pytest.raises(FormatError, match='lossy JPEG.*use reader="rawpy"'):
        Frame.read(path, reader="flashraw")


def without_matrix(foreign_dng) -> Path:
    counts = np.random.default_rng(0).integers(400, 16000, (80, 100)).astype(np.uint16)
    return foreign_dng(counts, Tag(50721, 10, (0, 1) * 9))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"iso": 84.0}, "iso None and 84.0"), ({"lens": "50mm"}, "lens '' and '50mm'"), ({"pixels": None}, "pixels")],
)
def test_a_decoder_that_contradicts_libraw_is_not_believed(foreign_dng, monkeypatch, change: dict, said: str):
    path, decode = without_matrix(foreign_dng), libraw.decode
    monkeypatch.setattr(libraw, "decode", lambda path, tags: replace(decode(path, tags), **change))
    for _ in range(2):
        with pytest.raises(FormatError, match=f'{said}.*use reader="rawpy"'):
            Frame.read(path, reader="flashraw")


def test_libraw_is_asked_once_for_every_camera_and_not_where_the_tags_say_all(foreign_dng, tmp_path: Path, monkeypatch):
    asked, decode = [], libraw.decode
    monkeypatch.setattr(libraw, "decode", lambda path, tags: asked.append(path) or decode(path, tags))
    path = without_matrix(foreign_dng)
    for _ in range(3):
        Frame.read(path, reader="flashraw")
    assert asked == [path]
    synthetic_frame(Space.SENSOR, 40, 50, dtype=torch.uint16).write(tmp_path / "all.dng")
    Frame.read(tmp_path / "all.dng", reader="flashraw")
    assert asked == [path]


def test_a_reader_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch):
    synthetic_frame(Space.SENSOR, 40, 50, dtype=torch.uint16).write(tmp_path / "x.dng")
    with pytest.raises(FormatError, match="expected one of rawpy, flashraw"):
        Frame.read(tmp_path / "x.dng", reader="flash")
    monkeypatch.setitem(sys.modules, "flashraw", None)
    with pytest.raises(FormatError, match=r'pip install "rawpipe-isp\[flashraw\]", or use reader="rawpy"'):
        Frame.read(tmp_path / "x.dng", reader="flashraw")


def test_both_readers_develop_to_the_same_bytes(tmp_path: Path):
    synthetic_frame(Space.SENSOR, 140, 150, level=0.2, dtype=torch.uint16).write(tmp_path / "x.dng")
    for reader in ("rawpy", "flashraw"):
        words = ["develop", str(tmp_path / "x.dng"), "-o", str(tmp_path / f"{reader}.tif"), "--reader", reader, "-q"]
        assert main(words) == 0
    assert (tmp_path / "rawpy.tif").read_bytes() == (tmp_path / "flashraw.tif").read_bytes()
