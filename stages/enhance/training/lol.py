"""Pairs of dark and well-lit photographs, in the folders that LOL is published as: display-referred, in 8 bits.

References:
    Wei, Wang, Yang and Liu (2018), Deep Retinex decomposition for low-light enhancement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rawpipe import FormatError
from rawpipe.stages.enhance.equalise import equalisation, equalised
from rawpipe.stages.enhance.training.batch import numbered
from rawpipe.stages.enhance.training.photographs import SUFFIXES, read_picture

TRAIN, TEST = "our485", "eval15"
"""Folders in LOL's own."""

TABLES = "histeq_lut.npz"
_LOW, _HIGH = "low", ("high", "normal")
_LEVELS = 255


class Lit(NamedTuple):
    """Display-referred pictures in 0..1.

    Args:
        low: dark ones (n, 3, h, w).
        equal: the same with equalised histograms, those of the whole pictures.
        high: well-lit ones.
    """

    low: Tensor
    equal: Tensor
    high: Tensor


class Files(NamedTuple):
    """Where a pair lies.

    Args:
        low: file of the dark picture.
        high: file of the well-lit one.
    """

    low: Path
    high: Path

    @property
    def name(self) -> str:
        """The name without suffix, which both have."""
        return self.low.stem


@dataclass(frozen=True, eq=False)
class Shots:
    """Both pictures of a pair.

    Args:
        files: where they come from.
        low: the dark one (3, H, W), uint8.
        high: the well-lit one.
        tables: that equalise the histograms of the dark one, or of the whole that it was cut from (3, 256), in 0..1.
    """

    files: Files
    low: Tensor
    high: Tensor
    tables: Tensor

    def part(self, top: int, left: int, height: int, width: int) -> Lit:
        """A part of them, each (3, h, w)."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        low, high = (picture[:, rows, columns] for picture in (self.low, self.high))
        return Lit(low / _LEVELS, equalised(low, self.tables), high / _LEVELS)


def lol_files(root: str | Path, inner: str = TRAIN) -> list[Files]:
    """The pairs in a folder: pictures in `low` and of the same names in `high` or `normal`, in the order of the names.

    Args:
        root: the folder with these two in it, or LOL's, with `our485` and `eval15` in it.
        inner: which of these is meant then.

    Raises:
        FormatError: the folder isn't laid out so, a picture has no partner, or there is none.
    """
    root = Path(root)
    folder = next((one for one in (root, root / inner) if (one / _LOW).is_dir()), None)
    high = None if folder is None else next((folder / name for name in _HIGH if (folder / name).is_dir()), None)
    if folder is None or high is None:
        raise FormatError(
            f"got {root} without {_LOW} beside {' or '.join(_HIGH)}, and without them in {inner}; expected LOL as "
            "published: name the folder that has them"
        )
    dark, lit = (_by_name(one) for one in (folder / _LOW, high))
    if not dark:
        raise FormatError(f"got {folder / _LOW} without pictures; expected pairs")
    for name, path in {**dark, **lit}.items():
        if name not in dark or name not in lit:
            there = high if name in dark else folder / _LOW
            raise FormatError(f"got {path} without a picture {name} in {there}; fetch it again, or remove it")
    return [Files(path, lit[name]) for name, path in sorted(dark.items())]


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        if path.stem in found:
            raise FormatError(f"got {path} beside {found[path.stem].name}; expected one picture of a name")
        found[path.stem] = path
    return found


def read_pair(files: Files) -> Shots:
    """The pictures of a pair.

    Where `histeq_lut.npz` lies beside their folders they are parts of larger ones, whose tables it holds for each
    name: (3, 256), uint8.

    Raises:
        FormatError: a file can't be read, the sizes differ, or the table is missing or another.
    """
    low, high = (read_picture(path) for path in files)
    if low.shape != high.shape:
        sizes = " and ".join(f"{one.shape[1]}x{one.shape[2]}" for one in (low, high))
        raise FormatError(f"got {files.low} and {files.high} of {sizes}; expected one size: they are no pair")
    stored = files.low.parents[1] / TABLES
    return Shots(files, low, high, _stored(stored, files.name) if stored.is_file() else equalisation(low))


def _stored(path: Path, name: str) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as file:
            table = file[name]
    except (OSError, BadZipFile, ValueError, KeyError) as error:
        raise FormatError(
            f"got {path}, which holds no table for {name} or is damaged; expected one for each picture"
        ) from error
    if table.shape != (3, _LEVELS + 1) or table.dtype != np.uint8:
        raise FormatError(f"got {path} with {table.dtype} {table.shape} for {name}; expected uint8 (3, {_LEVELS + 1})")
    return torch.from_numpy(table) / _LEVELS


def read_pairs(root: Path, least: int) -> list[Shots]:
    """The pairs to learn from in a folder, whose sides are at least `least`, in the order of their names.

    Raises:
        FormatError: see `lol_files` and `read_pair`; or all are smaller.
    """
    every = [read_pair(files) for files in lol_files(root)]
    found = [shots for shots in every if min(shots.low.shape[1:]) >= least]
    if not found:
        raise FormatError(f"got {root} without pairs of at least {least}x{least}; expected some, or a lower least")
    return found


@dataclass(frozen=True, eq=False)
class LolPatches(Dataset[Lit]):
    """Batches of patches at random places, half of them flipped; number i is the same whenever it is asked for.

    Args:
        pairs: what to draw from.
        batch: pictures in a batch.
        side: height and width of a patch, in pixels.
        seed: of the whole run.

    Raises:
        FormatError: there are no pairs, or one is smaller than a patch.
    """

    pairs: Sequence[Shots]
    batch: int = 4
    side: int = 96
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pairs:
            raise FormatError("got no pairs; expected some: read_pairs(folder, least)")
        for shots in self.pairs:
            height, width = shots.low.shape[1:]
            if min(height, width) < self.side:
                raise FormatError(
                    f"got {shots.files.low} of {height}x{width} pixels; expected at least {self.side}x{self.side}"
                )

    @cached_property
    def sha256(self) -> str:
        """Of all pixels and tables."""
        digest = hashlib.sha256()
        for shots in self.pairs:
            digest.update(repr(tuple(shots.low.shape)).encode())
            for one in (shots.low, shots.high, shots.tables):
                digest.update(one.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def __getitem__(self, index: int) -> Lit:
        """Batch number `index`."""
        generator = numbered(self.seed, index)
        return _stacked([self._one(generator) for _ in range(self.batch)])

    def _one(self, generator: torch.Generator) -> Lit:
        pick, y, x, turn = torch.rand(4, generator=generator).tolist()
        shots = self.pairs[int(pick * len(self.pairs))]
        height, width = shots.low.shape[1:]
        top, left = int(y * (height - self.side + 1)), int(x * (width - self.side + 1))
        part = shots.part(top, left, self.side, self.side)
        return Lit(*(one.flip(2) for one in part)) if turn < 0.5 else part


def middles(pairs: Sequence[Shots], side: int) -> Lit:
    """The middle `side` x `side` pixels of all pairs, to validate on."""
    corners = [[(length - side) // 2 for length in shots.low.shape[1:]] for shots in pairs]
    return _stacked([shots.part(top, left, side, side) for shots, (top, left) in zip(pairs, corners, strict=True)])


def _stacked(parts: Sequence[Lit]) -> Lit:
    return Lit(*(torch.stack(one) for one in zip(*parts, strict=True)))
