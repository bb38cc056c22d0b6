"""Published noise as camera profiles: what makes the files beside `profiles/published.json`.

    python -m rawpipe.calibration.published calibration/profiles

Every number is that of `NoiseModel.virtual`. It was measured by others on one body, so none is called reliable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rawpipe import CameraProfile, NoiseModel, Quantity

_ELD_ISOS = tuple(100.0 * 2**stop for stop in range(9))
_WHY = "published for one body, and not measured on yours"


@dataclass(frozen=True)
class _Camera:
    """Names as the camera's files spell them, and the size of its pictures as the maker states it."""

    published: str
    make: str
    model: str
    size: tuple[int, int]
    aliases: tuple[str, ...] = ()


# Of the two published sets for the Sony, PMN's: each ISO was measured, and shows the change of conversion gain at 2000,
# which ELD's line over all ISOs smooths over.
_CAMERAS = (
    _Camera("CanonEOS5D4", "Canon", "Canon EOS 5D Mark IV", (4480, 6720), ("Canon EOS 5D4",)),
    _Camera("CanonEOS70D", "Canon", "Canon EOS 70D", (3648, 5472)),
    _Camera(
        "CanonEOS700D",
        "Canon",
        "Canon EOS 700D",
        (3456, 5184),
        ("Canon EOS REBEL T5i", "Canon EOS Kiss X7i"),
    ),
    _Camera("NikonD850", "NIKON CORPORATION", "NIKON D850", (5504, 8256)),
    _Camera("PMN-SonyA7S2", "SONY", "ILCE-7SM2", (2832, 4240), ("A7S2", "A7S II", "Alpha 7S II", "α7S II")),
)


def published_profiles() -> dict[str, CameraProfile]:
    """The profiles that ship, by the name of their file."""
    text = (files("rawpipe.calibration.profiles") / "published.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return {_file_name(one): _profile(one, table) for one in _CAMERAS}


def _file_name(camera: _Camera) -> str:
    maker = camera.make.split()[0].lower()
    model = camera.model.lower().removeprefix(maker).strip().replace(" ", "-")
    return f"{maker}-{model}.json"


def _profile(camera: _Camera, table: Mapping[str, Any]) -> CameraProfile:
    entry = table["cameras"][camera.published]
    isos = [float(iso) for iso in entry["iso"]] if "iso" in entry else _ELD_ISOS
    models = {iso: NoiseModel.virtual(camera.published, iso) for iso in isos}
    gains = {iso: float(model.gain_dn_per_e[0]) for iso, model in models.items()}
    across: dict[str, Any] = {"gain_dn_per_e_per_iso": sum(k / iso for iso, k in gains.items()) / len(gains)}
    for name in ("gaussian_sigma_dn", "tukey_scale_dn", "row_sigma_dn"):
        if name in entry:
            line = entry[name]
            across[f"ln_{name}_against_ln_gain"] = {
                "slope": line["slope"],
                "bias": line["intercept"],
                "sigma": line["scatter"],
                "n": None,
            }
    if "tukey_lambda" in entry:
        across["tukey_lambda"] = entry["tukey_lambda"]
    if entry["origin"] == "PMN":
        across |= {"dual_gain_iso": 2000.0, "dual_gain": "read noise in electrons drops from ISO 2000"}
    origin = table["origins"][entry["origin"]]
    return CameraProfile(
        make=camera.make,
        model=camera.model,
        aliases=camera.aliases,
        cfa="RGGB",  # all numbers are the same for the four sites
        bits=14,
        size=camera.size,
        active_area=(0, 0, *camera.size),
        noise={f"{iso:g}": _numbers(model, iso, entry) for iso, model in models.items()},
        across_iso=across,
        provenance={
            "kind": "published",
            "origin": f"{entry['origin']}: {origin['paper']}",
            "name": camera.published,
            **{key: origin[key] for key in ("url", "commit", "files", "licence", "copyright") if key in origin},
            "notes": f"one number for all four sites; size as the maker states it. {origin['notes']}",
        },
    )


def _numbers(model: NoiseModel, iso: float, entry: Mapping[str, Any]) -> dict[str, Quantity]:
    eld = entry["origin"] == "ELD"
    regression = "the mean of a regression over gain" if eld else ""
    line = "on the line through the gains at ISO 100 and 6400" + (", extended" if iso > 6400 else "")
    saturation = (
        "16383 - 800, which the published training takes for every camera" if eld else "white minus black level"
    )
    values = {
        "gain_dn_per_e": (model.gain_dn_per_e, line if eld else ""),
        "read_sigma_dn": (model.read_sigma_dn, regression),
        "tukey_lambda": (model.tukey_lambda, "the median over ISOs" if eld else ""),
        "tukey_scale_dn": (model.tukey_scale_dn, regression),
        "row_sigma_dn": (model.row_sigma_dn, regression),
        "quantisation_step_dn": (model.quantisation_step_dn, ""),
        "saturation_dn": (model.saturation_dn, saturation),
        "saturation_e": (model.saturation_dn / model.gain_dn_per_e, saturation),
    }
    out = {}
    for name, (value, how) in values.items():
        if value is not None:
            numbers = value.tolist()
            why = f"{_WHY}; {how}" if how else _WHY
            out[name] = Quantity(tuple(numbers) if isinstance(numbers, list) else numbers, None, 0, False, why)
    return out


def main() -> None:
    """Write the profiles to the folder that is named."""
    folder = Path(sys.argv[1])
    for name, profile in published_profiles().items():
        profile.write(folder / name)


if __name__ == "__main__":
    main()
