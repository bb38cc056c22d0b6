"""LLFlow behind `Enhance`, with random weights: sizes, tiles, samples, files, and what is refused."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from rawpipe import Color, FormatError, Frame, Noise, Pipeline, Space, StageError, bayer
from rawpipe._tiles import Tiling, run_tiled
from rawpipe.colorimetry import CURVES
from rawpipe.stages import ToneCurve
from rawpipe.stages.enhance import Enhance, LLFlow, spread
from rawpipe.stages.enhance.equalise import equalisation, in_8_bits
from rawpipe.stages.enhance.llflow.domains import shown_rgb, to_linear
from rawpipe.stages.enhance.llflow.inputs import logarithm
from rawpipe.stages.enhance.llflow.load import loaded
from rawpipe.stages.enhance.llflow.model import Design
from rawpipe.stages.enhance.weights import Weights

CPU = torch.device("cpu")
NOISE = Noise(torch.full((4,), 1e-4), torch.full((4,), 3e-4), torch.full((4,), 1e-4))


def written(folder, design, shaken=0.005, **about):
    """A file of weights that follow random pictures; if shaken, no layer is the identity."""
    torch.manual_seed(0)
    net = design.build()
    with torch.no_grad():
        for name, one in net.named_parameters():
            if name.endswith((".4.weight", ".4.bias", ".4.logs")):
                one.add_(shaken * torch.randn_like(one))
    dark = logarithm(0.1 * torch.rand(2, design.inputs, 64, 64))
    net.initialise(dark, 0.5 + 0.1 * torch.randn(2, design.channels, 64, 64))
    stated = {"licence": "Apache-2.0", "research_only": False, "learned_from": "nothing", "training": {}}
    path = folder / f"{design.domain}.safetensors"
    Weights("llflow", design.domain, asdict(design), **(stated | about), tensors=net.state_dict()).write(path)
    return str(path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return written(tmp_path_factory.mktemp("raw"), Design("raw"))


@pytest.fixture(scope="module")
def rgb(tmp_path_factory):
    return written(tmp_path_factory.mktemp("rgb"), Design("rgb"))


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """Weights with which a brighter latent is a brighter picture."""
    return written(tmp_path_factory.mktemp("steady"), Design("rgb"), shaken=0.0)


def mosaic(height, width, cfa="RGGB", level=0.01):
    y, x = torch.meshgrid(torch.arange(height) / 32, torch.arange(width) / 32, indexing="ij")
    truth = level * (1 + 0.5 * torch.sin(3 * y) * torch.cos(2 * x))
    noise = torch.randn(height, width, generator=torch.Generator().manual_seed(1)) * (1e-4 * truth + 9e-8).sqrt()
    return replace(Frame.from_array(truth + noise, cfa, space=Space.MOSAIC), noise=NOISE)


def display(height, width, level=0.1):
    picture = level * torch.rand(3, height, width, generator=torch.Generator().manual_seed(2))
    return Frame.from_array(picture, space=Space.RGB, color=Color("srgb", "srgb"))


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (33, 47)])
def test_mosaics_of_all_phases_and_sizes_come_back_brighter_by_the_ratio(raw, cfa, size):
    frame = mosaic(*size, cfa)
    result = Enhance(LLFlow(weights=raw), exposure=20)(frame)
    assert result.data.shape == frame.data.shape and result.cfa == cfa
    assert result.data.isfinite().all() and not torch.equal(result.data, frame.data)
    torch.testing.assert_close(result.exposure_gain, torch.tensor(20.0))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (8, 8), (37, 51)])
def test_rgb_of_all_sizes_comes_back(rgb, size):
    frame = display(*size)
    result = Enhance(LLFlow("rgb", weights=rgb))(frame)
    assert result.data.shape == frame.data.shape and result.space is Space.RGB and result.color == frame.color
    assert result.data.min() >= 0 and result.data.max() <= 1


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_tiles_agree_with_the_whole(raw, rgb, temperature):
    for model, frame, exposure in (
        (LLFlow(weights=raw, temperature=temperature), mosaic(640, 160), 20.0),
        (LLFlow("rgb", weights=rgb, temperature=temperature), display(320, 96), None),
    ):
        stage = Enhance(model, exposure=exposure, _trial=False).measure(frame)
        whole = stage(frame).data

        def worst(halo, stage=stage, frame=frame, whole=whole):
            windows = Tiling(stage.grid * 6, 10**6, halo, stage.grid)
            assert len(list(windows.windows(frame))) > 1
            return float((whole - run_tiled(stage, frame, windows, lambda share: None).data).abs().max())

        assert worst(stage.halo) < 1e-4 * (exposure or 1) < worst(0)


def test_a_replay_and_a_wish_see_the_whole_picture(rgb):
    frame = display(96, 448)
    frame = replace(frame, data=frame.data * torch.linspace(0.1, 1, 448))
    linear = replace(frame, data=CURVES["srgb"].decode(frame.data), color=Color("srgb"))
    stage = Enhance(LLFlow("rgb", weights=rgb), exposure=1.2)
    result = Pipeline([ToneCurve(), stage])(linear)
    torch.testing.assert_close(result.data, stage(frame).data, rtol=0, atol=1e-4)
    assert torch.equal(Pipeline.from_history(result.history)(linear).data, result.data)


@pytest.mark.parametrize("name", ["llflow", "mine"])
def test_weights_given_by_their_path_are_replayed(tmp_path, raw, name):
    path = tmp_path / "default.safetensors"
    path.write_bytes(Path(raw).read_bytes())
    frame = mosaic(32, 32)
    model = "llflow" if name == "llflow" else f"llflow(weights={str(path)!r})"
    result = Pipeline([Enhance(model, exposure=20, weights=str(path) if name == "llflow" else None)])(frame)
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)


def test_tiles_are_equalised_like_the_whole(rgb):
    frame = display(64, 64)
    frame = replace(frame, data=frame.data * torch.linspace(0.1, 1, 64))
    ready = Enhance(LLFlow("rgb", weights=rgb)).measure(frame)
    module = loaded(rgb, CPU).module
    part = frame.crop(0, 0, 64, 32)
    tables = equalisation(in_8_bits(frame.data))
    expected = module.estimate(shown_rgb(part.data[None], tables))[0].clamp(0, 1)
    torch.testing.assert_close(ready(part).data, expected, rtol=0, atol=1e-5)


def test_the_likeliest_picture_is_the_same_every_time_and_samples_hang_on_the_seed(raw):
    frame = mosaic(64, 48)

    def found(seed, **options):
        return Enhance(LLFlow(weights=raw, guard=0, **options), exposure=20, seed=seed, _trial=False)(frame).data

    assert torch.equal(found(0), found(1))
    assert torch.equal(found(0, temperature=0.7), found(0, temperature=0.7))
    one, other = found(0, temperature=0.7), found(1, temperature=0.7)
    assert (one - other).abs().mean() > 0.01
    calm = found(0, temperature=0.7, samples=16)
    assert (calm - found(1, temperature=0.7, samples=16)).abs().mean() < 0.5 * (one - other).abs().mean()


def test_spread_of_samples(raw):
    frame = mosaic(64, 48)
    found = spread(Enhance(LLFlow(weights=raw), exposure=20), frame, samples=3)
    assert found.shape == frame.data.shape and found.min() >= 0 and found.mean() > 0


def test_a_frame_that_is_not_finite_in_places(raw, rgb):
    for model, frame, exposure in (
        (LLFlow(weights=raw), mosaic(32, 32), 20),
        (LLFlow("rgb", weights=rgb), display(32, 32), None),
    ):
        frame.data[..., 3, 5] = torch.nan
        result = Enhance(model, exposure=exposure)(frame).data
        assert result[..., 3, 5].isnan().all() and result.isfinite().sum() == result.numel() - result[..., 3, 5].numel()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_pictures(raw, rgb, value):
    flat = replace(display(24, 24), data=torch.full((3, 24, 24), value))
    assert Enhance(LLFlow("rgb", weights=rgb))(flat).data.isfinite().all()
    bayered = replace(mosaic(24, 24), data=torch.full((24, 24), value))
    assert Enhance(LLFlow(weights=raw), exposure=20)(bayered).data.isfinite().all()


@pytest.mark.parametrize("ratio", [0.8, 1.2, 1.5])
def test_a_picture_gets_as_bright_as_wished_through_its_latent(steady, ratio):
    frame = display(48, 64)
    own, brighter = (
        to_linear(Enhance(LLFlow("rgb", weights=steady), exposure=exposure)(frame).data).mean()
        for exposure in (None, ratio)
    )
    assert float(brighter / own) == pytest.approx(ratio, rel=0.02)


def test_the_light_that_likeliest_pictures_lack_is_added_through_the_latent(steady, tmp_path):
    weights, lit = Weights.read(Path(steady)), tmp_path / "lit.safetensors"
    replace(weights, model={**weights.model, "light": 1.25}).write(lit)
    frame = display(48, 64)
    for own, same in ((None, 1.25), (0.8, 1.0), (1.2, 1.5)):
        results = [
            Enhance(LLFlow("rgb", weights=str(path)), exposure=exposure)(frame).data
            for path, exposure in ((lit, own), (steady, same))
        ]
        torch.testing.assert_close(*results)


@pytest.mark.parametrize("light", [0.0, -1.0, math.inf, math.nan])
def test_light_is_a_number_above_0(light):
    with pytest.raises(StageError, match="got light .*; expected a number above 0"):
        Design("rgb", light=light)


@pytest.mark.parametrize("ratio", [20.0, 300.0])
def test_a_wish_beyond_all_reason_gives_a_bright_picture(steady, ratio):
    frame = display(48, 64)
    own, modest, found = (
        Enhance(LLFlow("rgb", weights=steady), exposure=one)(frame).data for one in (None, 1.5, ratio)
    )
    assert found.isfinite().all() and found.mean() > 0.95 * modest.mean() > own.mean()


def test_the_other_space_is_refused(raw, rgb):
    with pytest.raises(StageError, match="got RGB; .* takes MOSAIC"):
        Enhance(LLFlow(weights=raw)).measure(display(16, 16))
    with pytest.raises(StageError, match="got MOSAIC; .* takes RGB"):
        Enhance(LLFlow("rgb", weights=rgb)).measure(mosaic(16, 16))


def test_strength_blends(rgb):
    frame = display(16, 16)
    results = [Enhance(LLFlow("rgb", weights=rgb), strength=strength)(frame).data for strength in (0, 0.25, 1)]
    assert torch.equal(results[0], frame.data)
    torch.testing.assert_close(results[1], 0.75 * frame.data + 0.25 * results[2])


def test_linear_rgb_is_refused(rgb):
    frame = replace(display(16, 16), color=Color("srgb"))
    with pytest.raises(StageError, match="put ToneCurve"):
        Enhance(LLFlow("rgb", weights=rgb))(frame)


def test_weights_of_the_other_domain_are_refused(raw):
    with pytest.raises(FormatError, match=r"LLFlow\(domain='raw'\)"):
        Enhance(LLFlow("rgb", weights=raw))(display(16, 16))


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_published_checkpoint_loads_by_its_keys(tmp_path, size):
    net = Design("rgb", size).build()
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    width = 32 if size == "small" else 64
    extra = {
        "RRDB.HRconv.weight": torch.zeros(width, width, 3, 3),
        "flowUpsamplerNet.f.0.weight": torch.zeros(6, 9, 3, 3),
    }
    torch.save({"netG": state | extra}, tmp_path / "theirs.pth")
    found = loaded(str(tmp_path / "theirs.pth"), CPU)
    assert found.design == Design("rgb", size) and "licence unknown" in found.said
    assert all(torch.equal(value, found.module.state_dict()[key]) for key, value in net.state_dict().items())


def test_a_set_that_does_not_come_along_is_named():
    with pytest.raises(FormatError, match="'large'.*, or the path of a file"):
        Enhance(LLFlow("rgb", weights="large"))(display(16, 16))


def test_foreign_files_are_refused(tmp_path):
    state = Design("rgb").build().state_dict()
    first = "RRDB.conv_first.weight"
    cases = {
        "other.pth": ({"layer.weight": torch.zeros(3)}, "holds no LLFlow"),
        "width.pth": (state | {first: torch.zeros(48, 12, 3, 3)}, "expected 32 or 64"),
        "missing.pth": ({k: v for k, v in state.items() if k != "RRDB.trunk_conv.bias"}, "don't fit a small LLFlow"),
        "nan.pth": (state | {first: state[first] * torch.nan}, "NaN"),
    }
    for name, (content, expected) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(FormatError, match=expected):
            loaded(str(tmp_path / name), CPU)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": 1.1},
        {"temperature": float("nan")},
        {"samples": 0, "temperature": 0.5},
        {"samples": 4},
        {"domain": "hsv"},
        {"guard": -1},
        {"guard": float("inf")},
        {"precision": "float16"},
    ],
    ids=str,
)
def test_parameters_out_of_range(wrong):
    with pytest.raises(StageError, match="got .*expected"):
        LLFlow(**wrong)
