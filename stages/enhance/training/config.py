"""A training's configuration: strict TOML, so that a word that isn't understood is never passed over.

Tables: [data], [training] and [weights] are the same for all models; the others are the model's own.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from rawpipe import FormatError, StageError
from rawpipe._errors import unknown
from rawpipe.stages.enhance.training.loop import Settings

SOURCES = ("photographs", "raw", "pairs", "lol")
"""Fields of [data] that name folders."""


@dataclass(frozen=True)
class Data:
    """What is learned from, and how it is made dim and noisy.

    Args:
        photographs: folders of pictures that are unprocessed to RAW.
        raw: folders of clean RAW files.
        pairs: folders of short and long exposures, laid out as SID's or ELD's.
        lol: folders of dark and well-lit photographs, laid out as LOL's; for models of display-referred RGB, and
            nothing else beside them.
        scikit_image: whether to add the photographs that come with scikit-image.
        dead_leaves: how many drawn textures of 512x512 to add.
        least: sides that a picture has to have, in pixels; smaller ones are passed over.
        hold_out: every n-th picture of the folders is kept for validation.
        validate: folders laid out as those of `lol` to validate on, instead of every n-th pair.
        side: height and width of a patch, a multiple of 16: packed pixels, or with `lol` pixels of RGB.
        batch: pictures in a batch.
        ratios: least and greatest exposure ratio, 1 or more.
        skew: 1 = the ratio's logarithm is uniform; 2 = the greater, the more likely.
        gains: least and greatest gain in DN per electron.
        cameras: published cameras whose noise is used; by default the five of ELD.
        brightness: range of factors by which clean pictures are dimmed.
        seed: of patches, ratios and noise.

    Raises:
        StageError: a number is out of range, or nothing is named to learn from.
    """

    photographs: tuple[Path, ...] = ()
    raw: tuple[Path, ...] = ()
    pairs: tuple[Path, ...] = ()
    lol: tuple[Path, ...] = ()
    scikit_image: bool = False
    dead_leaves: int = 0
    least: int = 192
    hold_out: int = 25
    validate: tuple[Path, ...] = ()
    side: int = 64
    batch: int = 8
    ratios: tuple[float, float] = (1.0, 300.0)
    skew: float = 2.0
    gains: tuple[float, float] = (0.1, 30.0)
    cameras: tuple[str, ...] | None = None
    brightness: tuple[float, float] = (0.5, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        named = [name for name in (*SOURCES, "scikit_image", "dead_leaves") if getattr(self, name)]
        if not named:
            raise StageError(f"got nothing to learn from; expected {', '.join(SOURCES)}, scikit_image or dead_leaves")
        if self.lol and named != ["lol"]:
            raise StageError(
                f"got {', '.join(named)}; expected lol alone, which is display-referred, or the others: set those you "
                "don't want to [], false or 0"
            )
        if self.validate and not self.lol:
            raise StageError("got folders to validate on without lol; expected both, or hold_out: every n-th picture")
        if self.side < 16 or self.side % 16:
            raise StageError(f"got side {self.side}; expected a multiple of 16")
        taken = self.side if self.lol else 2 * self.side
        if self.least < taken:
            raise StageError(f"got least {self.least}; expected {taken} or more, which a patch of {self.side} takes")
        for name, least in (("dead_leaves", 0), ("hold_out", 2), ("batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise StageError(f"got {name} {getattr(self, name)}; expected {least} or more")
        if not self.skew > 0:
            raise StageError(f"got skew {self.skew}; expected a number above 0")
        for name, low in (("ratios", 1.0), ("gains", 1e-6), ("brightness", 1e-6)):
            first, last = getattr(self, name)
            if not low <= first <= last < float("inf"):
                raise StageError(f"got {name} {first:g} to {last:g}; expected {low:g} or more, the lower one first")


@dataclass(frozen=True)
class Training(Settings):
    """`Settings`, and where the weights come from at the start.

    Args:
        start: weights of an earlier training of the same network, or of a narrower UNet.
    """

    start: Path | None = None


@dataclass(frozen=True)
class Stated:
    """What the weights say of themselves.

    Args:
        name: of the set.
        licence: under which they may be used.
        learned_from: the data and their licences, in words that follow "learned from".
        research_only: whether the data forbid products.

    Raises:
        StageError: a word is empty.
    """

    name: str
    licence: str
    learned_from: str
    research_only: bool = False

    def __post_init__(self) -> None:
        for name in ("name", "licence", "learned_from"):
            if not getattr(self, name).strip():
                raise StageError(f"got an empty {name}; expected words: whoever uses the weights has to know")


COMMON: Mapping[str, type] = {"data": Data, "training": Training, "weights": Stated}


@dataclass(frozen=True)
class Config:
    """All tables of a configuration.

    Args:
        own: the model's tables, by name.
        data: what is learned from.
        training: how long and how fast.
        weights: what the result says of itself.
    """

    own: Mapping[str, Any]
    data: Data
    training: Training
    weights: Stated

    def said(self) -> dict[str, dict[str, Any]]:
        """The tables with every default, for the weights file; of paths only the last name."""
        tables = {**self.own, "data": self.data, "training": self.training}
        return {name: _plain(asdict(table)) for name, table in tables.items()}

    def identity(self, *hashes: str) -> str:
        """A hash of all that decides what the result is: where files lie does not, `hashes` of what they hold do."""
        said = self.said()
        for name in SOURCES:
            del said["data"][name]
        for name in ("start", "workers", "checkpoint_every"):
            del said["training"][name]
        return hashlib.sha256(json.dumps([said, *hashes], sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def read_config(
    path: Path,
    own: Mapping[str, type],
    changes: Sequence[str] = (),
    folders: Sequence[Path] = (),
    base: Path | None = None,
) -> Config:
    """The configuration in a TOML file.

    Args:
        path: of the file.
        own: the model's tables, and the dataclass of each.
        changes: as "training.steps=1000", each in place of what the file says.
        folders: to learn from, in place of those the file names if they are of one kind; else of photographs.
        base: folder that the file's paths start from; None = where the file lies. Those of `changes` and `folders`
            start from the working folder.

    Raises:
        FormatError: the file can't be read, or a word, type or value in it isn't one of the known ones.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"got {path}, which can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"got {path}, which is no TOML: {error}") from error
    kinds = {**own, **COMMON}
    rooted = {name: _rooted(table, base or path.parent) for name, table in tables.items()}
    for change in changes:
        where, value = _change(change, kinds)
        rooted.setdefault(where[0], {})[where[1]] = value
    if folders:
        table = rooted.setdefault("data", {})
        named = [name for name in SOURCES if table.get(name)]
        table[named[0] if len(named) == 1 else "photographs"] = [str(one) for one in folders]
    for name in rooted:
        if name not in kinds:
            raise FormatError(f"{path}: {unknown('table', name, kinds)}")
    made = {name: _made(kind, rooted.get(name, {}), f"{path}: [{name}]") for name, kind in kinds.items()}
    return Config({name: made[name] for name in own}, **{name: made[name] for name in COMMON})


def _rooted(table: Any, base: Path) -> Any:
    """Paths of a table, made to start from a folder."""
    if not isinstance(table, dict):
        return table
    lists = {name: table[name] for name in SOURCES if isinstance(table.get(name), list)}
    moved: dict[str, Any] = {
        name: [str(base / Path(one).expanduser()) if isinstance(one, str) else one for one in found]
        for name, found in lists.items()
    }
    if isinstance(table.get("start"), str):
        moved["start"] = str(base / Path(table["start"]).expanduser())
    return {**table, **moved}


def _change(text: str, kinds: Mapping[str, type]) -> tuple[tuple[str, str], Any]:
    place, is_set, value = text.partition("=")
    table, dot, key = place.strip().partition(".")
    if not (is_set and dot and table and key):
        raise FormatError(f"got {text!r}; expected a table, a key and a value: training.steps=1000")
    if table not in kinds:
        raise FormatError(f"got {text!r}: {unknown('table', table, kinds)}")
    try:
        return (table, key), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return (table, key), value.strip()  # a word needs no quotes


def _made(kind: type, table: Any, where: str) -> Any:
    """A dataclass from a table."""
    assert is_dataclass(kind)
    known = {one.name: one for one in fields(kind)}
    if not isinstance(table, dict):
        raise FormatError(f"{where} is {table!r}; expected a table of {', '.join(known)}")
    for key in table:
        if key not in known:
            raise FormatError(f"{where}: {unknown('key', key, known)}")
    missing = [name for name, one in known.items() if one.default is MISSING and name not in table]
    if missing:
        raise FormatError(f"{where}: got no {', '.join(missing)}; expected a value")
    hints = get_type_hints(kind)
    values = {key: _typed(value, hints[key], f"{where}: {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except StageError as error:
        raise FormatError(f"{where}: {error}") from error


def _typed(value: Any, hint: Any, where: str) -> Any:
    """The value as that type; whole numbers count as floats, strings as paths, lists as tuples."""
    if get_origin(hint) in (Union, types.UnionType):  # X | None: TOML has no None, so it is X
        hint = next(one for one in get_args(hint) if one is not types.NoneType)
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        open_ended = inner[-1] is Ellipsis
        if isinstance(value, list) and (open_ended or len(value) == len(inner)):
            kinds = [inner[0]] * len(value) if open_ended else inner
            return tuple(_typed(one, kind, where) for one, kind in zip(value, kinds, strict=True))
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif hint is Path and type(value) is str:
        return Path(value).expanduser()
    elif type(value) is hint:
        return value
    raise FormatError(f"{where}: got {value!r}; expected {_named(hint)}")


def _named(hint: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", Path: "a path"}
    if get_origin(hint) is not tuple:
        return names[hint]
    inner = get_args(hint)
    one = names[inner[0]].removeprefix("a ")
    return f"a list of {one}s" if inner[-1] is Ellipsis else f"a list of {len(inner)} {one}s"
