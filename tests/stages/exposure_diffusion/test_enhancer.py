"""ExposureDiffusion in the pipeline, on random weights: sizes, tiles, bright areas, history, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import Frame, Noise, NoiseModel, Pipeline, PipelineError, Space, StageError, bayer
from rawpipe.stages import BlackLevel, Demosaic, Enhance, NoiseCalibration, WhiteBalance
from rawpipe.stages.enhance import ExposureDiffusion, change, loading, spread
from rawpipe.stages.enhance.brightness import auto_ratio
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.weights import Weights

POOLING = Design("nafnet-1", 4, window=32)

Scene = Callable[..., Frame]
Written = Callable[..., str]


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (33, 47), (64, 31)])
def test_all_phases_and_sizes_come_back_as_large_and_brighter_by_the_ratio(
    scene: Scene, weights: str, cfa: str, size: tuple[int, int]
) -> None:
    frame = scene(*size, cfa)
    result = Enhance(ExposureDiffusion(weights=weights), exposure=20)(frame)
    assert result.data.shape == frame.data.shape and result.cfa == cfa
    assert result.data.isfinite().all()
    for got, expected in ((result.white, 20.0), (result.exposure_gain, 20.0), (result.black, 0.0)):
        torch.testing.assert_close(got, torch.full_like(got, expected))


def test_strength_leads_from_the_brighter_input_to_the_model(scene: Scene, noise: Noise, weights: str) -> None:
    frame = scene(64, 64)
    none, half, full = (
        Enhance(ExposureDiffusion(weights=weights), exposure=20, strength=one)(frame) for one in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(none.data, 20 * frame.data)
    torch.testing.assert_close(half.data, (none.data + full.data) / 2, atol=1e-5, rtol=1e-5)
    assert none.noise is not None
    torch.testing.assert_close(none.noise.read, 20 * noise.read, rtol=0.03, atol=0)
    torch.testing.assert_close(none.noise.shot, 20 * noise.shot, rtol=0.06, atol=0)


@pytest.mark.parametrize("photons", ["mean", "drawn"])
@pytest.mark.parametrize("origin", [(0, 0), (1, 0), (0, 1)])
def test_tiles_of_a_unet_agree_with_the_whole_in_every_phase(
    scene: Scene, weights: str, photons: str, origin: tuple[int, int]
) -> None:
    frame = scene(1000, 300)
    cut = frame.crop(*origin, 1000 - origin[0], 300 - origin[1])
    stage = Enhance(
        ExposureDiffusion(steps=1 if photons == "mean" else 2, weights=weights, photons=photons), exposure=20
    )
    stage = stage.measure(frame)
    assert stage.halo is not None
    whole = stage(cut).data
    top = 512
    lower = cut.crop(top - 448, 0, cut.height - top + 448, cut.width)
    torch.testing.assert_close(stage(lower).data[448:], whole[top:], atol=1e-4, rtol=0)
    assert float((whole - whole.mean()).abs().max()) > 0.01


def test_tiles_of_a_network_that_pools_agree_with_the_whole(scene: Scene, written: Written, tmp_path: Path) -> None:
    frame = scene(1700, 70)
    stage = Enhance(ExposureDiffusion(steps=2, weights=written(tmp_path, POOLING)), exposure=20)
    assert stage.grid == 2 * 24
    shares: list[float] = []
    tiled = Pipeline([stage]).run(frame, progress=lambda share, _: shares.append(share), max_memory=12_000_000).data
    assert len(shares) > 1
    torch.testing.assert_close(tiled, Pipeline([stage], rows=4000)(frame).data, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("steps", "size", "limit", "mirrored"),
    [(3, (4400, 32), 5_600_000, False), (1, (800, 800), 28_000_000, False), (1, (800, 784), 30_000_000, True)],
    ids=["strips", "tiles", "mirrored"],
)
def test_the_pipeline_cuts_tiles_that_agree(
    scene: Scene, weights: str, steps: int, size: tuple[int, int], limit: int, mirrored: bool
) -> None:
    model = ExposureDiffusion(steps=steps, weights=weights, mirrored=mirrored)
    pipeline, frame = Pipeline([Enhance(model, exposure=20)]), scene(*size)
    shares: list[float] = []
    tiles = pipeline.run(frame, progress=lambda share, _: shares.append(share), max_memory=limit).data
    assert len(shares) > 1
    whole = replace(pipeline, rows=10000)(frame).data
    torch.testing.assert_close(tiles, whole, atol=1e-4, rtol=0)


def test_a_lamp_keeps_its_shape_and_nothing_ends_at_one(scene: Scene, weights: str) -> None:
    frame = scene(96, 96)
    data = frame.data.clone()
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    lamp = torch.exp(-((y - 50) ** 2 + (x - 40) ** 2) / 60)
    data = data + lamp
    result = Enhance(ExposureDiffusion(weights=weights), exposure=100)(replace(frame, data=data))
    inside = lamp > 0.1  # ten times what the model can hold
    torch.testing.assert_close(result.data[inside], 100 * data[inside], rtol=1e-4, atol=0)
    assert float(result.data.max()) > 99


def test_the_mean_field_repeats_itself_and_drawn_photons_follow_the_seed(scene: Scene, weights: str) -> None:
    frame = scene(64, 64)
    same = [Enhance(ExposureDiffusion(weights=weights), exposure=50, seed=seed)(frame).data for seed in (0, 1)]
    assert torch.equal(*same)
    drawing = ExposureDiffusion(weights=weights, photons="drawn")
    first, again, other = (Enhance(drawing, exposure=50, seed=seed)(frame).data for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_maps_show_where_samples_differ_and_what_was_changed(scene: Scene, weights: str) -> None:
    frame = scene(64, 64)
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=50)
    map_ = spread(stage, frame, samples=4)
    assert map_.shape == frame.data.shape and float(map_.max()) > 0
    ratio = change(frame, stage(frame))
    noise = 50 * (1e-4 * stage(frame).data.clamp(min=0) / 50 + 9e-8 + 1e-8).sqrt()
    torch.testing.assert_close(ratio, (stage(frame).data - 50 * frame.data) / noise, rtol=1e-3, atol=1e-3)
    assert float(ratio.abs().max()) < 4.5  # the guard
    with pytest.raises(StageError, match="draws nothing"):
        spread(Enhance("classical"), frame)
    with pytest.raises(StageError, match="2 or more"):
        spread(stage, frame, samples=1)


def test_the_ratio_is_found_and_stands_in_the_history_with_the_weights(scene: Scene, weights: str) -> None:
    frame = scene(128, 128, level=0.01)
    stages = [Enhance(ExposureDiffusion(weights=weights))]
    result = Pipeline(stages)(frame)
    said = dict(result.history[0].parameters)
    assert said["exposure"] == pytest.approx(0.127 / 0.0072, rel=0.2)
    hashed = str(said["weights"])
    assert hashed.split()[0] == Weights.read(Path(weights)).sha256[:12]
    assert "Apache-2.0" in hashed and "learned from nothing" in hashed
    assert said["found"] == "exposure found in the picture"
    again = Pipeline.from_history(result.history)(frame)
    assert torch.equal(again.data, result.data)


def test_weights_other_than_those_of_the_history_are_refused(scene: Scene, weights: str) -> None:
    with pytest.raises(StageError, match="expected 0123456789ab"):
        Enhance(ExposureDiffusion(weights=weights), weights="0123456789ab w, MIT")(scene(32, 32))


def test_weights_are_chosen_by_name_or_path_and_models_without_any_refuse_them(weights: str) -> None:
    assert Enhance("exposure_diffusion", weights=weights).enhancer == ExposureDiffusion(weights=weights)
    with pytest.raises(StageError, match="which has none"):
        Enhance("classical", weights="default")


def test_a_recipe_holds_the_model_with_its_parameters(scene: Scene, weights: str) -> None:
    model = ExposureDiffusion(steps=2, weights=weights, guard=3.0)
    stage = Enhance(model, exposure=20)
    assert stage.model == f"exposure_diffusion(steps=2, weights={weights!r}, guard=3.0)"
    assert stage.enhancer == model
    frame = scene(64, 64)
    result = Pipeline([stage])(frame)
    again = Pipeline.from_recipe(Pipeline.from_history(result.history).recipe())
    assert torch.equal(again(frame).data, result.data)
    for wrong in (
        "exposure_diffusion(steps=",
        "exposure_diffusion(3)",
        "exposure_diffusion(stops=1)",
        "classical(h=print())",
    ):
        with pytest.raises(PipelineError, match="expected .*parameter=value"):
            Enhance(wrong)


def test_a_measured_stage_whose_parameters_are_replaced_measures_again(scene: Scene, weights: str) -> None:
    frame = scene(64, 64)
    ready = Enhance(ExposureDiffusion(weights=weights), exposure=20).measure(frame)
    torch.testing.assert_close(replace(ready, strength=0.0)(frame).data, 20 * frame.data)
    assert replace(ready, exposure=10)(frame).exposure_gain == 10


def test_nan_stays_in_its_pixel(scene: Scene, weights: str) -> None:
    frame = scene(96, 96)
    data = frame.data.clone()
    data[40, 41], data[50, 7] = torch.nan, torch.inf
    stage = Enhance(ExposureDiffusion(weights=weights)).measure(replace(frame, data=data))
    result = stage(replace(frame, data=data)).data
    assert int((~result.isfinite()).sum()) == 2 and result[40, 41].isnan() and result[50, 7].isinf()
    with pytest.raises(StageError, match="nan or infinity everywhere"):
        Enhance(ExposureDiffusion(weights=weights))(replace(frame, data=torch.full_like(data, torch.nan)))


def test_a_frame_with_black_in_it_and_a_frame_without_a_cell_are_refused(scene: Scene, weights: str) -> None:
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=20)
    with pytest.raises(StageError, match="put BlackLevel"):
        stage(replace(scene(32, 32), black=torch.full((4,), 0.1)))
    with pytest.raises(StageError, match="at least one 2x2 cell"):
        stage(scene(1, 32))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_black_and_a_white_frame_give_sane_results(noise: Noise, weights: str, level: float) -> None:
    frame = replace(Frame.from_array(torch.full((64, 64), level), "RGGB", space=Space.MOSAIC), noise=noise)
    stage = Enhance(ExposureDiffusion(weights=weights)).measure(frame)
    assert stage.exposure == (300.0 if level == 0 else 1.0)
    result = stage(frame)
    if level == 0:
        assert float(result.data.abs().max()) < 4.5 * 300 * float((noise.read[0] ** 2 + noise.row[0] ** 2).sqrt())
    else:
        torch.testing.assert_close(result.data, frame.data, rtol=1e-4, atol=1e-4)


def test_auto_exposure_finds_the_ratio_through_the_noise_and_spares_the_bright(scene: Scene, noise: Noise) -> None:
    dim = scene(256, 256, level=0.01)
    assert dim.noise is not None
    noisy = replace(dim, data=dim.data + 0.01 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0)))
    noisy = replace(noisy, noise=Noise(noise.shot, torch.full((4,), 0.01), noise.row))
    assert auto_ratio(noisy) == pytest.approx(auto_ratio(dim), rel=0.15)
    half_lit = dim.data.clone()
    half_lit[:, 224:] = 0.3
    assert auto_ratio(replace(dim, data=half_lit)) == pytest.approx(3.0, rel=0.01)
    balanced = WhiteBalance(gains=(2.0, 1.0, 1.5))(dim)
    assert auto_ratio(balanced) == pytest.approx(auto_ratio(dim), rel=1e-3)


def test_behind_white_balance_the_result_is_the_same(scene: Scene, weights: str) -> None:
    frame, balance = scene(64, 96), WhiteBalance(gains=(2.0, 1.0, 1.5))
    frame = replace(frame, neutral=torch.tensor([0.5, 1.0, 1 / 1.5]))  # of both: what is left is tried on grey
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=30)
    first, then = (Pipeline(stages)(frame) for stages in ([stage, balance], [balance, stage]))
    torch.testing.assert_close(then.data, first.data, atol=1e-4, rtol=1e-4)
    assert first.noise is not None and then.noise is not None
    torch.testing.assert_close(then.noise.read, first.noise.read, rtol=2e-2, atol=1e-7)


def test_compiled_and_in_lower_precision_the_result_is_close(scene: Scene, weights: str) -> None:
    frame = scene(96, 64)
    stage = Enhance(ExposureDiffusion(weights=weights, precision="float32"), exposure=30)
    plain = Pipeline([stage])(frame).data
    compiled = Pipeline([stage]).compile(backend="eager")(frame).data
    torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=0)
    low = Pipeline([replace(stage, model=ExposureDiffusion(weights=weights, precision="bfloat16"))])(frame).data
    torch.testing.assert_close(low, plain, atol=0.03, rtol=0)
    assert low.dtype == torch.float32 and not torch.equal(low, plain)


@pytest.mark.parametrize("able", [True, False])
def test_precision_is_that_of_the_machine_unless_it_is_named(
    scene: Scene, weights: str, able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_HAVE_HALF", {"cpu": lambda: able})
    frame = scene(64, 64)
    auto, low, full = (
        Enhance(ExposureDiffusion(weights=weights, precision=one), exposure=30)(frame).data
        for one in ("auto", "bfloat16", "float32")
    )
    assert torch.equal(auto, low) is able and torch.equal(auto, full) is not able


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 2.0},
        {"photons": "many"},
        {"guard": -1},
        {"guard": "x"},
        {"precision": "float16"},
        {"mirrored": 1},
    ],
)
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        ExposureDiffusion(**wrong)


@pytest.mark.parametrize("exposure", [0.5, 0, -3, 301, "bright", True, float("nan")])
def test_a_ratio_that_is_none_is_refused(weights: str, exposure: Any) -> None:
    with pytest.raises(StageError, match='expected the ratio, from 1 to 300.*or "auto"'):
        Enhance(ExposureDiffusion(weights=weights), exposure=exposure)


def test_a_frame_without_a_profile_is_refused(scene: Scene, weights: str) -> None:
    with pytest.raises(StageError, match=r"put NoiseCalibration\(\) before Enhance"):
        Enhance(ExposureDiffusion(weights=weights))(replace(scene(32, 32), noise=None))


def test_it_runs_in_the_whole_pipeline_and_gradients_reach_the_input(scene: Scene, weights: str) -> None:
    frame = scene(64, 64)
    counts = replace(frame, data=frame.data.clone().requires_grad_())
    result = Enhance(ExposureDiffusion(weights=weights), exposure=10)(counts)
    assert result.data.requires_grad
    raw = Frame.from_array((frame.data.clamp(0, 1) * 15000 + 512).round(), "GBRG", black=512, white=15512, bits=14)
    stages = [NoiseCalibration(NoiseModel.virtual("SonyA7S2", iso=800)), BlackLevel()]
    rgb = Pipeline([*stages, Enhance(ExposureDiffusion(weights=weights)), WhiteBalance(gains=(2, 1, 1.5)), Demosaic()])(
        raw
    )
    assert rgb.data.shape == (3, 64, 64)
