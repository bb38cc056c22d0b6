"""Scores, methods and tables of display-referred RGB, on pairs whose truth is known."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from rawpipe import Color, FormatError, Frame, FrameError, PipelineError, Space
from rawpipe.lpips import _LAYERS, Lpips
from rawpipe.stages.enhance import Enhance, LLFlow
from rawpipe.stages.enhance.evaluation.display import (
    DISPLAY_ALIGNMENTS,
    OF_TRUTH,
    as_scored,
    display_score,
    gray,
    psnr_in_8_bits,
)
from rawpipe.stages.enhance.evaluation.display_methods import (
    DISPLAY_METHODS,
    Blind,
    FittedGamma,
    enhanced,
    with_equal_histograms,
)
from rawpipe.stages.enhance.evaluation.display_table import DISPLAY_FORMATS, DisplayTable, evaluate_display, lol_pairs
from rawpipe.stages.enhance.evaluation.protocols import AS_IS
from rawpipe.stages.enhance.llflow.model import Design
from rawpipe.stages.enhance.training.lol import TABLES
from rawpipe.stages.enhance.weights import Weights

BOTH = (AS_IS, OF_TRUTH)


def levels(seed: int, least: int = 0, most: int = 255) -> Tensor:
    """A picture of whole levels of 8 bits, in 0..1."""
    return torch.randint(least, most + 1, (3, 32, 40), generator=torch.Generator().manual_seed(seed)) / 255


def flat(*rgb: float) -> Tensor:
    return torch.tensor(rgb).view(3, 1, 1).expand(3, 32, 40)


def test_psnr_is_of_8_bits_over_all_values() -> None:
    truth = flat(100 / 255, 50 / 255, 200 / 255)
    assert psnr_in_8_bits(truth + 10.3 / 255, truth) == pytest.approx(20 * math.log10(255 / 10))
    assert psnr_in_8_bits(truth + 0.4 / 255, truth) == math.inf
    result, other = levels(0), levels(1)
    expected = peak_signal_noise_ratio(*((one.numpy() * 255).round().astype(np.uint8) for one in (other, result)))
    assert psnr_in_8_bits(result, other) == pytest.approx(expected)


def test_ssim_is_given_of_gray_and_of_rgb() -> None:
    truth = levels(0)
    result = torch.cat([truth[:2], levels(1)[2:]])  # another blue, which is little of the gray
    found = display_score(result, truth)
    one, two = ((picture.double().numpy() * 255).round() for picture in (result, truth))
    rgb = structural_similarity(two, one, win_size=7, data_range=255, channel_axis=0)  # type: ignore[no-untyped-call]
    grays = [np.round(np.einsum("c,chw->hw", (0.299, 0.587, 0.114), picture)) for picture in (two, one)]
    of_gray = structural_similarity(*grays, win_size=7, data_range=255)  # type: ignore[no-untyped-call]
    assert (found.ssim_gray, found.ssim_rgb) == pytest.approx((of_gray, rgb))
    assert of_gray > rgb + 0.2


def test_the_brightness_of_the_truth_is_its_gray_as_published_over_the_plain_mean() -> None:
    truth, result = flat(0.9, 0.3, 0.1), flat(0.1, 0.2, 0.3)
    factor = (0.114 * 0.9 + 0.587 * 0.3 + 0.299 * 0.1) / 0.2  # blue's weight is red's, and red's blue's
    expected = (flat(0.1, 0.2, 0.3).double() * factor * 255).floor()
    assert torch.equal(as_scored(result, truth, OF_TRUTH), expected)
    assert not torch.equal(as_scored(result, truth), as_scored(result, truth, OF_TRUTH))


def test_with_the_brightness_of_the_truth_levels_are_truncated_and_cut() -> None:
    truth = flat(0.5, 0.5, 0.5)
    result = torch.where(torch.arange(40) < 20, 0.2, 0.4).expand(3, 32, 40)  # times 5 / 3: 85, 170
    assert set(as_scored(result * 1.003, truth, OF_TRUTH).flatten().tolist()) <= {84, 85, 169, 170}
    bright = torch.where(torch.arange(40) < 36, 0.0, 1.0).expand(3, 32, 40)  # times 5
    assert as_scored(bright, truth, OF_TRUTH).max() == 255


def test_only_a_gray_truth_is_found_again_from_half_its_brightness() -> None:
    truth = levels(0, 20, 120).mean(0, keepdim=True).expand(3, -1, -1)
    assert psnr_in_8_bits(truth / 2, truth, OF_TRUTH) > 45 > 20 > psnr_in_8_bits(truth / 2, truth)


def test_a_black_result_stays_black() -> None:
    assert torch.equal(as_scored(flat(0, 0, 0), levels(0), OF_TRUTH), torch.zeros(3, 32, 40).double())


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(PipelineError, match="got alignment 'brightness'; expected one of as-is"):
        display_score(levels(0), levels(1), "brightness")
    with pytest.raises(FrameError, match="expected one shape"):
        psnr_in_8_bits(levels(0)[:, 1:], levels(1))


def lpips() -> Lpips:
    draw = torch.Generator().manual_seed(0)
    kernels = [torch.randn(out, into, side, side, generator=draw) / 10 for out, into, side in _LAYERS]
    weights = [torch.rand(out, generator=draw) for out, _, _ in _LAYERS]
    return Lpips(tuple(kernels), tuple(torch.zeros(out) for out, _, _ in _LAYERS), tuple(weights))


def test_lpips_is_measured_on_what_is_scored_if_its_weights_are_there() -> None:
    network, result, truth = lpips(), levels(0), levels(1)
    assert math.isnan(display_score(result, truth).lpips)
    assert display_score(truth, truth, lpips=network).lpips == 0
    for alignment in BOTH:
        scored = (as_scored(result, truth, alignment) / 255).float()
        expected = float(network(scored[None], truth[None]))
        assert display_score(result, truth, alignment, network).lpips == pytest.approx(expected, rel=1e-4)


def test_the_fitted_gamma_is_the_one_that_made_the_picture_dark() -> None:
    truth = levels(0, 1).mean(0, keepdim=True).expand(3, -1, -1)
    for gamma in (0.2, 1.0, 1.7):
        torch.testing.assert_close(FittedGamma()(truth ** (1 / gamma), truth), truth.double(), atol=1e-3, rtol=0)


def test_no_gamma_is_nearer_in_gray_than_the_fitted_one() -> None:
    dark, truth = levels(0) ** 2 / 8, levels(1)
    least = (gray(FittedGamma()(dark, truth)) - gray(truth.double())).square().mean()
    others = [(gray(dark.double() ** g) - gray(truth.double())).square().mean() for g in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)]
    assert least <= min(others) * (1 + 1e-6)


def test_equal_histograms_are_those_of_the_whole_picture() -> None:
    found = with_equal_histograms(levels(0) / 5)
    for channel in found:
        torch.testing.assert_close(channel.flatten().sort().values, torch.linspace(0, 1, 32 * 40), atol=0.04, rtol=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: Any) -> LLFlow:
    torch.manual_seed(0)
    design = Design("rgb")
    network = design.build()
    network.initialise(torch.rand(2, 6, 32, 32).log(), torch.rand(2, 3, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    stated = {"licence": "CC0", "research_only": False, "learned_from": "nothing", "training": {}}
    Weights("llflow", "mine", asdict(design), **stated, tensors=network.state_dict()).write(path)
    return LLFlow("rgb", weights=str(path))


def test_a_model_does_what_enhance_does_with_it(model: LLFlow) -> None:
    dark = levels(0)[:, :29, :37] / 8
    method = enhanced(model, "llflow")
    frame = Frame.from_array(dark, space=Space.RGB, color=Color("srgb", "srgb"))
    assert torch.equal(method(dark, dark), Enhance(model)(frame).data)
    assert method.facts == {"model": "llflow", "weights": model.weights_used()}


def test_pairs_to_score_are_whole_pictures_of_the_test(datasets: Any) -> None:
    datasets.lol("c", inner="our485")
    root = datasets.lol("b", "a", inner="eval15")
    assert [files.name for files in lol_pairs(root)] == ["a", "b"]
    assert [files.name for files in lol_pairs(root / "our485")] == ["c"]
    np.savez(root / "our485" / TABLES, c=np.zeros((3, 256), np.uint8))
    with pytest.raises(FormatError, match=r"got crops, as .*; expected whole pictures"):
        lol_pairs(root / "our485")


def table(datasets: Any, method: str = "gamma", **options: Any) -> DisplayTable:
    return evaluate_display(lol_pairs(datasets.lol("a", "b", "c")), DISPLAY_METHODS[method], **options)


def test_better_methods_score_better(datasets: Any) -> None:
    found = {name: table(datasets, name).means for name in DISPLAY_METHODS}
    assert found["gamma"][AS_IS].psnr_db > found["none"][AS_IS].psnr_db + 5
    assert found["none"][OF_TRUTH].psnr_db > found["none"][AS_IS].psnr_db + 3  # the truth is worth much


def test_means_are_those_of_decibels(datasets: Any) -> None:
    found = table(datasets)
    for alignment in BOTH:
        each = [row.scores[alignment] for row in found.rows]
        assert found.means[alignment].psnr_db == pytest.approx(sum(one.psnr_db for one in each) / 3)
        assert found.means[alignment].ssim_rgb == pytest.approx(sum(one.ssim_rgb for one in each) / 3)


@pytest.mark.parametrize("form", DISPLAY_FORMATS)
def test_every_table_says_how_it_came_about(form: str, datasets: Any) -> None:
    text = DISPLAY_FORMATS[form](table(datasets))
    for words in ("lol", *BOTH, "an oracle", "a.png"):
        assert words in text, words
    assert "LPIPS" not in text and "lpips" not in text
    if form != "csv":
        for words in (
            "25.19 dB",
            "21.15 dB",
            "nobody can do who lacks the truth",
            "uniform 7x7",
            "SSIM gray",
            "SSIM RGB",
        ):
            assert words in text, words
    only = DISPLAY_FORMATS[form](table(datasets, alignments=(AS_IS,), lpips=lpips()))
    assert OF_TRUTH not in only and "lpips" in only.lower()


def test_a_csv_has_one_row_for_each_pair_and_mean_and_alignment(datasets: Any) -> None:
    found = table(datasets, lpips=lpips())
    rows = list(csv.DictReader(io.StringIO(DISPLAY_FORMATS["csv"](found))))
    assert len(rows) == 2 * (3 + 1) and {row["protocol"] for row in rows} == {"lol"}
    assert [(row["kind"], row["pairs"], row["alignment"]) for row in rows[-2:]] == [("mean", "3", one) for one in BOTH]
    for name in ("psnr_db", "ssim_gray", "ssim_rgb", "lpips"):
        assert float(rows[-1][name]) == pytest.approx(getattr(found.means[OF_TRUTH], name), abs=1e-5)


def test_progress_is_told_of_every_pair(datasets: Any) -> None:
    seen: list[str] = []
    table(datasets, progress=lambda row: seen.append(row.files.name))
    assert seen == ["a", "b", "c"]
    with pytest.raises(PipelineError, match="got no pairs"):
        evaluate_display([], DISPLAY_METHODS["none"])


def test_a_function_of_your_own_is_scored(datasets: Any) -> None:
    brighter = Blind(lambda dark: (8 * dark).sqrt(), "brighter")
    (pair,) = lol_pairs(datasets.lol("a"))
    found = evaluate_display([pair], brighter)
    assert found.means[AS_IS].psnr_db > 30 and found.facts == {"model": "brighter", "weights": "-"}
    assert set(found.alignments) == set(DISPLAY_ALIGNMENTS)
