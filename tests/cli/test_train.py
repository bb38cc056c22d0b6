"""`rawpipe train`, from pictures in a folder to weights that say what they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from rawpipe.cli import main, train
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.training.photographs import dead_leaves
from rawpipe.stages.enhance.weights import Weights

pytest.importorskip("lightning_fabric")

CONFIG = """
[model]
width = 2
[process]
steps = 2
[data]
photographs = ["pictures"]
least = 64
side = 16
batch = 2
hold_out = 2
[training]
steps = 6
checkpoint_every = 2
judge_every = 3
accelerator = "cpu"
[weights]
name = "mine"
licence = "CC0-1.0"
learned_from = "drawn textures (CC0)"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(dead_leaves(3, 64)):
        image = Image.fromarray(np.ascontiguousarray(picture.movedim(0, -1).numpy()))
        image.save(tmp_path / "pictures" / f"{i}.png")
        for folder in ("low", "high"):
            (tmp_path / "lol" / folder).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "lol" / folder / f"{i}.png")
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path / "config.toml"


def test_a_training_leaves_weights_that_say_all_of_themselves(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = config.parent / "out"
    assert main(["train", "exposure_diffusion", str(config), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.splitlines()[-1] == str(out / "weights.safetensors")
    assert said.out.startswith("step 3: x4, 1 step ") and "\nstep 6: " in said.out
    names = {"checkpoint.pt", "curve.csv", "curve.svg", "validation.png", "weights.safetensors"}
    assert {path.name for path in out.iterdir()} == names

    weights = Weights.read(out / "weights.safetensors")
    assert (weights.enhancer, weights.name, weights.licence) == ("exposure_diffusion", "mine", "CC0-1.0")
    assert weights.learned_from == "drawn textures (CC0)" and not weights.research_only
    assert Design(**weights.model) == Design(width=2)
    Design(**weights.model).build().load_state_dict(dict(weights.tensors))
    average = torch.load(out / "checkpoint.pt", weights_only=True)["average"]
    assert all(torch.equal(average[name].half().float(), value) for name, value in weights.tensors.items())
    training = weights.training
    assert training["config"]["data"]["photographs"] == ["pictures"] and training["config"]["training"]["steps"] == 6
    assert len(training["data_sha256"]) == 64 and training["versions"].keys() == {
        "rawpipe",
        "torch",
        "lightning-fabric",
    }
    last = (out / "curve.csv").read_text().splitlines()[-1].split(",")
    assert [training["figures"]["step"], training["figures"]["x300, 2 steps"]] == [6, float(last[-1])]
    with safe_open(out / "weights.safetensors", "pt") as file:
        assert str(config.parent) not in str(file.metadata())
        assert all(file.get_tensor(name).dtype is torch.float16 for name in file.keys())  # noqa: SIM118


def test_pairs_in_rgb_are_trained_on_by_the_recipe_that_comes_along(config: Path) -> None:
    out = config.parent / "out"
    changes = ["training.steps=1", "data.side=16", "data.least=64", "data.hold_out=3", "weights.learned_from=mine"]
    words = [word for change in changes for word in ("--set", change)]
    data = ["--data", str(config.parent / "lol")]
    assert main(["train", "llflow", "rgb-cpu", "-o", str(out), "-q", *data, *words]) == 0
    weights = Weights.read(out / "weights.safetensors")
    assert weights.model["domain"] == "rgb" and weights.research_only and weights.learned_from == "mine"
    assert weights.training["figures"].keys() >= {"lol", "lol, brightness of the truth"}
    assert weights.training["config"]["data"]["lol"] == ["lol"]


def test_stopped_and_called_again_it_goes_on(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "exposure_diffusion", str(config), "-o"]
    assert main([*words, str(config.parent / "whole"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    out = config.parent / "out"
    with monkeypatch.context() as patch:
        patch.setattr(train, "_shown_in", lambda bar, quiet: stop)
        assert main([*words, str(out)]) == 130
    assert "stopped" in capsys.readouterr().err and not (out / "weights.safetensors").exists()
    assert main([*words, str(out)]) == 0
    assert "goes on from step 4\n" in capsys.readouterr().out
    for name in ("weights.safetensors", "curve.csv"):
        assert (out / name).read_bytes() == (config.parent / "whole" / name).read_bytes()


def test_two_processes_train_together_and_one_writes(config: Path) -> None:
    out = config.parent / "out"
    words = ["-m", "rawpipe", "train", "exposure_diffusion", str(config), "-o", str(out), "--set", "training.devices=2"]
    done = subprocess.run(
        [sys.executable, *words], check=False, capture_output=True, text=True, timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "step 3",
        "step 6",
        str(out / "weights.safetensors"),
    ]
    assert done.stderr == ""
    assert [line.split(",")[0] for line in (out / "curve.csv").read_text().splitlines()] == ["step", "3", "6"]
    assert Weights.read(out / "weights.safetensors").training["config"]["training"]["devices"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonesuch", "config.toml"], "error: got model 'nonesuch'; expected one of exposure_diffusion, llflow"),
        (["exposure_diffusion", "mine"], "error: got configuration 'mine'; expected one of dark-cpu-1"),
        (["exposure_diffusion", "config.toml", "--set", "data.sides=8"], "[data]: got key 'sides'"),
        (["exposure_diffusion", "config.toml", "--data", "pictures"], "--set weights.learned_from="),
        (["exposure_diffusion", "config.toml", "--set", "data.photographs=['none']"], "got none to learn from"),
        (["exposure_diffusion", "config.toml", "--set", "training.start=config.toml"], "holds no weights of rawpipe"),
        (["exposure_diffusion", "config.toml", "--set", "model.width=-1"], "got width -1"),
        (["llflow", "rgb-cpu", "--set", "data.lol=['pictures']"], "got pictures without low beside high or normal"),
        (["llflow", "rgb-cpu", "--set", "data.lol=[]", "--set", "data.dead_leaves=2"], "got domain 'rgb' to learn"),
        (
            ["exposure_diffusion", "config.toml", "--set", "data.photographs=[]", "--set", "data.lol=['lol']"],
            "got lol to learn from, which is display-referred",
        ),
    ],
)
def test_what_can_not_be_trained_is_one_line(
    words: list[str], message: str, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    assert main(["train", *words, "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not Path("out").exists()


def test_a_file_in_the_place_of_the_folder_is_named_before_the_data_are_read(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "exposure_diffusion", str(config), "-o", str(config / "out")]) == 1
    assert "config.toml is a file" in capsys.readouterr().err


def test_a_second_part_starts_from_the_weights_of_the_first_on_data_named_by_hand(config: Path) -> None:
    words = ["train", "exposure_diffusion", str(config), "-q", "--set", "training.steps=1", "-o"]
    first, second = config.parent / "first", config.parent / "second"
    assert main([*words, str(first)]) == 0
    start = first / "weights.safetensors"
    more = ["--data", str(config.parent / "pictures"), "--set", "weights.learned_from=the same"]
    assert main([*words, str(second), *more, "--set", f"training.start={start}", "--set", "training.rate=1e-9"]) == 0
    one, two = Weights.read(start), Weights.read(second / "weights.safetensors")
    assert two.training["start_sha256"] == one.sha256 and two.learned_from == "the same"
    assert all(torch.allclose(value, two.tensors[name], atol=1e-3) for name, value in one.tensors.items())
