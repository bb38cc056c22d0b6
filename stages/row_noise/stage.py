"""RowNoise: the offset that each sensor row adds is taken off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Frame, Space, StageError, bayer
from rawpipe._errors import unknown
from rawpipe._on_sensor import unit_per_dn
from rawpipe.stages.row_noise import masked, picture

SOURCES = ("auto", "masked", "picture")


@dataclass(frozen=True)
class RowNoise:
    """The offset that all pixels of a sensor row share, found and subtracted as far as it is known.

    Offsets are shrunk by what is known of them, so that uncertain ones don't add noise. From the masked border nothing
    of the scene is lost; of the picture, bands that go across most of its width and are no stronger than a few times
    the row noise are taken for it, and changes slower than some ten rows are left.

    Takes: SENSOR or MOSAIC. Gives: the same; counts become float32. `noise.row` becomes what is left.

    Args:
        source: "masked", the optically black columns beside the picture; "picture", its own rows; "auto", the first
            where it removes half of the row noise's variance or more, else the second.
        row_dn: standard deviation of the row noise in DN; None: that of `frame.noise` if it has any, else that of the
            masked border, else what the rows of the picture scatter more than its columns.
        area: top, left, bottom, right of the masked pixels in the whole sensor, for files that don't name them.

    Raises:
        StageError: the masked border is asked for and it is missing, too narrow or constant.
    """

    source: str = "auto"
    row_dn: float | None = None
    area: tuple[int, int, int, int] | None = None
    _offsets: Tensor | None = field(default=None, repr=False, compare=False)
    _left: Tensor | None = field(default=None, repr=False, compare=False)

    takes = Space.SENSOR | Space.MOSAIC
    gives = None
    grid = 2

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise StageError(unknown("source", self.source, SOURCES))
        if self.row_dn is not None and not (isinstance(self.row_dn, int | float) and 0 <= self.row_dn < 1e6):
            raise StageError(f"got row_dn {self.row_dn!r}; expected a standard deviation in DN, 0 or more")
        if self.area is not None and not (isinstance(self.area, tuple) and len(self.area) == 4):
            raise StageError(f"got area {self.area!r}; expected top, left, bottom, right in a tuple")

    @property
    def halo(self) -> int | None:
        """None where the rows themselves are looked at; it is known once measured."""
        return 0 if self._offsets is not None or self.row_dn == 0 else None

    @property
    def sees_pixels(self) -> bool:
        """Whether the row noise, or the border, may have to be found in the pixels."""
        return self.source == "masked" or self.row_dn is None

    def measure(self, frame: Frame, /) -> RowNoise:
        """Decide where the offsets come from and how large they are; from the border, find them."""
        border = None if self.source == "picture" else self._border(frame)
        row_dn = self._known(frame)
        if border is not None:
            row_dn = border.row_dn if row_dn is None else row_dn
            if self.source == "masked" or row_dn >= border.error_dn:
                share = row_dn**2 / (row_dn**2 + border.error_dn**2)
                offsets = (share * border.offset_dn).float().to(frame.device)
                left = torch.tensor(row_dn * (1 - share) ** 0.5, device=frame.device)
                return replace(self, source="masked", row_dn=row_dn, _offsets=offsets, _left=left)
        if row_dn is None:
            unit, flat = unit_per_dn(frame), frame.data.reshape(-1, frame.height, frame.width)
            found = [picture.row_sigma(_in_dn(one, unit, str(frame.cfa))) for one in flat]
            row_dn = (sum(one**2 for one in found) / len(found)) ** 0.5
        return replace(self, source="picture", row_dn=row_dn)

    def _known(self, frame: Frame) -> float | None:
        if self.row_dn is not None:
            return float(self.row_dn)
        if frame.noise is not None and bool((frame.noise.row > 0).all()):
            return float((frame.noise.row / unit_per_dn(frame)).mean())
        return None

    def _border(self, frame: Frame) -> masked.Border | None:
        whole = tuple(frame.origin[2:].tolist()) == frame.shot.size
        border = masked.measured(frame, self.area) if whole else None
        if border is None and self.source == "masked":
            raise StageError(
                f"got no masked border of one picture with {masked.COLUMNS} columns or more that vary around black; "
                'read it from a camera file, name them by area=(top, left, bottom, right), or use RowNoise("picture")'
            )
        return border

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self.source == "auto" or self.row_dn is None or (self.source == "masked" and self._offsets is None):
            return self.measure(frame)(frame)
        if self.row_dn == 0:
            return replace(frame, data=bayer.as_float(frame.data))
        unit, cfa = unit_per_dn(frame), str(frame.cfa)
        if self._offsets is not None and self._left is not None:
            rows = frame.origin[0] + torch.arange(frame.height, device=frame.device)
            found, left = self._offsets[rows], self._left
        else:
            flat = frame.data.detach().reshape(-1, frame.height, frame.width)
            each = [_of_picture(_in_dn(one, unit, cfa), self.row_dn) for one in flat]
            found = torch.stack([offsets for offsets, _ in each]).reshape(frame.data.shape[:-1])
            left = torch.tensor([left for _, left in each], device=frame.device).mean().sqrt()
        data = bayer.as_float(frame.data)
        laid = bayer.spread(unit, cfa, frame.height, frame.width).to(data.dtype)
        noise = None if frame.noise is None else replace(frame.noise, row=unit * left)
        return replace(frame, data=data - found[..., None].to(data.dtype) * laid, noise=noise)


def _of_picture(rows: Tensor, row_dn: float) -> tuple[Tensor, float]:
    """Offsets of all rows of a picture (H, W), in DN, and the variance that is left."""
    even, odd = (picture.offsets(rows[parity::2], row_dn) for parity in (0, 1))
    found = rows.new_empty(len(rows), dtype=torch.float64)
    found[0::2], found[1::2] = even[0], odd[0]
    return found, (even[1] + odd[1]) / 2


def _in_dn(data: Tensor, unit: Tensor, cfa: str) -> Tensor:
    """Pixels (H, W) in DN."""
    data = bayer.as_float(data)
    return data / bayer.spread(unit, cfa, *data.shape[-2:]).to(data.dtype)
