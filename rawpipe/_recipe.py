"""Recipes: a pipeline as TOML, and back.

schema = 1

[[stage]]
name = "demosaic"
method = "malvar2004"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import tomli_w

from rawpipe import _registry
from rawpipe._errors import PipelineError, RawpipeError, unknown
from rawpipe._stage import Stage, name_of

SCHEMA = 1


def dumps(stages: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Stages, each a name and its parameters, as TOML.

    Raises:
        PipelineError: a parameter is of a kind that TOML can't hold.
    """
    tables = [{"name": name} | {k: _plain(k, v) for k, v in values.items() if v is not None} for name, values in stages]
    return "\n".join([f"schema = {SCHEMA}\n", *("[[stage]]\n" + tomli_w.dumps(table) for table in tables)])


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if isinstance(value, bool | int | float | str):
        return value
    raise PipelineError(f"got {name} = {value!r}; expected numbers, text, or tuples of them: a recipe can't hold it")


def load(path: str | PathLike[str]) -> list[Stage]:
    """The stages of a recipe file.

    Raises:
        PipelineError: it can't be read, isn't a recipe, or names a stage or parameter that doesn't exist.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"the recipe {path} can't be read: {error}") from error
    return loads(text)


def loads(text: str) -> list[Stage]:
    """The stages of a recipe. Raises as `load`."""
    try:
        recipe = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(f"the recipe isn't TOML: {error}") from error
    if recipe.get("schema") != SCHEMA:
        raise PipelineError(
            f"got a recipe with schema = {recipe.get('schema')}; expected schema = {SCHEMA} as its first line"
        )
    if extra := recipe.keys() - {"schema", "stage"}:
        raise PipelineError(f"got {', '.join(sorted(extra))} in the recipe; expected only [[stage]] tables")
    tables = recipe.get("stage", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) and "name" in table for table in tables):
        raise PipelineError('got a stage without a name; expected [[stage]] tables, each with name = "..."')
    return [make(table["name"], {k: v for k, v in table.items() if k != "name"}) for table in tables]


def make(name: str, parameters: Mapping[str, Any]) -> Stage:
    """The registered stage of that name with these parameters.

    Raises:
        PipelineError: the name or a parameter is unknown, or a value is refused.
    """
    kind = _registry.load(name)
    known = [f.name for f in fields(kind) if f.repr]
    for parameter in parameters:
        if parameter not in known:
            raise PipelineError(f"stage {name!r}: " + unknown("parameter", parameter, known or ["none"]))
    values = {k: _tuples(v) for k, v in parameters.items()}
    try:
        stage: Stage = kind(**values)
    except (TypeError, RawpipeError) as error:
        raise PipelineError(f"stage {name!r}: {error}") from error
    for parameter, hint in _hints(kind).items():
        if parameter in values and not _fits(values[parameter], hint):
            raise PipelineError(f"stage {name!r}: got {parameter} = {values[parameter]!r}; expected {_spelt(hint)}")
    if name_of(stage) != name:
        raise PipelineError(
            f"stage {name!r} is a class named {kind.__name__}; expected the name {name_of(stage)!r} in its entry point"
        )
    return stage


def _hints(kind: type) -> dict[str, Any]:
    """Declared types of the parameters; none for a class whose annotations can't be resolved."""
    try:
        return get_type_hints(kind)
    except (NameError, TypeError):
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a declared type. True is no number, 2.5 is no whole number; types unknown here fit."""
    parts = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[-1] is Ellipsis:
            return all(_fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return not isinstance(hint, type) or hint not in (str, bool, NoneType) or isinstance(value, hint)


def _spelt(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint) if get_origin(hint) is None else hint)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
