"""DefectPixels: hot and dead pixels replaced, found in the picture or known from a map."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rawpipe import CameraProfile, Frame, ProfileError, Space, StageError, bayer, kernels
from rawpipe._from_profile import NONE, Lacking, checked, same_as_before, use
from rawpipe._on_sensor import check_same_sensor, digest
from rawpipe.stages.defect_pixels import defect_map
from rawpipe.stages.defect_pixels.kernels import PASSES, mean_of_nine, neighbours, repaired

_DETECTION_HALO = 4  # neighbours two pixels away, and the spread of theirs
_SPREAD = 1.704  # of eight normal numbers: second largest less second smallest, in standard deviations
_TEXTURE = 0.75  # of the spread: what the noise doesn't explain; it saves texture, and of the defects hides few
_SHARED = (1 / 32, 1 / 10)  # of a pixel's excess: less on average beside it is a defect's, more is light's


@dataclass(frozen=True)
class DefectPixels:
    """Hot and dead pixels replaced by the median of the eight nearest pixels of their site.

    Pixels of the map are replaced first, by the median of those neighbours that aren't on it. Then a pixel is found
    defective where it lies outside the range of all eight neighbours by more than the threshold, and the pixels next
    to it, of other colours, don't stand out with it: light from a lens falls on several pixels, a defect is alone.
    Two defects side by side pass for light; the map is for them.

    Takes: SENSOR or MOSAIC. Gives: the same. Noise is left as it is: few pixels change.

    Args:
        threshold: in standard deviations of the frame's noise, or of the spread around a pixel where that is much
            larger (texture) or the noise is unknown.
        detect: whether to look for defects beside those of the map.
        pixels: row and column of known defects in the whole sensor, or the path of a file with them, see
            `defect_map.read`.
        profile: where more of them come from: "auto", the camera's own profile if there is one with a map of defects;
            the path of one; a `CameraProfile`; or "none", which is what "auto" becomes where nothing was found.
        found: what was used of the profile, written by `measure`; a replay compares it.

    Raises:
        StageError: the pixels aren't on this sensor.
        FormatError: the file can't be read.
        ProfileError: a profile that was named can't be read, lacks the map, is of another sensor, or has changed since
            the history was written.
    """

    threshold: float = 5.0
    detect: bool = True
    pixels: tuple[tuple[int, int], ...] | str = ()
    profile: CameraProfile | str = "auto"
    found: str = ""
    _known: Tensor | None = field(default=None, repr=False, compare=False)

    takes = Space.SENSOR | Space.MOSAIC
    gives = None
    grid = 2
    sees_pixels = False

    def __post_init__(self) -> None:
        if not (isinstance(self.threshold, int | float) and self.threshold > 0):
            raise StageError(f"got threshold {self.threshold!r}; expected standard deviations, above 0")
        given = self.pixels
        pixels = os.fspath(given) if isinstance(given, str | os.PathLike) else defect_map.checked(given)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "profile", checked(self.profile))

    @property
    def halo(self) -> int:
        """Context that detection and map need."""
        mapped = len(self._known) > 0 if self._known is not None else bool(self.pixels)
        return (_DETECTION_HALO if self.detect else 0) + (2 * PASSES if mapped else 0)

    def measure(self, frame: Frame, /) -> DefectPixels:
        """Read the map, and get it ready on the frame's device."""
        pixels = defect_map.read(self.pixels) if isinstance(self.pixels, str) else self.pixels
        known = torch.tensor(pixels, dtype=torch.long).reshape(-1, 2)
        of_profile, profile, found = use(self.profile, frame, lambda profile: _of_profile(profile, frame))
        if self.profile != NONE:
            same_as_before(self.found, found)
        if of_profile is not None:
            known = torch.unique(torch.cat([known, of_profile]), dim=0)
        for y, x in known[(known >= torch.tensor(frame.shot.size)).any(dim=1)][:1].tolist():
            height, width = frame.shot.size
            raise StageError(
                f"got a defect at row {y}, column {x}; expected it on the sensor of {height}x{width} pixels: "
                "is the map of another camera?"
            )
        return replace(self, pixels=pixels, profile=profile, found=found or self.found, _known=known.to(frame.device))

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._known is None:
            return self.measure(frame)(frame)
        data = frame.data
        if len(self._known):
            places = self._known - frame.origin[:2]
            if not torch.compiler.is_compiling():  # a compiled graph needs one size for all strips
                bounds = places.new_tensor(data.shape[-2:])
                places = places[((places >= 0) & (places < bounds)).all(dim=1)]
            y, x = places.unbind(1)
            data = repaired(bayer.as_float(data), y, x)
        if self.detect:
            frame = replace(frame, data=data)
            levels = _levels(frame)
            data = self._cleaned(bayer.as_float(data), frame) if levels is None else self._compiled(frame, levels)
        return replace(frame, data=data)

    def banded(self, frame: Frame, /) -> bool:
        """Whether the kernels take the frame's pixels, with finite levels and noise that are those of a whole stack."""
        return self.detect and _levels(frame) is not None

    def _compiled(self, frame: Frame, levels: Tensor) -> Tensor:
        """`_cleaned` by the kernels, the same bits."""
        from rawpipe.kernels.compiled import without_defects

        def rows(picture: Tensor, top: int, bottom: int) -> Tensor:
            first = max(top - _DETECTION_HALO, 0)
            last = min(bottom + _DETECTION_HALO, frame.height)
            part = replace(frame, data=picture).crop(first, 0, last - first, frame.width)
            return self._cleaned(bayer.as_float(part.data), part)[top - first : bottom - first]

        shares = (float(self.threshold), _SPREAD, _TEXTURE, *_SHARED)
        return without_defects(frame.data, str(frame.cfa), levels, frame.noise is not None, shares, rows)

    def _cleaned(self, data: Tensor, frame: Frame) -> Tensor:
        """Pixels that stand out alone, replaced."""
        low, second, _, below, above, _, seventh, high = neighbours(data)
        median = (below + above) / 2
        excess = data - median
        threshold = self.threshold * _sigma(frame, median, mean_of_nine(seventh - second, 2) / _SPREAD)
        beyond = torch.maximum(data - high, low - data) > threshold
        shared = (9 * mean_of_nine(excess, 1) - excess) / 8 * excess.sign()
        least, most = (share * excess.abs() for share in _SHARED)
        # a quarter: three deviations of a mean of eight, so that noise beside a defect doesn't save it
        alone = shared < (threshold / 4).clamp(least, most)
        return torch.where(beyond & alone, median, data)


def _of_profile(profile: CameraProfile, frame: Frame) -> tuple[Tensor, str]:
    """The profile's defects in the frame's whole sensor (n, 2), and what they are."""
    if "defects" not in profile.maps:
        raise Lacking(
            f"the profile of {profile.name} has no map of defects; add darks and run `rawpipe calibrate` again, and "
            "keep the .npz beside the .json"
        )
    check_same_sensor(profile, frame)
    places = torch.from_numpy(profile.maps["defects"].astype(np.int64))
    if places.ndim != 2 or places.shape[1] != 2 or not ((places >= 0) & (places < torch.tensor(profile.size))).all():
        raise ProfileError(
            f"the profile of {profile.name} has defects of shape {tuple(places.shape)}; expected (n, 2), rows and "
            f"columns within {profile.size[0]}x{profile.size[1]}: run `rawpipe calibrate` again"
        )
    found = f"profile of {profile.name}, {len(places)} defects, map {digest(places)}"
    return places + torch.tensor(frame.shot.active_area[:2]), found


def _sigma(frame: Frame, signal: Tensor, spread: Tensor) -> Tensor:
    """Standard deviation of each pixel: that of the noise, or the spread around it; one code at least."""

    def lay(values: Tensor) -> Tensor:
        return bayer.spread(values, str(frame.cfa), frame.height, frame.width)

    if frame.noise is not None:
        noise = frame.noise.map(lay).variance(signal - lay(frame.black)).sqrt()
        spread = torch.maximum(noise, _TEXTURE * spread)
    return torch.maximum(spread, lay(_code(frame)))


def _levels(frame: Frame) -> Tensor | None:
    """Per site, variances of the noise per signal, without light, of rows (0 if unknown); black, a code's step (5, 4).

    None where the kernels can't take them or the pixels.
    """
    if not kernels.usable(frame.data) or min(frame.data.shape) < 1 or min(frame.height, frame.width) < 2:
        return None
    code = _code(frame)
    none = torch.zeros_like(code)
    noise = [none] * 3 if frame.noise is None else [frame.noise.shot, frame.noise.read**2, frame.noise.row**2]
    levels = [*noise, frame.black, code]
    if not all(one.shape == (len(bayer.SITES),) and kernels.usable(one) for one in levels):
        return None
    stacked = torch.stack(levels)
    return stacked if bool(stacked.isfinite().all()) and bool((stacked[0] >= 0).all()) else None


def _code(frame: Frame) -> Tensor:
    """A step of the codes, in the unit of the frame, per site."""
    code: Tensor = (frame.white - frame.black) / 2**frame.shot.bits
    return code
