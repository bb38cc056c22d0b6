"""Patches of real RAW files: clean ones to add noise to, and pairs as they were taken."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rawpipe import CameraProfile, FormatError, NoiseModel
from rawpipe.io.container import raw_files
from rawpipe.stages.enhance.training.batch import Batch, numbered
from rawpipe.stages.enhance.training.pairs import Pair, check_sizes, noise_of
from rawpipe.stages.enhance.training.planes import linear, packed_cells, read_cells, spare

_GIB = 1 << 30


@dataclass(eq=False)
class Cache:
    """What files were read into, in half precision; the longest unused goes when memory runs out.

    Args:
        memory_bytes: for all of it; the newest is kept even if it alone takes more.
    """

    memory_bytes: int
    _kept: OrderedDict[Path, Tensor] = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0

    def get(self, path: Path, read: Callable[[Path], Tensor]) -> Tensor:
        """The tensor of a file."""
        if path not in self._kept:
            made = read(path).half()
            self._kept[path] = made
            self._bytes += made.nbytes
            while self._bytes > self.memory_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(path)
        return self._kept[path]


@dataclass(frozen=True, eq=False)
class RawFiles:
    """Clean packed patches (n, 4, h, w) of RAW files, at random places, flipped and transposed at random.

    Files are read when they are first needed. Each process that makes batches has a memory of its own.

    Args:
        folder: with RAW files of well-exposed, clean pictures in it, or below.
        memory_bytes: for pictures that were read; a picture of 12 megapixels takes 24 MB.

    Raises:
        FormatError: there are none.
    """

    folder: Path
    memory_bytes: int = 4 * _GIB
    _cache: Cache = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        object.__setattr__(self, "_cache", Cache(self.memory_bytes))
        if not self.files:
            raise FormatError(f"got {self.folder} without RAW files; expected clean pictures such as .ARW, .NEF, .dng")

    @cached_property
    def files(self) -> list[Path]:
        """All RAW files below the folder, by name."""
        return raw_files(self.folder, recursive=True)

    @cached_property
    def sha256(self) -> str:
        """Of all files."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(_hashed(path))
        return digest.hexdigest()

    def patches(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Packed patches (count, 4, side, side) in 0..1."""
        picks = torch.randint(len(self.files), (count,), generator=generator).tolist()
        crops = []
        for path in (self.files[pick] for pick in picks):
            planes = self._cache.get(path, _clean)
            crops.append(Where.draw(planes, side, generator, path).of(planes))
        return torch.stack(crops)


def _hashed(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _clean(path: Path) -> Tensor:
    return packed_cells(linear(read_cells(path))).clamp(0, 1)


@dataclass(frozen=True)
class Where:
    """A place in a picture, and how it is turned there."""

    top: int
    left: int
    side: int
    flips: tuple[bool, bool, bool]

    @classmethod
    def draw(cls, planes: Tensor, side: int, generator: torch.Generator, path: Path) -> Where:
        """A random one in planes (4, h, w)."""
        down, across = spare(planes.shape[-2:], side, path)
        y, x, *turns = torch.rand(5, generator=generator).tolist()
        up, over, swapped = (turn < 0.5 for turn in turns)
        return cls(int(y * (down + 1)), int(x * (across + 1)), side, (up, over, swapped))

    def of(self, planes: Tensor) -> Tensor:
        """The patch (4, side, side), float32."""
        patch = planes[:, self.top : self.top + self.side, self.left : self.left + self.side].float()
        up, over, swapped = self.flips
        patch = patch.flip([dim for dim, turned in ((1, up), (2, over)) if turned])
        return patch.transpose(1, 2) if swapped else patch


@dataclass(frozen=True, eq=False)
class PairPatches(Dataset[Batch]):
    """Batches of pairs as they were taken; number i is the same whenever it is asked for.

    Args:
        pairs: what to draw from.
        noise: of the short exposures: a profile, a model for all of them, the name of a published camera, or None for
            that of each pair's camera; at each pair's ISO.
        batch: pictures in a batch.
        side: height and width of a packed patch.
        seed: of the whole run.
        memory_bytes: for pictures that were read.

    Raises:
        FormatError: there are no pairs.
    """

    pairs: Sequence[Pair]
    noise: CameraProfile | NoiseModel | str | None = None
    batch: int = 8
    side: int = 64
    seed: int = 0
    memory_bytes: int = 4 * _GIB
    _cache: Cache = field(init=False, repr=False)
    _scales: dict[Path, float] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cache", Cache(self.memory_bytes))
        if not self.pairs:
            raise FormatError("got no pairs; expected some: sid_pairs(root, 'train')")

    @cached_property
    def sha256(self) -> str:
        """Of all files and ratios."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(repr((pair.ratio, pair.iso, pair.camera)).encode())
            for path in (pair.noisy, pair.clean):
                digest.update(_hashed(path))
        return digest.hexdigest()

    def __getitem__(self, index: int) -> Batch:
        """Batch number `index`."""
        generator = numbered(self.seed, index)
        picks = torch.randint(len(self.pairs), (self.batch,), generator=generator).tolist()
        parts = [self._one(self.pairs[pick], generator) for pick in picks]
        return Batch(*(torch.stack(values) for values in zip(*parts, strict=True)))

    def _one(self, pair: Pair, generator: torch.Generator) -> Batch:
        """One picture of a batch, without its dimension."""
        clean = self._cache.get(pair.clean, self._read)
        dim = self._cache.get(pair.noisy, self._read)
        check_sizes(pair, dim, clean)
        where = Where.draw(dim, self.side, generator, pair.noisy)
        noise = noise_of(pair, self.noise).summary()
        times = pair.ratio / self._scales[pair.noisy]  # a DN in units of the reference's saturation
        read = (noise.read**2 + noise.row**2).sqrt()
        return Batch(
            where.of(clean).clamp(max=1),
            where.of(dim) * pair.ratio,
            torch.tensor(pair.ratio).view(1, 1, 1),
            (noise.shot * times).view(4, 1, 1),
            (read * times).view(4, 1, 1),
        )

    def _read(self, path: Path) -> Tensor:
        frame = read_cells(path)
        self._scales[path] = float(frame.shot.scale_dn)
        return packed_cells(linear(frame))
