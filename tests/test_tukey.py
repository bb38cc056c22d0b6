from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rawpipe import _tukey

SHAPES = [-0.49, -0.3, -0.1, -0.00301, -0.00299, -1e-6, 0.0, 1e-9, 0.0029, 0.0031, 0.14, 0.5, 1.0, 2.0]

shapes = pytest.mark.parametrize("shape", SHAPES)


@shapes
def test_the_variance_is_the_formulas_and_pi_squared_over_3_at_zero(shape: float) -> None:
    mp = pytest.importorskip("mpmath").mp.clone()
    mp.dps = 50
    m = mp.mpf(shape)
    exact = 2 / m**2 * (1 / (1 + 2 * m) - mp.gamma(m + 1) ** 2 / mp.gamma(2 * m + 2)) if shape else mp.pi**2 / 3
    got = float(_tukey.variance(torch.tensor(shape, dtype=torch.float64)))
    assert got == pytest.approx(float(exact), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@shapes
def test_the_quantile_keeps_its_relative_precision_far_out_and_near_lambda_zero(
    shape: float, dtype: torch.dtype
) -> None:
    mp = pytest.importorskip("mpmath").mp.clone()
    mp.dps = 60
    shape = float(torch.tensor(shape, dtype=dtype))
    p = [2.0**-64, 2.0**-30, 1e-5, 0.01, 0.3, 0.49]
    got = _tukey.tail(torch.tensor(p, dtype=dtype), torch.tensor(shape, dtype=dtype))
    rounded = torch.tensor(p, dtype=dtype).tolist()
    m = mp.mpf(shape)
    exact = [float(((1 - mp.mpf(v)) ** m - mp.mpf(v) ** m) / m if m else mp.log((1 - mp.mpf(v)) / v)) for v in rounded]
    np.testing.assert_allclose(got, exact, rtol=60 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [-0.45, -0.3, -0.1, 0.0, 0.14, 0.3, 1.0])
def test_draws_follow_the_distribution(shape: float) -> None:
    draws = _tukey.draw(torch.tensor(shape), (200_000,), torch.Generator().manual_seed(1)).double().numpy()
    found = stats.kstest(draws, stats.tukeylambda(shape).cdf)
    assert found.pvalue > 1e-3


@pytest.mark.parametrize("shape", [-0.2, -0.1, 0.0, 0.14, 0.3])
def test_draws_have_the_variance(shape: float) -> None:
    draws = _tukey.draw(torch.tensor(shape), (2_000_000,), torch.Generator().manual_seed(2)).double()
    expected = float(_tukey.variance(torch.tensor(shape)))
    error = float((draws**2).std() / math.sqrt(draws.numel()))
    assert abs(float((draws**2).mean()) - expected) < 4 * error


def test_the_far_tail_is_drawn_which_a_uniform_float32_would_cut_off() -> None:
    shape = torch.tensor(-0.3)
    draws = _tukey.draw(shape, (4_000_000,), torch.Generator().manual_seed(3))
    for tail in (1e-2, 1e-4, 1e-5):
        beyond = float(_tukey.tail(torch.tensor(tail / 2), shape))
        expected = tail * draws.numel()
        assert abs(int((draws.abs() > beyond).sum()) - expected) < 4 * math.sqrt(expected)
    far = draws[draws.abs() > float(_tukey.tail(torch.tensor(5e-5), shape))]
    assert far.unique().numel() == far.numel()  # steps of 2**-24 in p would leave 840 values on each side
    # The probability that is never drawn holds next to nothing of the variance.
    lost = 2 * 2.0 ** (-64 * (1 - 0.6)) / (0.3**2 * (1 - 0.6))
    assert lost / float(_tukey.variance(shape)) < 1e-6
