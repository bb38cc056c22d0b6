"""Frames into DNG files: a MOSAIC becomes a CFA DNG, camera RGB a LinearRaw DNG.

Laid out as Adobe's own: thumbnail, colours and EXIF in the first directory, the raw image and a preview rendered from
the same pixels below it, lossless JPEG tiles.

References: DNG specification 1.7.1; ITU-T T.81 process 14 (lossless JPEG).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path

import imagecodecs
import numpy as np

from rawpipe._camera_color import CameraColor
from rawpipe._errors import FormatError, RawpipeWarning
from rawpipe._frame import Frame, Space, Step
from rawpipe.bayer import sites_at
from rawpipe.io.atomic import replacing
from rawpipe.io.describe import SOFTWARE, ascii_or_none, camera_tags, exif_directory, lens_info, unique_model, xmp
from rawpipe.io.dng_encode import HEADROOM, Encoder, Layout, Levels, Pixels, check
from rawpipe.io.ifd import (
    ASCII,
    BYTE,
    DOUBLE,
    EXIF_IFD,
    GPS_IFD,
    LONG,
    RATIONAL,
    SHORT,
    SUB_IFDS,
    UNDEFINED,
    Directory,
    Tag,
    ascii_tag,
    rationals,
    write_tree,
)
from rawpipe.io.preview import jpeg, render

TILE = 256
_THUMBNAIL, _PREVIEW = 256, 1024
_CFA, _LINEAR_RAW = 32803, 34892
_MAGENTA = 0.005  # share of pixels below zero from which clipping them shows as a cast in the shadows
_NOTED = 1e-4  # share of samples from which clipping is warned of in a frame as exposed
_OPCODES = (51008, 51009, 51022)


def write_dng(
    frame: Frame,
    path: str | PathLike[str],
    *,
    matrix: object = None,
    headroom: float = HEADROOM,
    progress: Callable[[float], None] | None = None,
) -> Step:
    """Write a CFA DNG (from SENSOR or MOSAIC) or a LinearRaw DNG (from CAMERA), through a temporary file.

    Args:
        frame: what to write; white balance that was applied is divided out and written as AsShotNeutral.
        path: the file.
        matrix: colour matrix, if the frame has none or another is wanted: XYZ to camera RGB under D65 (3x3), a
            `CameraColor`, or "generic" for plausible colours.
        headroom: how far above 1 a frame whose exposure was raised keeps highlights; readers that ignore
            BaselineExposure show it darker by as much as it uses.
        progress: called with the share that is written (0 to 1).

    Returns:
        The step "write_dng": levels chosen, samples clipped, where the colour matrix comes from.

    Raises:
        FormatError: no colour matrix, an RGB frame, a burst, pixels that aren't finite, or a file that can't be written.

    Warns:
        RawpipeWarning: something was clipped, or an opcode list had to be left out.
    """
    check(frame)
    color = CameraColor.given(matrix) or frame.shot.color
    if color is None:
        raise FormatError(
            "got a frame without a color matrix, which a DNG must have; give write(..., matrix=xyz_to_camera), "
            'or matrix="generic" for plausible colors'
        )
    if not headroom >= 1:
        raise FormatError(f"got headroom={headroom}; expected 1 or more")
    encoder = Encoder(frame, Levels.of(frame, headroom), Layout.of(frame))
    root, raw = Directory(), Directory()
    thumbnail, preview = (render(frame, color, longest) for longest in (_THUMBNAIL, _PREVIEW))
    _describe_camera(root, frame, color)
    _describe_thumbnail(root, thumbnail)
    _describe_raw(raw, encoder)
    opcodes = _describe_opcodes(raw, encoder)
    exposure = frame.shot.baseline_exposure + float(np.log2(encoder.levels.headroom))
    root.add(rationals(50730, [exposure], signed=True))
    step = Step("write_dng", {})

    def tiles() -> Iterator[bytes]:
        """Encode, and fill in what is known only after the last tile."""
        nonlocal step
        digest = hashlib.md5(usedforsecurity=False)
        yield from _tiles(encoder, digest.update, progress)
        step = _step(encoder, color, exposure, opcodes)
        root.add(Tag(50781, BYTE, digest.digest()), xmp(frame, step))

    if _in_one_strip(encoder):
        (raw.strip,) = tiles()
    else:
        raw.tiles = tiles()
    root.children[SUB_IFDS] = [raw, _preview_directory(preview)]
    root.children[EXIF_IFD] = [exif_directory(frame.shot)]
    if frame.shot.gps:
        root.children[GPS_IFD] = [Directory({tag.code: tag for tag in frame.shot.gps})]
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_tree(file, root)
    _warn(Path(path), step)
    return step


def _describe_camera(root: Directory, frame: Frame, color: CameraColor) -> None:
    """Names, colours and as-shot neutral."""
    shot = frame.shot
    software = SOFTWARE + (" (generic color matrix)" if color.source == "generic" else "")
    neutral = (frame.neutral / frame.neutral.max()).tolist()
    root.add(*shot.carried)
    root.add(
        *camera_tags(shot, software),
        Tag(50706, BYTE, b"\1\4\0\0"),
        Tag(50707, BYTE, b"\1\4\0\0"),
        ascii_tag(50708, unique_model(shot)),
        rationals(50728, neutral),
        *ascii_or_none(50735, shot.serial),
        *ascii_or_none(50827, shot.source),
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


def _describe_thumbnail(root: Directory, picture: np.ndarray) -> None:  # type: ignore[type-arg]
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


def _preview_directory(picture: np.ndarray) -> Directory:  # type: ignore[type-arg]
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


def _describe_raw(raw: Directory, encoder: Encoder) -> None:
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
    if _in_one_strip(encoder):
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


def _describe_opcodes(raw: Directory, encoder: Encoder) -> list[int]:
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


def _tiles(
    encoder: Encoder, seen: Callable[[bytes], None], progress: Callable[[float], None] | None
) -> Iterator[bytes]:
    """Lossless JPEG tiles, row by row, or one strip."""
    height, width = encoder.layout.size
    alone = _in_one_strip(encoder)
    step, columns = (height, 1) if alone else (TILE, -(-width // TILE))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, height, step):
            rows = encoder.rows(start, min(start + step, height))
            seen(rows.tobytes())
            if not alone:
                rows = _padded(_padded(rows, TILE, 0), columns * TILE, 1)
            yield from pool.map(_compressed, np.split(rows, columns, axis=1))
            if progress is not None:
                progress(min(start + step, height) / height)


def _in_one_strip(encoder: Encoder) -> bool:
    """Small images go into one strip: LibRaw misreads tiles wider than the image, and images of just two columns of tiles."""
    return encoder.layout.size[1] <= 2 * TILE


def _padded(pixels: Pixels, length: int, axis: int) -> Pixels:
    """Pixels with their last two rows or columns repeated up to a length, so that the CFA phase goes on."""
    have = pixels.shape[axis]
    index = np.arange(length)
    index = np.where(index < have, index, have - 2 + (index - have) % 2)
    return np.take(pixels, index, axis=axis)


def _compressed(tile: Pixels) -> bytes:
    """Lossless JPEG with predictor 1, which every reader knows; a mosaic's columns alternate between two components."""
    if tile.ndim == 2 and tile.shape[1] % 2 == 0:
        tile = tile.reshape(tile.shape[0], -1, 2)
    encoded: bytes = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile), lossless=True, predictor=1, bitspersample=16, colorspace=0, outcolorspace=0
    )
    return encoded


def _step(encoder: Encoder, color: CameraColor, exposure: float, lost_opcodes: list[int]) -> Step:
    levels, frame = encoder.levels, encoder.frame
    return Step(
        "write_dng",
        {
            "kind": "cfa" if frame.cfa is not None else "linear",
            "scale": "source" if levels.in_place else "stretched",
            "black": tuple(levels.black.tolist()),
            "white": levels.white,
            "headroom": levels.headroom,
            "baseline_exposure": exposure,
            "clipped_below": encoder.below,
            "clipped_above": encoder.above,
            "samples": frame.data.numel(),
            "matrix": color.source,
            "opcodes_left_out": tuple(lost_opcodes),
        },
    )


def _warn(path: Path, step: Step) -> None:
    facts = step.parameters
    low, high = (facts[name] / facts["samples"] for name in ("clipped_below", "clipped_above"))
    if facts["kind"] == "linear" and low > _MAGENTA:
        _say(
            f"{path.name}: {low:.1%} of the samples are below zero and were clipped, which turns noise into magenta shadows; "
            "a CFA DNG keeps them: write the frame before Demosaic"
        )
    elif low > _NOTED:
        _say(f"{path.name}: {low:.2%} of the samples are below what the file can hold, and were clipped")
    if high > (_NOTED if facts["scale"] == "source" else 0):
        _say(
            f"{path.name}: {high:.3%} of the samples are above white and were clipped; headroom={facts['headroom']:.3g}"
        )
    for number in facts["opcodes_left_out"]:
        _say(
            f"{path.name}: OpcodeList{number} was neither applied nor kept; the frame has changed. Use Opcodes({number})"
        )


def _say(message: str) -> None:
    warnings.warn(message, RawpipeWarning, stacklevel=4)
