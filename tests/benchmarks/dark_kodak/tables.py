"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from columns import ISOS, RATIOS, Column
from score import METRICS

CLASSICAL = ("nlm", "wavelet")
BEST = "best classical"
Rows = Mapping[str, Mapping[str, float]]  # figures by picture
Results = Mapping[str, Mapping[Column, Rows]]  # by method


def tables(results: Results, chosen: Sequence[Column]) -> str:
    """A table per metric, means over cameras and pictures; then the PSNR of every column.

    Only pictures that all methods have count, and only columns where there are any.
    """
    pictures = {column: _shared(results, column) for column in chosen}
    filled = [column for column in chosen if pictures[column]]
    if not filled:
        return "no column has a picture that all methods have"
    means = {
        method: {
            column: {
                metric: mean(rows[column][name][metric] for name in pictures[column])
                for metric in METRICS
                if all(metric in rows[column][name] for name in pictures[column])
            }
            for column in filled
        }
        for method, rows in results.items()
    }
    best = {column: _best(means, column) for column in filled}
    if all(best.values()):
        means[BEST] = {column: means[str(best[column])][column] for column in filled}
    counts = sorted({len(pictures[column]) for column in filled})
    parts = [f"{len(filled)} columns, {' to '.join(map(str, sorted({counts[0], counts[-1]})))} pictures each"]
    parts += [_by_ratio(means, metric) for metric in METRICS]
    parts.append(_by_column(means, best))
    return "\n\n".join(part for part in parts if part)


def _shared(results: Results, column: Column) -> list[str]:
    names = [set(rows.get(column, {})) for rows in results.values()]
    return sorted(set.intersection(*names)) if names else []


def _best(means: Mapping[str, Mapping[Column, Mapping[str, float]]], column: Column) -> str | None:
    there = [method for method in CLASSICAL if method in means]
    return max(there, key=lambda method: means[method][column]["psnr"]) if there else None


def _by_ratio(means: Mapping[str, Mapping[Column, Mapping[str, float]]], metric: str) -> str:
    known = [{column for column, found in of.items() if metric in found} for of in means.values()]
    columns = [column for column in next(iter(means.values())) if all(column in there for there in known)]
    groups = {
        (iso, ratio): [one for one in columns if (one.iso, one.ratio) == (iso, ratio)]
        for iso in ISOS
        for ratio in RATIOS
    }
    groups = {key: group for key, group in groups.items() if group}
    if not groups:
        return ""
    head = f"| {METRICS[metric]} | " + " | ".join(f"ISO {iso} x{ratio}" for iso, ratio in groups)
    lines = [head + " |", "|---|" + "---|" * len(groups)]
    digits = 2 if metric in ("psnr", "delta_e") else 3
    for method, figures in means.items():
        cells = [f"{mean(figures[one][metric] for one in group):.{digits}f}" for group in groups.values()]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_column(means: Mapping[str, Mapping[Column, Mapping[str, float]]], best: Mapping[Column, str | None]) -> str:
    methods = [method for method in means if method != BEST]
    lines = [f"| PSNR, dB | {' | '.join(methods)} | {BEST} |", "|---|" + "---|" * (len(methods) + 1)]
    for column in sorted(best, key=lambda one: (one.ratio, one.iso, one.camera)):
        cells = []
        for method in methods:
            psnr = means[method][column]["psnr"]
            known = method in (*CLASSICAL, "noisy") or BEST not in means
            cells.append(f"{psnr:.2f}" if known else f"{psnr:.2f} ({psnr - means[BEST][column]['psnr']:+.2f})")
        lines.append(f"| {column.name} | {' | '.join(cells)} | {best[column] or 'none'} |")
    return "\n".join(lines)
