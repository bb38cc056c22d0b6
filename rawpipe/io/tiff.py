"""Frames into TIFF files: 16 bits or float32, with the ICC profile of their colours, EXIF and history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from os import PathLike
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch

from rawpipe._errors import FormatError, unknown
from rawpipe._frame import Frame, Space, Step
from rawpipe._run import Strips
from rawpipe.io.atomic import replacing
from rawpipe.io.describe import SOFTWARE, camera_tags, exif_directory, xmp
from rawpipe.io.dng_encode import FULL, quantized
from rawpipe.io.icc import icc_profile
from rawpipe.io.ifd import EXIF_IFD, GPS_IFD, SHORT, Directory, Tag, attach
from rawpipe.io.parallel import CORES, encoded
from rawpipe.io.rows import Rows

DTYPES = ("uint16", "float32")
COMPRESSIONS = ("none", "zstd", "zlib")
_STRIP_ROWS = 64
_CLASSIC = 2**32 - 2**25  # room for metadata below the 4 GB of a classic TIFF


def write_tiff(
    frame: Frame | Strips,
    path: str | PathLike[str],
    *,
    dtype: str = "uint16",
    compression: str = "none",
    progress: Callable[[float], None] | None = None,
) -> Step:
    """Write a TIFF through a temporary file: RGB with its ICC profile, other spaces as plain linear samples.

    Args:
        frame: what to write, or `Pipeline.strips`; RGB should have a transfer curve for 16 bits, see `ToneCurve`.
        path: the file.
        dtype: "uint16", 0..1 scaled to 0..65535 and clipped (SENSOR and CODES: as they are); "float32", as it is.
        compression: "none", which everything reads at once; "zstd", as small as zlib and far faster, which few programs
            read; "zlib", slow, which nearly all read.
        progress: called with the share that is written (0 to 1).

    Returns:
        The step "write_tiff", with the samples that were clipped.

    Raises:
        FormatError: a burst, pixels that aren't finite, a wrong option, or a file that can't be written.
    """
    if dtype not in DTYPES:
        raise FormatError(unknown("dtype", dtype, DTYPES))
    if compression not in COMPRESSIONS:
        raise FormatError(unknown("compression", compression, COMPRESSIONS))
    height, parts = frame.height, iter([frame] if isinstance(frame, Frame) else frame)
    frame = next(parts)
    if frame.data.ndim != (2 if frame.space.is_mosaic else 3):
        raise FormatError(f"got a stack of frames {tuple(frame.data.shape)}; expected one: frame[0].write(...)")
    shape = (height, frame.width) if frame.space.is_mosaic else (height, frame.width, 3)
    pixels = (one.data.detach() for one in chain([frame], parts))
    strips = _Strips(pixels, height, frame.space, dtype, compression, progress)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    big = size >= _CLASSIC
    tags = [
        (tag.code, tag.type, tag.count, tag.raw(), True) for tag in camera_tags(frame.shot, SOFTWARE) if tag.code != 305
    ]
    with replacing(path) as temporary:
        with tifffile.TiffWriter(temporary, byteorder="<", bigtiff=big) as file:
            file.write(
                iter(strips),
                shape=shape,
                dtype=dtype,
                photometric="minisblack" if frame.space.is_mosaic else "rgb",
                rowsperstrip=_STRIP_ROWS,
                compression=None if compression == "none" else compression,
                predictor=compression != "none",
                iccprofile=None if frame.color is None else icc_profile(frame.color),
                software=SOFTWARE,
                metadata=None,
                extratags=tags,
            )
        step = Step("write_tiff", {"dtype": dtype, "clipped_below": strips.below, "clipped_above": strips.above})
        if not big:  # the EXIF and XMP of a file beyond 4 GB stay out: tifffile can't write them, nor we into a BigTIFF
            with temporary.open("r+b") as written:
                attach(written, _metadata(frame, step))
    return step


def _metadata(frame: Frame, step: Step) -> Directory:
    exif = exif_directory(frame.shot)
    is_srgb = frame.color is not None and (frame.color.space, frame.color.curve) == ("srgb", "srgb")
    exif.add(Tag(0xA001, SHORT, (1 if is_srgb else 0xFFFF,)))  # ColorSpace: sRGB or uncalibrated
    extra = Directory(children={EXIF_IFD: [exif]})
    extra.add(xmp(frame, step), *(tag for tag in frame.shot.carried if tag.code == 270))  # tifffile leaves 270 out
    if frame.shot.gps:
        extra.children[GPS_IFD] = [Directory({tag.code: tag for tag in frame.shot.gps})]
    return extra


class _Strips:
    """Compressed strips of a picture in order, encoded in parallel, counting what is clipped.

    Args:
        parts: the picture's pixels from the top down, all at once or in parts of any number of rows.
        height: rows of the whole.
        space: what the pixels are.
        dtype: as for `write_tiff`.
        compression: likewise.
        progress: likewise.
    """

    def __init__(
        self,
        parts: Iterator[torch.Tensor],
        height: int,
        space: Space,
        dtype: str,
        compression: str,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.rows, self.height, self.space = Rows(parts), height, space
        self.dtype, self.compression, self.progress = dtype, compression, progress
        self.below = self.above = 0

    def __iter__(self) -> Iterator[bytes]:
        return encoded(self.encoded, self.batches())

    def batches(self) -> Iterator[list[np.ndarray[Any, Any]]]:
        """Strips, as many at a time as there are cores."""
        step = _STRIP_ROWS * CORES
        for start in range(0, self.height, step):
            stop = min(start + step, self.height)
            yield [self.samples(strip) for strip in torch.split(self.rows.draw(stop - start), _STRIP_ROWS, dim=-2)]
            if self.progress is not None:
                self.progress(stop / self.height)

    def samples(self, values: torch.Tensor) -> np.ndarray[Any, Any]:
        """Rows as they are stored, (n, W) or (n, W, 3)."""
        if self.dtype == "float32":
            pixels: np.ndarray[Any, Any] = values.to(torch.float32).cpu().numpy()
            if not np.isfinite(pixels).all():
                raise FormatError("got nan or infinite pixels; expected finite ones: find their stage with keep=")
        elif self.space is Space.CODES:
            pixels = values.cpu().numpy()
        else:
            scaled = values.to(torch.float32) * (1 if self.space is Space.SENSOR else FULL)
            pixels, below, above = quantized(scaled, FULL)
            self.below, self.above = self.below + below, self.above + above
        return np.ascontiguousarray(pixels if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1))

    def encoded(self, pixels: np.ndarray[Any, Any]) -> bytes:
        """A strip, its neighbouring pixels subtracted and compressed."""
        if self.compression == "none":
            return pixels.tobytes()
        subtract = imagecodecs.floatpred_encode if self.dtype == "float32" else imagecodecs.delta_encode
        differences = subtract(pixels, axis=1).tobytes()
        packed = (
            imagecodecs.zlib_encode(differences, level=1)
            if self.compression == "zlib"
            else imagecodecs.zstd_encode(differences, level=3)
        )
        return bytes(packed)
