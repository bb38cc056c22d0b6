"""Quantity: a measured number that says how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rawpipe._errors import ProfileError

Value = float | tuple[float, ...] | None
Interval = tuple[float, float]

_TOO_LARGE = 1e300  # no measurement; NaN and integers beyond floats fail the same comparison


@dataclass(frozen=True)
class Quantity:
    """A number, or one per site R, Gr, Gb, B, with its 95 % interval.

    Args:
        value: the estimate in the unit that its name gives; None if nothing could be measured.
        ci95: lower and upper end of the 95 % confidence interval, one pair per value; (0, upper) for an upper bound;
            None if the data can't give one.
        n: independent samples behind the number, the fewest of the sites.
        reliable: whether to build on it.
        why: why not, or how it was obtained where that matters; None if there is nothing to say.
    """

    value: Value
    ci95: Interval | tuple[Interval, ...] | None = None
    n: int = 0
    reliable: bool = True
    why: str | None = None

    @classmethod
    def missing(cls, why: str) -> Quantity:
        """A number that could not be measured."""
        return cls(None, None, 0, False, why)

    def reordered(self, order: Sequence[int]) -> Quantity:
        """This quantity with its four sites in another order: the new i-th is the old `order[i]`-th."""
        if not isinstance(self.value, tuple):
            return self
        ci95 = None if self.ci95 is None else tuple(self.ci95[i] for i in order)
        return Quantity(tuple(self.value[i] for i in order), ci95, self.n, self.reliable, self.why)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; numbers rounded to seven digits."""
        ci95 = None if self.ci95 is None else rounded(self.ci95)
        return {
            "value": rounded(self.value),
            "ci95": ci95,
            "n": self.n,
            "reliable": self.reliable,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, name: str, got: Any) -> Quantity:
        """Read and check a JSON object.

        Raises:
            ProfileError: a key is missing or unknown, or a number can't be what its name says.
        """
        keys = {"value", "ci95", "n", "reliable", "why"}
        if not isinstance(got, Mapping) or set(got) != keys:
            raise ProfileError(f"{name}: got {_short(got)}; expected an object with {', '.join(sorted(keys))}")
        value, ci95 = _numbers(name, got["value"]), got["ci95"]
        if not isinstance(got["reliable"], bool) or type(got["n"]) is not int or got["n"] < 0:
            raise ProfileError(f"{name}: got n {got['n']!r}, reliable {got['reliable']!r}; expected a count and a bool")
        if got["why"] is not None and not isinstance(got["why"], str):
            raise ProfileError(f"{name}: got why {got['why']!r}; expected text or null")
        if ci95 is not None:
            pairs = ci95 if isinstance(value, tuple) else [ci95]
            if not isinstance(pairs, list) or len(pairs) != (4 if isinstance(value, tuple) else 1):
                raise ProfileError(f"{name}: got ci95 {_short(ci95)}; expected a lower and an upper end per value")
            ends = tuple(_pair(name, pair) for pair in pairs)
            for number, (low, high) in zip(value if isinstance(value, tuple) else [value], ends, strict=True):
                if number is not None and not low <= number <= high:
                    raise ProfileError(f"{name}: got {number:g}; expected it within its ci95, {low:g} to {high:g}")
            ci95 = ends if isinstance(value, tuple) else ends[0]
        return cls(value, ci95, got["n"], got["reliable"], got["why"])


def rounded(value: Any) -> Any:
    """Floats, also within lists, to seven significant digits; infinities and NaN as null."""
    if isinstance(value, tuple | list):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _numbers(name: str, got: Any) -> Value:
    if got is None:
        return None
    if _is_number(got):
        return float(got)
    if isinstance(got, list) and len(got) == 4 and all(_is_number(item) for item in got):
        return tuple(float(item) for item in got)
    raise ProfileError(f"{name}: got value {_short(got)}; expected a number, four numbers, or null")


def _pair(name: str, got: Any) -> Interval:
    if not isinstance(got, list) or len(got) != 2 or not all(item is None or _is_number(item) for item in got):
        raise ProfileError(f"{name}: got ci95 {_short(got)}; expected [lower, upper]")
    low, high = (float(end) if end is not None else math.inf * sign for end, sign in zip(got, (-1, 1), strict=True))
    if low > high:
        raise ProfileError(f"{name}: got ci95 {_short(got)}; expected the lower end first")
    return low, high


def _is_number(got: Any) -> bool:
    return isinstance(got, int | float) and not isinstance(got, bool) and abs(got) < _TOO_LARGE


def _short(got: Any) -> str:
    text = repr(got)
    return text if len(text) <= 60 else text[:57] + "..."
