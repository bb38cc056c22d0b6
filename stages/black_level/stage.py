"""BlackLevel: counts become linear light, black = 0 and saturation = 1."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Frame, RawpipeWarning, Space, StageError, bayer
from rawpipe._errors import unknown

SOURCES = ("tag", "masked")
_MARGIN = 8  # columns and rows next to the picture or the sensor's edge that light and readout disturb


@dataclass(frozen=True)
class BlackLevel:
    """Black subtracted per site, one scale for all sites: that of the site that saturates first.

    Nothing is clipped: noise below black stays negative, and a site that saturates later goes a little past 1.

    Takes: SENSOR, (..., H, W), DN. Gives: MOSAIC, black = 0, saturation = 1.

    Args:
        source: "tag", the level the file states, with its additions per row and column; or "masked", the mean of the
            optically black pixels per site, three-sigma clipped.
        black: your own level in DN, one number or one per site R, Gr, Gb, B; it wins over `source`.
        area: top, left, bottom, right of the masked pixels in the whole sensor, for files that don't say.

    Raises:
        StageError: a masked area is asked for and there is none, or black is above white.
    """

    source: str = "tag"
    black: tuple[float, ...] | float | None = None
    area: tuple[int, int, int, int] | None = None
    _levels: Tensor | None = field(default=None, repr=False, compare=False)
    _rows: Tensor | None = field(default=None, repr=False, compare=False)
    _columns: Tensor | None = field(default=None, repr=False, compare=False)

    takes = Space.SENSOR
    gives = Space.MOSAIC
    halo = 0
    grid = 2

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise StageError(unknown("source", self.source, SOURCES))
        levels = self.black if isinstance(self.black, tuple) else (self.black or 0.0,) * 4
        if len(levels) != 4 or not all(isinstance(level, int | float) for level in levels):
            raise StageError(f"got black {self.black!r}; expected one number, or a tuple of four: R, Gr, Gb, B")
        if self.area is not None and not (isinstance(self.area, tuple) and len(self.area) == 4):
            raise StageError(f"got area {self.area!r}; expected top, left, bottom, right in a tuple")

    @property
    def sees_pixels(self) -> bool:
        """Whether the levels may be found in the frame itself."""
        return self.source == "masked" and self.black is None

    def measure(self, frame: Frame, /) -> BlackLevel:
        """Find the levels: in the tags, or in the masked pixels of the whole sensor."""
        shot, rows, columns = frame.shot, None, None
        if self.black is not None:
            black = torch.tensor(self.black).expand(4)
        elif self.source == "masked":
            black = masked_black(frame, self.area)
        else:
            black, rows, columns = frame.black.cpu(), shot.black_rows, shot.black_columns
        if not (frame.white.cpu() > black).all():
            raise StageError(
                f"got black {black.tolist()} above white {frame.white.tolist()}; give BlackLevel(black=...)"
            )
        return replace(
            self,
            black=None if self.black is None and self.source == "tag" else tuple(black.tolist()),
            _levels=black.to(frame.device),
            _rows=None if rows is None else _whole(rows, shot.active_area[0], shot.size[0]).to(frame.device),
            _columns=None if columns is None else _whole(columns, shot.active_area[1], shot.size[1]).to(frame.device),
        )

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._levels is None:
            return self.measure(frame)(frame)
        above = replace(frame, data=self._without_additions(frame), black=self._levels, pedestal=self._levels)
        scale = 1 / (frame.white - self._levels).min()
        return replace(above.scaled(scale, -self._levels * scale), space=Space.MOSAIC)

    def _without_additions(self, frame: Frame) -> Tensor:
        """The counts without the black that single rows and columns add."""
        data = frame.data
        if self._rows is not None:
            at = frame.origin[0] + torch.arange(frame.height, device=data.device)
            data = bayer.as_float(data) - self._rows[at][:, None]
        if self._columns is not None:
            at = frame.origin[1] + torch.arange(frame.width, device=data.device)
            data = bayer.as_float(data) - self._columns[at]
        return data


def _whole(additions: Tensor, start: int, length: int) -> Tensor:
    """Additions of the active area, laid out along the whole sensor."""
    whole = torch.zeros(length)
    whole[start : start + len(additions)] = additions
    return whole


def masked_black(frame: Frame, area: tuple[int, int, int, int] | None = None) -> Tensor:
    """Mean of the masked pixels per site R, Gr, Gb, B (4), in DN, three-sigma clipped."""
    shot, sensor = frame.shot, frame.shot.sensor
    if sensor is None and frame.origin.tolist() == [0, 0, frame.height, frame.width] == [0, 0, *shot.size]:
        sensor = frame.data
    if sensor is None:
        raise StageError(
            'got a frame without its masked border; read it from a camera file, or use BlackLevel(source="tag")'
        )
    areas = (area,) if area is not None else shot.masked_areas
    if not areas:
        top, left, bottom, _ = shot.active_area
        if left < 3 * _MARGIN:
            raise StageError(
                f"got a sensor with {left} columns left of the picture and no masked areas in the file; "
                'name them: BlackLevel(source="masked", area=(top, left, bottom, right))'
            )
        areas = ((top, _MARGIN, bottom, left - _MARGIN),)
        warnings.warn(
            f"the file names no masked area; columns {_MARGIN} to {left - _MARGIN} are taken for it", RawpipeWarning, 4
        )
    first = bayer.rephase(str(frame.cfa), -int(frame.origin[0]), -int(frame.origin[1]))
    samples: list[list[Tensor]] = [[], [], [], []]
    for top, left, bottom, right in areas:
        phase = bayer.rephase(first, top, left)
        for site in range(4):
            samples[site].append(bayer.view(sensor[..., top:bottom, left:right], phase, site).cpu().double().flatten())
    return torch.stack([_clipped_mean(torch.cat(of_site)) for of_site in samples]).float()


def _clipped_mean(values: Tensor) -> Tensor:
    if not values.numel():
        raise StageError("got a masked area without pixels; expected top, left, bottom, right within the sensor")
    for _ in range(3):
        values = values[(values - values.mean()).abs() <= 3 * values.std(correction=0) + 1e-9]
    return values.mean()
