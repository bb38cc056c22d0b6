"""What only shows across ISOs: gain against ISO, switches between conversion gains, noise against gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

from rawpipe import Quantity
from rawpipe.calibration.mosaics import Doubles
from rawpipe.calibration.one_iso import IsoResult

_SWITCH_STEP = 0.15  # relative drop of read noise that a switch must make
_SWITCH_GAIN = 4.0  # how much better two curves must fit than one
_SAME = 1.02  # gains closer than this are one gain
_FALLS = 0.98


def check_gains(results: Sequence[IsoResult]) -> list[IsoResult]:
    """Mark gains that fall with ISO, beyond their intervals: one of the two is wrong, and nothing says which."""
    out = list(results)
    for i in range(1, len(out)):
        low, high = out[i - 1].numbers["gain_dn_per_e"], out[i].numbers["gain_dn_per_e"]
        if low.value is None or high.value is None or low.ci95 is None or high.ci95 is None:
            continue
        lowest, highest = np.array(low.ci95)[:, 0], np.array(high.ci95)[:, 1]
        falls = np.array(high.value) < _FALLS * np.array(low.value)
        if (falls & (highest < lowest)).any():
            why = f"the gain falls from ISO {out[i - 1].iso:g} to {out[i].iso:g}: captures of one of them were mixed up"
            for j, quantity in ((i - 1, low), (i, high)):
                marked = replace(quantity, reliable=False, why=quantity.why or why)
                out[j] = replace(out[j], numbers={**out[j].numbers, "gain_dn_per_e": marked})
    return out


def compare_isos(results: Sequence[IsoResult]) -> dict[str, Any]:
    """Gains, extended ISOs, a dual-gain switch, and regressions of noise on gain, ready for the profile."""
    measured = [one for one in results if one.numbers["gain_dn_per_e"].value is not None]
    out: dict[str, Any] = {}
    if not measured:
        return out
    iso = np.array([one.iso for one in measured])
    gain = np.array([_mean(one.numbers["gain_dn_per_e"]) for one in measured])
    out["gain_dn_per_e_per_iso"] = float(np.exp(np.mean(np.log(gain / iso))))
    out["extended_iso"] = _extended(iso, gain)
    read = np.array([_mean(one.numbers["read_sigma_dn"]) for one in measured])
    out |= _switch(iso, read / gain)
    for name in ("read_sigma_dn", "tukey_scale_dn", "row_sigma_dn"):
        found = [(g, v) for g, one in zip(gain, measured, strict=True) if (v := _trusted(one.numbers.get(name))) > 0]
        if len(found) >= 3:
            line = _regression(*np.log(np.array(found)).T)
            if out["dual_gain_iso"] is not None:
                why = f"one line through both sides of the change of gain at ISO {out['dual_gain_iso']:g}"
                line = {**line, "reliable": False, "why": why}
            out[f"ln_{name}_against_ln_gain"] = line
    return out


def full_well(results: Sequence[IsoResult]) -> Quantity:
    """Electrons at saturation of the lowest ISO, where the sensor and not the converter is full."""
    if not results:
        return Quantity.missing("no ISO was measured")
    lowest = results[0]
    got = lowest.numbers.get("saturation_e")
    if got is None or got.value is None:
        return Quantity.missing(got.why if got is not None and got.why else "saturation wasn't seen")
    note = f"saturation of ISO {lowest.iso:g}, the lowest measured"
    return replace(got, why=note if got.reliable else f"{note}; {got.why}")


def _extended(iso: Doubles, gain: Doubles) -> list[dict[str, float]]:
    """ISOs that share their neighbour's gain: the camera scales, or only underexposes, there."""
    found = []
    base = float(np.median(gain / iso))
    for i in range(1, len(iso)):
        if gain[i] / gain[i - 1] < _SAME and iso[i] / iso[i - 1] > 1.2:
            # Of the two, the one that lies further from the common gain per ISO is extended.
            off = [abs(math.log(gain[j] / iso[j] / base)) for j in (i - 1, i)]
            own, other = (i - 1, i) if off[0] > off[1] else (i, i - 1)
            found.append({"iso": float(iso[own]), "shares_the_gain_of": float(iso[other])})
    return found


def _switch(iso: Doubles, read_e: Doubles) -> dict[str, Any]:
    """The ISO from which on read noise in electrons drops below the curve of the lower ones.

    Noise before the gain stays in electrons, noise behind it falls with gain: read_e^2 = a^2 + (b / ISO)^2. A switch of
    the conversion gain starts a second such curve.
    """
    seen = np.isfinite(read_e) & (read_e > 0)
    iso, read_e = iso[seen], read_e[seen]
    if len(iso) < 4:
        return {"dual_gain_iso": None, "dual_gain": "not looked for: needs four ISOs with gain and read noise"}
    whole = _curve_error(iso, read_e, iso)[0]
    best: tuple[float, float] | None = None
    for j in range(1, len(iso) - 1):
        low, ahead = _curve_error(iso[:j], read_e[:j], iso[j : j + 1])
        high, _ = _curve_error(iso[j:], read_e[j:], iso[:1])
        drop = 1 - read_e[j] / ahead[0]
        both = low + high + 1e-4 * len(iso)  # one percent: what two curves through few points can't promise
        if drop > _SWITCH_STEP and whole > _SWITCH_GAIN * both and (best is None or both < best[0]):
            best = both, float(iso[j])
    if best is None:
        return {"dual_gain_iso": None, "dual_gain": "read noise in electrons follows one curve"}
    return {
        "dual_gain_iso": best[1],
        "dual_gain": f"read noise in electrons drops below its curve from ISO {best[1]:g}",
    }


def _curve_error(iso: Doubles, read_e: Doubles, at: Doubles) -> tuple[float, Doubles]:
    """Squared relative error of the best curve, and the curve at other ISOs."""
    terms = np.stack([np.ones_like(iso), 1e4 / iso**2], axis=1)
    if len(iso) == 1:
        return 0.0, np.full_like(at, read_e[0])
    weight = 1 / read_e**2
    solution, _ = nnls(terms * weight[:, None], read_e**2 * weight)
    fit = terms @ solution
    curve = np.stack([np.ones_like(at), 1e4 / at**2], axis=1) @ solution
    return float((np.log(fit / read_e**2) ** 2).sum() / 4), np.sqrt(curve)


def _regression(ln_gain: Doubles, ln_sigma: Doubles) -> dict[str, Any]:
    """A straight line, the scatter around it, and 95 % intervals of slope and bias."""
    n = len(ln_gain)
    slope, bias = np.polyfit(ln_gain, ln_sigma, 1)
    rest = ln_sigma - slope * ln_gain - bias
    scatter = math.sqrt(float((rest**2).sum()) / max(n - 2, 1))
    spread, reach = float(((ln_gain - ln_gain.mean()) ** 2).sum()), float(stdtrit(max(n - 2, 1), 0.975)) * scatter
    of_slope, of_bias = reach / math.sqrt(spread), reach * math.sqrt(1 / n + float(ln_gain.mean()) ** 2 / spread)
    return {
        "slope": float(slope),
        "slope_ci95": [float(slope - of_slope), float(slope + of_slope)],
        "bias": float(bias),
        "bias_ci95": [float(bias - of_bias), float(bias + of_bias)],
        "sigma": scatter,
        "n": n,
        "reliable": True,
        "why": None,
    }


def _mean(quantity: Quantity) -> float:
    return float(np.mean(quantity.value)) if quantity.value is not None else math.nan


def _trusted(quantity: Quantity | None) -> float:
    return _mean(quantity) if quantity is not None and quantity.reliable else math.nan
