"""Frames into DNG files: a MOSAIC becomes a CFA DNG, camera RGB a LinearRaw DNG.

Laid out as Adobe's own: thumbnail, colours and EXIF in the first directory, the raw image and a preview rendered from
the same pixels below it, lossless JPEG tiles.

References: DNG specification 1.7.1; ITU-T T.81 process 14 (lossless JPEG).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from os import PathLike
from pathlib import Path

import imagecodecs
import numpy as np
import torch
from torch import Tensor

from rawpipe._camera_color import CameraColor
from rawpipe._errors import FormatError, RawpipeWarning
from rawpipe._frame import Frame, Space, Step
from rawpipe._run import Strips
from rawpipe.io.atomic import replacing
from rawpipe.io.describe import exif_directory, xmp
from rawpipe.io.dng_describe import (
    TILE,
    Picture,
    describe_camera,
    describe_opcodes,
    describe_raw,
    describe_thumbnail,
    in_one_strip,
    preview_directory,
)
from rawpipe.io.dng_encode import HEADROOM, Encoder, Layout, Levels, Pixels, check
from rawpipe.io.ifd import (
    BYTE,
    EXIF_IFD,
    GPS_IFD,
    SUB_IFDS,
    Directory,
    Tag,
    rationals,
    write_tree,
)
from rawpipe.io.parallel import encoded
from rawpipe.io.preview import Passing, render
from rawpipe.io.rows import Rows

_LONGEST = (256, 1024)  # of the thumbnail and the preview
_MAGENTA = 0.005  # share of pixels below zero from which clipping them shows as a cast in the shadows
_NOTED = 1e-4  # share of samples from which clipping is warned of: in a frame as exposed it is mostly overshoot,
_NOTED_STRETCHED = 1e-6  # in a brightened one it is light that was there


def write_dng(
    frame: Frame | Strips,
    path: str | PathLike[str],
    *,
    matrix: object = None,
    headroom: float = HEADROOM,
    progress: Callable[[float], None] | None = None,
) -> Step:
    """Write a CFA DNG (from SENSOR or MOSAIC) or a LinearRaw DNG (from CAMERA), through a temporary file.

    Args:
        frame: what to write, or `Pipeline.strips`; white balance that was applied is divided out and written as
            AsShotNeutral. Strips of camera RGB aren't put together unless their exposure was raised: how far is only
            known behind the last one.
        path: the file.
        matrix: colour matrix, if the frame has none or another is wanted: XYZ to camera RGB under D65 (3x3), or a
            `CameraColor`; "generic" gives a frame without one plausible colours.
        headroom: how far above 1 a frame whose exposure was raised keeps highlights; readers that ignore
            BaselineExposure show it darker by as much as it uses.
        progress: called with the share that is written (0 to 1).

    Returns:
        The step "write_dng": levels chosen, samples clipped, where the colour matrix comes from.

    Raises:
        FormatError: no colour matrix, an RGB frame, a burst, pixels that aren't finite, or no place to write to.

    Warns:
        RawpipeWarning: something was clipped, or an opcode list had to be left out.
    """
    strips = None
    if isinstance(frame, Strips):
        frame, strips = _opened(frame)
    check(frame)
    frame = frame.map(Tensor.detach)
    color = CameraColor.given(matrix, frame.shot.color)
    if color is None:
        raise FormatError(
            "got a frame without a color matrix, which a DNG must have; give write(..., matrix=xyz_to_camera), "
            'or matrix="generic" for plausible colors'
        )
    color = color.under(frame.neutral)
    if not headroom >= 1:
        raise FormatError(f"got headroom={headroom}; expected 1 or more")
    encoder = Encoder(frame, Levels.of(frame, headroom), Layout.of(frame), strips.draw if strips else None)
    root, raw = Directory(), Directory()
    images = [raw]
    describe_camera(root, frame, color)
    describe_raw(raw, encoder)
    opcodes = describe_opcodes(raw, encoder)
    exposure = frame.shot.baseline_exposure + float(np.log2(encoder.levels.headroom))
    root.add(rationals(50730, [exposure], signed=True))
    step = Step("write_dng", {})

    def tiles() -> Iterator[bytes]:
        """Encode, and fill in what is known only after the last tile."""
        nonlocal step
        digest = hashlib.md5(usedforsecurity=False)
        yield from encoded(_compressed, _rows(encoder, digest.update, progress))
        step = _step(encoder, color, exposure, opcodes)
        root.add(Tag(50781, BYTE, digest.digest()), xmp(frame, step))
        thumbnail, preview = (
            strips.pictures(color) if strips else (render(frame, color, longest) for longest in _LONGEST)
        )
        describe_thumbnail(root, thumbnail)
        images.append(preview_directory(preview))  # in time: directories are written one after another

    if in_one_strip(encoder):
        (raw.strip,) = tiles()
    else:
        raw.tiles = tiles()
    root.children[SUB_IFDS] = images
    root.children[EXIF_IFD] = [exif_directory(frame.shot)]
    if frame.shot.gps:
        root.children[GPS_IFD] = [Directory({tag.code: tag for tag in frame.shot.gps})]
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_tree(file, root)
    _warn(Path(path), step)
    return step


class _Drawn:
    """Camera RGB strip by strip, cut anew as it is asked for, and the small pictures of what has passed.

    Args:
        frame: what all strips say, in the size of the whole.
        parts: their pixels.
    """

    def __init__(self, frame: Frame, parts: Iterator[Tensor]) -> None:
        self.rows = Rows(parts)
        self.small = [Passing(frame, longest) for longest in _LONGEST]

    def draw(self, count: int) -> Tensor:
        """The next rows (3, count, W)."""
        rows = self.rows.draw(count)
        for one in self.small:
            one.see(rows)
        return rows

    def pictures(self, color: CameraColor) -> list[Picture]:
        """Thumbnail and preview, when all rows have been drawn."""
        return [one.render(color) for one in self.small]


def _opened(strips: Strips) -> tuple[Frame, _Drawn | None]:
    """What strips say in the size of the whole, and their pixels still to come; or all of them in the frame."""
    frames = iter(strips)
    first = next(frames)
    parts = (one.data.detach() for one in chain([first], frames))
    shape = (*first.data.shape[:-2], strips.height, strips.width)
    if first.color is not None or (first.space is Space.CAMERA and float(first.exposure_gain) <= 1):
        whole = replace(first, data=first.data.detach()[..., :1, :].expand(shape))
        return whole, _Drawn(whole, parts)
    data, top = torch.empty(shape, dtype=first.data.dtype, device=first.device), 0
    for part in parts:
        data[..., top : top + part.shape[-2], :] = part
        top += part.shape[-2]
    return replace(first, data=data), None


def _rows(
    encoder: Encoder, seen: Callable[[bytes], None], progress: Callable[[float], None] | None
) -> Iterator[list[Pixels]]:
    """The stored image, one row of tiles after the other, or in one strip."""
    height, width = encoder.layout.size
    alone = in_one_strip(encoder)
    step, columns = (height, 1) if alone else (TILE, -(-width // TILE))
    for start in range(0, height, step):
        rows = encoder.rows(start, min(start + step, height))
        seen(rows.tobytes())
        if not alone:
            rows = _padded(_padded(rows, TILE, 0), columns * TILE, 1)
        yield np.split(rows, columns, axis=1)
        if progress is not None:
            progress(min(start + step, height) / height)


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
    jpeg = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile), lossless=True, predictor=1, bitspersample=16, colorspace=0, outcolorspace=0
    )
    return bytes(jpeg)


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
            f"{path.name}: {low:.1%} of the samples are below zero and were clipped, which turns noise into "
            "magenta shadows; a CFA DNG keeps them: write the frame before Demosaic"
        )
    elif low > _NOTED:
        _say(f"{path.name}: {low:.2%} of the samples are below what the file can hold, and were clipped")
    if high > (_NOTED if facts["scale"] == "source" else _NOTED_STRETCHED):
        _say(
            f"{path.name}: {high:.3%} of the samples are above white and were clipped; headroom={facts['headroom']:.3g}"
        )
    for number in facts["opcodes_left_out"]:
        _say(
            f"{path.name}: OpcodeList{number} is neither applied nor kept; the frame has changed. Run Opcodes({number})"
        )


def _say(message: str) -> None:
    warnings.warn(message, RawpipeWarning, stacklevel=6)
