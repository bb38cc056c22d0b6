"""What a camera recorded, in arrays of NumPy, before torch is imported, or of torch, in a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from rawpipe._matrices import Array, Matrices

if TYPE_CHECKING:
    from rawpipe.io.ifd import Tag

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Taken(Generic[Array]):
    """As taken; see `Shot`, which is this in tensors."""

    make: str = ""
    model: str = ""
    unique_model: str = ""
    serial: str = ""
    lens: str = ""
    iso: float | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    focal_mm: float | None = None
    taken: str = ""
    orientation: int = 1
    bits: int = 16
    black: Array
    white: Array
    black_rows: Array | None = None
    black_columns: Array | None = None
    linearization: Array | None = None
    neutral: Array | None = None
    color: Matrices[Array] | None = None
    size: tuple[int, int]
    active_area: Box
    default_crop: Box | None = None
    masked_areas: tuple[Box, ...] = ()
    opcodes: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    noise_profile: tuple[float, ...] = ()
    baseline_exposure: float = 0.0
    exif: tuple[Tag, ...] = ()
    gps: tuple[Tag, ...] = ()
    carried: tuple[Tag, ...] = ()
    sensor: Array | None = None
    source: str = ""
