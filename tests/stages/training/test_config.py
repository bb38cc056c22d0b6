"""A configuration is understood to the last word, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rawpipe import FormatError
from rawpipe.stages.enhance.exposure_diffusion.learn import TABLES, Process
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.training.config import Config, read_config
from rawpipe.stages.enhance.training.run import configured, recipes

ON_CPU = [*(f"dark-cpu-{part}" for part in (1, 2)), *(f"default-cpu-{part}" for part in range(1, 9))]
FREE = {"clean_urban100", "free_photographs"}
TEXT = """
[model]
width = 4
[process]
steps = 2
[data]
photographs = ["pictures", "/more"]
ratios = [1, 100.0]
[training]
steps = 10
start = "before/weights.safetensors"
[weights]
name = "mine"
licence = "CC0"
learned_from = "my photographs (CC0)"
"""


def read(folder: Path, text: str = TEXT, *changes: str, **options: Any) -> Config:
    (folder / "config.toml").write_text(text)
    return read_config(folder / "config.toml", TABLES, changes, **options)


def test_what_is_said_is_taken_and_what_is_not_has_its_default(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.own == {"model": Design(width=4), "process": Process(2)}
    assert config.data.ratios == (1.0, 100.0) and config.data.skew == 2.0 and config.data.cameras is None
    assert config.training.steps == 10 and config.training.rate == 1e-3
    assert config.weights.name == "mine" and not config.weights.research_only


def test_paths_start_from_the_file(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.data.photographs == (tmp_path / "pictures", Path("/more"))
    assert config.training.start == tmp_path / "before" / "weights.safetensors"
    assert read(tmp_path, base=Path("/base")).data.photographs[0] == Path("/base/pictures")


def test_changes_come_after_the_file_and_their_paths_start_from_the_working_folder(tmp_path: Path) -> None:
    changes = ("training.rate=2e-4", "training.accelerator=cpu", "process.loss = 'l1'", "training.start=other.st")
    config = read(tmp_path, TEXT, *changes, "data.cameras=['SonyA7S2']", folders=[Path("x"), Path("y")])
    assert (config.training.rate, config.training.accelerator, config.own["process"].loss) == (2e-4, "cpu", "l1")
    assert config.training.start == Path("other.st") and config.data.photographs == (Path("x"), Path("y"))
    assert config.data.cameras == ("SonyA7S2",)


def test_folders_named_by_hand_are_of_the_kind_that_the_file_names(tmp_path: Path) -> None:
    for kind in ("lol", "raw", "pairs"):
        data = read(tmp_path, TEXT.replace("photographs = [", f"{kind} = ["), folders=[Path("x")]).data
        assert getattr(data, kind) == (Path("x"),) and data.photographs == ()
    both = read(tmp_path, TEXT, "data.pairs=['p']", folders=[Path("x")]).data
    assert both.photographs == (Path("x"),) and both.pairs == (Path("p"),)


def test_a_patch_of_rgb_takes_as_many_pixels_as_it_has(tmp_path: Path) -> None:
    text = TEXT.replace("photographs = [", "lol = [")
    assert read(tmp_path, text, "data.side=160", "data.least=160").data.lol[0] == tmp_path / "pictures"
    with pytest.raises(FormatError, match="got least 159; expected 160 or more"):
        read(tmp_path, text, "data.side=160", "data.least=159")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.stesp=3", r"\[training\]: got key 'stesp'; expected one of steps, rate, .*; did you mean 'steps'"),
        ("trainin.steps=3", r"got table 'trainin'; expected one of model, process, data, training, weights"),
        ("training.steps=1.5", r"\[training\]: steps: got 1\.5; expected a whole number"),
        ("training.steps=true", r"steps: got True; expected a whole number"),
        ("training.rate=fast", r"\[training\]: rate: got 'fast'; expected a number"),
        ("data.ratios=[1]", r"\[data\]: ratios: got \[1\]; expected a list of 2 numbers"),
        ("data.photographs=pictures", r"photographs: got 'pictures'; expected a list of paths"),
        ("data.photographs=[1]", r"photographs: got 1; expected a path"),
        ("data.scikit_image=1", r"scikit_image: got 1; expected true or false"),
        ("data.ratios=[0.5, 10]", r"\[data\]: got ratios 0\.5 to 10; expected 1 or more, the lower one first"),
        ("data.gains=[3, 1]", r"got gains 3 to 1"),
        ("data.side=20", r"got side 20; expected a multiple of 16"),
        ("data.least=100", r"got least 100; expected 128 or more"),
        ("data.hold_out=1", r"got hold_out 1; expected 2 or more"),
        ("data.photographs=[]", r"\[data\]: got nothing to learn from"),
        ("data.lol=['lol']", r"got photographs, lol; expected lol alone, which is display-referred, or the others"),
        ("data.validate=['lol']", r"got folders to validate on without lol; expected both, or hold_out"),
        ("data.skew=0", r"got skew 0"),
        ("training.steps=0", r"\[training\]: got steps 0; expected 1 or more"),
        ("training.workers=-1", r"got workers -1; expected 0 or more"),
        ("training.rate=nan", r"got rate nan; expected a number above 0"),
        ("training.decay=2", r"got decay 2\.0; expected a number from 0 to 1"),
        ("training.precision=16", r"precision: got 16; expected a string"),
        ("training.precision=16-mixed", r"got precision '16-mixed'; expected bf16-mixed or 32-true"),
        ("process.loss=l2", r"\[process\]: got loss 'l2'; expected log or log-plain or l1"),
        ("process.through=true", r"got through with loss 'log'; expected loss 'l1'"),
        ("process.steps=0", r"got steps 0; expected a whole number from 1 to 16"),
        ("model.backbone=resnet", r"\[model\]: got backbone 'resnet'; expected unet, nafnet-1, nafnet-2"),
        ("weights.learned_from=' '", r"\[weights\]: got an empty learned_from"),
        ("training.steps", r"got 'training\.steps'; expected a table, a key and a value"),
        ("steps=3", r"got 'steps=3'; expected a table, a key and a value"),
    ],
)
def test_what_is_not_understood_is_named_with_its_table(change: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        read(tmp_path, TEXT, change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + "[optimizer]\n", r"got table 'optimizer'; expected one of model, process, data, training, weights"),
        ("seed = 1\n" + TEXT, r"got table 'seed'"),
        ("data = 1\n", r"\[data\] is 1; expected a table of photographs, raw"),
        (TEXT.replace('licence = "CC0"\n', ""), r"\[weights\]: got no licence; expected a value"),
        ("[model", r"config\.toml, which is no TOML"),
    ],
)
def test_a_file_that_is_not_one_of_ours_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        read(tmp_path, text)


def test_where_data_lie_is_no_part_of_the_identity_and_what_they_hold_is(tmp_path: Path) -> None:
    mine = read(tmp_path)
    identity = mine.identity("data")
    for change in ("data.photographs=['elsewhere']", "training.workers=3", "training.checkpoint_every=7"):
        assert read(tmp_path, TEXT, change).identity("data") == identity, change
    for change in ("data.seed=1", "training.steps=11", "model.width=8", "process.loss=l1", "data.hold_out=9"):
        assert read(tmp_path, TEXT, change).identity("data") != identity, change
    assert mine.identity("other data") != identity


def test_what_is_said_of_a_training_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    said = json.dumps(read(tmp_path).said())
    assert str(tmp_path) not in said and '"pictures", "more"' in said and '"rate": 0.001' in said


@pytest.mark.parametrize(
    "name",
    [*ON_CPU, "default-gpu-nafnet2", "default-gpu-unet", "research"],
)
def test_the_configurations_that_come_with_the_model_are_right(name: str) -> None:
    config = configured("exposure_diffusion", name)
    assert sorted(recipes("exposure_diffusion")) == [*ON_CPU, "default-gpu-nafnet2", "default-gpu-unet", "research"]
    assert config.weights.name.startswith("dark") == name.startswith("dark")
    assert config.weights.research_only == (name == "research")
    names = " ".join(path.name for path in config.data.photographs)
    assert "kodak" not in names and (config.weights.research_only or set(names.split()) <= FREE)
    assert all(path.is_relative_to(Path.cwd()) for path in config.data.photographs)


def test_other_photographs_need_other_words_about_them() -> None:
    with pytest.raises(FormatError, match="the weights have to say what they learned from"):
        configured("exposure_diffusion", "default-cpu-1", folders=[Path("mine")])
    changes = ['weights.learned_from="my own photographs"']
    config = configured("exposure_diffusion", "default-cpu-1", changes, [Path("mine")])
    assert config.weights.learned_from == "my own photographs" and config.data.photographs == (Path("mine"),)


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        ("exposure", "default-cpu-1", "got model 'exposure'; expected one of exposure_diffusion"),
        ("exposure_diffusion", "default-cpu", "got configuration 'default-cpu'; expected one of dark-cpu-1"),
        ("exposure_diffusion", "missing.toml", "missing.toml; there is no such file"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(model: str, config: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        configured(model, config)
