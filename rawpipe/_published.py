"""Noise that others measured and published: virtual cameras for synthesis, and random draws over them for training.

The numbers lie in `rawpipe.calibration.profiles/published.json`, with their origin and licence.

References:
    Wei, Fu, Zheng and Yang (2021), Physics-based noise modeling for extreme low-light photography ("ELD").
    Feng, Wang, Wang and Huang (2022), Learnability enhancement for low-light raw denoising ("PMN").
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

from rawpipe import _tukey
from rawpipe._errors import ProfileError, unknown
from rawpipe.noise_model import NoiseModel

Read = Literal["tukey", "gaussian"]

# The five cameras of ELD, over which its followers train.
ELD = ("CanonEOS5D4", "CanonEOS70D", "CanonEOS700D", "NikonD850", "SonyA7S2")
_ISO_RANGE = (100.0, 25600.0)  # of ELD's line for the gain, measured to 6400
_TRAINING_GAINS = (0.1, 30.0)


@cache
def cameras() -> Mapping[str, Any]:
    """What is published of each camera, by name."""
    text = (files("rawpipe.calibration.profiles") / "published.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["cameras"])


def _camera(name: str) -> tuple[str, Mapping[str, Any]]:
    plain = {known.lower(): known for known in cameras()}
    found = plain.get(name.replace(" ", "").replace("_", "-").lower())
    if found is None:
        raise ProfileError(unknown("published camera", name, cameras()))
    return found, cameras()[found]


def virtual(
    camera: str,
    iso: float | None = None,
    gain_dn_per_e: float | None = None,
    read: Read | None = None,
    black_error: bool = False,
) -> NoiseModel:
    """The published noise of a camera at one ISO or at one gain.

    ELD's cameras ("SonyA7S2", ...): the gain is the published line through ISO 100 and 6400, extended to 25600. Read
    and row noise are the means of the regressions at that gain, without their scatter; lambda is the median of the
    published ones. PMN's ("PMN-SonyA7S2", ...): the entries of an ISO as they are, or the regressions at a gain.

    Args:
        camera: a name in `published.json`; case, spaces and underscores don't count.
        iso: ISO; either this or the gain.
        gain_dn_per_e: K, DN per electron.
        read: "tukey" or "gaussian" read noise; None = Tukey-lambda if published. ELD's Gaussian sigma holds all that
            isn't shot noise, so its row noise is 0.
        black_error: whether to have the published error of the black level of the nearest ISO.

    Raises:
        ProfileError: the camera isn't published, or not at this ISO or gain; the message lists what there is.
    """
    if (iso is None) == (gain_dn_per_e is None):
        raise ProfileError(f"got iso {iso} and gain_dn_per_e {gain_dn_per_e}; expected one of them")
    name, entry = _camera(camera)
    if iso is not None and f"{iso:g}" in entry.get("iso", {}):
        found = entry["iso"][f"{iso:g}"]
        gain, values, shapes = found["gain_dn_per_e"], found, [found["tukey_lambda"]] if "tukey_lambda" in found else []
    else:
        gain = _gain(name, entry, iso) if gain_dn_per_e is None else gain_dn_per_e
        _check_gain(name, entry, gain)
        fits = ("gaussian_sigma_dn", "tukey_scale_dn", "row_sigma_dn")
        values = {fit: _line(entry[fit], gain) for fit in fits if fit in entry}
        shapes = entry.get("tukey_lambda", [])
    kind = read or ("tukey" if shapes else "gaussian")
    if kind not in ("tukey", "gaussian") or (kind == "tukey" and not shapes):
        raise ProfileError(f"got read noise {kind!r} for {name}; expected {'tukey or ' if shapes else ''}gaussian")
    shape = median(shapes) if kind == "tukey" else None
    if shape is None:
        sigma = values["gaussian_sigma_dn"]
    else:
        sigma = values["tukey_scale_dn"] * math.sqrt(_tukey.variance(torch.tensor(shape, dtype=torch.float64)))
    numbers = {
        "gain_dn_per_e": gain,
        "read_sigma_dn": sigma,
        "tukey_lambda": shape,
        "row_sigma_dn": 0.0 if shape is None and entry["origin"] == "ELD" else values["row_sigma_dn"],
        "quantisation_step_dn": entry["quantisation_step_dn"],
        "black_error_dn": _black_error(name, entry, gain, values) if black_error else 0.0,
        "saturation_dn": entry["saturation_dn"],
    }
    return NoiseModel(**numbers, iso=iso, camera=name, source=f"published by {entry['origin']}")


def gain_at(camera: str, iso: float) -> float:
    """K in DN per electron of one of ELD's cameras: the line through its gains at ISO 100 and 6400, at any ISO."""
    low, high = _camera(camera)[1]["gain_dn_per_e_at_iso"].values()
    return float(low + (iso - 100) / (6400 - 100) * (high - low))


def _gain(name: str, entry: Mapping[str, Any], iso: float | None) -> float:
    if iso is not None and "gain_dn_per_e_at_iso" in entry and _ISO_RANGE[0] <= iso <= _ISO_RANGE[1]:
        return gain_at(name, iso)
    there = []
    if "iso" in entry:
        there.append(f"ISO {', '.join(entry['iso'])}")
    if "gain_dn_per_e_at_iso" in entry:
        there.append("ISO {:g} to {:g}".format(*_ISO_RANGE))
    if "gain_range_dn_per_e" in entry:
        there.append("gain_dn_per_e from {:.3g} to {:.3g}".format(*entry["gain_range_dn_per_e"]))
    raise ProfileError(f"got ISO {iso} for {name}; expected {' or '.join(there)}")


def _check_gain(name: str, entry: Mapping[str, Any], gain: float) -> None:
    if "row_sigma_dn" not in entry:
        others = [other for other in cameras() if other.startswith(f"{name}-")]
        raise ProfileError(
            f"got gain_dn_per_e {gain:g} for {name}; expected one of ISO {', '.join(entry['iso'])}, "
            f"or a camera published by gain: {', '.join(others)}"
        )
    if "gain_range_dn_per_e" in entry:
        low, high = entry["gain_range_dn_per_e"]
    else:
        low, high = (gain_at(name, iso) for iso in _ISO_RANGE)
        low, high = min(low, _TRAINING_GAINS[0]), max(high, _TRAINING_GAINS[1])
    if not low * 0.999 <= gain <= high * 1.001:
        raise ProfileError(f"got gain_dn_per_e {gain:g} for {name}; expected {low:.3g} to {high:.3g}")


def _line(fit: Mapping[str, float], gain: float) -> float:
    return math.exp(fit["slope"] * math.log(gain) + fit["intercept"])


def _black_error(name: str, entry: Mapping[str, Any], gain: float, values: Mapping[str, Any]) -> Any:
    if "black_error_dn" in values:
        return values["black_error_dn"]
    if "black_error_dn" not in entry:
        raise ProfileError(f"got black_error=True for {name}; nothing is published of it")
    isos = entry["black_error_iso"]
    nearest = min(isos, key=lambda iso: abs(math.log(gain_at(name, iso) / gain)))
    rows = [row for iso, row in zip(isos, entry["black_error_dn"], strict=True) if iso == nearest]
    return torch.tensor(rows, dtype=torch.float64).mean(0)


def random(
    count: int,
    generator: torch.Generator | None = None,
    names: Sequence[str] | None = None,
    gain_range: tuple[float, float] = _TRAINING_GAINS,
    read: Read = "tukey",
    black_error: bool = False,
) -> NoiseModel:
    """A batch of `count` sensors drawn over published cameras, as ELD and ExposureDiffusion train.

    The camera is drawn uniformly; ln K uniformly over `gain_range`, whatever the camera; ln sigma of read and row
    noise from that camera's regression at K with its scatter; lambda uniformly from that camera's list. The same
    `generator` state gives the same sensors, and options change only what they name.

    Args:
        count: how many sensors.
        generator: source of randomness; the models lie on its device.
        names: published cameras with regressions; None = the five of ELD.
        gain_range: lowest and highest K, DN per electron.
        read: "tukey", or "gaussian": the published Gaussian fit, with which ELD's row noise is 0.
        black_error: whether to draw one of the published errors of the black level, of the ISO whose gain is nearest
            to K; cameras of ELD only.

    Raises:
        ProfileError: a camera isn't published or has no regressions, or the range isn't one.
    """
    low, high = gain_range
    if count < 1 or not 0 < low <= high < math.inf:
        raise ProfileError(f"got {count} sensors, gains {low} to {high}; expected at least one, and 0 < low <= high")
    chosen = [_camera(name) for name in (ELD if names is None else names)]
    need = {"row_sigma_dn", "tukey_scale_dn" if read == "tukey" else "gaussian_sigma_dn"}
    need |= {"black_error_dn"} if black_error else set()
    for name, entry in chosen:
        if missing := sorted(need - entry.keys()):
            fit = [other for other, content in cameras().items() if need <= content.keys()]
            raise ProfileError(f"nothing is published of {', '.join(missing)} for {name}; expected {', '.join(fit)}")
    device = torch.device("cpu") if generator is None else generator.device

    def per_draw(of: Callable[[Mapping[str, Any]], Any]) -> Tensor:
        return _table([of(entry) for _, entry in chosen], device)[camera]

    pick, where, which, side = torch.rand((4, count), generator=generator, dtype=torch.float64, device=device)
    scatter = torch.randn((2, count), generator=generator, dtype=torch.float64, device=device)
    camera = (pick * len(chosen)).long()
    log_gain = math.log(low) + where * math.log(high / low)

    def drawn(fit: str, normal: Tensor) -> Tensor:
        slope, intercept, spread = per_draw(lambda e: [e[fit][key] for key in ("slope", "intercept", "scatter")]).T
        log_sigma: Tensor = slope * log_gain + intercept + spread * normal
        return log_sigma.exp()

    shape = None
    if read == "tukey":
        longest = max(len(entry["tukey_lambda"]) for _, entry in chosen)
        lists = per_draw(lambda e: e["tukey_lambda"] + [0.0] * (longest - len(e["tukey_lambda"])))
        at = (which * per_draw(lambda e: len(e["tukey_lambda"]))).long()
        shape = lists.gather(-1, at[:, None])[:, 0]
        sigma = drawn("tukey_scale_dn", scatter[0]) * _tukey.variance(shape).sqrt()
    else:
        sigma = drawn("gaussian_sigma_dn", scatter[0])
    row = drawn("row_sigma_dn", scatter[1])
    if read == "gaussian":
        row = row * per_draw(lambda e: e["origin"] != "ELD")
    names = [name for name, _ in chosen]
    return NoiseModel(
        gain_dn_per_e=log_gain.exp()[:, None],
        read_sigma_dn=sigma[:, None],
        tukey_lambda=None if shape is None else shape[:, None],
        row_sigma_dn=row,
        quantisation_step_dn=per_draw(lambda e: e["quantisation_step_dn"]),
        black_error_dn=_near_black_errors(names, camera, log_gain, side) if black_error else 0.0,
        saturation_dn=per_draw(lambda e: e["saturation_dn"])[:, None],
        camera=", ".join(names),
        source="published, drawn at random",
    )


def _near_black_errors(names: Sequence[str], camera: Tensor, log_gain: Tensor, side: Tensor) -> Tensor:
    """For every draw one of the two published errors (count, 4) at the ISO whose gain is nearest."""
    entries = [cameras()[name] for name in names]
    isos = [entry["black_error_iso"][::2] for entry in entries]
    most = max(map(len, isos))
    levels = [
        [math.log(gain_at(name, iso)) for iso in own] + [math.inf] * (most - len(own))
        for name, own in zip(names, isos, strict=True)
    ]
    rows = [entry["black_error_dn"] + [[0.0] * 4] * (2 * most - len(entry["black_error_dn"])) for entry in entries]
    nearest = (_table(levels, camera.device)[camera] - log_gain[:, None]).abs().argmin(-1)
    return _table(rows, camera.device)[camera, 2 * nearest + (side * 2).long()]


def _table(rows: Sequence[Any], device: torch.device) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, device=device)
