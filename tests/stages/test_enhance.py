"""Enhance, and its classical model, on scenes and noise that are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, Noise, NoiseModel, Pipeline, PipelineError, Space, StageError, bayer
from rawpipe.stages import BlackLevel, Enhance, NoiseCalibration, WhiteBalance
from rawpipe.stages.enhance import Classical, Enhancer
from rawpipe.stages.enhance import classical as room
from rawpipe.stages.enhance.enhancer import Given, Run
from rawpipe.testing import synthetic_frame

MODEL = NoiseModel(gain_dn_per_e=3.0, read_sigma_dn=8.0)
SCALE = 15000.0


def scene(size: tuple[int, int]) -> Tensor:
    """Dark smooth shapes with edges, in DN."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, length) for length in size), indexing="ij")
    disc = ((y - 0.5) ** 2 + (x - 0.4) ** 2 < 0.06).float()
    return 60 + 900 * disc * (0.5 + x) + 300 * (x + 0.3 * y > 0.9) + 200 * y


def noisy(truth: Tensor, cfa: str = "RGGB", model: NoiseModel = MODEL, seed: int = 0) -> Frame:
    """A linear mosaic that knows its noise."""
    counts = model.sample(truth, cfa, torch.Generator().manual_seed(seed))
    frame = Frame.from_array(counts / SCALE, cfa, space=Space.MOSAIC)
    return replace(frame, noise=model.summary().scaled(torch.tensor(1 / SCALE)))


def psnr_db(data: Tensor, truth: Tensor) -> float:
    return float(-10 * (data - truth / SCALE).square().mean().log10())


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_the_classical_model_gains_decibels_in_every_phase(cfa: str) -> None:
    truth = scene((129, 191))
    frame = noisy(truth, cfa)
    assert psnr_db(Enhance()(frame).data, truth) > psnr_db(frame.data, truth) + 9


@pytest.mark.parametrize("level_e", [0.0, 0.5, 3.0, 30.0])
def test_shadows_keep_their_level(level_e: float) -> None:
    truth = torch.full((256, 256), 3.0 * level_e)
    frame = noisy(truth)
    error = float((Enhance()(frame).data - frame.data).mean()) * SCALE
    assert abs(error) < 0.12 * float(MODEL.variance(truth, "RGGB").mean()) ** 0.5


def test_saturated_areas_stay() -> None:
    truth = scene((128, 128))
    truth[40:80, 40:80] = SCALE
    frame = replace(noisy(truth), data=torch.where(truth == SCALE, 1.0, noisy(truth).data))
    inside = Enhance()(frame).data[46:74, 46:74]
    torch.testing.assert_close(inside, torch.ones_like(inside), atol=2e-4, rtol=0)


def test_strength_leads_from_the_picture_to_the_model() -> None:
    truth = scene((96, 128))
    frame = noisy(truth)
    none, half, full = (Enhance(strength=strength)(frame) for strength in (0.0, 0.5, 1.0))
    assert torch.equal(none.data, frame.data)
    torch.testing.assert_close(half.data, (frame.data + full.data) / 2, atol=1e-6, rtol=0)
    assert none.noise is not None and half.noise is not None and full.noise is not None and frame.noise is not None
    torch.testing.assert_close(none.noise.read, frame.noise.read, rtol=0.02, atol=0)
    torch.testing.assert_close(none.noise.shot, frame.noise.shot, rtol=0.05, atol=0)
    assert (full.noise.read < half.noise.read).all() and (half.noise.read < none.noise.read).all()


@pytest.mark.parametrize("level", [0.0, 100.0, 2000.0])
@pytest.mark.parametrize("row", [0.0, 6.0])
def test_the_noise_that_is_left_on_a_flat_field_is_what_the_frame_says(level: float, row: float) -> None:
    model = replace(MODEL, row_sigma_dn=torch.tensor(row))
    frame = noisy(torch.full((2048, 256), level), "GBRG", model, seed=7)
    result = Enhance()(frame)
    assert result.noise is not None and frame.noise is not None
    for site in range(4):
        plane = bayer.view(result.data, "GBRG", site)
        said = float(result.noise.variance(plane.mean().expand(4))[site])
        assert float(plane.var()) == pytest.approx(said, rel=0.25)
        assert said < 0.2 * float(frame.noise.variance(plane.mean().expand(4))[site])


@pytest.mark.parametrize("row", [0.0, 2.0, 6.0])
def test_sites_of_the_same_noise_are_left_with_the_same(row: float) -> None:
    frame = noisy(torch.full((64, 64), 100.0), "GBRG", replace(MODEL, row_sigma_dn=torch.tensor(row)))
    left = Enhance()(frame).noise
    assert left is not None
    for values in (left.read, left.row, left.shot):
        assert float(values.max() - values.min()) <= 0.03 * float(values.mean())
    assert (left.read > 0).all()
    assert bool((left.row > 0).all()) == (row > 0)


def test_behind_white_balance_the_result_is_the_same() -> None:
    truth, balance = scene((96, 128)), WhiteBalance(gains=(2.0, 1.0, 1.5))
    frame = noisy(truth)
    first, then = (Pipeline(stages)(frame) for stages in ([Enhance(), balance], [balance, Enhance()]))
    torch.testing.assert_close(then.data, first.data, atol=2e-6, rtol=1e-4)
    assert first.noise is not None and then.noise is not None
    torch.testing.assert_close(then.noise.read, first.noise.read, rtol=1e-3, atol=0)


def test_a_frame_that_does_not_know_its_noise_is_refused() -> None:
    with pytest.raises(StageError, match=r"put NoiseCalibration\(\) before Enhance"):
        Enhance()(synthetic_frame(Space.MOSAIC))


@pytest.mark.parametrize("rows", [8, 64])
def test_in_strips_and_compiled_the_result_is_the_same(rows: int) -> None:
    frame = synthetic_frame(Space.SENSOR, 150, 131, "GRBG")
    stages = [NoiseCalibration(MODEL), BlackLevel(), Enhance()]
    whole = Pipeline(stages, rows=1000)(frame).data
    for pipeline in (Pipeline(stages, rows=rows), Pipeline(stages, rows=rows).compile(backend="eager")):
        torch.testing.assert_close(pipeline(frame).data, whole, atol=1e-6, rtol=0)


def test_the_history_repeats_it() -> None:
    frame = synthetic_frame(Space.SENSOR, 64, 64)
    result = Pipeline([NoiseCalibration(MODEL), BlackLevel(), Enhance(strength=0.7)])(frame)
    assert dict(result.history[2].parameters) == {
        "model": "classical",
        "exposure": 1.0,
        "strength": 0.7,
        "seed": 0,
        "weights": None,
        "found": "",
    }
    again = Pipeline.from_recipe(Pipeline.from_history(result.history).recipe())(frame)
    assert torch.equal(again.data, result.data)


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (5, 7), (2, 40)])
def test_the_smallest_pictures_are_taken(size: tuple[int, int]) -> None:
    frame = noisy(torch.full(size, 100.0), "BGGR")
    assert Enhance()(frame).data.isfinite().all()


def test_noise_of_one_kind_only_is_taken() -> None:
    frame, four = noisy(scene((64, 64))), torch.ones(4)
    for shot, read in ((0.0, 1e-3), (1e-4, 0.0), (0.0, 0.0)):
        result = Enhance()(replace(frame, noise=Noise(shot * four, read * four, 0 * four)))
        assert result.data.isfinite().all()


@dataclass(frozen=True)
class Doubled:
    """A model with a grid and context of its own."""

    halo = 3
    grid = 4

    def prepared(self, given: Given) -> Run:
        return lambda planes, place: 2 * planes


def test_a_model_of_your_own_is_taken() -> None:
    model: Enhancer = Doubled()
    frame, stage = noisy(scene((33, 47))), Enhance(model)
    assert (stage.halo, stage.grid, stage.working_bytes) == (8, 8, 400)
    assert torch.equal(stage(frame).data, 2 * frame.data)
    noise = stage(frame).noise
    assert noise is not None and frame.noise is not None
    torch.testing.assert_close(noise.read, 2 * frame.noise.read, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    "wrong", [{"strength": -0.1}, {"strength": 1.5}, {"strength": "1"}, {"model": 5}, {"model": Classical}]
)
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        Enhance(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"h": 0}, {"h": "1"}, {"patch": 4}, {"patch": 0}, {"distance": 0}, {"distance": 2.5}]
)
def test_parameters_of_the_classical_model_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        Classical(**wrong)


def test_an_unknown_model_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(PipelineError, match=r"got enhancer 'clasical'.*did you mean 'classical'.*rawpipe\.enhancers"):
        Enhance("clasical")


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(StageError, match=r'pip install "rawpipe-isp\[classical\]"'):
        Enhance()(noisy(scene((32, 32))))
