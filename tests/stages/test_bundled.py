"""The weights that come with rawpipe: what they promise, on scenes whose truth is known."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, NoiseModel, Pipeline, RawpipeWarning, bayer
from rawpipe.metrics import psnr_db
from rawpipe.stages import BlackLevel, Enhance, NoiseCalibration, RowNoise
from rawpipe.stages.enhance import Classical, ExposureDiffusion, LLFlow
from rawpipe.stages.enhance.training.photographs import dead_leaves
from rawpipe.stages.enhance.training.unprocess import sampled, typical, unprocess
from rawpipe.stages.enhance.weights import Weights

MODELS = (ExposureDiffusion, LLFlow)
SETS = [path for model in MODELS for path in model.weight_sets().values()]
FLAT = slice(16, 112), slice(16, 112)  # of each of the eight fields of 128x128 cells


COLORS = ((0.5, 1.0, 1.0, 0.6), (0.9, 0.8, 0.8, 0.4), (0.3, 0.7, 0.7, 0.9), (0.8, 0.9, 0.9, 0.8))
GREYS = ((0.5, 1.0, 1.0, 0.65),) * 4


def chart(cfa: str, colors: tuple[tuple[float, ...], ...] = COLORS) -> Tensor:
    """Eight flat fields, 1 to 60 % of saturation (H, W)."""
    levels = torch.tensor([0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6])
    fields = levels[:, None] * torch.tensor(colors).repeat(2, 1)
    planes = fields.T.reshape(4, 2, 4).repeat_interleave(128, 1).repeat_interleave(128, 2)
    return bayer.unpack(planes, cfa, 512, 1024)


def exposed(truth: Tensor, cfa: str, ratio: float, iso: float = 1600, seed: int = 0) -> Frame:
    """Counts of a Sony A7S2 that was exposed too short."""
    model = NoiseModel.virtual("SonyA7S2", iso=iso)
    white = float(model.saturation_dn.min())
    counts = model.sample(truth * white / ratio, cfa, torch.Generator().manual_seed(seed)) + 512
    return Frame.from_array(
        counts, cfa, black=512, white=512 + white, bits=14, neutral=(0.5, 1, 0.65), iso=iso, make="Sony", model="A7S2"
    )


def pipeline(model: object, ratio: float) -> Pipeline:
    calibration = NoiseCalibration(NoiseModel.virtual("SonyA7S2", iso=1600))
    return Pipeline([calibration, BlackLevel(), RowNoise("picture"), Enhance(model, exposure=ratio)])  # type: ignore[arg-type]


def scene() -> Tensor:
    """Overlapping discs of all sizes, which no training has seen, as a mosaic (384, 512)."""
    (leaves,) = dead_leaves(1, 512, seed=20_000)
    return bayer.unpack(sampled(unprocess(leaves[None, :, :384] / 255, typical()))[0], "RGGB", 384, 512)


@pytest.mark.parametrize("model", MODELS)
def test_there_is_a_default_set_that_products_may_use(model: Any) -> None:
    weights = Weights.read(model.weight_sets()["default"])
    assert not weights.research_only and weights.licence == "Apache-2.0"


@pytest.mark.parametrize("path", SETS, ids=lambda path: f"{path.parts[-3]} {path.stem}")
def test_every_set_is_small_and_has_a_card_with_its_own_hash(path: Path) -> None:
    weights = Weights.read(path)
    assert path.stat().st_size <= 16_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert weights.sha256 in card and weights.licence in card
    for heading in ("## Learned from", "## Recipe", "## Figures", "## Known failures"):
        assert heading in card
    assert weights.training["config"]["training"]["steps"] > 0
    assert re.fullmatch("[0-9a-f]{64}", weights.training["data_sha256"])


@pytest.mark.parametrize(
    ("model", "ratio", "by_db"),
    [(ExposureDiffusion(), 20.0, 0.0), (ExposureDiffusion(), 100.0, 1.0), (ExposureDiffusion(), 300.0, 1.0),
     (LLFlow(), 20.0, -2.0), (LLFlow(), 100.0, 1.0), (LLFlow(), 300.0, 1.0)],
)  # fmt: skip
def test_in_the_dark_it_beats_the_classical_model(model: object, ratio: float, by_db: float) -> None:
    truth = scene()
    frame = exposed(truth, "RGGB", ratio)
    learned, classical = (pipeline(one, ratio)(frame).data for one in (model, Classical()))
    assert psnr_db(learned, truth) > psnr_db(classical, truth) + by_db


@pytest.mark.parametrize(("ratio", "name"), [(4.0, "default"), (300.0, "dark")])
def test_exposure_diffusion_takes_the_set_for_the_noise_and_a_replay_takes_the_same(ratio: float, name: str) -> None:
    frame = exposed(scene(), "RGGB", ratio)
    result = pipeline(ExposureDiffusion(), ratio)(frame)
    hashed, said, *_ = str(dict(result.history[-1].parameters)["weights"]).split()
    assert said == f"{name}," and Weights.read(ExposureDiffusion.weight_sets()[name]).sha256.startswith(hashed)
    torch.testing.assert_close(Pipeline.from_history(result.history)(frame).data, result.data, atol=0, rtol=0)
    assert hashed in ExposureDiffusion().weights_used()
    asked = pipeline(ExposureDiffusion(weights=name), ratio)(frame)
    torch.testing.assert_close(asked.data, result.data, atol=0, rtol=0)


def test_the_set_for_the_dark_is_the_better_one_where_it_is_taken_and_only_there() -> None:
    truth = scene()
    for ratio, better, worse in ((4.0, "default", "dark"), (300.0, "dark", "default")):
        frame = exposed(truth, "RGGB", ratio)
        one, other = (pipeline(ExposureDiffusion(weights=name), ratio)(frame).data for name in (better, worse))
        assert psnr_db(one, truth) > psnr_db(other, truth)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("model", MODELS)
def test_flat_fields_keep_their_colour(model: Any, cfa: str) -> None:
    truth = chart(cfa)
    result = pipeline(model(), 100)(exposed(truth, cfa, 100)).data
    got, expected = bayer.pack(result, cfa), bayer.pack(truth, cfa)
    for row in range(2):
        for column in range(4):
            field = (
                ...,
                *(
                    slice(128 * at + inner.start, 128 * at + inner.stop)
                    for at, inner in zip((row, column), FLAT, strict=True)
                ),
            )
            off = (got[field].mean((-2, -1)) - expected[field].mean((-2, -1))).abs()
            assert bool((off < 0.002 + 0.02 * expected[field].mean((-2, -1))).all())


@pytest.mark.parametrize("model", MODELS)
def test_the_noise_profile_of_its_dng_is_the_noise_in_the_files_grey_patches(model: Any, tmp_path: Path) -> None:
    cfa = "GBRG"
    path = tmp_path / "dark.dng"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        pipeline(model(), 100)(exposed(chart(cfa, GREYS), cfa, 100)).write(path, matrix="generic")
        frame = BlackLevel()(Frame.read(path))
    assert frame.noise is not None and frame.cfa == cfa
    planes = bayer.pack(frame.data, cfa)
    measured, said = [], []
    for number in range(8):
        rows, columns = (
            slice(128 * at + inner.start, 128 * at + inner.stop)
            for at, inner in zip(divmod(number, 4), FLAT, strict=True)
        )
        field = planes[:, rows, columns]
        measured.append(field.var((1, 2)).mean())
        said.append(frame.noise.variance(field.mean((1, 2))).mean())
    each = [float((one / other).sqrt()) for one, other in zip(measured, said, strict=True)]
    assert sum(each) / len(each) == pytest.approx(1, abs=0.2)
    assert each[4] == pytest.approx(1, abs=0.2)  # at a fifth of saturation


def test_frames_of_another_strength_lie_between() -> None:
    truth = scene()
    frame = exposed(truth, "RGGB", 100)
    half = pipeline(ExposureDiffusion(), 100)
    half = half.replace("enhance", replace(half["enhance"], strength=0.5))  # type: ignore[type-var]
    none, full = BlackLevel()(frame).data * 100, pipeline(ExposureDiffusion(), 100)(frame).data
    between = half(frame).data
    assert psnr_db(none, truth) < psnr_db(between, truth) < psnr_db(full, truth)
