"""Camera profiles as files: JSON of schema 1, maps in one .npz beside it, named by their hash."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rawpipe import bayer
from rawpipe._errors import ProfileError
from rawpipe._quantity import Quantity, rounded
from rawpipe.io.atomic import replacing

if TYPE_CHECKING:
    from rawpipe._profile import CameraProfile

SCHEMA = 1

_KEYS = {
    "schema", "make", "model", "serial", "aliases", "cfa", "bits", "size", "active_area",
    "noise", "sensor", "across_iso", "provenance", "maps", "digest",
}  # fmt: skip
_REQUIRED = {"schema", "make", "model", "cfa", "bits", "size", "noise"}

# Sign and range that a number must have; whatever isn't named may be any number.
_POSITIVE = {"gain_dn_per_e", "saturation_dn", "saturation_e", "full_well_e"}
_NOT_NEGATIVE = {"read_sigma_dn", "tukey_scale_dn", "row_sigma_dn", "quantisation_step_dn", "hot_pixels"}


@dataclass(frozen=True)
class MapFile:
    """The maps of a profile on disk, not read yet."""

    path: Path
    sha256: str

    def load(self) -> dict[str, NDArray[Any]]:
        """The maps; none if the file isn't there.

        Raises:
            ProfileError: the file isn't the one that the profile was written with.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ProfileError(f"the maps {self.path} can't be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ProfileError(
                f"the maps {self.path} aren't those that the profile was written with; "
                "copy the pair again, or run `rawpipe calibrate` again"
            )
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (ValueError, BadZipFile) as error:
            raise ProfileError(f"the maps {self.path} can't be read: {error}") from error


def is_profile(path: Path) -> bool:
    """Whether a JSON file says that it is a camera profile."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"schema", "make", "model", "noise"} <= content.keys()


def load(path: Path) -> dict[str, Any]:
    """The fields of the profile in a file. Raises as `CameraProfile.read`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProfileError(f"the profile {path} can't be read: {error}") from error
    try:
        return _checked(content, path)
    except ProfileError as error:
        raise ProfileError(f"the profile {path}: {error}") from error


def dump(profile: CameraProfile, path: Path) -> None:
    """Write a profile and its maps."""
    order = [site for row in bayer.sites_at(profile.cfa) for site in row]
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "make": profile.make,
        "model": profile.model,
        "serial": profile.serial,
        "aliases": list(profile.aliases),
        "cfa": profile.cfa,
        "bits": profile.bits,
        "size": list(profile.size),
        "active_area": list(profile.active_area),
        "noise": {iso: _quantities(profile.noise[iso], order) for iso in sorted(profile.noise, key=float)},
        "sensor": _quantities(profile.sensor, order),
        "across_iso": _plain(profile.across_iso),
        "provenance": _plain(profile.provenance),
        "maps": None,
    }
    _checked(table, path)  # what could not be read back is never written
    if profile.maps:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **profile.maps)  # type: ignore[arg-type]
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        beside = path.with_name(f"{path.stem}.{digest[:12]}.npz")
        table["maps"] = {"file": beside.name, "sha256": digest}
        with replacing(beside) as temporary:
            temporary.write_bytes(buffer.getvalue())
    table["digest"] = _digest(table)
    with replacing(path) as temporary:
        temporary.write_text(pretty(table) + "\n", encoding="utf-8")


def _checked(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or "schema" not in content:
        raise ProfileError('got no "schema"; expected a camera profile made by `rawpipe calibrate`')
    if content["schema"] != SCHEMA:
        raise ProfileError(f"got schema {content['schema']!r}; expected {SCHEMA}: update rawpipe, or calibrate again")
    if missing := _REQUIRED - content.keys():
        raise ProfileError(f"got no {', '.join(sorted(missing))}; expected them in every profile")
    if extra := content.keys() - _KEYS:
        raise ProfileError(f"got {', '.join(sorted(extra))}; expected only {', '.join(sorted(_KEYS))}")
    if content.get("digest") not in (None, _digest(content)):
        raise ProfileError(
            'got numbers that don\'t fit its "digest": they were edited after calibration; '
            "calibrate again, or remove the digest to use them as your own"
        )
    for name in ("make", "model", "serial"):
        if not isinstance(content.get(name, ""), str):
            raise ProfileError(f"got {name} {content[name]!r}; expected text")
    if content["cfa"] not in bayer.PHASES:
        raise ProfileError(f"got cfa {content['cfa']!r}; expected one of {', '.join(bayer.PHASES)}")
    bits, size = content["bits"], content["size"]
    area = content.get("active_area") or [0, 0, *_integers("size", size, 2)]
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ProfileError(f"got bits {bits!r}; expected 1..32")
    raster = [site for row in bayer.sites_at(content["cfa"]) for site in row]
    order = [raster.index(site) for site in range(4)]
    noise = content["noise"]
    if not isinstance(noise, dict) or not all(_is_iso(iso) and isinstance(noise[iso], dict) for iso in noise):
        raise ProfileError('got noise that isn\'t ordered by ISO; expected {"800": {...}, ...}')
    maps = content.get("maps")
    return {
        "make": content["make"],
        "model": content["model"],
        "serial": content.get("serial", ""),
        "aliases": tuple(str(one) for one in content.get("aliases") or ()),
        "cfa": content["cfa"],
        "bits": bits,
        "size": _integers("size", size, 2),
        "active_area": _integers("active_area", area, 4),
        "noise": {iso: _read(f"ISO {iso}", values, order) for iso, values in noise.items()},
        "sensor": _read("sensor", content.get("sensor") or {}, order),
        "across_iso": content.get("across_iso") or {},
        "provenance": content.get("provenance") or {},
        "stored": MapFile(path.with_name(Path(maps["file"]).name), maps["sha256"]) if maps else None,
    }


def _read(where: str, values: Mapping[str, Any], order: list[int]) -> dict[str, Quantity]:
    read = {}
    for name, got in values.items():
        quantity = Quantity.from_json(f"{where}, {name}", got)
        numbers = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
        for number in numbers:
            if number is None:
                continue
            if (name in _POSITIVE and number <= 0) or (name in _NOT_NEGATIVE and number < 0):
                wanted = "a positive number" if name in _POSITIVE else "no negative number"
                raise ProfileError(f"{where}, {name}: got {number:g}; expected {wanted}")
            if name == "tukey_lambda" and number <= -0.5:
                raise ProfileError(f"{where}, {name}: got {number:g}; expected above -0.5, where the variance ends")
        read[name] = quantity.reordered(order)
    return read


def _quantities(values: Mapping[str, Quantity], order: list[int]) -> dict[str, Any]:
    return {name: quantity.reordered(order).to_json() for name, quantity in values.items()}


def _integers(name: str, got: Any, count: int) -> tuple[int, ...]:
    if not isinstance(got, list | tuple) or len(got) != count or not all(type(one) is int and one >= 0 for one in got):
        raise ProfileError(f"got {name} {got!r}; expected {count} integers")
    return tuple(got)


def _is_iso(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _plain(value: Any) -> Any:
    """Mappings, sequences and numbers as JSON holds them."""
    if isinstance(value, Quantity):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return rounded(value.item() if isinstance(value, np.generic) else value)


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def pretty(value: Any, indent: int = 0) -> str:
    """JSON where whatever fits into a line stands in one, so that people can read it and diffs stay short."""
    compact = json.dumps(value, ensure_ascii=False)
    if indent + len(compact) <= 120 or not isinstance(value, Mapping | list):
        return compact
    start = "\n" + " " * (indent + 1)
    if isinstance(value, list):
        return "[" + ",".join(start + pretty(one, indent + 1) for one in value) + start[:-1] + "]"
    lines = (f"{start}{json.dumps(key)}: {pretty(one, indent + 1)}" for key, one in value.items())
    return "{" + ",".join(lines) + start[:-1] + "}"
