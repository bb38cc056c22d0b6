"""Files by LibRaw, the reference for every other decoder: the only importer of rawpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rawpy

from rawpipe._errors import FormatError
from rawpipe._taken import Box
from rawpipe.io.decoded import Decoded, bayer_phase, inside, positive
from rawpipe.io.dng_tags import DngTags

_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip as EXIF orientation


def decode(path: Path, tags: DngTags | None) -> Decoded:
    """The file as LibRaw sees it; no pixels of a floating-point DNG, which it would round to 14 bits.

    Raises:
        FormatError: it is damaged, of an unsupported kind, or no Bayer mosaic; camera RGB comes from DNGs only.
    """
    with _opened(path) as raw:
        linear = tags is not None and tags.is_linear
        wanted = tags is None or not tags.is_float
        cfa = None if linear else _phase(path, raw)
        visible, crop = _geometry(raw)
        other = raw.other
        red, green_red, blue, green_blue = raw.black_level_per_channel  # by colour: green of the red rows, of the blue
        gains = tuple(float(gain) for gain in raw.camera_whitebalance[:3])
        return Decoded(
            pixels=(raw.raw_image[..., :3] if linear else raw.raw_image).copy() if wanted else None,
            cfa=cfa,
            visible=visible,
            crop=crop,
            black=(red, green_red, green_blue, blue),
            white=float(raw.white_level),
            gains=gains if min(gains) > 0 else None,  # zeros beside green mean that there are none
            matrix=tuple(tuple(row) for row in raw.rgb_xyz_matrix[:3].tolist())
            if raw.rgb_xyz_matrix[:3].any()
            else None,
            orientation=_ORIENTATION.get(raw.sizes.flip, 1),
            iso=positive(other.iso_speed),
            exposure_s=positive(other.shutter_speed),
            f_number=positive(other.aperture),
            focal_mm=positive(other.focal_length),
            lens=raw.lens.model,
            decoder="libraw",
        )


def geometry(path: Path) -> tuple[tuple[int, int], Box, Box | None]:
    """Height and width of the sensor, the picture in it, and the maker's crop in that, without decoding.

    Raises:
        FormatError: LibRaw can't open it.
    """
    with _opened(path) as raw:
        return (raw.sizes.raw_height, raw.sizes.raw_width), *_geometry(raw)


@contextmanager
def _opened(path: Path) -> Iterator[rawpy.RawPy]:
    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise FormatError(
            f"{path} can't be decoded: LibRaw says {reason.strip()!r}; it is damaged or of an unsupported kind"
        ) from error


def _geometry(raw: rawpy.RawPy) -> tuple[Box, Box | None]:
    sizes = raw.sizes
    top, left = sizes.top_margin, sizes.left_margin
    visible = top, left, top + sizes.height, left + sizes.width
    top, left = sizes.crop_top_margin, sizes.crop_left_margin
    return visible, inside((top, left, top + sizes.crop_height, left + sizes.crop_width), visible)


def _phase(path: Path, raw: rawpy.RawPy) -> str:
    """Phase at the first pixel of the sensor, where LibRaw's pattern starts."""
    pattern = raw.raw_pattern
    if raw.raw_type != rawpy.RawType.Flat or pattern is None:
        raise FormatError(
            f"{path} holds demosaiced or layered pixels, no Bayer mosaic; only a LinearRaw DNG of that kind can be read"
        )
    if pattern.shape != (2, 2) or raw.num_colors != 3:
        shape = "x".join(map(str, pattern.shape))
        raise FormatError(
            f"{path} has a {shape} mosaic of {raw.color_desc.decode()} (X-Trans or four colours); expected 2x2 Bayer"
        )
    return bayer_phase(path, "".join("RGBG"[color] for color in pattern.flatten()))
