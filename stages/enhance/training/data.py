"""What a configuration's [data] stands for: batches to learn from, batches to validate on, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from rawpipe import FormatError
from rawpipe.stages.enhance.training.batch import Batch, Patches, Synthetic, numbered
from rawpipe.stages.enhance.training.config import SOURCES, Data
from rawpipe.stages.enhance.training.lol import LolPatches, middles, read_pairs
from rawpipe.stages.enhance.training.pairs import Pair, eld_pairs, sid_pairs
from rawpipe.stages.enhance.training.photographs import Photographs, dead_leaves, read_folder, scikit_image_photographs
from rawpipe.stages.enhance.training.raw_patches import PairPatches, RawFiles

_TEXTURE = 512  # side of a drawn texture
_RATIOS = (4, 20, 100, 300)  # of validation
_PATCHES, _SIDE, _SEED = 6, 96, 0  # of validation
_MOST = 24  # pairs of lol to validate on
_WIDE, _GRID = 256, 16  # sides of theirs, where they have folders of their own


class Opened(NamedTuple):
    """Data, ready.

    Args:
        batches: number i for every i: a `Batch`, or of `lol` a `Lit`.
        held_out: such batches to validate on, by name.
        sha256: of all pictures, those for validation among them.
    """

    batches: Dataset[Any]
    held_out: dict[str, Any]
    sha256: str


def open_data(data: Data) -> Opened:
    """The data that are named.

    Raises:
        FormatError: a folder isn't there, or holds no picture that can be used.
    """
    for folder in (folder for name in SOURCES for folder in getattr(data, name)):
        if not folder.is_dir():
            raise FormatError(f"got {folder} to learn from, which is no folder; name one in [data], or with --data")
    for folder in data.validate:
        if not folder.is_dir():
            raise FormatError(f"got {folder} to validate on, which is no folder; name one in [data] validate")
    if data.lol:
        return _lol(data)
    parts: list[Dataset[Batch]] = []
    hashes: list[str] = []
    held: Patches | None = None

    def add(learned: Patches, kept: Patches) -> None:
        nonlocal held
        parts.append(_synthetic(learned, data))
        hashes.extend((learned.sha256, kept.sha256))
        held = held or kept

    pictures = _pictures(data)
    if pictures is not None:
        add(*pictures)
    for folder in data.raw:
        add(Some(folder, every=data.hold_out), Some(folder, every=data.hold_out, held=True))
    held_out = {} if held is None else _validation(held, data)
    if data.pairs:
        learned, kept = _split(data.pairs, data.hold_out)
        parts.append(PairPatches(learned, batch=data.batch, side=data.side, seed=data.seed))
        validation = PairPatches(kept, batch=_PATCHES, side=_side(data), seed=_SEED)
        held_out["pairs"] = validation[0]
        hashes += [parts[-1].sha256, validation.sha256]  # type: ignore[attr-defined]
    return Opened(parts[0] if len(parts) == 1 else Mixed(parts, data.seed), held_out, _one_of(hashes))


def _one_of(hashes: Sequence[str]) -> str:
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _lol(data: Data) -> Opened:
    pairs = [shots for folder in data.lol for shots in read_pairs(folder, data.least)]
    if data.validate:
        learned, held = pairs, [shots for folder in data.validate for shots in read_pairs(folder, data.least)]
        side = min(_WIDE, *(length for shots in held for length in shots.low.shape[1:])) // _GRID * _GRID
    else:
        learned, held = [shots for i, shots in enumerate(pairs) if i % data.hold_out], pairs[:: data.hold_out]
        side = data.side
    if not learned:
        raise FormatError(f"got {len(pairs)} pair to learn from and to validate on; expected at least two")
    batches = LolPatches(learned, data.batch, data.side, data.seed)
    some = held[:: -(-len(held) // _MOST)]
    hashes = [batches.sha256, LolPatches(held, data.batch, data.side).sha256]
    return Opened(batches, {"lol": middles(some, side)}, _one_of(hashes))


def _pictures(data: Data) -> tuple[Photographs, Photographs] | None:
    """Photographs to learn from and to validate on; of what comes with us is only held out where nothing else is."""
    if not (data.photographs or data.scikit_image or data.dead_leaves):
        return None
    folders = [picture for folder in data.photographs for picture in read_folder(folder, data.least)]
    added = scikit_image_photographs() if data.scikit_image else []
    added += dead_leaves(data.dead_leaves, _TEXTURE)
    added = [picture for picture in added if min(picture.shape[1:]) >= data.least]
    held, rest = (folders, added) if folders else (added, [])
    learned = [picture for i, picture in enumerate(held) if i % data.hold_out] + rest
    if not learned:
        raise FormatError(
            f"got {len(held)} picture of at least {data.least}x{data.least} to learn from and to validate on; expected "
            "at least two: name more, or lower least and side"
        )
    return Photographs(learned, data.brightness), Photographs(held[:: data.hold_out], data.brightness)


def _synthetic(source: Patches, data: Data) -> Synthetic:
    return Synthetic(source, data.batch, data.side, data.ratios, data.skew, data.gains, data.cameras, data.seed)


def _validation(source: Patches, data: Data) -> dict[str, Batch]:
    low, high = data.ratios
    ratios = [float(ratio) for ratio in _RATIOS if low <= ratio <= high] or [high]
    return {
        f"x{ratio:g}": Synthetic(
            source, _PATCHES, _side(data), (ratio, ratio), gains=data.gains, cameras=data.cameras, seed=_SEED
        )[0]
        for ratio in ratios
    }


def _side(data: Data) -> int:
    return min(_SIDE, data.least // 32 * 16)


def _split(folders: Sequence[Path], every: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and to validate on; pairs of one scene stay together."""
    pairs = [pair for root in folders for pair in _pairs(root)]
    scenes = sorted({(pair.camera, pair.scene) for pair in pairs})
    held = set(scenes[::every])
    kept = [[pair for pair in pairs if ((pair.camera, pair.scene) in held) is there] for there in (False, True)]
    if not kept[0]:
        raise FormatError(f"got pairs of {len(scenes)} scene; expected at least two: one is for validation")
    return kept[0], kept[1]


def _pairs(root: Path) -> list[Pair]:
    return sid_pairs(root, "train") if (root / "Sony").is_dir() else eld_pairs(root)


@dataclass(frozen=True, eq=False)
class Some(RawFiles):
    """RAW files of a folder without every n-th one, or only these.

    Args:
        every: n.
        held: whether they are those held out.
    """

    every: int = 25
    held: bool = False

    @cached_property
    def files(self) -> list[Path]:
        """The files, by name."""
        everything = RawFiles(self.folder).files
        found = [path for i, path in enumerate(everything) if (i % self.every == 0) is self.held]
        if not found:
            raise FormatError(f"got {self.folder} with one RAW file; expected at least two: one is for validation")
        return found


_CHOICE = 1000  # a seed apart: what is chosen has nothing to do with how it is cut


@dataclass(frozen=True, eq=False)
class Mixed(Dataset[Batch]):
    """Batches of several kinds in equal shares; which kind batch i has depends on the seed and on i alone.

    Args:
        parts: the kinds.
        seed: of the choice.
    """

    parts: Sequence[Dataset[Batch]]
    seed: int = 0

    def __getitem__(self, index: int) -> Batch:
        """Batch number `index`."""
        pick = int(torch.randint(len(self.parts), (1,), generator=numbered(self.seed + _CHOICE, index)))
        return self.parts[pick][index]
