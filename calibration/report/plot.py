"""A small plotter: axes with units, lines, bands, points with intervals, as SVG text in the colours of the page.

Colours and strokes are CSS classes (`style.css`), so that one picture serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

SITES = ("R", "Gr", "Gb", "B")
CLASSES = ("r", "gr", "gb", "b")

_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 14.0, 10.0, 42.0
_LETTER = 6.3  # width of a letter of a tick label
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MARKERS = {  # one shape per site: colours alone don't survive a grey print
    "r": "m{x},{y}m-3.7,0a3.7,3.7 0 1,0 7.4,0a3.7,3.7 0 1,0 -7.4,0",
    "gr": "m{x},{y}m-3.3,-3.3h6.6v6.6h-6.6z",
    "gb": "m{x},{y}m0,-4.6l4.6,4.6l-4.6,4.6l-4.6,-4.6z",
    "b": "m{x},{y}m0,-4.3l4.2,7.3h-8.4z",
    "all": "m{x},{y}m-3.7,0a3.7,3.7 0 1,0 7.4,0a3.7,3.7 0 1,0 -7.4,0",
}


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        low: value at its start; above 0 if `log`.
        high: value at its end, above `low`.
        label: quantity and unit.
        log: whether its scale is logarithmic.
        marks: values to label, instead of round ones.
    """

    low: float
    high: float
    label: str
    log: bool = False
    marks: tuple[float, ...] = ()

    @classmethod
    def around(
        cls, values: ArrayLike, label: str, log: bool = False, pad: float = 0.06, marks: Iterable[float] = ()
    ) -> Axis:
        """An axis that holds all finite values (all positive ones if `log`), and a little more."""
        flat = np.asarray(values, np.float64).ravel()
        flat = flat[np.isfinite(flat) & ((flat > 0) | (not log))]
        if not flat.size:
            flat = np.array([1.0, 10.0]) if log else np.array([0.0, 1.0])
        low, high = (float(np.log(v) if log else v) for v in (flat.min(), flat.max()))
        least = math.log(1.5) if log else max(abs(high), abs(low)) * 1e-6 or 1.0
        if high - low < least:
            low, high = (low + high - least) / 2, (low + high + least) / 2
        room = pad * (high - low)
        ends = low - room, high + room
        first, last = (math.exp(v) if log else v for v in ends)
        return cls(first, last, label, log, tuple(marks))

    def at(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where values lie along the axis, 0 to 1; beyond its ends they are pulled in to just outside."""
        flat = np.asarray(values, np.float64)
        low, high = self.low, self.high
        if self.log:
            flat, low, high = np.log(np.maximum(flat, low * 1e-9)), math.log(low), math.log(high)
        return np.clip((flat - low) / (high - low), -0.5, 1.5)

    def ticks(self, length: float, across: bool) -> list[tuple[float, str]]:
        """Positions (0 to 1) and texts of the labelled ticks, chosen so that the texts don't touch.

        Args:
            length: of the axis in pixels.
            across: whether texts stand side by side, and not one above the other.
        """
        best: list[tuple[float, str]] = []
        for values in self._choices():
            places = [(float(self.at(v)), number(v)) for v in values if self.low <= v <= self.high]
            if not self.marks and self.log and len(places) < 2:
                places = []
            wide = [len(text) * _LETTER + 10 if across else 22.0 for _, text in places]
            apart = [(b - a) * length for (a, _), (b, _) in pairwise(places)]
            needed = [(a + b) / 2 for a, b in pairwise(wide)]
            if len(places) > len(best) and all(a >= b for a, b in zip(apart, needed, strict=True)):
                best = places
        return best

    def minor(self) -> list[float]:
        """Positions of the ticks without text: 2 to 9 in every decade."""
        if not self.log or math.log10(self.high / self.low) > 8:
            return []
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        values = [m * 10.0**e for e in range(first, last + 1) for m in range(1, 10)]
        return [float(self.at(v)) for v in values if self.low <= v <= self.high]

    def _choices(self) -> Iterable[list[float]]:
        """Sets of values to label, the finest first."""
        if self.marks:
            yield from (list(self.marks[:: k + 1]) for k in range(len(self.marks)))
        elif self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            if self.high / self.low < 20:
                yield from self._linear()
            for mantissas in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                yield [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
            for every in (2, 3, 4):
                yield [10.0**e for e in range(first, last + 1) if e % every == 0]
        else:
            yield from self._linear()

    def _linear(self) -> Iterable[list[float]]:
        """Equal steps of 1, 2 or 5, at most seven or so of them."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / 6))
        for step in (power * m for m in (1, 2, 5, 10, 20, 50)):
            if span / step <= 7.5:
                yield [round(i * step, 12) for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass
class Plot:
    """A picture under construction; what is added first lies lowest.

    Args:
        x: horizontal axis.
        y: vertical axis.
        says: what the picture shows, for those who can't see it.
        width: in units of which a tick label is 11 high.
        height: likewise.
    """

    x: Axis
    y: Axis
    says: str
    width: float = 520.0
    height: float = 330.0
    _inside: list[str] = field(default_factory=list)
    _above: list[str] = field(default_factory=list)

    @property
    def _size(self) -> tuple[float, float]:
        return self.width - _LEFT - _RIGHT, self.height - _TOP - _BOTTOM

    def _places(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        wide, high = self._size
        across, up = np.broadcast_arrays(self.x.at(x) * wide, (1 - self.y.at(y)) * high)
        return across, up

    def line(self, x: ArrayLike, y: ArrayLike, css: str) -> None:
        """A line through the points (n); it is broken where one isn't finite."""
        across, up = self._places(x, y)
        parts, pen = [], "M"
        for a, b in zip(across.ravel().tolist(), up.ravel().tolist(), strict=True):
            if math.isfinite(a) and math.isfinite(b):
                parts.append(f"{pen}{_short(a)},{_short(b)}")
                pen = "L"
            else:
                pen = "M"
        self._inside.append(f'<path class="line {css}" d="{"".join(parts)}"/>')

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, css: str) -> None:
        """The area between two curves over x (n)."""
        across, top = self._places(x, high)
        _, bottom = self._places(x, low)
        edge = [*zip(across, top, strict=True), *zip(across[::-1], bottom[::-1], strict=True)]
        path = "L".join(f"{_short(a)},{_short(b)}" for a, b in edge if math.isfinite(a + b))
        self._inside.append(f'<path class="band {css}" d="M{path}z"/>')

    def dots(self, x: ArrayLike, y: ArrayLike, css: str) -> None:
        """Many small dots, in one path."""
        across, up = self._places(x, y)
        seen = sorted({(_short(a), _short(b)) for a, b in zip(across, up, strict=True) if math.isfinite(a + b)})
        self._inside.append(f'<path class="dots {css}" d="{"".join(f"M{a},{b}h0" for a, b in seen)}"/>')

    def points(
        self,
        x: ArrayLike,
        y: ArrayLike,
        css: str,
        ends: tuple[ArrayLike, ArrayLike] | None = None,
        texts: Sequence[str] = (),
        hollow: Sequence[bool] = (),
        shift: float = 0.0,
    ) -> None:
        """Points with their intervals; each says its text when pointed at.

        Args:
            x: (n).
            y: (n); points that aren't finite are left out.
            css: site ("r", "gr", "gb", "b") or "all".
            ends: lower and upper ends of the intervals (n), in the unit of y.
            texts: what the points are, one each.
            hollow: which of them are drawn hollow.
            shift: in pixels to the right, so that the points of four sites stand side by side.
        """
        across, up = self._places(x, y)
        low, high = (self._places(x, end)[1] for end in ends) if ends is not None else (up, up)
        for i, (a, b, c, d) in enumerate(zip(across + shift, up, low, high, strict=True)):
            if not math.isfinite(a + b):
                continue
            bar = ""
            if abs(c - d) > 1 and math.isfinite(c + d):
                bar = f'<path class="bar" d="M{_short(a)},{_short(c)}V{_short(d)}"/>'
            text = f"<title>{escape(texts[i])}</title>" if texts else ""
            kind = " hollow" if hollow and hollow[i] else ""
            shape = _MARKERS[css].format(x=_short(a), y=_short(b))
            self._above.append(f'<g class="point {css}{kind}">{bar}<path d="M0,0{shape}"/>{text}</g>')

    def across(self, y: float, css: str = "rule") -> None:
        """A horizontal rule."""
        self.line([self.x.low, self.x.high], [y, y], css)

    def upright(self, x: float, css: str = "rule") -> None:
        """A vertical rule."""
        self.line([x, x], [self.y.low, self.y.high], css)

    def say(self, x: float, y: float, text: str, dx: float = 0.0, dy: float = 0.0, anchor: str = "start") -> None:
        """A note at a point, moved by (dx, dy) pixels; `anchor`: which end of the text is there."""
        a, b = (float(v) for v in self._places(x, y))
        self._above.append(
            f'<text class="note" x="{_short(a + dx)}" y="{_short(b + dy)}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The picture."""
        wide, high = self._size
        grid, texts = [], []
        for place, text in self.x.ticks(wide, across=True):
            grid.append(f"M{_short(place * wide)},0V{_short(high)}")
            texts.append(f'<text x="{_short(place * wide)}" y="{_short(high + 16)}" class="mid">{text}</text>')
        for place, text in self.y.ticks(high, across=False):
            grid.append(f"M0,{_short((1 - place) * high)}H{_short(wide)}")
            texts.append(f'<text x="-7" y="{_short((1 - place) * high + 3.8)}" class="end">{text}</text>')
        small = [f"M{_short(place * wide)},{_short(high)}v4" for place in self.x.minor()]
        small += [f"M0,{_short((1 - place) * high)}h-4" for place in self.y.minor()]
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escape(self.says)}">'
            f'<g transform="translate({_LEFT:g},{_TOP:g})">'
            f'<path class="grid" d="{"".join(grid)}"/>'
            f'<svg width="{wide:g}" height="{high:g}">{"".join(self._inside)}{"".join(self._above)}</svg>'
            f'<path class="frame" d="M0,0V{high:g}H{wide:g}{"".join(small)}"/>'
            f'<g class="ticks">{"".join(texts)}</g>'
            f'<text class="label mid" x="{wide / 2:g}" y="{high + 35:g}">{escape(self.x.label)}</text>'
            f'<text class="label mid" transform="translate(-52,{high / 2:g})rotate(-90)">{escape(self.y.label)}</text>'
            "</g></svg>"
        )


def number(value: float) -> str:
    """A tick's text: plain from 0.001 to 99999, else with a power of ten."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    power = math.floor(math.log10(abs(value)) + 1e-9)
    if -4 < power < 5:
        return f"{value:.9g}".replace("-", "−")
    mantissa = f"{value / 10.0**power:.3g}".replace("-", "−")
    base = f"10{str(power).translate(_SUPERSCRIPTS)}"
    return base if mantissa == "1" else f"{mantissa}·{base}"


def key(css: str, text: str) -> str:
    """An entry of a legend: a sample of a point (a site, or "all") or of a line (any other class), and its text."""
    if css in _MARKERS:
        sample = f'<g class="point {css}"><path d="M0,0{_MARKERS[css].format(x=11, y=6)}"/></g>'
    elif css.startswith("band"):
        sample = f'<path class="{css}" d="M0,1h22v10h-22z"/>'
    else:
        sample = f'<path class="line {css}" d="M0,6H22"/>'
    return f'<span class="key"><svg viewBox="0 0 22 12">{sample}</svg>{escape(text)}</span>'


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
