"""Batches are dim and noisy as they say they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rawpipe import NoiseModel
from rawpipe._published import ELD
from rawpipe.stages.enhance.training.batch import Batch, Synthetic, exposed

SIGMAS = 4.0


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Flat:
    """Patches of one level."""

    sha256 = "flat"

    def __init__(self, level: float = 0.3) -> None:
        self.level = level

    def patches(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        return torch.full((count, 4, side, side), self.level)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_batch_i_is_the_same_whenever_it_is_asked_for_and_no_other_is() -> None:
    data = Synthetic(Flat(), 3, 8)
    first = data[5]
    data[0], data[6]
    assert same(first, data[5]) and same(first, Synthetic(Flat(), 3, 8)[5])
    others = (data[6], Synthetic(Flat(), 3, 8, seed=1)[5], Synthetic(Flat(), 3, 8, seed=5)[0])
    assert not any(same(first, other) for other in others)


def test_a_batch_has_the_shapes_it_promises() -> None:
    batch = Synthetic(Flat(), 3, 8)[0]
    assert batch.clean.shape == batch.dim.shape == (3, 4, 8, 8)
    assert batch.ratio.shape == (3, 1, 1, 1) and batch.shot.shape == batch.read.shape == (3, 4, 1, 1)
    assert all(value.dtype is torch.float32 for value in batch)


@pytest.mark.parametrize("camera", ELD)
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_the_noise_of_a_flat_field_is_what_the_batch_says_of_it(camera: str, level: float) -> None:
    clean = torch.full((1, 4, 256, 192), level)
    batch = exposed(clean, torch.tensor([60.0]), NoiseModel.random(1, seeded(3), [camera], (0.5, 8.0)), seeded(4))
    error = (batch.dim - batch.clean)[0]
    for plane, shot, read in zip(error, batch.shot.flatten(), batch.read.flatten(), strict=True):
        rows, squares = plane.mean(1), plane.square().mean(1)  # pixels of a row share an offset, rows nothing
        assert abs(float(rows.mean())) < SIGMAS * float(rows.std()) / math.sqrt(len(rows))
        stated = float(shot * level + read**2)
        assert abs(float(squares.mean()) - stated) < SIGMAS * float(squares.std()) / math.sqrt(len(squares))


def test_noise_below_black_is_kept() -> None:
    dim = Synthetic(Flat(0.0), 16, 32, ratios=(100.0, 300.0))[0].dim
    assert bool((dim.amin((1, 2, 3)) < 0).all())
    assert 0.3 < float((dim < 0).float().mean()) < 0.6


def test_a_longer_exposure_is_a_cleaner_one() -> None:
    model, clean = NoiseModel.virtual("SonyA7S2", iso=1600), torch.full((1, 4, 32, 32), 0.3)
    errors = [float((exposed(clean, torch.tensor([r]), model, seeded()).dim - clean).std()) for r in (1.0, 10.0, 100.0)]
    assert errors[0] < errors[1] / 2 < errors[2] / 4


@pytest.mark.parametrize(("skew", "share"), [(1.0, 0.5), (2.0, 0.25)])
def test_ratios_lie_in_their_range_the_great_ones_favoured_by_the_skew(skew: float, share: float) -> None:
    count = 4000
    ratio = Synthetic(Flat(), count, 1, ratios=(1.0, 300.0), skew=skew)[0].ratio.flatten()
    assert float(ratio.min()) >= 1 and float(ratio.max()) <= 300
    low = float((ratio < math.sqrt(300)).float().mean())  # the lower half of the logarithms
    assert abs(low - share) < SIGMAS * math.sqrt(share * (1 - share) / count)


def test_gains_and_cameras_are_those_asked_for() -> None:
    batch = Synthetic(Flat(), 2000, 1, ratios=(1.0, 1.0), gains=(2.0, 2.0), cameras=("SonyA7S2",))[0]
    white = NoiseModel.random(1, seeded(), ["SonyA7S2"], (2.0, 2.0)).saturation_dn[0]
    torch.testing.assert_close(batch.shot.squeeze(), (2.0 / white).expand(2000, 4))
