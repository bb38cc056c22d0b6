"""Protocols, scores and tables, on pairs whose truth is known."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import CameraProfile, FormatError, NoiseModel, PipelineError, ProfileError, Quantity
from rawpipe.stages.enhance import Classical
from rawpipe.stages.enhance.evaluation.methods import Compared, Enhanced, Published
from rawpipe.stages.enhance.evaluation.protocols import ALIGNED, ALIGNMENTS, AS_IS, PROTOCOLS, protocol
from rawpipe.stages.enhance.evaluation.render import FORMATS
from rawpipe.stages.enhance.evaluation.scores import Score, Table, evaluate, score
from rawpipe.stages.enhance.training.pairs import Pair
from rawpipe.stages.enhance.training.planes import packed, published_planes

TEST = "10003"


def some(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 0.5


def test_protocols_say_what_is_scored(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10), ("10005", 0.04, 10), ("10006", 1, 10))
    for name in ("sid-center-512", "sid-full"):
        assert [pair.nominal for pair in protocol(name).pairs(root)] == [100, 250]  # 10 is none of its ratios
    assert [pair.nominal for pair in protocol("sid-full").pairs(root, ratios=(250,))] == [250]
    assert {one.name: one.side for one in PROTOCOLS.values()} == {
        "sid-center-512": 512, "sid-full": None, "eld-full": None,
    }  # fmt: skip
    with pytest.raises(PipelineError, match=r"got protocol 'sid'; expected one of sid-center-512"):
        protocol("sid")


def test_the_middle_is_cut_out_before_the_model_sees_it(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10), size=(1034, 1046), cfa="GBRG")
    (pair,) = protocol("sid-center-512").pairs(root)
    compared = Enhanced()(pair, 512)
    whole = packed(pair.clean).clamp(0, 1)
    top, left = ((length - 512) // 2 for length in whole.shape[1:])
    assert torch.equal(compared.truth, whole[:, top : top + 512, left : left + 512])
    assert compared.result.shape == (4, 512, 512)
    with pytest.raises(FormatError, match=r"of 516x523 packed pixels; expected at least 600x600"):
        Enhanced()(pair, 600)


@pytest.mark.parametrize("cfa", ["RGGB", "GRBG"])
def test_without_a_model_and_without_noise_only_counts_are_lost(datasets: Any, cfa: str) -> None:
    (pair,) = protocol("sid-full").pairs(datasets.sid((TEST, 0.1, 10), cfa=cfa, noisy=False))
    compared = Enhanced()(pair, None)
    step = 100 / 15871
    assert float((compared.result - compared.truth).abs().max()) <= 0.51 * step
    expected = (packed(pair.noisy) * 100).clamp(0, 1)
    torch.testing.assert_close(compared.result, expected, atol=1e-5, rtol=0)


def test_a_model_is_told_ratio_and_noise_and_gains_decibels(datasets: Any) -> None:
    (pair,) = protocol("sid-full").pairs(datasets.sid((TEST, 0.1, 10)))
    none, classical = (score(Enhanced(model)(pair, None)) for model in (None, Classical()))
    assert classical.psnr_db > none.psnr_db + 5 and classical.ssim > none.ssim + 0.1


def test_the_noise_is_the_profile_s_where_one_is_given(datasets: Any) -> None:
    (pair,) = protocol("sid-full").pairs(datasets.sid((TEST, 0.1, 10)))

    def profile(gain: float) -> CameraProfile:
        numbers = {"gain_dn_per_e": Quantity(gain), "read_sigma_dn": Quantity(1.5), "saturation_dn": Quantity(15871.0)}
        facts = {"make": "Sony", "model": "ILCE-7SM2", "cfa": "RGGB", "bits": 14, "size": (72, 88)}
        kind = {"active_area": (0, 0, 72, 88), "noise": {"200": numbers}, "provenance": {"kind": "measured"}}
        return CameraProfile(**facts, **kind, stored={})

    right, wrong = (score(Enhanced(Classical(), "classical", profile(gain))(pair, None)) for gain in (0.4, 0.01))
    assert right.psnr_db > wrong.psnr_db + 3
    assert "profile of Sony ILCE-7SM2" in Enhanced(Classical(), "classical", profile(0.4)).facts["noise"]
    with pytest.raises(ProfileError, match="got published camera 'SonyA8'"):
        Enhanced(Classical(), "classical", "SonyA8")(pair, None)


def test_alignment_forgives_brightness_and_nothing_else() -> None:
    truth = some(4, 16, 16)
    dark = Compared(truth * 0.8, truth)
    assert score(dark, ALIGNED).psnr_db > 100 > score(dark, AS_IS).psnr_db
    flipped = Compared(truth.flip(1), truth)
    assert score(flipped, ALIGNED).psnr_db < 20
    with pytest.raises(PipelineError, match="got alignment 'aligned'"):
        score(dark, "aligned")


def test_scores_are_of_pictures_cut_to_0_and_1() -> None:
    truth = some(4, 16, 16) * 0 + 1
    assert score(Compared(truth * 3, truth)).ssim == pytest.approx(1)
    assert score(Compared(truth * 0 - 5, truth)).psnr_db == pytest.approx(0)


@dataclass(frozen=True)
class Dimmed:
    """A method whose results are a tenth of saturation off, more with the ISO."""

    facts = {"model": "dimmed", "steps": "3", "weights": "0123456789ab mine", "noise": "-", "preprocessing": "none"}  # noqa: RUF012

    def __call__(self, pair: Pair, side: int | None) -> Compared:
        truth = some(4, 16, 16)
        return Compared(truth + pair.iso / 1000, truth)


def table(**changes: Any) -> Table:
    pair = Pair(Path("s/10003.dng"), Path("l/10003.dng"), 100.0, 100, "10003", 100.0, "SonyA7S2")
    pairs = [pair, replace(pair, iso=10.0), replace(pair, nominal=250, ratio=250.0), replace(pair, camera="NikonD850")]
    return evaluate(protocol("sid-full"), pairs, Dimmed(), **changes)


def test_means_are_those_of_decibels_for_each_camera_and_ratio() -> None:
    means = [(mean.camera, mean.ratio, mean.pairs, mean.scores[AS_IS].psnr_db) for mean in table().means]
    assert means == [
        ("NikonD850", 100, 1, pytest.approx(20, abs=1e-4)),
        ("SonyA7S2", 100, 2, pytest.approx(30, abs=1e-4)),
        ("SonyA7S2", 250, 1, pytest.approx(20, abs=1e-4)),
        ("", 0, 4, pytest.approx(25, abs=1e-4)),
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_every_table_says_how_it_came_about(form: str) -> None:
    text = FORMATS[form](table())
    for words in ("sid-full", AS_IS, ALIGNED, "dimmed", "0123456789ab mine", "10003", "SonyA7S2"):
        assert words in text, words
    only = FORMATS[form](table(alignments=(AS_IS,)))
    assert ALIGNED not in only and AS_IS in only
    if form != "csv":
        assert "pairs" in text and ALIGNMENTS[AS_IS] in text and "20.00 / " in text


def test_a_csv_has_one_row_for_each_pair_and_mean_and_alignment() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table()))))
    assert len(rows) == 2 * (4 + 4)
    assert {row["protocol"] for row in rows} == {"sid-full"} and {row["steps"] for row in rows} == {"3"}
    first = rows[0]
    assert (first["alignment"], first["kind"], first["iso"]) == (AS_IS, "pair", "100")
    assert float(first["psnr_db"]) == pytest.approx(20, abs=1e-4)
    assert [row["pairs"] for row in rows if row["kind"] == "mean" and row["alignment"] == AS_IS] == ["1", "2", "1", "4"]


def test_progress_is_told_of_every_pair() -> None:
    seen: list[Score] = []
    table(progress=lambda row: seen.append(row.scores[AS_IS]))
    assert len(seen) == 4
    with pytest.raises(PipelineError, match="got no pairs"):
        evaluate(protocol("sid-full"), [], Dimmed())


def test_pictures_of_two_sizes_are_no_pair(datasets: Any) -> None:
    root = datasets.sid((TEST, 0.1, 10))
    datasets.write("Sony/long/10003_00_10s.dng", datasets.scene((40, 40)))
    (pair,) = protocol("sid-full").pairs(root)
    for method in (Enhanced(), Published(lambda dim, *_: dim, "x", 3, "-")):
        with pytest.raises(FormatError, match="expected one size: they are no pair"):
            method(pair, None)


def test_the_published_process_gets_published_planes_the_ratio_and_the_published_gain(datasets: Any) -> None:
    (pair,) = protocol("eld-full").pairs(datasets.eld(), ratios=(200,))[:1]
    got: list[Any] = []

    def process(dim: Tensor, truth: Tensor, ratio: float, gain: float) -> Tensor:
        got.extend((dim, truth, ratio, gain))
        return dim

    compared = Published(process, "x", 3, "-")(pair, None)
    dim, truth, ratio, gain = got
    assert torch.equal(dim, (published_planes(pair.noisy) * pair.ratio).clamp(0, 1))
    assert torch.equal(truth, published_planes(pair.clean)) and torch.equal(compared.truth, truth)
    assert ratio == pytest.approx(200, rel=1e-3)
    assert gain == pytest.approx(float(NoiseModel.virtual("SonyA7S2", iso=800).gain_dn_per_e[0]), rel=1e-6)
    with pytest.raises(ProfileError, match="PMN-SonyA7S2, whose gain isn't published as a line; expected CanonEOS5D4"):
        Published(process, "x", 3, "-", "PMN-SonyA7S2")(pair, None)
