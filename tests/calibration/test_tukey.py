import math

import numpy as np
import pytest

from rawpipe.calibration.tukey import (
    Histogram,
    cdf,
    fisher_information,
    fit,
    mean_count,
    quantiles,
    unit_variance,
)


def drawn(lam, n, seed):
    p = np.random.default_rng(seed).random(n)
    return quantiles(lam, np.log(p), np.log1p(-p))


def histogram(values, step=1.0):
    counts = np.rint(values / step) * step
    centres, count = np.unique(counts, return_counts=True)
    return Histogram(centres, count.astype(float), np.zeros(len(centres)), step, 0.0)


@pytest.mark.parametrize("lam", [-0.3, -0.1, 0.0, 0.14, 0.3, 1.0])
def test_quantiles_and_distribution_function_are_inverse(lam):
    p = np.linspace(0.001, 0.999, 99)
    np.testing.assert_allclose(cdf(quantiles(lam, np.log(p), np.log1p(-p)), lam), p, atol=1e-6)


def test_variances_are_the_textbook_ones():
    assert unit_variance(0.0) == pytest.approx(math.pi**2 / 3)
    assert unit_variance(1.0) == pytest.approx(1 / 3)  # uniform on -1..1
    assert unit_variance(2.0) == pytest.approx(1 / 12)  # uniform on -1/2..1/2


@pytest.mark.parametrize("lam", [-0.25, 0.0, 0.14, 0.3])
@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_the_fit_finds_scale_and_shape_in_rounded_counts(lam, sigma):
    scale = sigma / math.sqrt(unit_variance(lam))
    found = fit(histogram(0.3 + scale * drawn(lam, 400_000, 1)))
    assert abs(found.tukey_lambda - lam) < 4 * found.lambda_se
    assert abs(found.scale_dn - scale) < 4 * found.scale_se
    assert abs(found.sigma_dn - sigma) < 4 * found.sigma_se
    assert abs(found.centre_dn - 0.3) < 0.01 * sigma


def test_standard_errors_are_those_of_repeated_draws():
    scale = 3.0 / math.sqrt(unit_variance(0.1))
    fits = [fit(histogram(scale * drawn(0.1, 20_000, seed))) for seed in range(60)]
    for value, error in (("tukey_lambda", "lambda_se"), ("sigma_dn", "sigma_se")):
        scatter = np.std([getattr(one, value) for one in fits], ddof=1)
        assert scatter == pytest.approx(np.mean([getattr(one, error) for one in fits]), rel=0.35)
    information = fisher_information(scale, 0.1, 1.0) * 20_000
    bound = math.sqrt(np.linalg.inv(information)[2, 2])
    assert bound == pytest.approx(np.mean([one.lambda_se for one in fits]), rel=0.1)


def test_one_glitch_in_ten_thousand_does_not_turn_the_shape():
    values = 3.0 * drawn(0.14, 200_000, 2)
    clean = fit(histogram(values))
    values[::10_000] += 400
    assert abs(fit(histogram(values)).tukey_lambda - clean.tukey_lambda) < 0.05


def test_clipped_counts_count_as_at_most_zero():
    values = np.rint(2.0 + 1.5 * drawn(0.14, 400_000, 3))
    clipped = np.maximum(values, 0)
    centres, count = np.unique(clipped, return_counts=True)
    at_zero = np.where(centres == 0, count, 0).astype(float)
    found = fit(Histogram(centres, count.astype(float), at_zero, 1.0, 0.0))
    assert abs(found.scale_dn - 1.5) < 4 * found.scale_se
    assert abs(found.centre_dn - 2.0) < 0.02


def test_what_blurred_the_expectation_is_not_called_noise():
    draw = np.random.default_rng(4)
    values = drawn(0.14, 400_000, 5) + draw.normal(0, 0.8, 400_000)
    centres, count = np.unique(np.rint(values), return_counts=True)
    found = fit(Histogram(centres, count.astype(float), np.zeros(len(centres)), 1.0, 0.64))
    assert abs(found.scale_dn - 1.0) < 4 * found.scale_se


def test_mean_counts_follow_their_level_in_stairs_where_noise_is_narrow():
    level, mean = mean_count(0.15, -0.2, 1.0, 0.01)
    at = 0.3
    p = np.random.default_rng(6).random(10**6)
    noise = 0.15 * quantiles(-0.2, np.log(p), np.log1p(-p)) + np.random.default_rng(7).normal(0, 0.1, 10**6)
    assert np.interp(at, level, mean) == pytest.approx(np.rint(at + noise).mean(), abs=2e-3)
    wide = mean_count(2.0, -0.2, 1.0, 0.0)
    np.testing.assert_allclose(wide[1], wide[0], atol=1e-4)


def test_counts_that_say_nothing_give_an_estimate_without_an_interval():
    found = fit(Histogram(np.array([0.0]), np.array([1000.0]), np.array([1000.0]), 1.0, 0.0))
    assert math.isnan(found.sigma_se)
    assert math.isnan(found.lambda_se)
