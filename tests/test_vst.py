from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from rawpipe import NoiseModel, _tukey, _vst, bayer

SIGMAS = (0.02, 0.2, 0.6, 1.0, 2.0, 6.0, 25.0)  # electrons
SIGNALS = (0.1, 0.3, 1.0, 4.0, 20.0, 79.0, 81.0, 300.0, 5000.0, 60000.0)  # electrons

sigmas = pytest.mark.parametrize("sigma", SIGMAS)
lambdas = pytest.mark.parametrize("shape", [None, -0.3, -0.1, 0.0, 0.14, 0.3])


@cache
def read_noise(shape: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values at standard deviation 1 and their probabilities, densely, by other formulas than the code's."""
    if shape is None:
        y = np.linspace(-9, 9, 8001)
        density = np.exp(-(y**2) / 2)
        return y, density / density.sum()
    t = np.linspace(-60, 60, 16001)
    p, q = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    y = t if shape == 0 else (p**shape - q**shape) / shape
    weights = p * q / (p * q).sum()
    return y / math.sqrt((weights * y**2).sum()), weights


def mean_of_f(e: float, sigma: float, shape: float | None) -> float:
    """E[f | e] by summing over counts and read noise."""
    y, weights = read_noise(shape)
    spread = 10 * math.sqrt(e) + 20
    counts = np.unique(np.round(np.linspace(max(0, e - spread), e + spread, 3000)))
    chances = stats.poisson(e).pmf(counts)
    chances /= chances.sum()
    kept = chances > 1e-14
    return float(
        sum(
            chance * (weights * 2 * np.sqrt(np.maximum(k + sigma * y + 0.375 + sigma**2, 0))).sum()
            for k, chance in zip(counts[kept], chances[kept], strict=True)
        )
    )


def model(sigma: float, shape: float | None = None, gain: float = 2.5) -> NoiseModel:
    return NoiseModel(gain_dn_per_e=gain, read_sigma_dn=sigma * gain, tukey_lambda=shape)


@lambdas
@sigmas
def test_the_mean_of_transformed_pixels_maps_back_to_the_signal(sigma: float, shape: float | None) -> None:
    noise = model(sigma, shape)
    for e in SIGNALS if shape is None else SIGNALS[:7]:
        d = torch.full((2, 2), mean_of_f(e, sigma, shape), dtype=torch.float64)
        back = noise.inverse_vst(d, "RGGB") / 2.5
        assert back.flatten().tolist() == pytest.approx([e] * 4, rel=0.002)


@pytest.mark.parametrize("x", [0.25, 1.0, 5.0, 80.0, 1000.0, 15000.0])
@pytest.mark.parametrize("kind", ["Gaussian", "Tukey", "coarse step"])
def test_transformed_samples_average_to_the_signal_and_have_variance_1(kind: str, x: float) -> None:
    noise = NoiseModel(
        gain_dn_per_e=[2.5, 0.8, 1.0, 5.0],
        read_sigma_dn=[3.0, 4.0, 2.0, 9.0],
        tukey_lambda=-0.1 if kind == "Tukey" else None,
        quantisation_step_dn=4.0 if kind == "coarse step" else 0.0,
    )
    # A step counts as Gaussian noise, which it isn't at twice the read noise: 0.07 DN near black.
    bias = 0.08 if kind == "coarse step" else 0.0
    z = noise.sample(torch.full((1600, 1600), x, dtype=torch.float64), "GRBG", torch.Generator().manual_seed(8))
    d = noise.vst(z, "GRBG")
    for site in range(4):
        pixels = bayer.view(d, "GRBG", site)
        error = float(pixels.std()) / math.sqrt(pixels.numel())
        mean = float(pixels.mean())
        low, high = (
            float(bayer.view(noise.inverse_vst(d.new_full((2, 2), at), "GRBG"), "GRBG", site))
            for at in (mean - 4 * error, mean + 4 * error)
        )
        assert low - bias <= x <= high + bias
        # With few electrons no root makes the variance constant; that it stays below 1.25 is the transform's own.
        variance = float(pixels.var())
        if x / float(noise.gain_dn_per_e[site]) >= 16:
            assert variance == pytest.approx(1, abs=0.01)
        assert 0.85 < variance < 1.25


@sigmas
def test_below_the_mean_of_black_the_inverse_goes_on_as_a_line_and_keeps_negatives(sigma: float) -> None:
    noise = model(sigma)
    black = mean_of_f(0.0, sigma, None)
    d = torch.tensor([[black - 0.2, black - 0.1], [black, black + 1e-3]], dtype=torch.float64)
    x = noise.inverse_vst(d, "RGGB")
    assert float(x[1, 0]) == pytest.approx(0, abs=1e-4)
    assert float(x[0, 0]) < float(x[0, 1]) < 0
    assert float(x[0, 0]) == pytest.approx(2 * float(x[0, 1]), rel=1e-3)
    slope = (x[1, 1] - x[1, 0]) / 1e-3
    assert float(-x[0, 1] / 0.1) == pytest.approx(float(slope), rel=0.01)


@sigmas
def test_the_inverse_rises_and_has_no_step_where_the_table_ends(sigma: float) -> None:
    noise = model(sigma, gain=1.0)
    start, end = (2 * math.sqrt(e + 0.375 + sigma**2) for e in (60, 100))
    d = torch.linspace(start, end, 40002, dtype=torch.float64).reshape(2, -1)
    rise = noise.inverse_vst(d, "RGGB").flatten().diff()
    assert (rise > 0).all()
    assert float(rise.max() / rise.median()) < 2


def test_a_batch_and_the_phase_choose_the_right_table() -> None:
    batch = NoiseModel(gain_dn_per_e=[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], read_sigma_dn=5.0)
    x = torch.rand(3, 2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 200
    for cfa in bayer.PHASES:
        d = batch.vst(x, cfa)
        back = batch.inverse_vst(d, cfa)
        for i in range(2):
            assert d[:, i].equal(batch[i].vst(x[:, i], cfa))
            torch.testing.assert_close(back[:, i], batch[i].inverse_vst(d[:, i], cfa), rtol=1e-12, atol=1e-12)
        for site in range(4):
            gain = batch.gain_dn_per_e[1, site]
            alone = NoiseModel(gain_dn_per_e=gain, read_sigma_dn=5.0)
            own = bayer.view(d[:, 1], cfa, site)
            found = bayer.view(back[:, 1], cfa, site)
            torch.testing.assert_close(found, alone.inverse_vst(own, "RGGB"), rtol=1e-12, atol=1e-12)


def test_float32_is_as_good_as_its_rounding() -> None:
    noise = model(1.0)
    x = torch.rand(50, 50, generator=torch.Generator().manual_seed(0)) * 1e4
    d = noise.vst(x, "RGGB")
    single, double = noise.inverse_vst(d, "RGGB"), noise.inverse_vst(d.double(), "RGGB")
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-3)


def test_both_ways_have_gradients_black_pixels_included() -> None:
    noise = model(0.5)
    x = torch.tensor([[-100.0, 0.0], [3.0, 500.0]], requires_grad=True)
    back = noise.inverse_vst(noise.vst(x, "RGGB"), "RGGB")
    back.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert float(x.grad[1, 1]) == pytest.approx(1, rel=1e-3)


def test_the_code_for_tukeys_probability_inverts_its_quantile() -> None:
    for shape in (-0.3, 0.0, 0.14, 0.5):
        p = torch.tensor([1e-12, 1e-4, 0.1, 0.5], dtype=torch.float64)
        found = _vst._tukey_cdf(-_tukey.tail(p, torch.tensor(shape)), torch.tensor(shape))
        torch.testing.assert_close(found, p, rtol=1e-9, atol=1e-15)
