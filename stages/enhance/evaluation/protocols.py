"""Protocols: which pairs are scored, and which part of them. Figures of different protocols can't be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rawpipe import PipelineError
from rawpipe._errors import unknown
from rawpipe.stages.enhance.training.pairs import ELD_RATIOS, SID_RATIOS, Pair, eld_pairs, sid_pairs

AS_IS = "as-is"
ALIGNED = "brightness-aligned"
ALIGNMENTS = {
    AS_IS: "the result as it is, cut to 0..1",
    ALIGNED: "the result first multiplied by <p, q> / <p, p> over values that the clean picture q doesn't saturate, "
    "which nobody can do who lacks q",
}


@dataclass(frozen=True)
class EvaluationProtocol:
    """One way to score.

    Args:
        name: under which figures are given.
        about: what is scored, a sentence.
        side: packed pixels of the middle that a model sees and is scored on; None = the whole picture.
        ratios: nominal ratios that are scored.
        read: the pairs of a folder, for ratios, a camera, and a list of the user's own.
    """

    name: str
    about: str
    side: int | None
    ratios: tuple[int, ...]
    read: Callable[[Path, Sequence[float], str | None, Path | None], list[Pair]]

    def pairs(
        self,
        root: str | Path,
        ratios: Sequence[float] | None = None,
        camera: str | None = None,
        listed: str | Path | None = None,
    ) -> list[Pair]:
        """The pairs to score in a folder.

        Args:
            root: folder of the data set.
            ratios: nominal ratios to keep; None = those of the protocol.
            camera: for ELD: name of a camera's folder; None = all.
            listed: for SID: a list of your own instead of the test list.

        Raises:
            FormatError: the folder isn't laid out as the data set is, files are missing, or no pair is left.
        """
        return self.read(
            Path(root), self.ratios if ratios is None else ratios, camera, None if listed is None else Path(listed)
        )


def _sid(root: Path, ratios: Sequence[float], _: str | None, listed: Path | None) -> list[Pair]:
    return sid_pairs(root, "test", ratios, listed)


def _eld(root: Path, ratios: Sequence[float], camera: str | None, _: Path | None) -> list[Pair]:
    return eld_pairs(root, camera, ratios)


_ALL = (
    EvaluationProtocol(
        "sid-center-512", "SID Sony test pairs, the middle 512x512 of the packed picture", 512, SID_RATIOS, _sid
    ),
    EvaluationProtocol("sid-full", "SID Sony test pairs, whole pictures", None, SID_RATIOS, _sid),
    EvaluationProtocol("eld-full", "ELD pairs, whole pictures", None, tuple(ELD_RATIOS), _eld),
)
PROTOCOLS = {one.name: one for one in _ALL}


def protocol(name: str) -> EvaluationProtocol:
    """The protocol of that name.

    Raises:
        PipelineError: there is none.
    """
    if name not in PROTOCOLS:
        raise PipelineError(unknown("protocol", name, PROTOCOLS))
    return PROTOCOLS[name]
