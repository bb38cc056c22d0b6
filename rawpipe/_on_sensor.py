"""A camera's numbers laid on a frame: the unit of a count, and maps of the sensor at the frame's own pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._errors import ProfileError
from rawpipe._frame import Frame
from rawpipe._from_profile import Lacking
from rawpipe._profile import CameraProfile


def unit_per_dn(frame: Frame) -> Tensor:
    """What one count of the sensor is in the unit of a mosaic's data, per site (4): all gains so far."""
    recorded = frame.shot.white.to(frame.device) - frame.pedestal
    return (frame.white - frame.black) / recorded


class Axis(NamedTuple):
    """Where each row, or column, of the whole sensor falls on a map: between two points (length)."""

    low: Tensor
    high: Tensor
    fraction: Tensor

    @classmethod
    def of(cls, length: int, start: int, stop: int, points: int) -> Axis:
        """For an active area from `start` to `stop`; before the first point and behind the last, these hold."""
        axis = cls(torch.empty(length, dtype=torch.long), torch.empty(length, dtype=torch.long), torch.empty(length))
        block = _block((stop - start + 1) // 2, points)
        for first in (0, 1):
            own = (stop - start - first + 1) // 2  # rows of this site in the active area
            starts = torch.arange(points, dtype=torch.float64) * block
            middles = (starts + (starts + block).clamp(max=max(own, 1)) - 1) / 2
            at = torch.arange((start + first) % 2, length, 2)
            place = torch.div(at - start - first, 2, rounding_mode="floor").double()
            high = torch.searchsorted(middles, place).clamp(max=points - 1)
            low = (high - 1).clamp(min=0)
            span = (middles[high] - middles[low]).clamp(min=1e-9)
            parts = low, high, ((place - middles[low]) / span).clamp(0, 1).float()
            for whole, part in zip(axis, parts, strict=True):
                whole[at] = part
        return axis

    def at(self, index: Tensor) -> Axis:
        """The same for some rows or columns."""
        return Axis(*(values[index] for values in self))


def _block(rows: int, points: int) -> float:
    """Rows of a site that a point of its map stands for."""
    sizes = (2.0**power for power in range(16))
    return next((size for size in sizes if -(-rows // size) == points), rows / points)


@dataclass(frozen=True, eq=False)
class SiteMap:
    """A map of the active area per site, bilinear between its points: right in a crop, a strip and a tile.

    A point stands for a block of a site's rows, at its middle; columns likewise. Blocks hold 1, 2, 4 ... rows, the last
    one what is left; where no power of two gives the map's size, the rows are cut into equal parts.

    Args:
        points: (4, h, w) in the order R, Gr, Gb, B.
        rows: where the sensor's rows fall.
        columns: where its columns fall.
    """

    points: Tensor
    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, points: Tensor, frame: Frame) -> SiteMap:
        """A map (4, h, w) made ready for a frame."""
        top, left, bottom, right = frame.shot.active_area
        height, width = frame.shot.size
        rows, columns = (
            Axis.of(height, top, bottom, points.shape[1]),
            Axis.of(width, left, right, points.shape[2]),
        )
        on = frame.device
        return cls(points.to(on), Axis(*(v.to(on) for v in rows)), Axis(*(v.to(on) for v in columns)))

    def laid_on(self, frame: Frame) -> Tensor:
        """The map at a frame's pixels (H, W)."""
        rows = frame.origin[0] + torch.arange(frame.height, device=frame.device)
        columns = frame.origin[1] + torch.arange(frame.width, device=frame.device)
        field = self.points.new_empty(frame.height, frame.width)
        for site in range(4):
            dy, dx = bayer.offset(str(frame.cfa), site)
            y, x = self.rows.at(rows[dy::2]), self.columns.at(columns[dx::2])
            # not `lerp`: its rounding may depend on where a pixel lies in the tensor, and with it the bits of tiles
            above, below = self.points[site][y.low], self.points[site][y.high]
            line = above + (below - above) * y.fraction[:, None]
            west, east = line[:, x.low], line[:, x.high]
            field[dy::2, dx::2] = west + (east - west) * x.fraction
        return field


def map_of(profile: CameraProfile, name: str) -> Tensor:
    """A map of a profile per site (4, h, w), float32.

    Raises:
        ProfileError: the profile lacks it, or it isn't such a map.
    """
    if name not in profile.maps:
        raise Lacking(
            f"the profile of {profile.name} has no {name}; add the captures that it is made of, run "
            "`rawpipe calibrate` again, and keep the .npz beside the .json"
        )
    points = torch.from_numpy(profile.maps[name]).to(torch.float32)
    if points.ndim != 3 or len(points) != 4 or not points.numel() or not points.isfinite().all():
        raise ProfileError(
            f"the profile of {profile.name} has {name} of shape {tuple(points.shape)}; expected (4, h, w), all finite: "
            "run `rawpipe calibrate` again"
        )
    return points


def digest(*maps: Tensor) -> str:
    """Twelve hex digits that tell maps apart."""
    return hashlib.sha256(b"".join(one.contiguous().numpy().tobytes() for one in maps)).hexdigest()[:12]


def check_same_sensor(profile: CameraProfile, frame: Frame) -> None:
    """See that a profile's places mean the same pixels as the frame's.

    Raises:
        ProfileError: active area, CFA phase or size of the frame differ.
    """
    top, left, bottom, right = frame.shot.active_area
    y, x, *size = frame.origin.tolist()
    if tuple(size) != frame.shot.size:
        raise ProfileError(
            f"got a frame of {size} pixels from a sensor of {list(frame.shot.size)}; expected all of them: a profile "
            "tells places on the sensor, so apply it before the size changes"
        )
    if (bottom - top, right - left) != profile.size:
        raise ProfileError(
            f"got a picture of {bottom - top}x{right - left} pixels; the profile of {profile.name} is of "
            f"{profile.size[0]}x{profile.size[1]}: make one for this mode with `rawpipe calibrate`"
        )
    phase = bayer.rephase(str(frame.cfa), top - y, left - x)
    if phase != profile.cfa:
        raise ProfileError(f"got a picture of phase {phase}; the profile of {profile.name} is of {profile.cfa}")
