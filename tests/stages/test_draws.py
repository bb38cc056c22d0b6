"""Poisson draws tied to the pixel's place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rawpipe.stages.enhance.draws import keyed, poisson, uniform


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
