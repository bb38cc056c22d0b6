"""A camera's numbers laid on a frame: the unit of a count, and maps of the sensor at the frame's own pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._errors import ProfileError
from rawpipe._frame import Frame
from rawpipe._from_profile import Lacking
from rawpipe._profile import CameraProfile

_OTHER_DEPTH = 1.5  # ranges of the frame and of the profile apart by more than this: counts of another bit depth


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
        """For an active area from `start` to `stop`.

        The outermost slopes go on to its edges, as `rawpipe.calibration.shading.laid_out_map` has them; beyond, in the
        masked border, the edges hold.
        """
        axis = cls(torch.empty(length, dtype=torch.long), torch.empty(length, dtype=torch.long), torch.empty(length))
        block = _block((stop - start + 1) // 2, points)
        for first in (0, 1):
            own = (stop - start - first + 1) // 2  # rows of this site in the active area
            starts = torch.arange(points, dtype=torch.float64) * block
            middles = (starts + (starts + block).clamp(max=max(own, 1)) - 1) / 2
            at = torch.arange((start + first) % 2, length, 2)
            place = torch.div(at - start - first, 2, rounding_mode="floor").clamp(0, max(own - 1, 0)).double()
            high = torch.searchsorted(middles, place).clamp(min=1).clamp(max=points - 1)
            low = (high - 1).clamp(min=0)
            span = (middles[high] - middles[low]).clamp(min=0.5)  # 0 of a single point, else half a row or more
            parts = low, high, ((place - middles[low]) / span).float()
            for whole, part in zip(axis, parts, strict=True):
                whole[at] = part
        return axis

    def at(self, index: Tensor) -> Axis:
        """The same for some rows or columns."""
        return Axis(*(values[index] for values in self))

    def turns(self, first: int, points: int) -> Axis:
        """Where a site's values can be largest or smallest: its first and last row, and the points between."""
        last = len(self.low) - 1
        ends = self.at(torch.tensor([first, last - (last - first) % 2], device=self.low.device))
        each = torch.arange(points, device=self.low.device)
        between = each, each, torch.zeros(points, device=self.low.device)
        return Axis(*(torch.cat(pair) for pair in zip(ends, between, strict=True)))


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
            field[dy::2, dx::2] = self._between(site, self.rows.at(rows[dy::2]), self.columns.at(columns[dx::2]))
        return field

    def extremes(self, frame: Frame) -> tuple[float, float]:
        """Bounds of the map over a frame's whole sensor: the least and largest of points and picture's edges."""
        y, x = frame.origin[:2].tolist()
        cfa, values = bayer.rephase(str(frame.cfa), -y, -x), []
        for site in range(4):
            dy, dx = bayer.offset(cfa, site)
            rows = self.rows.turns(dy, self.points.shape[1])
            columns = self.columns.turns(dx, self.points.shape[2])
            values.append(self._between(site, rows, columns).flatten())
        whole = torch.cat(values)
        return float(whole.min()), float(whole.max())

    def _between(self, site: int, y: Axis, x: Axis) -> Tensor:
        # not `lerp`: its rounding may depend on where a pixel lies in the tensor, and with it the bits of tiles
        above, below = self.points[site][y.low], self.points[site][y.high]
        line = above + (below - above) * y.fraction[:, None]
        west, east = line[:, x.low], line[:, x.high]
        return west + (east - west) * x.fraction


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


def check_same_counts(frame: Frame, known_dn: Sequence[float], camera: str) -> None:
    """See that a profile's counts can be the frame's.

    Args:
        frame: the frame, whose counts go from black to white.
        known_dn: counts from black to saturation that the profile knows, of one ISO or of several.
        camera: what the profile is of.

    Raises:
        ProfileError: they are of another bit depth.
    """
    range_dn = float((frame.shot.white - frame.pedestal.cpu()).min())
    if known_dn and not min(known_dn) / _OTHER_DEPTH < range_dn < max(known_dn) * _OTHER_DEPTH:
        raise ProfileError(
            f"got a frame of {range_dn:g} DN from black to white; the profile of {camera or 'the camera'} is of "
            f"{max(known_dn):g} DN: counts of another bit depth. Make one of such files with `rawpipe calibrate`"
        )


def saturations_dn(profile: CameraProfile) -> list[float]:
    """Counts from black to saturation at each ISO; of the bit depth where none was measured."""
    known = [numbers["saturation_dn"].value for numbers in profile.noise.values() if "saturation_dn" in numbers]
    lowest = [min(value) if isinstance(value, tuple) else value for value in known if value is not None]
    return [value for value in lowest if value < float("inf")] or [2.0**profile.bits]


def check_same_sensor(profile: CameraProfile, frame: Frame) -> None:
    """See that a profile's places mean the same pixels as the frame's, and its counts the same light.

    Raises:
        ProfileError: active area, CFA phase, bit depth or size of the frame differ.
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
    check_same_counts(frame, saturations_dn(profile), profile.name)
