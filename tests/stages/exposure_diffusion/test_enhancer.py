"""ExposureDiffusion in the pipeline, on random weights: sizes, tiles, bright areas, guard, draws, files."""

from __future__ import annotations

import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import (
    FormatError,
    Frame,
    Noise,
    NoiseModel,
    Pipeline,
    PipelineError,
    RawpipeWarning,
    Space,
    StageError,
    bayer,
)
from rawpipe.stages import BlackLevel, Demosaic, Enhance, NoiseCalibration, WhiteBalance
from rawpipe.stages.enhance import ExposureDiffusion, change, spread
from rawpipe.stages.enhance.brightness import auto_ratio
from rawpipe.stages.enhance.draws import keyed, poisson, uniform
from rawpipe.stages.enhance.exposure_diffusion import load
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.limits import guarded, passed_through
from rawpipe.stages.enhance.weights import Weights

SMALL = Design("unet", 4)
POOLING = Design("nafnet-1", 4, window=32)
NOISE = Noise(torch.full((4,), 1e-4), torch.full((4,), 3e-4), torch.full((4,), 1e-4))


def written(folder: Path, design: Design = SMALL, name: str = "w", **about: Any) -> str:
    """A file of random weights; its last layer is made small, so that results look like pictures."""
    torch.manual_seed(0)
    tensors = {key: value.clone() for key, value in design.build().state_dict().items()}
    for key in tensors:
        if key.startswith(("conv10_1", "ending")):
            tensors[key] *= 0.1
    stated: dict[str, Any] = {
        "licence": "Apache-2.0",
        "research_only": False,
        "learned_from": "nothing",
        "training": {},
    }
    path = folder / f"{name}.safetensors"
    Weights("exposure_diffusion", name, asdict(design), **(stated | about), tensors=tensors).write(path)
    return str(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("weights"))


def scene(height: int, width: int, cfa: str = "RGGB", level: float = 0.01) -> Frame:
    """A dim mosaic with shapes in it, and noise that it knows."""
    y, x = torch.meshgrid(torch.arange(height) / 64, torch.arange(width) / 64, indexing="ij")
    truth = level * (0.6 + 0.3 * torch.sin(3 * y) * torch.cos(2 * x) + 0.4 * ((y % 1.5 > 0.7) & (x % 2 > 1.1)))
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(height, width, generator=generator) * (1e-4 * truth + 9e-8).sqrt()
    noise = noise + 1e-4 * torch.randn(height, 1, generator=generator)
    return replace(Frame.from_array(truth + noise, cfa, space=Space.MOSAIC), noise=NOISE)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (33, 47), (64, 31)])
def test_all_phases_and_sizes_come_back_as_large_and_brighter_by_the_ratio(
    weights: str, cfa: str, size: tuple[int, int]
) -> None:
    frame = scene(*size, cfa)
    result = Enhance(ExposureDiffusion(weights=weights), exposure=20)(frame)
    assert result.data.shape == frame.data.shape and result.cfa == cfa
    assert result.data.isfinite().all()
    for got, expected in ((result.white, 20.0), (result.exposure_gain, 20.0), (result.black, 0.0)):
        torch.testing.assert_close(got, torch.full_like(got, expected))


def test_strength_leads_from_the_brighter_input_to_the_model(weights: str) -> None:
    frame = scene(64, 64)
    none, half, full = (
        Enhance(ExposureDiffusion(weights=weights), exposure=20, strength=one)(frame) for one in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(none.data, 20 * frame.data)
    torch.testing.assert_close(half.data, (none.data + full.data) / 2, atol=1e-5, rtol=1e-5)
    assert none.noise is not None
    torch.testing.assert_close(none.noise.read, 20 * NOISE.read, rtol=0.03, atol=0)
    torch.testing.assert_close(none.noise.shot, 20 * NOISE.shot, rtol=0.06, atol=0)


@pytest.mark.parametrize("photons", ["mean", "drawn"])
@pytest.mark.parametrize("origin", [(0, 0), (1, 0), (0, 1)])
def test_tiles_of_a_unet_agree_with_the_whole_in_every_phase(
    weights: str, photons: str, origin: tuple[int, int]
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


def test_tiles_of_a_network_that_pools_agree_with_the_whole(tmp_path: Path) -> None:
    frame = scene(1700, 70)
    stage = Enhance(ExposureDiffusion(steps=2, weights=written(tmp_path, POOLING)), exposure=20)
    assert stage.grid == 2 * 24
    shares: list[float] = []
    tiled = Pipeline([stage], rows=48).run(frame, progress=lambda share, _: shares.append(share)).data
    assert len(shares) > 1
    torch.testing.assert_close(tiled, Pipeline([stage], rows=4000)(frame).data, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("steps", "size", "limit"), [(3, (5800, 32), None), (1, (800, 800), 80_000_000)], ids=["strips", "tiles"]
)
def test_the_pipeline_cuts_tiles_that_agree(weights: str, steps: int, size: tuple[int, int], limit: int | None) -> None:
    pipeline, frame = Pipeline([Enhance(ExposureDiffusion(steps=steps, weights=weights), exposure=20)]), scene(*size)
    shares: list[float] = []
    tiles = pipeline.run(frame, progress=lambda share, _: shares.append(share), max_memory=limit).data
    assert len(shares) > 1
    whole = replace(pipeline, rows=10000)(frame).data
    torch.testing.assert_close(tiles, whole, atol=1e-4, rtol=0)


def test_a_lamp_keeps_its_shape_and_nothing_ends_at_one(weights: str) -> None:
    frame = scene(96, 96)
    data = frame.data.clone()
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    lamp = torch.exp(-((y - 50) ** 2 + (x - 40) ** 2) / 60)
    data = data + lamp
    result = Enhance(ExposureDiffusion(weights=weights), exposure=100)(replace(frame, data=data))
    inside = lamp > 0.1  # ten times what the model can hold
    torch.testing.assert_close(result.data[inside], 100 * data[inside], rtol=1e-4, atol=0)
    assert float(result.data.max()) > 99


def test_highlights_are_blended_from_85_to_95_percent() -> None:
    level = torch.linspace(0.8, 1.0, 41)[:, None].expand(41, 9)
    quiet = Noise(torch.zeros(4), torch.zeros(4), torch.zeros(4))
    result = passed_through(level[None].expand(4, 41, 9), torch.zeros(4, 41, 9), quiet)[0, :, 4]
    share = result / level[:, 4]
    assert float(share[level[:, 4] < 0.84].max()) == 0
    assert float(share[level[:, 4] > 0.951].min()) == pytest.approx(1)
    assert ((share[1:] - share[:-1]) > -1e-6).all()


def test_noise_does_not_count_as_a_highlight() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(torch.full((4,), 0.25), torch.full((4,), 0.3), torch.zeros(4))
    planes = 0.3 + (0.25 * 0.3 + 0.09) ** 0.5 * torch.randn(4, 128, 128, generator=generator)
    assert (planes > 0.95).float().mean() > 0.03
    result = passed_through(planes, torch.full_like(planes, 0.3), noise)
    assert (result != 0.3).float().mean() < 1e-3


def test_the_guard_keeps_what_noise_does_not_explain() -> None:
    planes = torch.full((4, 40, 40), 0.2)
    planes[:, 10, 10] = 0.9  # a star
    result = torch.full_like(planes, 0.2)
    result[:, 24:] += 0.03  # a shadow lifted by less than a pixel's noise
    noise = Noise(torch.full((4,), 1e-3), torch.full((4,), 0.03), torch.zeros(4))
    kept = guarded(planes, result, noise, 4.0)
    sigma = float((noise.shot[0] * 0.2 + noise.read[0] ** 2).sqrt())
    assert float(kept[0, 10, 10]) > 0.9 - 12.6 * sigma
    lifted = (kept[:, 28:37, 8:32] - 0.2).abs()  # away from the step and the edges
    assert float(lifted.max()) < 1.05 * 4 * sigma / 9 < 0.6 * 0.03


def test_the_guard_keeps_the_colour_of_an_area() -> None:
    planes, noise = (
        torch.full((4, 150, 150), 0.2),
        Noise(torch.full((4,), 1e-3), torch.full((4,), 0.03), torch.zeros(4)),
    )
    result = planes.clone()
    result[3] += 0.01  # less than detail may change
    sigma = float((noise.shot[0] * 0.21 + noise.read[0] ** 2).sqrt())
    inside = guarded(planes, result, noise, 4.0)[3, 40:110, 40:110] - 0.2
    assert float(inside.max()) < 1.05 * sigma / 65


def test_the_guard_lets_pass_what_noise_explains() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(torch.full((4,), 0.01), torch.full((4,), 0.1), torch.full((4,), 0.05))
    clean = torch.full((4, 200, 200), 0.3)
    planes = clean + (0.01 * 0.3 + 0.01) ** 0.5 * torch.randn(4, 200, 200, generator=generator)
    planes = planes + 0.05 * torch.randn(4, 200, 1, generator=generator)
    assert float((guarded(planes, clean, noise, 4.0) - clean).abs().mean()) < 2e-3


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.7, 5.0, 15.0, 40.0, 3000.0])
def test_draws_have_the_moments_of_poisson(mean: float) -> None:
    count = 200_000
    draws = keyed(3, torch.zeros(2, dtype=torch.int64))(torch.full((1, 4, 250, 200), mean), 0).double()
    assert float(draws.mean()) == pytest.approx(mean, abs=4 * (mean / count) ** 0.5 + 1e-9)
    spread_of_variance = (mean * (1 + 2 * mean) / count) ** 0.5
    assert float(draws.var()) == pytest.approx(mean, abs=4 * spread_of_variance + 1e-9)
    assert torch.equal(draws, draws.round()) and float(draws.min()) >= 0


def test_the_greatest_draw_is_finite() -> None:
    most = (torch.tensor([2**63 - 1]) >> 41).float() + (2.0**22 + 0.5)
    assert float(most * 2.0**-23) < 1
    assert poisson(torch.tensor([3.0, 30.0, 3e6]), (most * 2.0**-23).expand(3)).isfinite().all()
    large_seed = uniform(torch.Size((1, 1, 1, 1)), torch.zeros(2, dtype=torch.int64), 2**40, 0)
    assert 0 < float(large_seed) < 1


def test_draws_are_the_quantiles_of_poisson() -> None:
    from scipy.stats import poisson as reference

    at = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    for mean in (0.3, 4.0, 16.0, 17.0, 100.0):
        got = poisson(torch.full_like(at, mean), at)
        off = (got - torch.from_numpy(reference.ppf(at.numpy(), mean))).abs()
        assert float(off.max()) <= (0 if mean <= 16 else 1)
        assert float(off.mean()) < 0.06


def test_draws_belong_to_the_place_the_step_and_the_seed() -> None:
    def at(y: int, x: int, seed: int = 5, step: int = 1, size: int = 40) -> Tensor:
        return uniform(torch.Size((1, 4, size, size)), torch.tensor([y, x]), seed, step)

    whole = at(0, 0)
    assert torch.equal(at(7, 9, size=20), whole[..., 7:27, 9:29])
    assert not torch.equal(at(0, 0, seed=6), whole) and not torch.equal(at(0, 0, step=2), whole)
    flat = torch.cat([at(0, 0, size=200).flatten(), at(0, 0, seed=6, size=200).flatten()])
    assert float(flat.mean()) == pytest.approx(0.5, abs=4 * (1 / 12 / flat.numel()) ** 0.5)
    for one, two in ((whole, at(0, 0, 6)), (whole, at(0, 0, 5, 2)), (whole[:, :1], whole[:, 1:2]), (whole, at(0, 1))):
        pairs = torch.stack([one.flatten(), two.flatten()])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 4 / pairs.shape[1] ** 0.5


def test_the_mean_field_repeats_itself_and_drawn_photons_follow_the_seed(weights: str) -> None:
    frame = scene(64, 64)
    same = [Enhance(ExposureDiffusion(weights=weights), exposure=50, seed=seed)(frame).data for seed in (0, 1)]
    assert torch.equal(*same)
    drawing = ExposureDiffusion(weights=weights, photons="drawn")
    first, again, other = (Enhance(drawing, exposure=50, seed=seed)(frame).data for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_maps_show_where_samples_differ_and_what_was_changed(weights: str) -> None:
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


def test_the_ratio_is_found_and_stands_in_the_history_with_the_weights(weights: str) -> None:
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


def test_weights_other_than_those_of_the_history_are_refused(weights: str) -> None:
    with pytest.raises(StageError, match="expected 0123456789ab"):
        Enhance(ExposureDiffusion(weights=weights), weights="0123456789ab w, MIT")(scene(32, 32))


def test_weights_are_chosen_by_name_or_path_and_models_without_any_refuse_them(weights: str) -> None:
    assert Enhance("exposure_diffusion", weights=weights).enhancer == ExposureDiffusion(weights=weights)
    with pytest.raises(StageError, match="which has none"):
        Enhance("classical", weights="default")


def test_a_recipe_holds_the_model_with_its_parameters(weights: str) -> None:
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


def test_a_measured_stage_whose_parameters_are_replaced_measures_again(weights: str) -> None:
    frame = scene(64, 64)
    ready = Enhance(ExposureDiffusion(weights=weights), exposure=20).measure(frame)
    torch.testing.assert_close(replace(ready, strength=0.0)(frame).data, 20 * frame.data)
    assert replace(ready, exposure=10)(frame).exposure_gain == 10


def test_nan_stays_in_its_pixel(weights: str) -> None:
    frame = scene(96, 96)
    data = frame.data.clone()
    data[40, 41], data[50, 7] = torch.nan, torch.inf
    stage = Enhance(ExposureDiffusion(weights=weights)).measure(replace(frame, data=data))
    result = stage(replace(frame, data=data)).data
    assert int((~result.isfinite()).sum()) == 2 and result[40, 41].isnan() and result[50, 7].isinf()
    with pytest.raises(StageError, match="nan or infinity everywhere"):
        Enhance(ExposureDiffusion(weights=weights))(replace(frame, data=torch.full_like(data, torch.nan)))


def test_a_frame_with_black_in_it_and_a_frame_without_a_cell_are_refused(weights: str) -> None:
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=20)
    with pytest.raises(StageError, match="put BlackLevel"):
        stage(replace(scene(32, 32), black=torch.full((4,), 0.1)))
    with pytest.raises(StageError, match="at least one 2x2 cell"):
        stage(scene(1, 32))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_black_and_a_white_frame_give_sane_results(weights: str, level: float) -> None:
    frame = replace(Frame.from_array(torch.full((64, 64), level), "RGGB", space=Space.MOSAIC), noise=NOISE)
    stage = Enhance(ExposureDiffusion(weights=weights)).measure(frame)
    assert stage.exposure == (300.0 if level == 0 else 1.0)
    result = stage(frame)
    if level == 0:
        assert float(result.data.abs().max()) < 4.5 * 300 * float((NOISE.read[0] ** 2 + NOISE.row[0] ** 2).sqrt())
    else:
        torch.testing.assert_close(result.data, frame.data, rtol=1e-4, atol=1e-4)


def test_auto_exposure_finds_the_ratio_through_the_noise_and_spares_the_bright() -> None:
    dim = scene(256, 256, level=0.01)
    assert dim.noise is not None
    noisy = replace(dim, data=dim.data + 0.01 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0)))
    noisy = replace(noisy, noise=Noise(NOISE.shot, torch.full((4,), 0.01), NOISE.row))
    assert auto_ratio(noisy) == pytest.approx(auto_ratio(dim), rel=0.15)
    half_lit = dim.data.clone()
    half_lit[:, 224:] = 0.3
    assert auto_ratio(replace(dim, data=half_lit)) == pytest.approx(3.0, rel=0.01)
    balanced = WhiteBalance(gains=(2.0, 1.0, 1.5))(dim)
    assert auto_ratio(balanced) == pytest.approx(auto_ratio(dim), rel=1e-3)


def test_behind_white_balance_the_result_is_the_same(weights: str) -> None:
    frame, balance = scene(64, 96), WhiteBalance(gains=(2.0, 1.0, 1.5))
    frame = replace(frame, neutral=torch.tensor([0.5, 1.0, 1 / 1.5]))  # of both: what is left is tried on grey
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=30)
    first, then = (Pipeline(stages)(frame) for stages in ([stage, balance], [balance, stage]))
    torch.testing.assert_close(then.data, first.data, atol=1e-4, rtol=1e-4)
    assert first.noise is not None and then.noise is not None
    torch.testing.assert_close(then.noise.read, first.noise.read, rtol=2e-2, atol=1e-7)


def test_compiled_and_in_lower_precision_the_result_is_close(weights: str) -> None:
    frame = scene(96, 64)
    stage = Enhance(ExposureDiffusion(weights=weights), exposure=30)
    plain = Pipeline([stage])(frame).data
    compiled = Pipeline([stage]).compile(backend="eager")(frame).data
    torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=0)
    low = Pipeline([replace(stage, model=ExposureDiffusion(weights=weights, precision="bfloat16"))])(frame).data
    torch.testing.assert_close(low, plain, atol=0.03, rtol=0)
    assert low.dtype == torch.float32 and not torch.equal(low, plain)


@pytest.mark.parametrize("backbone", ["unet", "nafnet-1", "nafnet-2"])
@pytest.mark.parametrize("origin", [False, True])
def test_published_checkpoints_load_by_path(tmp_path: Path, backbone: str, origin: bool) -> None:
    window = None if backbone == "unet" else 512
    design = Design(backbone, 4, origin=origin, sigma=False, clipped=True, window=window)
    network = design.build()
    path = tmp_path / "SID_Pg.pt"
    torch.save({"netG": {f"module.{key}": value for key, value in network.state_dict().items()}, "epoch": 3}, path)
    found = load.loaded(str(path), torch.device("cpu"))
    assert found.design == design
    channels = torch.rand(1, design.inputs, 48, 32, generator=torch.Generator().manual_seed(0))
    theirs = channels.reshape(1, -1, 4, 48, 32)[:, :, [0, 1, 3, 2]].reshape(channels.shape)  # R, Gr, B, Gb
    got, expected = found.module(channels), network(theirs)
    torch.testing.assert_close(got[:, 1:5], expected[:, [1, 2, 4, 3]])
    torch.testing.assert_close(got[:, [0, 5, 6, 7, 8]], expected[:, [0, 5, 6, 8, 7]])


def test_a_published_checkpoint_runs(tmp_path: Path) -> None:
    path = tmp_path / "SID_PGru.pth"
    torch.save(Design("unet", 4, sigma=False).build().state_dict(), path)
    result = Enhance(ExposureDiffusion(weights=str(path)), exposure=100)(scene(48, 40))
    assert result.data.isfinite().all()


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code ran",))


def test_foreign_and_damaged_files_are_refused_without_running_code(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "code.pt": ({"netG": Evil()}, "holds code"),
        "other.pt": ({"layer1.weight": torch.zeros(3, 3)}, "holds no UNet or NAFNet"),
        "list.pt": ([1, 2], "holds no UNet or NAFNet"),
        "channels.pt": (Design("unet", 4, sigma=True).build().state_dict(), "16 channels in"),
    }
    wide = Design("unet", 4, sigma=False).build().state_dict()
    cases["missing.pt"] = ({k: v for k, v in wide.items() if k != "conv5_1.bias"}, "don't fit")
    cases["last.pt"] = ({k: v for k, v in wide.items() if k != "conv10_1.bias"}, "first or last layer is missing")
    cases["first.pt"] = ({k: v for k, v in wide.items() if k != "conv1_1.weight"}, "first or last layer is missing")
    cases["nan.pt"] = ({k: torch.full_like(v, torch.nan) for k, v in wide.items()}, "NaN")
    for name, (content, expected) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(FormatError, match=expected):
            load.loaded(str(tmp_path / name), torch.device("cpu"))
    assert "code ran" not in capsys.readouterr().out
    content = Path(weights).read_bytes()
    for name, part, expected in (
        ("cut.safetensors", content[: len(content) // 2], "damaged"),
        ("empty.safetensors", b"", "damaged"),
        ("text.pt", b"hello", "no PyTorch checkpoint|holds code"),
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(FormatError, match=expected):
            load.loaded(str(tmp_path / name), torch.device("cpu"))
    with pytest.raises(FormatError, match="there is no such file"):
        load.loaded(str(tmp_path / "absent.pt"), torch.device("cpu"))
    with pytest.raises(FormatError, match="name the .safetensors file in it"):
        load.loaded(str(tmp_path), torch.device("cpu"))
    foreign = Weights("exposure_diffusion", "x", {"backbone": "unet", "hats": 3}, "MIT", False, "y", {}, wide)
    foreign.write(tmp_path / "later.safetensors")
    with pytest.raises(FormatError, match="of a model that this rawpipe doesn't know"):
        load.loaded(str(tmp_path / "later.safetensors"), torch.device("cpu"))
    with pytest.raises(FormatError, match="got set of weights 'defalt'"):
        load.loaded("defalt", torch.device("cpu"))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    Weights("llflow", "x", {}, "MIT", False, "y", {}, {"a": torch.zeros(2)}).write(path)
    with pytest.raises(FormatError, match="holds weights of llflow"):
        load.loaded(str(path), torch.device("cpu"))


def test_research_weights_warn_at_first_use_and_only_then(tmp_path: Path) -> None:
    path = written(tmp_path, name="research", research_only=True, licence="research only", learned_from="LOL")
    with pytest.warns(RawpipeWarning, match="'research' are for research only: they learned from LOL"):
        assert Enhance(ExposureDiffusion(weights=path)).halo
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = Pipeline([Enhance(ExposureDiffusion(weights=path), exposure=2)])(scene(32, 32))
    assert "research only" in str(result.history[0].parameters["weights"])


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"steps": 2.0}, {"photons": "many"}, {"guard": -1}, {"guard": "x"}, {"precision": "float16"}],
)
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        ExposureDiffusion(**wrong)


@pytest.mark.parametrize("exposure", [0.5, 0, -3, 301, "bright", True, float("nan")])
def test_a_ratio_that_is_none_is_refused(weights: str, exposure: Any) -> None:
    with pytest.raises(StageError, match='expected the ratio, from 1 to 300.*or "auto"'):
        Enhance(ExposureDiffusion(weights=weights), exposure=exposure)


def test_a_frame_without_a_profile_is_refused(weights: str) -> None:
    with pytest.raises(StageError, match=r"put NoiseCalibration\(\) before Enhance"):
        Enhance(ExposureDiffusion(weights=weights))(replace(scene(32, 32), noise=None))


def test_it_runs_in_the_whole_pipeline_and_gradients_reach_the_input(weights: str) -> None:
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
