"""DarkShading: the dark level that differs from place to place is taken off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from rawpipe import CameraProfile, Frame, ProfileError, Space, StageError, bayer
from rawpipe._from_profile import NONE, checked, same_as_before, use
from rawpipe._on_sensor import SiteMap, check_same_sensor, digest, map_of, unit_per_dn


@dataclass(frozen=True)
class DarkShading:
    """The dark level that a sensor adds to black at each place subtracted: k * ISO + b, as the profile measured it.

    Takes: SENSOR or MOSAIC. Gives: the same; counts become float32. Noise is left as it is: what the map's own error
    adds is far below it. Long exposures, whose dark current the map doesn't know, need darks of their own.

    Args:
        profile: "auto", the camera's own if there is one with these maps, else nothing is done; the path of a profile;
            or a `CameraProfile`. "none" is what "auto" becomes where nothing was found.
        iso: ISO; None: the shot's.
        found: what was used, written by `measure`; a replay compares it.

    Raises:
        ProfileError: a profile that was named can't be read, lacks the maps, is of another sensor, doesn't reach the
            ISO, or has changed since the history was written; or the ISO is unknown.

    References: Feng et al. (2022) "Learnability enhancement for low-light raw denoising", 3.3: shading linear in ISO.
    """

    profile: CameraProfile | str = "auto"
    iso: float | None = None
    found: str = ""
    _map: SiteMap | None = field(default=None, repr=False, compare=False)
    _measured: bool = field(default=False, repr=False, compare=False)

    takes = Space.SENSOR | Space.MOSAIC
    gives = None
    halo = 0
    grid = 2
    sees_pixels = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "profile", checked(self.profile))
        if self.iso is not None and not (isinstance(self.iso, int | float) and 0 < self.iso < 1e8):
            raise StageError(f"got iso {self.iso!r}; expected a number above 0")

    def measure(self, frame: Frame, /) -> DarkShading:
        """Find the profile, and lay its maps out along the sensor."""
        iso = frame.shot.iso if self.iso is None else self.iso

        def shading(profile: CameraProfile) -> tuple[SiteMap, str]:
            slope, offset = map_of(profile, "dark_shading_k"), map_of(profile, "dark_shading_b")
            check_same_sensor(profile, frame)
            at = _iso_within(profile, iso)
            if slope.shape != offset.shape:
                raise ProfileError(
                    f"the profile of {profile.name} has dark shading of {tuple(slope.shape)} and "
                    f"{tuple(offset.shape)}; expected one shape: run `rawpipe calibrate` again"
                )
            points = slope * at + offset
            return SiteMap.of(points, frame), f"profile of {profile.name}, ISO {at:g}, maps {digest(slope, offset)}"

        laid, profile, found = use(self.profile, frame, shading)
        if self.profile != NONE:
            same_as_before(self.found, found)
        return replace(self, profile=profile, iso=iso, found=found or self.found, _map=laid, _measured=True)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if not self._measured:
            return self.measure(frame)(frame)
        data = bayer.as_float(frame.data)
        return replace(frame, data=data if self._map is None else data - self._shading(frame, self._map).to(data.dtype))

    def _shading(self, frame: Frame, maps: SiteMap) -> Tensor:
        unit = bayer.spread(unit_per_dn(frame), str(frame.cfa), frame.height, frame.width)
        return maps.laid_on(frame) * unit


def _iso_within(profile: CameraProfile, iso: float | None) -> float:
    """The ISO, if the profile reaches it."""
    if iso is None:
        raise ProfileError("got a frame that doesn't say its ISO; give it: DarkShading(profile, iso=...)")
    if profile.isos and not profile.isos[0] <= iso <= profile.isos[-1]:
        raise ProfileError(
            f"got ISO {iso:g}; the profile of {profile.name} holds {profile.isos[0]:g} to {profile.isos[-1]:g}: add "
            "darks at that ISO and run `rawpipe calibrate` again"
        )
    return iso
