from __future__ import annotations

import io
import math
import struct

import pytest

from rawpipe import FormatError
from rawpipe.io.ifd import (
    ASCII,
    BYTE,
    DOUBLE,
    EXIF_IFD,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    SUB_IFDS,
    UNDEFINED,
    Directory,
    Tag,
    ascii_tag,
    attach,
    rational,
    rationals,
    read_tree,
    write_tree,
)

TAGS = (
    Tag(256, LONG, (70000,)),
    Tag(258, SHORT, (16, 16, 16)),
    Tag(271, ASCII, b"Maker\0"),
    Tag(700, BYTE, b"<xmp/>"),
    Tag(50714, RATIONAL, (1, 3, 4, 5)),
    Tag(50721, SRATIONAL, (-1, 3, 2, 7)),
    Tag(51008, UNDEFINED, b"\0\1\2\3\4"),
    Tag(51041, DOUBLE, (1e-5, 2.5e-9)),
)


def written(root: Directory) -> bytes:
    out = io.BytesIO()
    write_tree(out, root)
    return out.getvalue()


def same(one: Tag, two: Tag) -> bool:
    return (one.code, one.type, tuple(one.values)) == (two.code, two.type, tuple(two.values))


def test_a_tree_comes_back_as_it_was_written():
    child = Directory({tag.code: tag for tag in TAGS[:3]}, tiles=iter([b"abc", b"defg"]))
    exif = Directory({0x829A: rationals(0x829A, [1 / 250])})
    root = Directory({tag.code: tag for tag in TAGS}, {SUB_IFDS: [child], EXIF_IFD: [exif]}, strip=b"strip")
    data = written(root)
    (back,) = read_tree(data)
    assert all(same(back.tags[tag.code], tag) for tag in TAGS)
    assert list(back.tags) == sorted(back.tags)
    (sub,), (block,) = back.children[SUB_IFDS], back.children[EXIF_IFD]
    places = zip(sub.tags[324].integers(), sub.tags[325].integers(), strict=True)
    assert [data[at : at + size] for at, size in places] == [b"abc", b"defg"]
    assert block.tags[0x829A].numbers() == (1 / 250,)


def test_every_directory_stands_alone_and_starts_on_an_even_byte():
    data = written(Directory({256: TAGS[0]}, {SUB_IFDS: [Directory({256: TAGS[0]}), Directory({256: TAGS[0]})]}))
    (root,) = read_tree(data)  # a chained SubIFD would show as a second root
    places = [struct.unpack("<I", data[4:8])[0], *root.tags[SUB_IFDS].integers()]
    assert all(place % 2 == 0 for place in places)


def test_big_endian_files_read_the_same():
    entry = struct.pack(">HHIHH", 256, SHORT, 1, 640, 0)
    data = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + b"\0\0\0\0"
    (root,) = read_tree(data)
    assert root.tags[256].integers() == (640,)


def test_big_tiffs_read_too():
    entry = struct.pack("<HHQQ", 256, LONG, 1, 640)
    data = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1) + entry + b"\0" * 8
    (root,) = read_tree(data)
    assert root.tags[256].integers() == (640,)


def test_a_private_tag_that_points_nowhere_is_left_out_and_a_pixel_pointer_is_refused():
    def with_dangling(code: int) -> bytes:
        entries = struct.pack("<HHIHH", 256, SHORT, 1, 640, 0) + struct.pack("<HHII", code, SHORT, 500, 99999)
        return b"II*\0" + struct.pack("<IH", 8, 2) + entries + b"\0\0\0\0"

    (root,) = read_tree(with_dangling(40000))
    assert set(root.tags) == {256}
    with pytest.raises(FormatError, match="truncated"):
        read_tree(with_dangling(273))


def test_directories_that_lead_in_a_circle_end():
    data = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 256, SHORT, 1, 640, 0) + struct.pack("<I", 8)
    assert len(read_tree(data)) == 1


@pytest.mark.parametrize("data", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"PNG what"])
def test_what_is_no_tree_is_refused(data: bytes):
    with pytest.raises(FormatError):
        read_tree(data)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.5, 1 / 3, 123456.789, 1e-7, 4e9 - 1])
def test_rationals_are_as_fine_as_they_can_be(value: float):
    signed = value < 0
    top, bottom = rational(value, signed=signed)
    assert abs(top / bottom - value) <= 1e-9 * max(1, abs(value))
    assert abs(top) < 2**32 and 0 < bottom < 2**32


def test_a_zero_denominator_is_not_a_number():
    tag = Tag(50730, SRATIONAL, (0, 0))
    assert math.isnan(tag.numbers()[0])
    assert tag.integers() == (0,)


def test_a_number_that_does_not_fit_its_type_says_so():
    with pytest.raises(FormatError, match="got tag 256"):
        written(Directory({256: Tag(256, SHORT, (70000,))}))


def test_tags_can_be_added_to_a_file_that_is_written():
    file = io.BytesIO(written(Directory({256: TAGS[0], 305: ascii_tag(305, "old")}, strip=b"pixels")))
    attach(
        file,
        Directory(
            {305: ascii_tag(305, "new, and longer")}, {EXIF_IFD: [Directory({0x9003: ascii_tag(0x9003, "now")})]}
        ),
    )
    (root,) = read_tree(file.getvalue())
    assert root.tags[305].text() == "new, and longer"
    assert root.children[EXIF_IFD][0].tags[0x9003].text() == "now"
    at, size = root.tags[273].integers()[0], root.tags[279].integers()[0]
    assert file.getvalue()[at : at + size] == b"pixels"
