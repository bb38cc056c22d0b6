"""FlatField: a uniformly lit surface gets uniform."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from rawpipe import CameraProfile, Frame, Noise, ProfileError, Space, bayer
from rawpipe._from_profile import NONE, checked, same_as_before, use
from rawpipe._on_sensor import SiteMap, check_same_sensor, digest, map_of

_DARKEST = 0.02  # of the brightest place: below, a map says nothing


@dataclass(frozen=True)
class FlatField:
    """Pixels divided by the response that the profile measured at their place, relative to the brightest place.

    One factor for all sites: colours keep their ratio, the brightest place its level, all others are raised to it.
    `white` is left as it is, so saturated pixels go above it and none stays below. Lens and aperture have to be those
    of the flats, unless the map holds the sensor's own response only.

    Takes: MOSAIC. Gives: the same. `noise` gets the mean over the picture, per site: shot noise times the mean gain,
    read and row noise times its root mean square.

    Args:
        profile: "auto", the camera's own if there is one with this map, else nothing is done; the path of a profile; or
            a `CameraProfile`. "none" is what "auto" becomes where nothing was found.
        found: what was used, written by `measure`; a replay compares it.

    Raises:
        ProfileError: a profile that was named can't be read, lacks the map, is of another sensor, or has changed since
            the history was written.
    """

    profile: CameraProfile | str = "auto"
    found: str = ""
    _map: SiteMap | None = field(default=None, repr=False, compare=False)
    _means: tuple[Tensor, Tensor] | None = field(default=None, repr=False, compare=False)
    _measured: bool = field(default=False, repr=False, compare=False)

    takes = Space.MOSAIC
    gives = None
    halo = 0
    grid = 2
    sees_pixels = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "profile", checked(self.profile))

    def measure(self, frame: Frame, /) -> FlatField:
        """Find the profile, and lay its map out along the sensor."""

        def response(profile: CameraProfile) -> tuple[Tensor, str]:
            points = map_of(profile, "flat_field")
            check_same_sensor(profile, frame)
            darkest, brightest = SiteMap.of(points, frame).extremes(frame)
            if not darkest > _DARKEST * abs(brightest):
                raise ProfileError(
                    f"the profile of {profile.name} has a flat field from {darkest:.3g} to {brightest:.3g}; expected "
                    f"more than {_DARKEST:g} of the brightest everywhere: add flats that are lit to the corners and "
                    "run `rawpipe calibrate` again"
                )
            return points / brightest, f"profile of {profile.name}, map {digest(points)}"

        points, profile, found = use(self.profile, frame, response)
        if self.profile != NONE:
            same_as_before(self.found, found)
        ready = replace(self, profile=profile, found=found or self.found, _measured=True)
        if points is None:
            return ready
        gains = (1 / points).flatten(1)
        means = gains.mean(dim=1).to(frame.device), gains.square().mean(dim=1).sqrt().to(frame.device)
        return replace(ready, _map=SiteMap.of(points, frame), _means=means)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if not self._measured:
            return self.measure(frame)(frame)
        if self._map is None or self._means is None:
            return frame
        data = bayer.as_float(frame.data)
        mean, rms = self._means
        noise = frame.noise
        if noise is not None:
            noise = Noise(noise.shot * mean, noise.read * rms, noise.row * rms)
        return replace(frame, data=data / self._map.laid_on(frame).to(data.dtype), noise=noise)
