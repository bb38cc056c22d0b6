"""CameraProfile: what was measured of one camera, per ISO, in one JSON file with its maps beside it."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rawpipe import _profile_json
from rawpipe._errors import ProfileError, RawpipeWarning
from rawpipe._quantity import Quantity
from rawpipe._shot import Box

if TYPE_CHECKING:
    from rawpipe.noise_model import NoiseModel

_ESSENTIAL = ("gain_dn_per_e", "read_sigma_dn")  # without these there is no noise model

Maps = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraProfile:
    """Noise, black, saturation and fixed pattern of one camera. Per-site numbers are in the order R, Gr, Gb, B.

    Args:
        make: maker, as the files spell it.
        model: model, likewise.
        serial: body serial number, "" for any body of the model.
        aliases: further names of the same camera.
        cfa: phase at the top left of the active area.
        bits: the sensor's own bit depth; all DN are at this depth.
        size: height and width of the active area.
        active_area: top, left, bottom, right of it within the whole sensor, where the maps lie.
        noise: by ISO, as text ("800"): `gain_dn_per_e`, `read_sigma_dn`, `tukey_lambda`, `tukey_scale_dn`,
            `row_sigma_dn`, `quantisation_step_dn`, `black_dn`, `saturation_dn`, `saturation_e`, ...
        sensor: what doesn't depend on ISO: `full_well_e`, `hot_pixels`, ...
        across_iso: what follows from all ISOs together: gain against ISO, dual-gain switches, log-log regressions.
        provenance: kind ("measured", "blind" or "published"), date, version, and the files it was made from.
        stored: pictures of the sensor by name; read from the file beside the profile if not given. See `maps`.
        path: the file it was read from.
    """

    make: str
    model: str
    serial: str = ""
    aliases: tuple[str, ...] = ()
    cfa: str
    bits: int
    size: tuple[int, int]
    active_area: Box
    noise: Mapping[str, Mapping[str, Quantity]]
    sensor: Mapping[str, Quantity] = field(default_factory=dict)
    across_iso: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stored: Maps | _profile_json.MapFile | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """Maker and model, the maker not twice, and the serial number."""
        return f"{camera_name(self.make, self.model)} {self.serial}".strip()

    @property
    def isos(self) -> list[float]:
        """Measured ISOs in rising order."""
        return sorted(float(iso) for iso in self.noise)

    @cached_property
    def maps(self) -> Maps:
        """Pictures of the active area, or coarser ones of it, by name; empty without the file beside the profile.

        `dark_shading_k`, `dark_shading_b`: (4, h, w) per site R, Gr, Gb, B, DN = k * ISO + b to subtract beside black.
        `flat_field`: (4, h, w) response relative to its mean. `defects`: (n, 2) rows and columns.

        Raises:
            ProfileError: the file is there and isn't the one that the profile names.
        """
        if isinstance(self.stored, _profile_json.MapFile):
            return self.stored.load()
        return self.stored or {}

    @classmethod
    def read(cls, path: str | PathLike[str]) -> CameraProfile:
        """The profile in a JSON file.

        Raises:
            ProfileError: it can't be read, isn't a profile of a known schema, or its numbers can't be right.
        """
        path = Path(path)
        return cls(**_profile_json.load(path), path=path)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the JSON file, and the maps beside it as `<name>.<hash>.npz`; neither is left half-written."""
        _profile_json.dump(self, Path(path))

    @classmethod
    def find(cls, make: str, model: str, serial: str = "", folder: str | PathLike[str] | None = None) -> CameraProfile:
        """The profile of a camera: of this body before any of its model, in `folder` or yours before those that ship.

        Your folder is `$RAWPIPE_PROFILES`, or `~/.config/rawpipe/profiles`.

        Raises:
            ProfileError: there is none, and the message says where was looked and what makes one; or it is damaged.
        """
        found = next(_found(make, model, serial, folder, _raised), None)
        if found is None:
            raise ProfileError(
                f"got no profile for {make} {model} in {folder or user_folder()}; "
                "make one with `rawpipe calibrate CAPTURES -o profile.json`, and put it there"
            )
        return found

    @classmethod
    def search(
        cls, make: str, model: str, serial: str = "", folder: str | PathLike[str] | None = None
    ) -> CameraProfile | None:
        """What `find` finds; what is damaged is left out with a `RawpipeWarning`. None if nothing is left."""
        return next(_found(make, model, serial, folder, _warned), None)

    def at(self, iso: float) -> NoiseModel:
        """The noise at an ISO: as measured, or interpolated between measured neighbours; `source` says which.

        Gains and sigmas are interpolated along straight lines in log-log, the rest in log ISO. Where the profile calls
        gain or read noise unreliable, `source` says so with the reason, and a `RawpipeWarning` does.

        Raises:
            ProfileError: the ISO is outside what was measured, or its gain or read noise is unknown.
        """
        isos = self.isos
        if not isos or not isos[0] <= iso <= isos[-1]:
            raise ProfileError(
                f"got ISO {iso:g}; the profile of {self.name} holds {', '.join(f'{one:g}' for one in isos) or 'none'}; "
                "add captures at that ISO and run `rawpipe calibrate` again"
            )
        low, high = max(one for one in isos if one <= iso), min(one for one in isos if one >= iso)
        first, last = self._numbers(low), self._numbers(high)
        kind = self.provenance.get("kind", "measured")
        source = f"{kind} profile of {self.name}, ISO {iso:g}"
        if low != high:
            part = math.log(iso / low) / math.log(high / low)
            first = {name: _between(name, value, last[name], part) for name, value in first.items()}
            source += f" interpolated between {low:g} and {high:g}"
            if self.across_iso.get("dual_gain_iso") == high:
                source += f", across the change of gain at {high:g}"
        if doubts := self._doubts(low, high):
            source += f", not reliable: {doubts}"
            warnings.warn(source, RawpipeWarning, 2)
        return self._model(first, iso, source)

    def _doubts(self, *isos: float) -> str:
        """Why gain or read noise of these ISOs isn't reliable, each reason once; "" if they are."""
        names: dict[str, list[str]] = {}
        for iso in sorted(set(isos)):
            for name in _ESSENTIAL:
                if not (quantity := self.quantities(iso)[name]).reliable:
                    why = (quantity.why or "the profile doesn't say why").split(";")[0]  # the profile holds the rest
                    names.setdefault(why, []).append(f"{name} at {iso:g}")
        return "; ".join(f"{why} ({', '.join(some)})" for why, some in names.items())

    def quantities(self, iso: float) -> Mapping[str, Quantity]:
        """What was measured at exactly this ISO.

        Raises:
            ProfileError: that ISO wasn't measured.
        """
        for name, values in self.noise.items():
            if float(name) == iso:
                return values
        raise ProfileError(f"got ISO {iso:g}; expected one of {', '.join(self.noise)}")

    def _numbers(self, iso: float) -> dict[str, NDArray[np.float64]]:
        """What a noise model needs at a measured ISO, as (4) or scalar arrays."""
        got = self.quantities(iso)
        for name in _ESSENTIAL:
            if name not in got or got[name].value is None:
                why = got[name].why if name in got else "it wasn't measured"
                raise ProfileError(
                    f"the profile of {self.name} has no {name} at ISO {iso:g}: {why}; "
                    "add the captures it lacks and run `rawpipe calibrate` again"
                )
        defaults = {
            "row_sigma_dn": 0.0,
            "quantisation_step_dn": 1.0,
            "saturation_dn": math.inf,
            "tukey_lambda": math.nan,
        }
        names = [*_ESSENTIAL, *defaults]
        numbers = {}
        for name in names:
            value = got[name].value if name in got else None
            numbers[name] = np.asarray(defaults.get(name) if value is None else value, dtype=np.float64)
        return numbers

    def _model(self, numbers: Mapping[str, NDArray[np.float64]], iso: float, source: str) -> NoiseModel:
        from rawpipe.noise_model import NoiseModel

        values: dict[str, Any] = {name: value.tolist() for name, value in numbers.items()}
        if np.isnan(numbers["tukey_lambda"]).any():
            values["tukey_lambda"] = None
        return NoiseModel(**values, black_error_dn=0.0, iso=iso, camera=self.name, source=source)


def user_folder() -> Path:
    """Where your own profiles lie."""
    named = os.environ.get("RAWPIPE_PROFILES")
    return Path(named) if named else Path.home() / ".config" / "rawpipe" / "profiles"


def shipped_folder() -> Path:
    """Where the profiles that come with rawpipe lie."""
    return Path(str(files("rawpipe.calibration") / "profiles"))


def camera_name(make: str, model: str) -> str:
    """Maker and model, the maker not twice."""
    first, *_ = make.split() or [""]
    return (model if model.casefold().startswith(first.casefold()) else f"{make} {model}").strip()


def _found(
    make: str,
    model: str,
    serial: str,
    folder: str | PathLike[str] | None,
    bad: Callable[[ProfileError], None],
) -> Iterator[CameraProfile]:
    """Profiles that fit a camera, the best first; others are only looked at for their names. `bad` hears of errors."""
    wanted = _key(make, model)
    for place in (Path(folder) if folder is not None else user_folder(), shipped_folder()):
        own, of_any_body = [], []
        try:
            paths = sorted(path for path in place.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            continue
        except OSError as error:
            bad(ProfileError(f"the folder of profiles {place} can't be read: {error.strerror}"))
            continue
        for path in paths:
            names = _profile_json.names_in(path)
            if names is None or wanted not in {_key(names.make, one) for one in (names.model, *names.aliases)}:
                continue
            if names.serial == serial:
                own.append(path)
            elif not names.serial or not serial:
                of_any_body.append(path)
        for path in own + of_any_body:
            try:
                yield CameraProfile.read(path)
            except ProfileError as error:
                bad(error)


def _raised(error: ProfileError) -> None:
    raise error


def _warned(error: ProfileError) -> None:
    warnings.warn(f"left out: {error}", RawpipeWarning, 4)


def _key(make: str, model: str) -> str:
    """Maker's first word and model without it, in lower case: "NIKON CORPORATION", "NIKON D850" -> "nikon d850"."""
    first, *_ = make.casefold().split() or [""]
    words = re.split(r"[\s_]+", model.casefold().strip())
    return " ".join([first, *(words[1:] if words[0] == first else words)])


def _between(name: str, low: NDArray[np.float64], high: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    if name == "quantisation_step_dn":
        return np.maximum(low, high)
    if name in ("gain_dn_per_e", "read_sigma_dn", "row_sigma_dn") and (low > 0).all() and (high > 0).all():
        return np.exp((1 - part) * np.log(low) + part * np.log(high))
    both: NDArray[np.float64] = np.where(np.isinf(low) & np.isinf(high), low, (1 - part) * low + part * high)
    return both
