"""The loop: what is killed comes to the same result, and what is wrong is said."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rawpipe import FormatError, StageError
from rawpipe.stages.enhance.exposure_diffusion.learn import Exposing, Process
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.training import curve
from rawpipe.stages.enhance.training.batch import Batch, Synthetic
from rawpipe.stages.enhance.training.loop import CHECKPOINT, Settings, train
from rawpipe.stages.enhance.training.photographs import Photographs, dead_leaves

pytest.importorskip("lightning_fabric")


def settings(steps: int = 12, **others: Any) -> Settings:
    few: dict[str, Any] = {"warmup": 3, "checkpoint_every": 4, "judge_every": 3, "accelerator": "cpu"}
    return Settings(steps, **few | others)


def lesson(steps: int = 2, **others: Any) -> tuple[Exposing, Synthetic]:
    """The smallest network on drawn textures."""
    source = Photographs(dead_leaves(1, 64))
    held_out = {"x20": Synthetic(Photographs(dead_leaves(1, 64, seed=1)), 2, 16, (20.0, 20.0))[0]}
    return Exposing(Design(width=2), Process(steps, **others), held_out), Synthetic(source, 2, 16)


def at(step: int, do: Callable[[], None]) -> Callable[[int, float], None]:
    return lambda now, loss: do() if now == step else None


def stop() -> None:
    raise KeyboardInterrupt


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A training in one go: its folder and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(*lesson(), settings(), folder, "me")


def assert_same(folder: Path, weights: dict[str, Tensor], whole: tuple[Path, dict[str, Tensor]]) -> None:
    assert equal(weights, whole[1])
    states = [torch.load(one / CHECKPOINT, weights_only=True) for one in (folder, whole[0])]
    assert states[0]["step"] == 12 and equal(states[0]["model"], states[1]["model"])
    for number, moments in states[0]["optimizer"]["state"].items():
        assert equal(moments, states[1]["optimizer"]["state"][number])
    for name in (curve.TABLE, curve.PICTURE, "validation.png"):
        assert (folder / name).read_bytes() == (whole[0] / name).read_bytes()
    assert not list(folder.glob(".*"))


def test_a_training_that_is_interrupted_twice_comes_to_the_same_bits(
    tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]
) -> None:
    seen: list[int] = []
    for step in (7, 9):
        with pytest.raises(KeyboardInterrupt):
            train(*lesson(), settings(), tmp_path, "me", progress=at(step, stop))
    weights = train(*lesson(), settings(), tmp_path, "me", progress=lambda step, loss: seen.append(step))
    assert seen == [9, 10, 11, 12]  # the last checkpoint was that of step 8
    assert_same(tmp_path, weights, whole)


def test_so_does_one_by_muon(tmp_path: Path) -> None:
    plan = settings(optimizer="muon")
    expected = train(*lesson(), plan, tmp_path / "whole", "me")
    with pytest.raises(KeyboardInterrupt):
        train(*lesson(), plan, tmp_path / "parts", "me", progress=at(7, stop))
    assert equal(train(*lesson(), plan, tmp_path / "parts", "me"), expected)


def test_an_optimizer_that_is_not_known_is_named() -> None:
    with pytest.raises(StageError, match=r"got optimizer 'moun'; expected one of adam, muon"):
        settings(optimizer="moun")


def test_a_training_that_is_killed_comes_to_the_same_bits(
    tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]
) -> None:
    script = f"""
import importlib.util, os, signal, torch
from pathlib import Path
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("here", {__file__!r})
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
kill = here.at(7, lambda: os.kill(os.getpid(), signal.SIGKILL))
here.train(*here.lesson(), here.settings(), Path({str(tmp_path)!r}), "me", progress=kill)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=600)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert_same(tmp_path, train(*lesson(), settings(), tmp_path, "me"), whole)


def test_a_training_that_is_done_gives_its_weights_again(whole: tuple[Path, dict[str, Tensor]]) -> None:
    before = (whole[0] / CHECKPOINT).read_bytes()
    assert equal(train(*lesson(), settings(), whole[0], "me"), whole[1])
    assert (whole[0] / CHECKPOINT).read_bytes() == before


def test_another_training_and_a_damaged_checkpoint_are_left_alone(
    tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]
) -> None:
    content = (whole[0] / CHECKPOINT).read_bytes()
    table = (whole[0] / curve.TABLE).read_bytes()
    for damaged, identity, message in (
        (content, "someone else", "holds the training of another configuration or other data; name another folder"),
        (content[:5000], "me", "no checkpoint of a training or is damaged; remove it to start again"),
        (b"", "me", "is damaged"),
    ):
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        (tmp_path / curve.TABLE).write_bytes(table)
        with pytest.raises(FormatError, match=message):
            train(*lesson(), settings(), tmp_path, identity)
        assert (tmp_path / CHECKPOINT).read_bytes() == damaged and (tmp_path / curve.TABLE).read_bytes() == table


class Poisoned(Dataset[Batch]):
    """Batches of which one holds a NaN."""

    def __init__(self, data: Synthetic, index: int) -> None:
        self.data, self.index = data, index

    def __getitem__(self, index: int) -> Batch:
        batch = self.data[index]
        if index == self.index:
            batch.dim[0, 0, 3, 3] = torch.nan
        return batch


@pytest.mark.parametrize("step", [6, 7])  # which learn the first and the second step of a trajectory
def test_nan_in_the_data_stops_at_its_step_and_leaves_the_checkpoint(step: int, tmp_path: Path) -> None:
    recipe, data = lesson()
    with pytest.raises(StageError, match=f"got NaN or infinity in the data at step {step}; expected finite pictures"):
        train(recipe, Poisoned(data, step), settings(), tmp_path, "me")
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 4 and all(bool(value.isfinite().all()) for value in state["average"].values())


def test_a_training_that_diverges_stops_before_its_weights_are_spoilt(tmp_path: Path) -> None:
    recipe, data = lesson()
    with pytest.raises(StageError, match=r"got a loss of .* at step \d+; expected finite ones: lower `rate`"):
        train(recipe, data, settings(rate=1e37, warmup=0, checkpoint_every=1), tmp_path, "me")
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert all(bool(value.isfinite().all()) for value in state["model"].values())


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_short_training_makes_held_out_pictures_better(optimizer: str, tmp_path: Path) -> None:
    figures: dict[int, float] = {}
    recipe, data = lesson(1)
    train(
        recipe,
        data,
        settings(120, judge_every=30, rate=3e-3, average=0.9, optimizer=optimizer),
        tmp_path,
        "me",
        validated=lambda step, found: figures.update({step: found["x20, 1 step"]}),
    )
    assert list(figures) == [30, 60, 90, 120]
    assert figures[120] > figures[30] + 1.0


def test_published_training_runs_through_all_steps_and_learns_their_weights(tmp_path: Path) -> None:
    recipe, data = lesson(3, loss="l1", through=True)
    weights = train(recipe, data, settings(6), tmp_path, "me")
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)["model"]
    assert set(weights) == set(Design(width=2).build().state_dict())
    assert state["beside.free"].shape == (2,) and float((state["beside.free"] - 1 / 3).abs().min()) > 1e-5
    again = train(recipe, data, settings(6), tmp_path / "again", "me")
    assert equal(weights, again)


def test_a_training_may_start_from_weights_of_the_same_network_only(tmp_path: Path) -> None:
    recipe, data = lesson(3, loss="l1", through=True)
    start = {name: torch.full_like(value, 0.01) for name, value in Design(width=2).build().state_dict().items()}
    weights = train(recipe, data, settings(1, rate=1e-9), tmp_path / "one", "me", start)
    assert all(torch.allclose(value, start[name], atol=1e-6) for name, value in weights.items())
    for name, tensors in (
        ("wide", Design(width=4).build().state_dict()),
        ("other", Design("nafnet-1", 2).build().state_dict()),
        ("less", dict(list(start.items())[1:])),
    ):
        with pytest.raises(FormatError, match="are of another network"):
            train(recipe, data, settings(1), tmp_path / name, "me", tensors)


def test_a_wider_network_goes_on_where_a_narrower_one_stands(tmp_path: Path) -> None:
    recipe, data = lesson(1)
    recipe = replace(recipe, design=Design(width=4))
    narrow = Design(width=2).build()
    weights = train(recipe, data, settings(1, rate=1e-9), tmp_path, "me", narrow.state_dict())
    wide = Design(width=4).build()
    wide.load_state_dict(weights)
    planes = torch.rand(2, Design().inputs, 32, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(wide(planes), narrow(planes), rtol=1e-4, atol=1e-5)
    assert all(bool((value != 0).any()) for value in weights.values())


def test_it_says_nothing_of_its_own_and_leaves_the_random_numbers_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(*lesson(), settings(1), tmp_path, "me")
    assert torch.equal(torch.rand(1), expected)
    assert capfd.readouterr() == ("", "")


def test_batches_made_by_workers_are_the_same(tmp_path: Path, whole: tuple[Path, dict[str, Tensor]]) -> None:
    assert equal(train(*lesson(), settings(workers=1), tmp_path, "me"), whole[1])


def test_the_rate_rises_stays_and_falls_to_a_hundredth() -> None:
    plan = Settings(1000, rate=1.0, warmup=100, decay=0.5)
    rates = [plan.rate_at(step) for step in range(1000)]
    assert rates[0] == 0.01 and rates[99] == rates[500] == 1.0
    assert rates[750] == pytest.approx(0.505) and rates[999] == pytest.approx(0.01, abs=1e-4)
    assert rates[:100] == sorted(rates[:100]) and rates[500:] == sorted(rates[500:], reverse=True)
    assert {Settings(1000, rate=1.0, warmup=0, decay=0.0).rate_at(step) for step in range(1000)} == {1.0}


def test_a_device_that_is_not_there_and_a_missing_library_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageError, match="got 1 x 'abacus', which Lightning Fabric can't use"):
        train(*lesson(), settings(accelerator="abacus"), tmp_path, "me")
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(StageError, match=r'pip install "rawpipe-isp\[train\]"'):
        train(*lesson(), settings(), tmp_path, "me")
    assert not (tmp_path / CHECKPOINT).exists()
