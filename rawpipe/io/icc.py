"""ICC profiles for the RGB spaces: three primaries and a parametric curve, version 4.

References: ICC.1:2022, sections 7 (header), 9 (tags), 10.18 (parametricCurveType).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import torch

from rawpipe._frame import Color
from rawpipe.colorimetry import CURVES, adaptation, rgb_space, xyz

_PCS = (0.9642, 1.0, 0.8249)  # D50 as the profile connection space rounds it
_DATE = (2026, 1, 1, 0, 0, 0)  # of the profiles' design; fixed, so that equal pictures make equal files


def icc_profile(color: Color) -> bytes:
    """The profile of an RGB space with a transfer curve."""
    space, curve = rgb_space(color.space), CURVES[color.curve]
    pcs = torch.tensor(_PCS, dtype=torch.float64)
    adapt = adaptation(xyz(space.white), pcs)
    red, green, blue = (adapt @ space.to_xyz()).T.tolist()
    title = space.title if color.curve == space.curve else f"{space.title} ({color.curve})"
    if color.curve == "linear":
        trc = b"para" + struct.pack(">IHH", 0, 0, 0) + _fixed([1.0])
    elif curve.d == 0:
        trc = b"para" + struct.pack(">IHH", 0, 0, 0) + _fixed([curve.gamma])
    else:
        trc = b"para" + struct.pack(">IHH", 0, 3, 0) + _fixed([curve.gamma, curve.a, curve.b, curve.c, curve.d])
    tags = {
        b"desc": _text(f"rawpipe {title}"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_PCS),
        b"chad": b"sf32\0\0\0\0" + _fixed(adapt.flatten().tolist()),
        b"rXYZ": _xyz(red),
        b"gXYZ": _xyz(green),
        b"bXYZ": _xyz(blue),
        b"rTRC": trc,
        b"gTRC": trc,
        b"bTRC": trc,
    }
    return _assembled(tags)


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """Header, tag table and data; tags with equal data share it."""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    body = b""
    for data in tags.values():
        if data not in places:
            places[data] = start + len(body)
            body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    table = struct.pack(">I", len(tags)) + b"".join(
        name + struct.pack(">II", places[data], len(data)) for name, data in tags.items()
    )
    header = struct.pack(">I4xI4s4s4s6H4s", start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", *_DATE, b"acsp")
    header = header.ljust(68, b"\0") + _fixed(_PCS)
    profile = header.ljust(128, b"\0") + table + body
    digest = hashlib.md5(
        profile, usedforsecurity=False
    ).digest()  # the profile ID, taken with flags, intent and ID zero
    return profile[:84] + digest + profile[100:]


def _fixed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Iterable[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(encoded), 28) + encoded
