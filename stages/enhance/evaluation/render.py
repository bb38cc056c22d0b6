"""Tables of scores as text, CSV and Markdown; each says under which conditions its figures hold."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from rawpipe.stages.enhance.evaluation.protocols import ALIGNMENTS
from rawpipe.stages.enhance.evaluation.scores import Score, Table

Cells = list[str]


def as_text(table: Table) -> str:
    """For a terminal: conditions, means, and a line for each pair."""
    return laid_out_as_text(_conditions(table), (_means(table), _rows(table)))


def as_markdown(table: Table) -> str:
    """For a page: the same as a list and two tables."""
    return laid_out_in_markdown(_conditions(table), (_means(table), _rows(table)))


def as_csv(table: Table) -> str:
    """For a program: one line for each pair or mean and alignment, with all conditions in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    facts = {"protocol": table.protocol.name, **table.facts}
    head = [*facts, "alignment", "kind", "pairs", "camera", "ratio", "scene", "iso", "noisy", "clean"]
    writer.writerow([*head, "psnr_db", "ssim"])
    for row in table.rows:
        pair = row.pair
        own = ["pair", 1, pair.camera, f"{pair.ratio:.6g}", pair.scene, f"{pair.iso:g}", pair.noisy, pair.clean]
        for alignment, score in row.scores.items():
            writer.writerow([*facts.values(), alignment, *own, *exact(score)])
    for mean in table.means:
        own = ["mean", mean.pairs, mean.camera, mean.ratio or "", "", "", "", ""]
        for alignment, score in mean.scores.items():
            writer.writerow([*facts.values(), alignment, *own, *exact(score)])
    return out.getvalue()


FORMATS: dict[str, Callable[[Table], str]] = {"text": as_text, "csv": as_csv, "markdown": as_markdown}


def laid_out_as_text(conditions: Sequence[tuple[str, str]], tables: Sequence[Sequence[Cells]]) -> str:
    """Conditions and tables, each with its head, for a terminal."""
    width = max(len(name) for name, _ in conditions)
    parts = ["\n".join(f"{name.ljust(width)}  {value}" for name, value in conditions)]
    parts += ["\n".join(_laid_out(rows)) for rows in tables]
    return "\n\n".join(parts) + "\n"


def laid_out_in_markdown(conditions: Sequence[tuple[str, str]], tables: Sequence[Sequence[Cells]]) -> str:
    """Conditions as a list, and tables, each with its head; all columns behind the second hold numbers."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in conditions)]
    for head, *rows in tables:
        line = ["---", "---", *("---:" for _ in head[2:])]
        parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in (head, line, *rows)))
    return "\n\n".join(parts) + "\n"


def exact(score: Sequence[float]) -> list[str]:
    """Scores for a program."""
    return [f"{value:.6f}" if math.isfinite(value) else str(value) for value in score]


def _conditions(table: Table) -> list[tuple[str, str]]:
    return [
        ("protocol", f"{table.protocol.name}: {table.protocol.about}"),
        ("pairs", str(len(table.rows))),
        *table.facts.items(),
        *((alignment, ALIGNMENTS[alignment]) for alignment in table.alignments),
        ("scores", "PSNR in dB / SSIM on packed RAW, saturation at 255, not rounded; SSIM with a uniform 7x7 window"),
    ]


def _means(table: Table) -> list[Cells]:
    rows = [["camera", "ratio", "pairs", *table.alignments]]
    for mean in table.means:
        ratio = f"x{mean.ratio}" if mean.ratio else "all"
        rows.append([mean.camera or "all", ratio, str(mean.pairs), *(_shown(mean.scores[a]) for a in table.alignments)])
    return rows


def _rows(table: Table) -> list[Cells]:
    rows = [["camera", "noisy", "scene", "ISO", "ratio", *table.alignments]]
    for row in table.rows:
        pair = row.pair
        own = [pair.camera, pair.noisy.name, pair.scene, f"{pair.iso:g}", f"x{pair.ratio:.4g}"]
        rows.append([*own, *(_shown(row.scores[alignment]) for alignment in table.alignments)])
    return rows


def _laid_out(rows: Sequence[Cells]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shown(score: Score) -> str:
    return f"{score.psnr_db:.2f} / {score.ssim:.4f}"
