"""The directories of a DNG, tag by tag: camera and colours, thumbnail, raw image, preview.

References: DNG specification 1.7.1, chapter 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rawpipe._camera_color import CameraColor
from rawpipe._frame import Frame, Space
from rawpipe.bayer import sites_at
from rawpipe.io.describe import SOFTWARE, camera_tags, lens_info, unique_model
from rawpipe.io.dng_encode import Encoder
from rawpipe.io.ifd import (
    ASCII,
    BYTE,
    DOUBLE,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    Tag,
    ascii_tag,
    rationals,
)
from rawpipe.io.preview import jpeg

TILE = 256
_CFA, _LINEAR_RAW = 32803, 34892
_OPCODES = (51008, 51009, 51022)
Picture = np.ndarray[Any, np.dtype[np.uint8]]


def describe_camera(root: Directory, frame: Frame, color: CameraColor) -> None:
    """Names, colours and as-shot neutral."""
    shot = frame.shot
    software = SOFTWARE + (" (generic color matrix)" if color.source == "generic" else "")
    neutral = (frame.neutral / frame.neutral.max()).tolist()
    if color is shot.color:  # a profile is true of its own matrices only
        root.add(*shot.carried)
    root.add(
        *camera_tags(shot, software),
        Tag(50706, BYTE, b"\1\4\0\0"),
        Tag(50707, BYTE, b"\1\4\0\0"),
        ascii_tag(50708, unique_model(shot)),
        rationals(50728, neutral),
        *(ascii_tag(code, text) for code, text in ((50735, shot.serial), (50827, shot.source)) if text),
        rationals(50721, color.color1.flatten().tolist(), signed=True),
        Tag(50778, SHORT, (color.illuminant1,)),
    )
    paired = color.color2 is not None and color.illuminant2 not in (0, color.illuminant1)
    if paired and color.color2 is not None:
        root.add(
            rationals(50722, color.color2.flatten().tolist(), signed=True), Tag(50779, SHORT, (color.illuminant2,))
        )
    matrices = (
        (50723, color.calibration1, True),
        (50724, color.calibration2, paired),
        (50964, color.forward1, True),
        (50965, color.forward2, paired),
    )
    for code, matrix, wanted in matrices:
        if matrix is not None and wanted:
            root.add(rationals(code, matrix.flatten().tolist(), signed=True))
    if (color.analog_balance != 1).any():
        root.add(rationals(50727, color.analog_balance.tolist()))
    info = lens_info(shot)
    if info is not None:
        root.add(info)


def describe_thumbnail(root: Directory, picture: Picture) -> None:
    """A small uncompressed RGB picture in the first directory."""
    height, width, _ = picture.shape
    root.strip = picture.tobytes()
    root.add(
        Tag(254, LONG, (1,)),
        Tag(256, LONG, (width,)),
        Tag(257, LONG, (height,)),
        Tag(258, SHORT, (8, 8, 8)),
        Tag(259, SHORT, (1,)),
        Tag(262, SHORT, (2,)),
        Tag(277, SHORT, (3,)),
        Tag(278, LONG, (height,)),
        Tag(284, SHORT, (1,)),
    )


def preview_directory(picture: Picture) -> Directory:
    """A larger JPEG in a directory of its own."""
    height, width, _ = picture.shape
    preview = Directory(strip=jpeg(picture))
    preview.add(
        Tag(254, LONG, (1,)),
        Tag(256, LONG, (width,)),
        Tag(257, LONG, (height,)),
        Tag(258, SHORT, (8, 8, 8)),
        Tag(259, SHORT, (7,)),
        Tag(262, SHORT, (6,)),
        Tag(277, SHORT, (3,)),
        Tag(278, LONG, (height,)),
        Tag(284, SHORT, (1,)),
        Tag(530, SHORT, (2, 2)),
        Tag(531, SHORT, (1,)),
        Tag(50966, ASCII, SOFTWARE.encode() + b"\0"),
        Tag(50970, LONG, (2,)),
    )
    return preview


def describe_raw(raw: Directory, encoder: Encoder) -> None:
    """Geometry, levels and noise of the raw image."""
    layout, levels = encoder.layout, encoder.levels
    (height, width), crop = layout.size, layout.crop
    planes = 1 if encoder.frame.cfa is not None else 3
    raw.add(
        Tag(254, LONG, (0,)),
        Tag(256, LONG, (width,)),
        Tag(257, LONG, (height,)),
        Tag(258, SHORT, (16,) * planes),
        Tag(259, SHORT, (7,)),
        Tag(262, SHORT, (_CFA if planes == 1 else _LINEAR_RAW,)),
        Tag(277, SHORT, (planes,)),
        Tag(284, SHORT, (1,)),
        Tag(339, SHORT, (1,) * planes),
        Tag(50717, LONG, (levels.white,) * planes),
        Tag(50719, LONG, (crop[1], crop[0])),
        Tag(50720, LONG, (crop[3] - crop[1], crop[2] - crop[0])),
        Tag(50829, LONG, layout.active),
    )
    if in_one_strip(encoder):
        raw.add(Tag(278, LONG, (height,)))
    else:
        raw.add(Tag(322, LONG, (TILE,)), Tag(323, LONG, (TILE,)))
    if planes == 1:
        cell = [float(levels.black[site]) for row in sites_at(encoder.cfa) for site in row]
        raw.add(
            Tag(33421, SHORT, (2, 2)),
            Tag(33422, BYTE, bytes("RGB".index(letter) for letter in encoder.cfa)),
            Tag(50710, BYTE, b"\0\1\2"),
            Tag(50711, SHORT, (1,)),
            Tag(50713, SHORT, (2, 2)),
            rationals(50714, cell),
        )
    else:
        raw.add(Tag(50713, SHORT, (1, 1)), Tag(50714, RATIONAL, (0, 1) * 3))
    if levels.noise_profile:
        raw.add(Tag(51041, DOUBLE, levels.noise_profile))


def describe_opcodes(raw: Directory, encoder: Encoder) -> list[int]:
    """Carry over the opcode lists that are still to be applied; answer with the numbers of those that can't be."""
    frame, lost = encoder.frame, []
    for number, (code, content) in enumerate(zip(_OPCODES, frame.shot.opcodes, strict=True), start=1):
        if not content or f"opcodes{number}" in frame.applied:
            continue
        early = number < 3 and frame.space is Space.CAMERA
        scaled = number == 1 and not encoder.levels.in_place
        if encoder.layout.unchanged and not early and not scaled:
            raw.add(Tag(code, UNDEFINED, content))
        else:
            lost.append(number)
    return lost


def in_one_strip(encoder: Encoder) -> bool:
    """Small images go into one strip: LibRaw misreads tiles wider than the image, and images of two tile columns."""
    return encoder.layout.size[1] <= 2 * TILE
