"""Camera profiles as files: JSON of schema 1, maps in one .npz beside it, named by their hash."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
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
_NOT_NEGATIVE = {"read_sigma_dn", "tukey_scale_dn", "row_sigma_dn", "column_sigma_dn", "quantisation_step_dn"}
_NOT_NEGATIVE |= {"hot_pixels", "dead_pixels"}
_ONE_NUMBER = {"row_sigma_dn", "column_sigma_dn", "quantisation_step_dn", "hot_pixels", "dead_pixels"}
_NAMED = re.compile(r'"(make|model|serial)"\s*:\s*"([^"\\]*)"')
_LAMBDA = (-0.5, 20.0)  # where the variance ends; beyond any noise, and a uniform one has 1


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


@dataclass(frozen=True)
class Names:
    """Which camera a file is about."""

    make: str
    model: str
    serial: str
    aliases: tuple[str, ...]


def names_in(path: Path) -> Names | None:
    """The camera that a JSON file names, whatever else is in it; None if it names none.

    A file that is no JSON, for a comma that is missing, is looked through for the names.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = {"schema": None, "noise": None, **dict(reversed(_NAMED.findall(text)))}
    if not isinstance(content, dict) or not {"schema", "noise"} & content.keys():
        return None
    make, model, serial, aliases = (content.get(name) for name in ("make", "model", "serial", "aliases"))
    if not isinstance(make, str) or not isinstance(model, str):
        return None
    others = tuple(one for one in aliases if isinstance(one, str)) if isinstance(aliases, list) else ()
    return Names(make, model, serial if isinstance(serial, str) else "", others)


def load(path: Path) -> dict[str, Any]:
    """The fields of the profile in a file. Raises as `CameraProfile.read`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
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
    beside = None
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
    _remove_older(path, beside)


def _remove_older(path: Path, kept: Path | None) -> None:
    """Maps of an earlier profile of the same name, which nothing names any more."""
    for one in path.parent.iterdir():
        if re.fullmatch(re.escape(path.stem) + r"\.[0-9a-f]{12}\.npz", one.name) and one != kept:
            with suppress(OSError):
                one.unlink()


def _checked(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or "schema" not in content:
        raise ProfileError('got no "schema"; expected a camera profile made by `rawpipe calibrate`')
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
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
    if not isinstance(content["cfa"], str) or content["cfa"] not in bayer.PHASES:
        raise ProfileError(f"got cfa {content['cfa']!r}; expected one of {', '.join(bayer.PHASES)}")
    bits, size = content["bits"], _integers("size", content["size"], 2)
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ProfileError(f"got bits {bits!r}; expected 1..32")
    given = content.get("active_area")
    area = _integers("active_area", [0, 0, *size] if given is None else given, 4)
    if min(size) == 0 or (area[2] - area[0], area[3] - area[1]) != size:
        raise ProfileError(
            f"got size {list(size)}, active_area {list(area)}; expected the height and width, above 0, "
            "of its top, left, bottom, right"
        )
    raster = [site for row in bayer.sites_at(content["cfa"]) for site in row]
    order = [raster.index(site) for site in range(4)]
    noise = content["noise"]
    if not isinstance(noise, dict) or not all(_is_iso(iso) and isinstance(noise[iso], dict) for iso in noise):
        raise ProfileError('got noise that isn\'t ordered by ISO; expected {"800": {...}, ...}')
    if len({float(iso) for iso in noise}) < len(noise):
        raise ProfileError(f"got ISOs {', '.join(noise)}; expected each once")
    aliases = [] if content.get("aliases") is None else content["aliases"]
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
        raise ProfileError(f"got aliases {aliases!r}; expected a list of names")
    tables = {name: _table(name, content.get(name)) for name in ("sensor", "across_iso", "provenance")}
    if not isinstance(kind := tables["provenance"].get("kind", "measured"), str):
        raise ProfileError(f"got provenance with kind {kind!r}; expected text")
    if not isinstance(change := tables["across_iso"].get("dual_gain_iso"), int | float | None):
        raise ProfileError(f"got across_iso with dual_gain_iso {change!r}; expected an ISO or null")
    return {
        "make": content["make"],
        "model": content["model"],
        "serial": content.get("serial", ""),
        "aliases": tuple(aliases),
        "cfa": content["cfa"],
        "bits": bits,
        "size": size,
        "active_area": area,
        "noise": {iso: _read(f"ISO {iso}", values, order) for iso, values in noise.items()},
        "sensor": _read("sensor", tables["sensor"], order),
        "across_iso": tables["across_iso"],
        "provenance": tables["provenance"],
        "stored": _map_file(content.get("maps"), path),
    }


def _table(name: str, got: Any) -> dict[str, Any]:
    if got is not None and not isinstance(got, dict):
        raise ProfileError(f"got {name} {got!r}; expected an object")
    return got or {}


def _map_file(got: Any, path: Path) -> MapFile | None:
    """The file that `maps` names, which lies beside the profile."""
    if got is None:
        return None
    wanted = {"file": r"[^/\\\0]+\.npz", "sha256": "[0-9a-f]{64}"}
    if not isinstance(got, dict) or got.keys() != wanted.keys():
        raise ProfileError(f"got maps {got!r}; expected file and sha256")
    for key, pattern in wanted.items():
        if not isinstance(got[key], str) or not re.fullmatch(pattern, got[key]):
            wrong = f"got maps with {key} {got[key]!r}"
            raise ProfileError(f"{wrong}; expected the name of an .npz beside the profile, and its SHA-256 in hex")
    return MapFile(path.with_name(got["file"]), got["sha256"])


def _read(where: str, values: Mapping[str, Any], order: list[int]) -> dict[str, Quantity]:
    read = {}
    for name, got in values.items():
        quantity = Quantity.from_json(f"{where}, {name}", got)
        if name in _ONE_NUMBER and isinstance(quantity.value, tuple):
            raise ProfileError(f"{where}, {name}: got {list(quantity.value)}; expected one number for all sites")
        numbers = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
        for number in numbers:
            if number is None:
                continue
            if (name in _POSITIVE and number <= 0) or (name in _NOT_NEGATIVE and number < 0):
                wanted = "a positive number" if name in _POSITIVE else "no negative number"
                raise ProfileError(f"{where}, {name}: got {number:g}; expected {wanted}")
            if name == "tukey_lambda" and not _LAMBDA[0] < number <= _LAMBDA[1]:
                raise ProfileError(
                    f"{where}, {name}: got {number:g}; expected above -0.5, where the variance ends, to {_LAMBDA[1]:g}"
                )
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
