"""Tables of scores on display-referred RGB; each says under which conditions its figures hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rawpipe import FormatError, PipelineError
from rawpipe.lpips import Lpips
from rawpipe.stages.enhance.evaluation.display import DISPLAY_ALIGNMENTS, OF_TRUTH, DisplayScore, display_score
from rawpipe.stages.enhance.evaluation.display_methods import DisplayMethod
from rawpipe.stages.enhance.evaluation.protocols import AS_IS
from rawpipe.stages.enhance.evaluation.render import Cells, exact, laid_out_as_text, laid_out_in_markdown
from rawpipe.stages.enhance.training.lol import TABLES, TEST, Files, lol_files, read_pair

NAME = "lol"
ABOUT = "display-referred pairs laid out as LOL, whole pictures; of LOL itself eval15"
_HEADS = ("PSNR in dB", "SSIM gray", "SSIM RGB", "LPIPS")
_SCORES = (
    "on 8 bits; PSNR over all values of RGB; SSIM with a uniform 7x7 window, of 0.299 R + 0.587 G + 0.114 B, which is "
    "LLFlow's, and the mean over R, G and B"
)
_LPIPS = "; LPIPS 0.1 on AlexNet"


@dataclass(frozen=True)
class DisplayRow:
    """One pair, scored once for each alignment."""

    files: Files
    scores: dict[str, DisplayScore]


@dataclass(frozen=True)
class DisplayTable:
    """Scores, and all that one must know to compare them with others.

    Args:
        alignments: how they were scored.
        facts: of the method: model, weights.
        rows: one for each pair.
        lpips: whether LPIPS was measured.
    """

    alignments: tuple[str, ...]
    facts: dict[str, str]
    rows: tuple[DisplayRow, ...]
    lpips: bool

    @property
    def means(self) -> dict[str, DisplayScore]:
        """Over all pairs, for each alignment; the mean of dB, as it is published."""
        scores = {alignment: [row.scores[alignment] for row in self.rows] for alignment in self.alignments}
        return {
            alignment: DisplayScore(*(sum(values) / len(found) for values in zip(*found, strict=True)))
            for alignment, found in scores.items()
        }


def lol_pairs(root: str | Path) -> list[Files]:
    """The pairs to score in a folder: `low` beside `high` or `normal`; of LOL itself `eval15`.

    Raises:
        FormatError: the folder isn't laid out so, or holds crops, whose histograms aren't those of whole pictures.
    """
    pairs = lol_files(root, TEST)
    tables = pairs[0].low.parents[1] / TABLES
    if tables.exists():
        raise FormatError(f"got crops, as {tables} says, to learn from; expected whole pictures: models look at all")
    return pairs


def evaluate_display(
    pairs: Iterable[Files],
    method: DisplayMethod,
    alignments: Sequence[str] = (AS_IS, OF_TRUTH),
    lpips: Lpips | None = None,
    progress: Callable[[DisplayRow], None] = lambda row: None,
) -> DisplayTable:
    """The table of a method.

    Args:
        pairs: as `lol_pairs` gives them, or some of them.
        method: what is scored.
        alignments: how; see `DISPLAY_ALIGNMENTS`.
        lpips: the network of LPIPS; None = no such score.
        progress: told of every pair.

    Raises:
        PipelineError: there are no pairs, or an alignment isn't known.
        RawpipeError: a file can't be read, or the method can't work on it.
    """
    rows = []
    with torch.no_grad():
        for files in pairs:
            shots = read_pair(files)
            dark, truth = shots.low / 255, shots.high / 255
            result = method(dark, truth)
            scores = {alignment: display_score(result, truth, alignment, lpips) for alignment in alignments}
            rows.append(DisplayRow(files, scores))
            progress(rows[-1])
    if not rows:
        raise PipelineError("got no pairs; expected some: lol_pairs(root)")
    return DisplayTable(tuple(alignments), dict(method.facts), tuple(rows), lpips is not None)


def as_text(table: DisplayTable) -> str:
    """For a terminal: conditions, means, and a line for each pair and alignment."""
    return laid_out_as_text(_conditions(table), (_means(table), _rows(table)))


def as_markdown(table: DisplayTable) -> str:
    """For a page: the same as a list and two tables."""
    return laid_out_in_markdown(_conditions(table), (_means(table), _rows(table)))


def as_csv(table: DisplayTable) -> str:
    """For a program: one line for each pair or mean and alignment, with all conditions in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    facts = {"protocol": NAME, **table.facts}
    names = DisplayScore._fields[: _measured(table)]
    writer.writerow([*facts, "alignment", "kind", "pairs", "low", "high", *names])

    def write(kind: Sequence[object], scores: dict[str, DisplayScore]) -> None:
        for alignment, score in scores.items():
            writer.writerow([*facts.values(), alignment, *kind, *exact(score[: len(names)])])

    for row in table.rows:
        write(["pair", 1, *row.files], row.scores)
    write(["mean", len(table.rows), "", ""], table.means)
    return out.getvalue()


DISPLAY_FORMATS: dict[str, Callable[[DisplayTable], str]] = {"text": as_text, "csv": as_csv, "markdown": as_markdown}


def _conditions(table: DisplayTable) -> list[tuple[str, str]]:
    return [
        ("protocol", f"{NAME}: {ABOUT}"),
        ("pairs", str(len(table.rows))),
        *table.facts.items(),
        *((alignment, DISPLAY_ALIGNMENTS[alignment]) for alignment in table.alignments),
        ("scores", _SCORES + (_LPIPS if table.lpips else "")),
    ]


def _measured(table: DisplayTable) -> int:
    return len(_HEADS) if table.lpips else len(_HEADS) - 1


def _means(table: DisplayTable) -> list[Cells]:
    head = ["alignment", "pairs", *_HEADS[: _measured(table)]]
    return [head, *([name, str(len(table.rows)), *_shown(score, table)] for name, score in table.means.items())]


def _rows(table: DisplayTable) -> list[Cells]:
    head = ["pair", "alignment", *_HEADS[: _measured(table)]]
    scored = [(row.files.low.name, name, score) for row in table.rows for name, score in row.scores.items()]
    return [head, *([pair, alignment, *_shown(score, table)] for pair, alignment, score in scored)]


def _shown(score: DisplayScore, table: DisplayTable) -> Cells:
    return [f"{score.psnr_db:.2f}", *(f"{value:.4f}" for value in score[1 : _measured(table)])]
