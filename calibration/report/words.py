"""Numbers and verdicts in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rawpipe import Quantity

LABELS: Mapping[str, tuple[str, str]] = {
    "gain_dn_per_e": ("gain K", "DN/e⁻"),
    "read_sigma_dn": ("read noise", "DN"),
    "row_sigma_dn": ("row noise", "DN"),
    "tukey_lambda": ("Tukey λ", ""),
    "tukey_scale_dn": ("Tukey scale", "DN"),
    "black_dn": ("black level", "DN"),
    "held_out_ratio": ("held-out variance ratio", ""),
    "saturation_dn": ("saturation above black", "DN"),
    "saturation_e": ("saturation", "e⁻"),
    "full_well_e": ("full well", "e⁻"),
    "dynamic_range_db": ("dynamic range", "dB"),
    "snr_max_db": ("best signal-to-noise ratio", "dB"),
    "linearity_error": ("linearity error", ""),
    "quantisation_step_dn": ("quantisation step", "DN"),
    "dsnu_dn": ("DSNU", "DN"),
    "dsnu_e": ("DSNU", "e⁻"),
    "dark_pattern_dn": ("dark pattern of pixels", "DN"),
    "prnu_percent": ("PRNU", "%"),
    "response_pattern_percent": ("response pattern of pixels", "%"),
    "row_fpn_dn": ("fixed pattern of rows", "DN"),
    "column_fpn_dn": ("fixed pattern of columns", "DN"),
    "hot_pixels": ("hot and stuck pixels", ""),
    "dark_current_e_per_s": ("dark current", "e⁻/s"),
}
CORE = ("gain_dn_per_e", "read_sigma_dn", "black_dn", "held_out_ratio")
"""What noise synthesis and denoising build on: an ISO is reliable if these are."""


def label(name: str) -> str:
    """A quantity's name in words."""
    return LABELS[name][0] if name in LABELS else name.replace("_", " ")


def unit(name: str) -> str:
    """Its unit, "" for none."""
    return LABELS[name][1] if name in LABELS else ""


def with_interval(value: float, ci95: tuple[float, float] | None) -> str:
    """`0.1997 ± 0.0006`; `0.30 [0.21, 0.35]` where the ends are not alike; four digits without an interval."""
    if ci95 is None or any(math.isnan(end) for end in ci95):
        return digits(value)
    low, high = ci95
    half = (high - low) / 2
    if not math.isfinite(half):
        return f"{digits(value)} [{digits(low)}, {digits(high)}]"
    if half <= 0:
        return digits(value)
    power = math.floor(math.log10(half))
    places = -power if half >= 2.95 * 10.0**power else 1 - power
    if abs(high + low - 2 * value) <= 0.2 * (high - low):
        return f"{_fixed(value, places)} ± {_fixed(half, places)}"
    return f"{_fixed(value, places)} [{_fixed(low, places)}, {_fixed(high, places)}]"


def digits(value: float, count: int = 4) -> str:
    """A number to so many significant digits, never as a power of ten."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "unknown"
    if value == 0:
        return "0"
    return _fixed(value, max(count - 1 - math.floor(math.log10(abs(value))), 0)).rstrip("0").rstrip(".") or "0"


def _fixed(value: float, places: int) -> str:
    text = f"{value:.{min(places, 9)}f}" if places >= 0 else f"{round(value, places):.0f}"
    if "." not in text and len(text.lstrip("-")) > 4:
        text = f"{int(text):,}".replace(",", "\u202f")
    if "." in text and set(text) <= set("-0."):
        text = text.lstrip("-")
    return text.replace("-", "−")


def is_bound(quantity: Quantity) -> bool:
    """Whether it is only known to be below the upper end of its interval."""
    return not quantity.reliable and (quantity.why or "").startswith("upper bound")


def cells(quantity: Quantity) -> list[str]:
    """Its values with their intervals: one text, or four in the order R, Gr, Gb, B; empty if it is unknown."""
    if quantity.value is None:
        return []
    values = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
    pairs: Sequence[object] = (None,) * len(values)
    if quantity.ci95 is not None:
        pairs = quantity.ci95 if isinstance(quantity.value, tuple) else (quantity.ci95,)
    out = []
    for value, pair in zip(values, pairs, strict=True):
        ends = (float(pair[0]), float(pair[1])) if isinstance(pair, tuple) else None
        bound = is_bound(quantity) and ends is not None
        out.append(f"≤ {digits(ends[1], 3)}" if bound and ends is not None else with_interval(value, ends))
    return out


def mean(quantity: Quantity | None) -> tuple[float, tuple[float, float] | None]:
    """The mean of the sites, with an interval as wide as one site's."""
    if quantity is None or quantity.value is None:
        return math.nan, None
    if not isinstance(quantity.value, tuple):
        return quantity.value, quantity.ci95  # type: ignore[return-value]
    value = sum(quantity.value) / 4
    if quantity.ci95 is None:
        return value, None
    ends = [(float(pair[0]), float(pair[1])) for pair in quantity.ci95 if isinstance(pair, tuple)]
    return value, (sum(low for low, _ in ends) / 4, sum(high for _, high in ends) / 4)


@dataclass(frozen=True)
class Verdict:
    """How far to trust the numbers of one ISO.

    Args:
        state: "good", "part" or "bad".
        headline: the verdict in a few words.
        reasons: why it isn't better, with what to do.
        limits: what else is unknown or doubtful; the noise model stands without it.
    """

    state: str
    headline: str
    reasons: tuple[str, ...]
    limits: tuple[str, ...]


def judge(numbers: Mapping[str, Quantity]) -> Verdict:
    """The verdict on the numbers of one ISO."""
    absent = Quantity.missing("it wasn't measured")
    core = {name: numbers.get(name, absent) for name in CORE}
    weak = {name: one for name, one in core.items() if not one.reliable}
    rest = {name: one for name, one in numbers.items() if name not in CORE and not one.reliable and not is_bound(one)}
    limits = _reasons(rest)
    if not weak:
        return Verdict("good", "reliable", (), limits)
    if not core["gain_dn_per_e"].reliable or not core["held_out_ratio"].reliable:
        return Verdict("bad", "not reliable, because", _reasons(weak), limits)
    sound = " and ".join(label(name) for name in ("gain_dn_per_e", "read_sigma_dn", "black_dn") if name not in weak)
    return Verdict("part", f"reliable in part ({sound}); not the rest, because", _reasons(weak), limits)


def _reasons(doubtful: Mapping[str, Quantity]) -> tuple[str, ...]:
    """One sentence for each reason, with the quantities that share it."""
    names: dict[str, list[str]] = {}
    for name, one in doubtful.items():
        names.setdefault(one.why or "it wasn't measured", []).append(label(name))
    return tuple(f"{', '.join(dict.fromkeys(same))}: {why}" for why, same in names.items())
