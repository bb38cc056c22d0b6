from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from rawpipe import FormatError, Frame
from rawpipe.io.container import tree_of
from rawpipe.io.ifd import FLOAT, LONG, SHORT, Tag
from rawpipe.testing import synthetic_frame

PIXELS = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96)


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\xff\xd8\xff\xe0" + b"\0" * 64, "a JPEG"),
        (b"\x89PNG\r\n" + b"\0" * 64, "a PNG"),
        (b"FOVb" + b"\0" * 64, "Foveon"),
        (b"II+\0" + b"\0" * 64, "BigTIFF"),
        (b"anything else" * 9, "no RAW container"),
        (b"FUJIFILMCCD-RAW " + b"\0" * 68 + struct.pack(">6I", 1, 500, 0, 0, 1, 10**6), "truncated"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + struct.pack(">I4s", 10**6, b"mdat"), "truncated"),
        (b"II*\0\x08\0\0\0", "can't be read"),
    ],
)
def test_each_kind_of_file_that_is_no_whole_raw_is_named(tmp_path: Path, head: bytes, reason: str):
    with pytest.raises(FormatError, match=reason):
        Frame.read(saved(tmp_path / "x.raw", head))


def test_missing_empty_and_folder_are_told_apart(tmp_path: Path):
    with pytest.raises(FormatError, match="No such file"):
        Frame.read(tmp_path / "none.nef")
    with pytest.raises(FormatError, match="empty"):
        Frame.read(saved(tmp_path / "a.nef", b""))
    with pytest.raises(FormatError, match="folder"):
        Frame.read(tmp_path)


def test_a_strip_file_cut_anywhere_is_refused_before_libraw_sees_it(foreign_dng, tmp_path: Path):
    whole = foreign_dng(PIXELS).read_bytes()
    for share in (0.01, 0.3, 0.6, 0.95, 0.999):
        with pytest.raises(FormatError, match="truncated|can't be read"):
            Frame.read(saved(tmp_path / "cut.dng", whole[: int(share * len(whole))]))


def test_our_own_tiled_dng_cut_anywhere_is_refused(tmp_path: Path):
    synthetic_frame(height=300, width=600).write(tmp_path / "whole.dng")
    whole = (tmp_path / "whole.dng").read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(FormatError, match="truncated|can't be read"):
            Frame.read(saved(tmp_path / "cut.dng", whole[: int(share * len(whole))]))


def test_missing_tiles_and_short_strips_are_truncation(foreign_dng):
    with pytest.raises(FormatError, match="bytes of image data"):
        Frame.read(foreign_dng(PIXELS, Tag(257, LONG, (640,))))
    with pytest.raises(FormatError, match="tiles"):
        Frame.read(foreign_dng(PIXELS, Tag(259, SHORT, (7,)), Tag(322, LONG, (16,)), Tag(323, LONG, (16,))))


def camera_file(width: int = 96, magic: bytes = b"IIRO", place: int | None = None, length: int = 100) -> bytes:
    """A file as camera makers write them: 12 bits a pixel, packed in their own way."""
    values = {256: width, 257: 64, 258: 16, 259: 1, 273: 400 if place is None else place, 279: length, 0x118: 400}
    lines = [struct.pack("<HHII", code, LONG, 1, value) for code, value in sorted(values.items())]
    head = magic + struct.pack("<IH", 8, len(lines)) + b"".join(lines) + bytes(4)
    return head.ljust(400, b"\0") + bytes(100)


def test_a_cameras_packed_pixels_may_be_fewer_than_its_tags_say(tmp_path: Path):
    tree_of(tmp_path / "x.orf", memoryview(camera_file()))
    with pytest.raises(FormatError, match="truncated"):
        tree_of(tmp_path / "x.orf", memoryview(camera_file(length=101)))


def test_panasonic_keeps_its_offset_in_a_tag_of_its_own(tmp_path: Path):
    data = camera_file(magic=b"IIU\0", place=0xFFFFFFFF, length=10**6)
    tree_of(tmp_path / "x.rw2", memoryview(data))
    with pytest.raises(FormatError, match="truncated"):
        tree_of(tmp_path / "x.rw2", memoryview(data[:400]))


def test_tags_without_values_are_as_if_missing(foreign_dng):
    empty = [Tag(code, SHORT, ()) for code in (254, 274, 277, 258, 259)]
    with pytest.raises(FormatError, match="can't be decoded"):  # LibRaw's word: a DNG without samples
        Frame.read(foreign_dng(PIXELS, *empty))
    assert Tag(271, LONG, (256 + 65, 66)).text() == "AB"
    assert Tag(271, FLOAT, (float("inf"), 66.0)).integers() == (0, 66)


def test_a_headless_dump_needs_shape_dtype_and_cfa(tmp_path: Path):
    path = saved(tmp_path / "dump.bin", PIXELS.tobytes())
    with pytest.raises(FormatError, match="headless"):
        Frame.read(path)
    with pytest.raises(FormatError, match="needs all three"):
        Frame.read(path, shape=(64, 96), dtype="uint16")
    with pytest.raises(FormatError, match="expected 12480"):
        Frame.read(path, shape=(65, 96), dtype="uint16", cfa="RGGB", bits=14)
    frame = Frame.read(path, shape=(64, 96), dtype="uint16", cfa="GBRG", bits=14, black=64)
    assert np.array_equal(frame.data.numpy(), PIXELS)
    assert (frame.cfa, frame.white.tolist(), frame.black.tolist()) == ("GBRG", [16383.0] * 4, [64.0] * 4)


@pytest.mark.parametrize(
    "wrong", [{"dtype": "uint99"}, {"dtype": "complex64"}, {"shape": (64,)}, {"shape": (0, 96)}, {"shape": ("a", "b")}]
)
def test_a_dump_of_an_impossible_kind_is_refused(tmp_path: Path, wrong: dict):
    path = saved(tmp_path / "dump.bin", PIXELS.tobytes())
    with pytest.raises(FormatError, match="got shape="):
        Frame.read(path, **({"shape": (64, 96), "dtype": "uint16", "cfa": "RGGB", "bits": 14} | wrong))


def test_a_big_endian_dump_reads_right(tmp_path: Path):
    path = saved(tmp_path / "dump.bin", PIXELS.astype(">u2").tobytes())
    frame = Frame.read(path, shape=(64, 96), dtype=">u2", cfa="RGGB", white=6143)
    assert np.array_equal(frame.data.numpy(), PIXELS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kodak_c330_yrgb_not_bayer.raw", "no RAW container"),
        ("truncated_canon_r6.cr3", "can't be decoded"),
        ("truncated_canon350d_zeros.dng", "truncated"),
        ("truncated_nikon_corrupt.nef", "truncated"),
        ("header_only_sigma_dp2.x3f", "Foveon"),
    ],
)
def test_real_bad_files_are_refused(data: Path, name: str, reason: str):
    with pytest.raises(FormatError, match=reason):
        Frame.read(data / "raw_negative" / name)


def test_a_real_headless_file_that_libraw_would_misread_is_refused_and_read_as_told(data: Path):
    path = data / "raw" / "nikon_dsc1339_768x512_rggb_u16.raw"
    with pytest.raises(FormatError, match="headless"):
        Frame.read(path)
    frame = Frame.read(path, shape=(512, 768), dtype="uint16", cfa="RGGB", black=600, white=15520)
    assert frame.data.shape == (512, 768) and frame.data.numpy().max() <= 16383
