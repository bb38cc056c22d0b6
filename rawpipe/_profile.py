"""CameraProfile: what was measured of one camera, per ISO, in one JSON file with its maps beside it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rawpipe import _profile_json
from rawpipe._errors import ProfileError
from rawpipe._quantity import Quantity
from rawpipe._shot import Box

if TYPE_CHECKING:
    from rawpipe.noise_model import NoiseModel

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
        first = self.make.split(" ")[0]
        model = self.model if self.model.casefold().startswith(first.casefold()) else f"{self.make} {self.model}"
        return f"{model} {self.serial}".strip()

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
            ProfileError: there is none; the message says where was looked and what makes one.
        """
        found = cls.search(make, model, serial, folder)
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
        """What `find` finds, None if there is nothing. Raises ProfileError for a damaged file."""
        wanted = _key(make, model)
        for place in (Path(folder) if folder is not None else user_folder(), shipped_folder()):
            same = [one for one in _profiles_in(place) if wanted in one.names]
            own = [one for one in same if one.serial == serial]
            of_any_body = [one for one in same if not one.serial or not serial]
            if fitting := own or of_any_body:
                return fitting[0]
        return None

    @property
    def names(self) -> set[str]:
        """Makers and models that this profile answers to, normalised."""
        return {_key(self.make, self.model), *(_key(self.make, alias) for alias in self.aliases)}

    def at(self, iso: float) -> NoiseModel:
        """The noise at an ISO: as measured, or interpolated between measured neighbours; `source` says which.

        Gains and sigmas are interpolated along straight lines in log-log, the rest in log ISO.

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
        return self._model(first, iso, source)

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
        for name in ("gain_dn_per_e", "read_sigma_dn"):
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
        names = ["gain_dn_per_e", "read_sigma_dn", *defaults]
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

    def with_serial(self, serial: str) -> CameraProfile:
        """The same numbers for another body, or for any ("")."""
        return replace(self, serial=serial)


def user_folder() -> Path:
    """Where your own profiles lie."""
    named = os.environ.get("RAWPIPE_PROFILES")
    return Path(named) if named else Path.home() / ".config" / "rawpipe" / "profiles"


def shipped_folder() -> Path:
    """Where the profiles that come with rawpipe lie."""
    return Path(str(files("rawpipe.calibration") / "profiles"))


def _profiles_in(folder: Path) -> Iterator[CameraProfile]:
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        if _profile_json.is_profile(path):
            yield CameraProfile.read(path)


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
