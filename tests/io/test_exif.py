from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rawpipe import Frame
from rawpipe.io.container import boxes
from rawpipe.io.describe import exif_directory, unique_model
from rawpipe.io.exif import directories, read_exif
from rawpipe.io.ifd import (
    ASCII,
    EXIF_IFD,
    FLOAT,
    GPS_IFD,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    UNDEFINED,
    Directory,
    Tag,
    ascii_tag,
    rationals,
    write_tree,
)
from rawpipe.testing import synthetic_frame

CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def tiff(directory: Directory) -> bytes:
    out = io.BytesIO()
    write_tree(out, directory)
    return out.getvalue()


def camera(*exif: Tag) -> Directory:
    return Directory(
        {271: ascii_tag(271, "Maker"), 272: ascii_tag(272, "Model X"), 274: Tag(274, SHORT, (6,))},
        {EXIF_IFD: [Directory({tag.code: tag for tag in exif})]},
    )


def read(tmp_path: Path, directory: Directory):
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(directory))
    data = memoryview(path.read_bytes())
    from rawpipe.io.ifd import read_tree

    return read_exif(path, directories("tiff", data, read_tree(data)))


FULL = (
    rationals(0x829A, [1 / 60]),
    rationals(0x829D, [2.8]),
    Tag(0x8827, SHORT, (400,)),
    rationals(0x920A, [50]),
    ascii_tag(0x9003, "2026:01:02 03:04:05"),
    ascii_tag(0xA431, "1234"),
    ascii_tag(0xA434, "50mm f/1.8"),
    Tag(37500, UNDEFINED, b"maker note with offsets"),
    Tag(0xA432, RATIONAL, (24, 1, 70, 1, 0, 0, 0, 0)),
)


def test_what_exif_says_is_found(tmp_path: Path):
    exif = read(tmp_path, camera(*FULL))
    assert (exif.make, exif.model, exif.serial, exif.lens) == ("Maker", "Model X", "1234", "50mm f/1.8")
    assert (exif.iso, exif.f_number, exif.focal_mm, exif.orientation) == (400, 2.8, 50, 6)
    assert exif.exposure_s == pytest.approx(1 / 60)
    assert exif.taken == "2026:01:02 03:04:05"


def test_the_maker_note_is_not_carried_and_unknown_lens_apertures_are_no_error(tmp_path: Path):
    exif = read(tmp_path, camera(*FULL))
    assert 37500 not in {tag.code for tag in exif.tags}
    assert 0xA432 in {tag.code for tag in exif.tags}


def test_zeros_that_mean_unknown_are_left_out_with_what_goes_with_them(tmp_path: Path):
    exif = read(
        tmp_path,
        camera(
            Tag(0x829A, RATIONAL, (0, 1)),
            Tag(0x829D, RATIONAL, (0, 1)),
            Tag(0x8827, SHORT, (0,)),
            Tag(0x9201, SRATIONAL, (0, 1)),
            Tag(0x9202, RATIONAL, (0, 1)),
            Tag(0x9003, ASCII, b"\0"),
        ),
    )
    assert (exif.iso, exif.exposure_s, exif.f_number, exif.tags) == (None, None, None, ())


@pytest.mark.parametrize(("kind", "code"), [(2, 0x8832), (1, 0x8831), (3, 0x8833), (7, 0x8831)])
def test_iso_goes_on_where_the_short_tag_saturates(tmp_path: Path, kind: int, code: int):
    exif = read(tmp_path, camera(Tag(0x8827, SHORT, (65535,)), Tag(0x8830, SHORT, (kind,)), Tag(code, 4, (102400,))))
    assert exif.iso == 102400


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_canons_cr3_keeps_its_exif_in_boxes(tmp_path: Path):
    root = tiff(Directory({271: ascii_tag(271, "Canon"), 272: ascii_tag(272, "Canon EOS R6")}))
    exif = tiff(Directory({tag.code: tag for tag in FULL}))
    gps = tiff(Directory({1: ascii_tag(1, "N")}))
    moov = box(b"moov", box(b"uuid", CANON_UUID + box(b"CMT1", root) + box(b"CMT2", exif) + box(b"CMT4", gps)))
    data = box(b"ftyp", b"crx \0\0\0\1") + moov
    path = tmp_path / "x.cr3"
    path.write_bytes(data)
    found = read_exif(path, directories("cr3", memoryview(data), []))
    assert (found.make, found.model, found.iso, found.lens) == ("Canon", "Canon EOS R6", 400, "50mm f/1.8")
    assert [tag.code for tag in found.gps] == [1]
    assert [kind for kind, _, _ in boxes(memoryview(data))] == [b"ftyp", b"moov"]


def test_fujis_raf_keeps_its_exif_in_the_preview(tmp_path: Path):
    app1 = b"Exif\0\0" + tiff(camera(*FULL))
    jpeg = b"\xff\xd8" + b"\xff\xe0\0\4JF" + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + b"\xff\xd9"
    data = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">2I", 148, len(jpeg)) + b"\0" * 56 + jpeg
    path = tmp_path / "x.raf"
    path.write_bytes(data)
    found = read_exif(path, directories("raf", memoryview(data), []))
    assert (found.make, found.iso) == ("Maker", 400)


def test_a_damaged_exif_block_is_a_missing_one(tmp_path: Path):
    path = tmp_path / "x.cr3"
    path.write_bytes(box(b"moov", box(b"uuid", CANON_UUID + box(b"CMT1", b"II*\0\xff\xff\xff\0"))))
    found = read_exif(path, directories("cr3", memoryview(path.read_bytes()), []))
    assert found.make == "" and found.tags == ()


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("NIKON CORPORATION", "NIKON D500", "Nikon D500"),
        ("Canon", "Canon EOS 6D", "Canon EOS 6D"),
        ("SONY", "ILCE-7M3", "Sony ILCE-7M3"),
        ("OLYMPUS IMAGING CORP.", "E-M1", "Olympus E-M1"),
        ("FUJIFILM", "X-T10", "Fujifilm X-T10"),
        ("LG Mobile", "LG-H815", "LG LG-H815"),
        ("", "", "Unknown camera"),
    ],
)
def test_the_unique_model_is_spelled_as_adobe_does(make: str, model: str, name: str):
    assert unique_model(replace(synthetic_frame().shot, make=make, model=model)) == name


def test_exif_is_made_from_what_a_shot_knows():
    tags = exif_directory(synthetic_frame().shot).tags
    assert tags[0x8827].integers() == (800,)
    assert 0x829A not in tags
    assert GPS_IFD not in tags


@pytest.mark.parametrize("iso", [102400, 65535])
def test_an_iso_beyond_the_short_tag_is_kept(tmp_path: Path, iso: int):
    frame = synthetic_frame()
    replace(frame, shot=replace(frame.shot, iso=iso)).write(tmp_path / "x.dng")
    assert Frame.read(tmp_path / "x.dng").shot.iso == iso


CARRIED = (
    ascii_tag(270, "A wall"),
    ascii_tag(315, "Ada"),
    ascii_tag(33432, "(c) Ada"),
    ascii_tag(50932, "com.example"),
    ascii_tag(50936, "Wall standard"),
    Tag(50937, LONG, (1, 2, 1)),
    Tag(50938, FLOAT, (0.0, 1.0, 1.0, 2.0, 1.0, 1.0)),
    Tag(50940, FLOAT, (0.0, 0.0, 1.0, 1.0)),
    Tag(50941, LONG, (3,)),
    Tag(51110, LONG, (1,)),
)


def test_credits_and_camera_profile_are_carried_from_file_to_file(foreign_dng, tmp_path: Path):
    frame = Frame.read(foreign_dng(np.full((40, 50), 900, np.uint16), *CARRIED, Tag(51109, ASCII, b"\0")))
    assert frame.shot.carried == CARRIED
    frame.write(tmp_path / "x.dng")
    assert Frame.read(tmp_path / "x.dng").shot.carried == CARRIED
    frame.write(tmp_path / "y.dng", matrix=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])  # its profile is not that of this matrix
    assert Frame.read(tmp_path / "y.dng").shot.carried == CARRIED[:3]
    frame.write(tmp_path / "x.tif")
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool isn't on the PATH")
    for name in ("x.tif", "x.dng"):
        listed = subprocess.run(["exiftool", "-j", "-n", str(tmp_path / name)], capture_output=True, check=True)
        (said,) = json.loads(listed.stdout)
        assert (said["ImageDescription"], said["Artist"], said["Copyright"]) == ("A wall", "Ada", "(c) Ada")
    assert (said["ProfileName"], said["ProfileHueSatMapDims"]) == ("Wall standard", "1 2 1")
    assert said["DefaultBlackRender"] == 1
