"""BlackLevel: counts become linear light, black = 0 and saturation = 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import CameraProfile, Frame, ProfileError, RawpipeWarning, Space, StageError, bayer, kernels
from rawpipe._errors import unknown
from rawpipe._from_profile import NONE, checked, use
from rawpipe._on_sensor import check_same_counts, saturations_dn

SOURCES = ("tag", "masked", "profile")
_MARGIN = 8  # columns and rows next to the picture or the sensor's edge that light and readout disturb


@dataclass(frozen=True)
class BlackLevel:
    """Black subtracted per site, one scale for all sites: that of the site that saturates first.

    Nothing is clipped: noise below black stays negative, and a site that saturates later goes a little past 1.

    Takes: SENSOR, (..., H, W), DN. Gives: MOSAIC, black = 0, saturation = 1.

    Args:
        source: "tag", the level the file states, with its additions per row and column; "masked", the mean of the
            optically black pixels per site, three-sigma clipped; or "profile", what darks of the camera had at this
            ISO, between measured ones along log ISO.
        black: your own level in DN, one number or one per site R, Gr, Gb, B; it wins over `source`.
        area: top, left, bottom, right of the masked pixels in the whole sensor, for files that don't say.
        profile: for "profile": "auto", the camera's own; the path of one; or a `CameraProfile`.
        found: what was used of it, written by `measure`.

    Raises:
        ProfileError: the profile is asked for, and there is none, its black wasn't measured from darks, it doesn't
            reach the ISO, or its counts are of another bit depth.
        StageError: a masked area is asked for and there is none, or black is above white.
    """

    source: str = "tag"
    black: tuple[float, ...] | float | None = None
    area: tuple[int, int, int, int] | None = None
    profile: CameraProfile | str = "auto"
    found: str = ""
    _levels: Tensor | None = field(
        default=None, repr=False, compare=False, metadata={"says": "black in DN, for R, Gr, Gb, B"}
    )
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
        object.__setattr__(self, "profile", checked(self.profile))

    @property
    def sees_pixels(self) -> bool:
        """Whether the levels may be found in the frame itself."""
        return self.source == "masked" and self.black is None

    def measure(self, frame: Frame, /) -> BlackLevel:
        """Find the levels: in the tags, in the masked pixels of the whole sensor, or in the camera's profile."""
        shot, rows, columns, profile, found = frame.shot, None, None, self.profile, self.found
        if self.black is not None:
            black = torch.tensor(self.black).expand(4)
        elif self.source == "masked":
            black = masked_black(frame, self.area)
        elif self.source == "profile":
            black, profile, found = profile_black(self.profile, frame)
        else:
            black, rows, columns = frame.black.cpu(), shot.black_rows, shot.black_columns
        if not (frame.white.cpu() > black).all():
            raise StageError(
                f"got black {black.tolist()} above white {frame.white.tolist()}; give BlackLevel(black=...)"
            )
        return replace(
            self,
            black=None if self.black is None and self.source == "tag" else tuple(black.tolist()),
            profile=profile,
            found=found,
            _levels=black.to(frame.device),
            _rows=None if rows is None else _whole(rows, shot.active_area[0], shot.size[0]).to(frame.device),
            _columns=None if columns is None else _whole(columns, shot.active_area[1], shot.size[1]).to(frame.device),
        )

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        if self._levels is None or self._rows is not None or self._columns is not None:
            return None
        scale = 1 / (frame.white - self._levels).min()
        return (kernels.Affine(scale, -self._levels * scale),)

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


def profile_black(profile: CameraProfile | str, frame: Frame) -> tuple[Tensor, CameraProfile | str, str]:
    """Black per site R, Gr, Gb, B (4) in DN that a profile holds for the frame's ISO; what to note of the profile."""
    if profile == "auto":
        profile = CameraProfile.find(frame.shot.make, frame.shot.model, frame.shot.serial)
    black, used, found = use(profile, frame, lambda profile: _black_at(profile, frame))
    if black is None:
        raise ProfileError('got profile "none"; expected one made with `rawpipe calibrate`, or BlackLevel("tag")')
    return black, used if isinstance(used, str) else NONE, found  # the history holds the levels themselves


def _black_at(profile: CameraProfile, frame: Frame) -> tuple[Tensor, str]:
    """Black at the frame's ISO, and what it is."""
    iso, isos = frame.shot.iso, profile.isos
    if iso is None or not isos or not isos[0] <= iso <= isos[-1]:
        raise ProfileError(
            f"got {'a frame that does not say its ISO' if iso is None else f'ISO {iso:g}'}; the profile of "
            f"{profile.name} holds {', '.join(f'{one:g}' for one in isos) or 'none'}: add darks at that ISO and run "
            "`rawpipe calibrate` again, or give BlackLevel(black=...)"
        )
    check_same_counts(frame, saturations_dn(profile), profile.name)
    low, high = max(one for one in isos if one <= iso), min(one for one in isos if one >= iso)
    first, last = (_measured_black(profile, one) for one in (low, high))
    part = math.log(iso / low) / math.log(high / low) if low != high else 0.0
    between = f" interpolated between {low:g} and {high:g}" if low != high else ""
    return torch.lerp(first, last, part).float(), f"profile of {profile.name}, ISO {iso:g}{between}"


def _measured_black(profile: CameraProfile, iso: float) -> Tensor:
    """Black at an ISO of the profile, if darks gave it (4)."""
    black = profile.quantities(iso).get("black_dn")
    if black is None or black.value is None or (not black.reliable and not black.n):
        why = "it wasn't measured" if black is None or black.why is None else black.why
        raise ProfileError(
            f"the profile of {profile.name} has no measured black at ISO {iso:g}: {why}; add darks and run "
            "`rawpipe calibrate` again"
        )
    if not black.reliable:
        warnings.warn(f"black at ISO {iso:g} of the profile of {profile.name}: {black.why}", RawpipeWarning, 4)
    return torch.tensor(black.value, dtype=torch.float64).expand(4)


def _clipped_mean(values: Tensor) -> Tensor:
    if not values.numel():
        raise StageError("got a masked area without pixels; expected top, left, bottom, right within the sensor")
    for _ in range(3):
        values = values[(values - values.mean()).abs() <= 3 * values.std(correction=0) + 1e-9]
    return values.mean()
