"""Scores of pairs, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from rawpipe import PipelineError
from rawpipe._errors import unknown
from rawpipe.metrics import brightness_matched, psnr_db, ssim
from rawpipe.stages.enhance.evaluation.methods import Compared, Method
from rawpipe.stages.enhance.evaluation.protocols import ALIGNED, ALIGNMENTS, AS_IS, EvaluationProtocol
from rawpipe.stages.enhance.training.pairs import Pair

_PEAK = 255.0


class Score(NamedTuple):
    """How near a result is to the truth, on packed RAW."""

    psnr_db: float
    ssim: float


@dataclass(frozen=True)
class Row:
    """One pair, scored once for each alignment."""

    pair: Pair
    scores: dict[str, Score]


class Mean(NamedTuple):
    """The mean over pairs of one camera and nominal ratio; over all pairs where these are "" and 0."""

    camera: str
    ratio: int
    pairs: int
    scores: dict[str, Score]


@dataclass(frozen=True)
class Table:
    """Scores, and all that one must know to compare them with others.

    Args:
        protocol: which pairs, and which part of them.
        alignments: how they were scored.
        facts: of the method: model, steps, weights, noise, preprocessing.
        rows: one for each pair.
    """

    protocol: EvaluationProtocol
    alignments: tuple[str, ...]
    facts: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def means(self) -> list[Mean]:
        """For each camera and ratio, and last for all pairs; the mean of dB, as it is published."""
        groups: dict[tuple[str, int], list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: (row.pair.camera, row.pair.nominal)):
            groups.setdefault((row.pair.camera, row.pair.nominal), []).append(row)
        means = [Mean(*group, len(rows), self._mean(rows)) for group, rows in groups.items()]
        return [*means, Mean("", 0, len(self.rows), self._mean(self.rows))]

    def _mean(self, rows: Sequence[Row]) -> dict[str, Score]:
        found = {}
        for alignment in self.alignments:
            scores = [row.scores[alignment] for row in rows]
            found[alignment] = Score(*(sum(values) / len(scores) for values in zip(*scores, strict=True)))
        return found


def score(compared: Compared, alignment: str = AS_IS) -> Score:
    """PSNR and SSIM on packed RAW, saturation at 255, not rounded.

    Args:
        compared: result and truth in 0..1.
        alignment: "as-is" or "brightness-aligned".

    Raises:
        PipelineError: no such alignment.
        FrameError: the shapes differ.
        StageError: scikit-image isn't installed.
    """
    if alignment not in ALIGNMENTS:
        raise PipelineError(unknown("alignment", alignment, ALIGNMENTS))
    result, truth = (planes.double().clamp(0, 1) for planes in compared)
    if alignment == ALIGNED:
        result = brightness_matched(result, truth).clamp(0, 1)
    return Score(psnr_db(result * _PEAK, truth * _PEAK, _PEAK), ssim(result * _PEAK, truth * _PEAK, _PEAK))


def evaluate(
    protocol: EvaluationProtocol,
    pairs: Iterable[Pair],
    method: Method,
    alignments: Sequence[str] = (AS_IS, ALIGNED),
    progress: Callable[[Row], None] = lambda row: None,
) -> Table:
    """The table of a method under a protocol.

    Args:
        protocol: of the pairs.
        pairs: as `protocol.pairs` gives them, or some of them.
        method: what is scored.
        alignments: how; see `ALIGNMENTS`.
        progress: told of every pair.

    Raises:
        PipelineError: there are no pairs, or an alignment isn't known.
        RawpipeError: a file can't be read, or the method can't work on it.
    """
    rows = []
    with torch.no_grad():
        for pair in pairs:
            compared = method(pair, protocol.side)
            rows.append(Row(pair, {alignment: score(compared, alignment) for alignment in alignments}))
            progress(rows[-1])
    if not rows:
        raise PipelineError("got no pairs; expected some: protocol.pairs(root)")
    return Table(protocol, tuple(alignments), dict(method.facts), tuple(rows))
