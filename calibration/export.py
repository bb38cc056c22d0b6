"""A camera profile for other programs: DNG NoiseProfile, darktable, and the parameters of ELD.

`exported(profile, "darktable")` gives what goes into a JSON file, `write_export` writes it. Numbers are those of
`CameraProfile.at` at every ISO of the profile; `doubts` says which of them not to trust.

References:
    Adobe (2023), Digital Negative Specification 1.7.1.0, NoiseProfile.
    darktable, data/noiseprofiles.schema: the form of its noise profiles.
    Wei, Fu, Zheng and Yang (2021), Physics-based noise modeling for extreme low-light photography ("ELD").
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from torch import Tensor

from rawpipe import CameraProfile, NoiseModel, ProfileError, RawpipeWarning
from rawpipe._errors import unknown
from rawpipe._profile_json import pretty
from rawpipe._quantity import rounded
from rawpipe.io.atomic import replacing

_LINES = 3  # ISOs that a regression needs
_ELD_ISO = (100.0, 6400.0)  # where ELD states the gain
_UPPER = frozenset({"DJI", "LGE"})  # makers that aren't written like a word


def exported(profile: CameraProfile, to: str, **options: str) -> dict[str, Any]:
    """The content of a JSON file in another program's form.

    Args:
        profile: the camera.
        to: "darktable", "dng" or "eld".
        options: `maker` and `model`: the camera's name in darktable, which has its own spelling.

    Raises:
        ProfileError: the form isn't known, or the profile has too few numbers for it.
    """
    if to not in FORMS:
        raise ProfileError(unknown("form", to, FORMS))
    return FORMS[to](profile, **options)


def write_export(profile: CameraProfile, to: str, path: str | PathLike[str], **options: str) -> None:
    """Write `exported` to a JSON file; what was there is replaced only when all is well. Raises as `exported`.

    Raises:
        FormatError: the file can't be written.
    """
    text = pretty(_rounded(exported(profile, to, **options))) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def doubts(profile: CameraProfile) -> list[str]:
    """One sentence for every ISO that is left out of exports, or whose gain or read noise is not reliable."""
    usable, said = _models(profile), []
    for iso in profile.isos:
        if iso not in usable:
            said.append(f"ISO {iso:g} is left out: no gain, read noise or saturation")
            continue
        got = profile.quantities(iso)
        weak = [f"{name}: {got[name].why}" for name in ("gain_dn_per_e", "read_sigma_dn") if not got[name].reliable]
        if weak:
            said.append(f"ISO {iso:g} is not reliable: {'; '.join(weak)}")
    return said


def noise_profile(model: NoiseModel, range_dn: float | None = None) -> tuple[float, ...]:
    """DNG NoiseProfile S, O for R, G, B: variance S x + O of values x from 0 at black to 1 at `range_dn`.

    O holds read noise and rounding. Row noise is left out: the tag describes noise of independent pixels. G is the mean
    of the two greens.

    Args:
        model: noise of one sensor.
        range_dn: DN from black to white, the saturation if None.

    Raises:
        ProfileError: the saturation is unknown, or the model is a batch.
    """
    span = _range(model, range_dn)
    noise = model.summary()
    pairs = zip(_planes(noise.shot / span), _planes((noise.read / span) ** 2), strict=True)
    return tuple(number for pair in pairs for number in pair)


def dng(profile: CameraProfile) -> dict[str, Any]:
    """NoiseProfile of every ISO; a DNG's tag takes the six numbers as they are."""
    isos = {
        f"{iso:g}": {"NoiseProfile": noise_profile(model), "range_dn": min(model.saturation_dn.tolist())}
        for iso, model in _models(profile).items()
    }
    return {
        "camera": profile.name,
        "meaning": "S, O of R, G, B: variance = S x + O, x = 0 at black and 1 at range_dn above it",
        "iso": isos,
    }


def darktable(profile: CameraProfile, maker: str = "", model: str = "") -> dict[str, Any]:
    """A file of noise profiles with one camera: variance = a x + b for R, G, B, x from 0 at black to 1 at saturation.

    b holds read noise, rounding and row noise. The numbers are those of single photosites; darktable's own are measured
    behind its demosaicing, whose smoothing makes them several times smaller.

    Args:
        profile: the camera.
        maker: as darktable writes it; from the profile's if empty, "NIKON CORPORATION" -> "Nikon".
        model: likewise, without the maker: "NIKON D850" -> "D850".
    """
    words = profile.make.split() or [""]
    maker = maker or (words[0] if words[0] in _UPPER else words[0].capitalize())
    first, *rest = profile.model.split() or [""]
    model = model or (" ".join(rest) if rest and first.casefold() == words[0].casefold() else profile.model)
    entries = []
    for iso, noise in _models(profile).items():
        span = _range(noise, None)
        row = noise.row_sigma_dn**2
        a = _planes(noise.gain_dn_per_e / span)
        b = _planes((noise.summary().read ** 2 + row) / span**2)
        entries.append({"name": f"{model} iso {iso:.0f}", "iso": round(iso), "a": a, "b": b})
    origin = " ".join(str(profile.provenance.get(key, "")) for key in ("kind", "date")).strip()
    comment = f"{model.casefold()} {origin}, by rawpipe".replace("  ", " ")
    model_entry = {"comment": comment, "model": model, "profiles": entries}
    return {"version": 0, "noiseprofiles": [{"maker": maker, "models": [model_entry]}]}


def eld(profile: CameraProfile) -> dict[str, Any]:
    """The parameters of ELD: K at ISO 100 and 6400, ln sigma = slope ln K + bias + sigma N(0, 1), and lambdas.

    Names and structure are those of the published `camera_params` files. `g_scale` is a Gaussian for all that isn't
    shot noise, `G_scale` and `G_shape` are Tukey-lambda, `R_scale` is row noise; there is no `color_bias`, since a
    profile's black is the true one. `iso` holds every ISO's own numbers besides.

    Raises:
        ProfileError: fewer than three ISOs with gain and read noise.
    """
    models = _models(profile, saturated=False)
    gains = [_mean(model.gain_dn_per_e) for model in models.values()]
    sigmas = [
        math.sqrt(_mean(model.summary().read ** 2 + model.row_sigma_dn[..., None] ** 2)) for model in models.values()
    ]
    scales = [_mean(scale) if (scale := model.tukey_scale_dn) is not None else math.nan for model in models.values()]
    rows = [float(model.row_sigma_dn) for model in models.values()]
    shapes = [_mean(model.tukey_lambda) for model in models.values() if model.tukey_lambda is not None]
    content: dict[str, Any] = {
        "g_scale": _line(profile, "gaussian_sigma_dn", gains, sigmas),
        "G_scale": _line(profile, "tukey_scale_dn", gains, scales),
        "G_shape": profile.across_iso.get("tukey_lambda") or shapes,
        "R_scale": _line(profile, "row_sigma_dn", gains, rows),
    }
    if content["g_scale"] is None:
        raise ProfileError(
            f"got {len(gains)} ISOs with gain and read noise; expected {_LINES} or more: ELD's parameters are lines "
            "over gain. Calibrate more ISOs, or export to dng or darktable"
        )
    low, high = _ELD_ISO
    isos = {}
    for (iso, model), k, g, big, row in zip(models.items(), gains, sigmas, scales, rows, strict=True):
        shape = None if model.tukey_lambda is None else _mean(model.tukey_lambda)
        isos[f"{iso:g}"] = {"K": k, "g_scale": g, "G_scale": big, "G_shape": shape, "R_scale": row}
    return {
        "camera": profile.name,
        "unit": f"DN at {profile.bits} bits, electrons, natural logarithm",
        "Kmin": _gain_at(low, models, gains),
        "Kmax": _gain_at(high, models, gains),
        "saturation_dn": min((min(m.saturation_dn.tolist()) for m in models.values()), default=math.inf),
        "Profile-1": content,
        "iso": isos,
    }


FORMS: Mapping[str, Callable[..., dict[str, Any]]] = {"darktable": darktable, "dng": dng, "eld": eld}
"""What a profile can be exported to."""


def _models(profile: CameraProfile, saturated: bool = True) -> dict[float, NoiseModel]:
    """The noise of every ISO that has all numbers.

    Raises:
        ProfileError: none has.
    """
    models: dict[float, NoiseModel] = {}
    why = "it holds no ISO"
    for iso in profile.isos:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RawpipeWarning)  # `doubts` names what isn't reliable
                model = profile.at(iso)
        except ProfileError as error:
            why = str(error)
            continue
        if saturated and not bool(model.saturation_dn.isfinite().all()):
            why = f"the profile of {profile.name} has no saturation_dn at ISO {iso:g}"
            continue
        models[iso] = model
    if not models:
        raise ProfileError(f"nothing to export: {why}")
    return models


def _range(model: NoiseModel, range_dn: float | None) -> float:
    if model.batch_shape:
        raise ProfileError(f"got noise of {tuple(model.batch_shape)} sensors; expected one: model[0]")
    span = min(model.saturation_dn.tolist()) if range_dn is None else range_dn
    if not 0 < span < math.inf:
        raise ProfileError(f"got a range of {span} DN; expected the DN from black to white: give range_dn")
    return span


def _planes(values: Tensor) -> list[float]:
    """R, G, B of four sites, G the mean of the greens."""
    red, green_r, green_b, blue = values.double().tolist()
    return [red, (green_r + green_b) / 2, blue]


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _line(profile: CameraProfile, name: str, gains: Sequence[float], sigmas: Sequence[float]) -> dict[str, Any] | None:
    """Slope, bias and scatter of ln sigma over ln K: the profile's own if it has them, else through all ISOs."""
    known = profile.across_iso.get(f"ln_{name}_against_ln_gain")
    if known:
        return {key: known[key] for key in ("slope", "bias", "sigma")}
    pairs = [(math.log(k), math.log(sigma)) for k, sigma in zip(gains, sigmas, strict=True) if sigma > 0]
    if len(pairs) < _LINES:
        return None
    x, y = np.array(pairs).T
    slope, bias = (float(v) for v in np.polyfit(x, y, 1))
    scatter = math.sqrt(float(np.square(y - slope * x - bias).sum()) / (len(pairs) - 2))
    return {"slope": slope, "bias": bias, "sigma": scatter}


def _gain_at(iso: float, models: Mapping[float, NoiseModel], gains: Sequence[float]) -> float:
    """K at an ISO: measured, or proportional to ISO from the nearest that is."""
    nearest, gain = min(zip(models, gains, strict=True), key=lambda pair: abs(math.log(pair[0] / iso)))
    return gain * iso / nearest


def _rounded(content: Any) -> Any:
    """Numbers of nested objects and lists to seven digits; infinities and NaN as null."""
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return rounded(content)
