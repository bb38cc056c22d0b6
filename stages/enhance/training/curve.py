"""The curve of a training: figures of every validation, as a table and as a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from pathlib import Path

from rawpipe.io.atomic import replacing

TABLE = "curve.csv"
PICTURE = "curve.svg"

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 170, 30, 44  # margins
_LINE = 15  # height of a line of text
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")  # Okabe and Ito


def append(folder: Path, step: int, loss: float, figures: Mapping[str, float]) -> None:
    """One more validation in the table; the picture drawn again."""
    rows = _read(folder)
    header = ["step", "loss", *figures]
    row = [str(step), f"{loss:.5g}", *(f"{value:.4f}" for value in figures.values())]
    _write(folder, [header, *rows[1:], row])


def cut(folder: Path, done: int) -> None:
    """Forget validations behind step `done`: they come again."""
    rows = _read(folder)
    kept = [row for row in rows[1:] if int(row[0]) <= done]
    if len(kept) < len(rows) - 1:
        _write(folder, [rows[0], *kept])


def last(folder: Path) -> dict[str, float]:
    """The figures of the last validation, step and loss among them; empty if there was none."""
    rows = _read(folder)
    return {name: float(value) for name, value in zip(rows[0], rows[-1], strict=True)} if len(rows) > 1 else {}


def _read(folder: Path) -> list[list[str]]:
    path = folder / TABLE
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if row]


def _write(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    with replacing(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    steps = [float(row[0]) for row in rows[1:]]
    lines = {name: [float(row[2 + i]) for row in rows[1:]] for i, name in enumerate(rows[0][2:])}
    with replacing(folder / PICTURE) as temporary:
        temporary.write_text(svg(steps, lines), encoding="utf-8")


def svg(
    steps: Sequence[float], lines: Mapping[str, Sequence[float]], label: str = "PSNR, dB", across: str = "steps"
) -> str:
    """A picture of figures over steps, or over what else `across` says."""
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    low, high = math.floor(min(values, default=0.0)), math.ceil(max(values, default=1.0))
    high, near, far = max(high, low + 1), min([0.0, *steps]), max(steps, default=1.0)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(step: float) -> float:
        return _LEFT + (right - _LEFT) * (step - near) / (far - near)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (high - low)

    parts = [_text(_LEFT, 18, label), _text(right, _HEIGHT - 8, across, "end")]
    for i in range(6):
        value, step = (first + (last - first) * i / 5 for first, last in ((low, high), (near, far)))
        parts.append(f'<path d="M{_LEFT},{y(value):.1f}H{right}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y(value) + 4, f"{value:.4g}", "end"))
        parts.append(_text(x(step), bottom + 18, f"{step:.4g}" if near else f"{step:.0f}", "middle"))
    free = float(_HEIGHT)
    for (name, line), color in sorted(
        zip(lines.items(), cycle(_COLORS), strict=False), key=lambda one: list(one[0][1][-1:])
    ):
        points = [(x(step), y(value)) for step, value in zip(steps, line, strict=True) if math.isfinite(value)]
        if not points:
            continue
        path = "L".join(f"{across:.1f},{down:.1f}" for across, down in points)
        free = min(free - _LINE, points[-1][1] + 4)  # names stand beside their ends, never on each other
        parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" fill="{color}"/>')
        parts.append(_text(right + 8, free, f"{name}: {line[-1]:.2f}", "start", color))
    style = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {style}>'
    return f'{head}<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
