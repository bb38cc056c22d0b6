"""What shows across ISOs: gain, read and row noise against ISO, and noise against gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawpipe import Quantity
from rawpipe.calibration.calibrate import Calibration
from rawpipe.calibration.one_iso import IsoResult
from rawpipe.calibration.report.of_flats import SITE_KEYS, Picture
from rawpipe.calibration.report.plot import CLASSES, SITES, Axis, Plot, key
from rawpipe.calibration.report.words import digits, is_bound, with_interval

Doubles = NDArray[np.float64]
_SHIFTS = (-9.0, -3.0, 3.0, 9.0)


def pictures(calibration: Calibration) -> list[Picture]:
    """The pictures of two ISOs or more; none of one."""
    isos = calibration.isos
    across = calibration.profile.across_iso
    out = []
    if _two(isos, "gain_dn_per_e"):
        out.append(_gain(isos, across))
    if _two(isos, "read_sigma_dn"):
        out.append(_noise(isos))
    if _two(isos, "gain_dn_per_e", "read_sigma_dn"):
        out += [_read_e(isos, across), _against_gain(isos, across)]
    return out


def _two(isos: Sequence[IsoResult], *names: str) -> bool:
    """Whether two ISOs or more have all these numbers."""
    missing = Quantity.missing("")
    return sum(all(one.numbers.get(name, missing).value is not None for name in names) for one in isos) > 1


def _sites(isos: Sequence[IsoResult], name: str) -> tuple[Doubles, Doubles, Doubles]:
    """Values and ends of intervals (n, 4); NaN where unknown, the value itself where there is no interval."""
    values, low, high = (np.full((len(isos), 4), math.nan) for _ in range(3))
    for i, one in enumerate(isos):
        got = one.numbers.get(name)
        if got is None or got.value is None:
            continue
        values[i] = low[i] = high[i] = got.value
        if got.ci95 is not None:
            ends = np.asarray(got.ci95, np.float64)
            low[i], high[i] = ends[..., 0], ends[..., 1]
    return values, low, high


def _doubtful(isos: Sequence[IsoResult], name: str) -> list[bool]:
    return [not one.numbers.get(name, Quantity.missing("")).reliable for one in isos]


def _put(plot: Plot, isos: Sequence[IsoResult], name: str, by: Doubles | None = None) -> None:
    """Points of all sites against ISO; divided by `by` (n, 4) if given."""
    iso = np.array([one.iso for one in isos])
    values, low, high = (part if by is None else part / by for part in _sites(isos, name))
    for s, css in enumerate(CLASSES):
        texts = [
            f"{SITES[s]}, ISO {i:g}: {with_interval(v, (a, b))}"
            for i, v, a, b in zip(iso, values[:, s], low[:, s], high[:, s], strict=True)
        ]
        ends = low[:, s], high[:, s]
        plot.points(iso, values[:, s], css, ends, texts, _doubtful(isos, name), _SHIFTS[s])


def _iso_axis(isos: Sequence[IsoResult]) -> Axis:
    values = [one.iso for one in isos]
    return Axis.around(values, "ISO", True, 0.08, values)


def _gain(isos: Sequence[IsoResult], across: Mapping[str, Any]) -> Picture:
    values, low, high = _sites(isos, "gain_dn_per_e")
    x = _iso_axis(isos)
    plot = Plot(x, Axis.around([values, low, high], "gain K, DN/e⁻", True), "Gain against ISO")
    per_iso = across.get("gain_dn_per_e_per_iso")
    keys = SITE_KEYS
    if per_iso:
        plot.line([x.low, x.high], [x.low * per_iso, x.high * per_iso], "fit")
        keys += key("fit", f"K = {digits(per_iso * 100, 3)} DN/e⁻ · ISO / 100")
    _put(plot, isos, "gain_dn_per_e")
    caption = "95 % intervals; hollow where not reliable. A camera that only amplifies has its gains on the line."
    for one in across.get("extended_iso", ()):
        caption += f" ISO {one['iso']:g} shares the gain of ISO {one['shares_the_gain_of']:g}: an extended ISO."
    return Picture("Gain", plot.svg(), keys, caption)


def _noise(isos: Sequence[IsoResult]) -> Picture:
    read, low, high = _sites(isos, "read_sigma_dn")
    iso = np.array([one.iso for one in isos])
    row = [one.numbers.get("row_sigma_dn", Quantity.missing("")) for one in isos]
    sigma = np.array([_known(one) for one in row])
    ends = np.array([_ends(one) for one in row])
    values = [read, low, high, ends[:, :1].repeat(4, 1), ends[:, 1:].repeat(4, 1)]
    plot = Plot(_iso_axis(isos), Axis.around(values, "σ, DN", True), "Read and row noise against ISO")
    _put(plot, isos, "read_sigma_dn")
    texts = [f"rows, ISO {i:g}: {with_interval(v, (a, b))} DN" for i, v, (a, b) in zip(iso, sigma, ends, strict=True)]
    hollow = _doubtful(isos, "row_sigma_dn")
    plot.points(iso, sigma, "all", (ends[:, 0], ends[:, 1]), texts, hollow)
    return Picture(
        "Read noise and row noise",
        plot.svg(),
        SITE_KEYS + key("all", "row noise"),
        "Standard deviations in the file's unit. Row noise is one offset for all pixels of a row; where it doesn't "
        "stand out, its upper bound is shown hollow.",
    )


def _known(row: Quantity) -> float:
    """The number of a row sigma, or its upper bound."""
    return _ends(row)[1] if is_bound(row) else float(row.value) if isinstance(row.value, float) else math.nan


def _ends(row: Quantity) -> tuple[float, float]:
    if not isinstance(row.value, float):
        return math.nan, math.nan
    if row.ci95 is None:
        return row.value, row.value
    low, high = (float(end) for end in row.ci95)  # type: ignore[arg-type]
    return (high, high) if is_bound(row) else (low, high)


def _read_e(isos: Sequence[IsoResult], across: Mapping[str, Any]) -> Picture:
    gain, _, _ = _sites(isos, "gain_dn_per_e")
    values, low, high = (part / gain for part in _sites(isos, "read_sigma_dn"))
    plot = Plot(_iso_axis(isos), Axis.around([values, low, high], "read noise, e⁻", True), "Read noise in electrons")
    switch = across.get("dual_gain_iso")
    if switch:
        plot.upright(float(switch), "edge")
    _put(plot, isos, "read_sigma_dn", gain)
    return Picture(
        "Read noise in electrons",
        plot.svg(),
        SITE_KEYS + (key("edge", "change of conversion gain") if switch else ""),
        "Read noise divided by the gain; the gain's own interval is left out. Noise behind the amplifier falls with "
        f"ISO; a sudden drop is a change of conversion gain: {across.get('dual_gain', 'not looked for')}.",
    )


def _against_gain(isos: Sequence[IsoResult], across: Mapping[str, Any]) -> Picture:
    gain, _, _ = _sites(isos, "gain_dn_per_e")
    read, low, high = _sites(isos, "read_sigma_dn")
    row = [one.numbers.get("row_sigma_dn", Quantity.missing("")) for one in isos]
    sigma, ends = np.array([_known(one) for one in row]), np.array([_ends(one) for one in row])
    x = Axis.around(gain, "gain K, DN/e⁻", True, 0.08)
    plot = Plot(x, Axis.around([*read.ravel(), *sigma], "σ, DN", True, 0.1), "Noise against gain")
    ramp, keys = np.geomspace(x.low, x.high, 30), SITE_KEYS + key("all", "row noise")
    lines = ""
    for name in ("read_sigma_dn", "row_sigma_dn"):
        if fit := across.get(f"ln_{name}_against_ln_gain"):
            curve = np.exp(fit["slope"] * np.log(ramp) + fit["bias"])
            spread = math.exp(fit["sigma"])
            plot.band(ramp, curve / spread, curve * spread, "scatter")
            plot.line(ramp, curve, "fit")
            lines = key("fit", "regression") + key("band scatter", "its scatter, 1 σ")
    for s, css in enumerate(CLASSES):
        reach = low[:, s], high[:, s]
        plot.points(gain[:, s], read[:, s], css, reach, hollow=_doubtful(isos, "read_sigma_dn"), shift=_SHIFTS[s])
    plot.points(gain.mean(axis=1), sigma, "all", (ends[:, 0], ends[:, 1]), hollow=_doubtful(isos, "row_sigma_dn"))
    return Picture(
        "Noise against gain",
        plot.svg(),
        keys + lines,
        "ln σ against ln K by least squares over the ISOs whose numbers are reliable, for read and row noise: what "
        "draws of virtual cameras are made from. Three ISOs are needed.",
    )
