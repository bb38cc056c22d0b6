"""A whole training: from a model's name and a configuration to a file of weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rawpipe import FormatError, StageError, __version__
from rawpipe._errors import unknown
from rawpipe.stages.enhance.training import curve
from rawpipe.stages.enhance.training.config import Config, read_config
from rawpipe.stages.enhance.training.data import open_data
from rawpipe.stages.enhance.training.loop import first_process, train
from rawpipe.stages.enhance.weights import Weights

WEIGHTS = "weights.safetensors"

MODELS = {name: f"rawpipe.stages.enhance.{name}.learn" for name in ("exposure_diffusion", "llflow")}
"""Where each model says how it learns: in `TABLES`, a dataclass for each of its own tables of a configuration, and in
`recipe(config, opened)`, whose `design` the weights repeat, or what its `settled(tensors)` makes of it at the end.
Its own configurations lie in `recipes` beside."""


def configured(model: str, config: str | Path, changes: Sequence[str] = (), folders: Sequence[Path] = ()) -> Config:
    """The configuration in a file, or the one of that name that comes with the model.

    The paths in one that comes with the model start from the working folder.

    Args:
        model: name of the model.
        config: path or name.
        changes: as "training.steps=1000".
        folders: to learn from, in place of those the configuration names; `changes` have to say what they are.

    Raises:
        FormatError: the model or the configuration isn't known, or the configuration isn't right.
    """
    if model not in MODELS:
        raise FormatError(unknown("model", model, MODELS))
    if folders and not any(change.partition("=")[0].strip() == "weights.learned_from" for change in changes):
        raise FormatError(
            "got other pictures than the configuration is about; the weights have to say what they learned from and "
            'under which licences: --set weights.learned_from="..."'
        )
    path, base = Path(config), None
    if not path.is_file():
        known = recipes(model)
        if path.suffix:
            raise FormatError(f"got {path}; there is no such file, and no configuration of that name")
        if str(config) not in known:
            raise FormatError(unknown("configuration", config, known) + ", or the path of a file")
        path, base = known[str(config)], Path.cwd()
    return read_config(path, import_module(MODELS[model]).TABLES, changes, folders, base)


def recipes(model: str) -> dict[str, Path]:
    """The configurations that come with a model, by name."""
    folder = Path(str(files(MODELS[model].rpartition(".")[0]))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def run(
    model: str,
    config: Config,
    folder: Path,
    progress: Callable[[int, float], None] = lambda step, loss: None,
    validated: Callable[[int, Mapping[str, float]], None] = lambda step, figures: None,
) -> Path:
    """The path of the weights, `weights.safetensors` in the folder, once all steps are done.

    Beside it lie `checkpoint.pt`, from which a killed training goes on, `curve.csv` and `curve.svg` with the figures
    of all validations, and `validation.png`: input, result and truth side by side.

    Args:
        model: name of the model.
        config: what it learns from, how, and what the weights say.
        folder: made if missing; one that holds another training is refused.
        progress: told the number of steps that are done, and the loss of the last one.
        validated: told the number of steps and the figures of every validation.

    Raises:
        FormatError: data, start or folder can't be used.
        StageError: the training went wrong: see `train`.
    """
    _check(folder, config.data.scikit_image)
    start, digest = _start(model, config.training.start)
    opened = open_data(config.data)
    recipe: Any = import_module(MODELS[model]).recipe(config, opened)
    identity = config.identity(model, opened.sha256, digest)
    tensors = train(
        recipe, opened.batches, config.training, folder, identity, start, progress=progress, validated=validated
    )
    path = folder / WEIGHTS
    if first_process():
        said = {
            "config": config.said(),
            "data_sha256": opened.sha256,
            "start_sha256": digest,
            "figures": curve.last(folder),
            "versions": {"rawpipe": __version__, **{name: version(name) for name in ("torch", "lightning-fabric")}},
        }
        design = recipe.settled(tensors) if hasattr(recipe, "settled") else recipe.design
        Weights(model, model=asdict(design), training=said, tensors=tensors, **asdict(config.weights)).write(path)
    return path


def _check(folder: Path, scikit_image: bool) -> None:
    """Refuse what can't work before the data are read.

    Raises:
        FormatError: the folder can't be made or written to.
        StageError: a library is missing.
    """
    needed = ("lightning_fabric", "skimage") if scikit_image else ("lightning_fabric",)
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise StageError(f'training needs {" and ".join(missing)}: pip install "rawpipe-isp[train]"')
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise FormatError(f"got {folder} to write to, but {there} is a file, or not yours to write; name a folder")


def _start(model: str, path: Path | None) -> tuple[Mapping[str, Any] | None, str]:
    """Weights to start from, and their hash."""
    if path is None:
        return None, ""
    weights = Weights.read(path)
    if weights.enhancer != model:
        raise FormatError(f"got {path} to start from, which holds weights of {weights.enhancer}; expected {model}")
    return weights.tensors, weights.sha256
