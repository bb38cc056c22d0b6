from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rawpipe import NoiseModel, ProfileError, _sampling, bayer

Order = Literal["physical", "exposurediffusion"]
ORDERS: tuple[Order, ...] = ("physical", "exposurediffusion")

orders = pytest.mark.parametrize("order", ORDERS)
devices = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)


def model(**changes: Any) -> NoiseModel:
    values: dict[str, Any] = {
        "gain_dn_per_e": [1.5, 1.2, 1.3, 2.0],
        "read_sigma_dn": [3.0, 4.0, 5.0, 6.0],
        "row_sigma_dn": 1.5,
        "quantisation_step_dn": 4.0,
        "black_error_dn": [0.5, -0.25, 0.0, 1.0],
    }
    return NoiseModel(**values | changes)


KINDS = {
    "Gaussian": model(),
    "Tukey 0.14": model(tukey_lambda=0.14),
    "Tukey -0.15": model(tukey_lambda=-0.15),
    "no rows, continuous": model(row_sigma_dn=0.0, quantisation_step_dn=0.0),
    "per-site lambda": model(tukey_lambda=[0.3, 0.0, 0.1, -0.1], black_error_dn=0.0),
}


def seeded(seed: int, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def near(values: Tensor, expected: float) -> None:
    """The mean of independent values is within four of its standard errors."""
    error = float(values.std()) / math.sqrt(values.numel())
    assert abs(float(values.mean()) - expected) < 4 * error + 1e-6 * abs(expected)


def check_moments(z: Tensor, x: float, noise: NoiseModel, cfa: str, order: Order) -> None:
    """Mean, variance, third moment of every site; variance of rows and what the two sites of a row share."""
    z = z.double().cpu()
    row_means: dict[int, Tensor] = {}
    for site in range(4):
        pixels = bayer.view(z, cfa, site)
        gain, read, error = (float(v[site]) for v in (noise.gain_dn_per_e, noise.read_sigma_dn, noise.black_error_dn))
        step, row, n = float(noise.quantisation_step_dn), float(noise.row_sigma_dn), pixels.shape[1]
        means, variances = pixels.mean(1), pixels.var(1)
        near(means, x + (error if order == "physical" else 0.0))
        near(variances, gain * x + read**2 + step**2 / 12)
        heavy = noise.tukey_lambda is not None and float(noise.tukey_lambda[site]) < -0.05
        if not heavy:  # else the sixth moment, hence the standard error, isn't finite
            third = ((pixels - means[:, None]) ** 3).sum(1) * n / ((n - 1) * (n - 2))
            near(third, gain**2 * x)
        spread = means.var() - variances.mean() / n
        uncertainty = float(means.var()) * math.sqrt(2 / (means.numel() - 1))
        assert abs(float(spread) - row**2) < 4 * uncertainty
        row_means[site] = means - means.mean()
    for (a, b), shared in (((0, 1), True), ((2, 3), True), ((0, 2), False), ((1, 3), False)):
        near(row_means[a] * row_means[b], float(noise.row_sigma_dn) ** 2 if shared else 0.0)


@devices
@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("kind", KINDS)
@orders
def test_moments_of_a_flat_field_are_the_formulas(order: Order, kind: str, cfa: str, device: str) -> None:
    x, noise = 150.0, KINDS[kind]
    seed = 100 * ORDERS.index(order) + 10 * list(KINDS).index(kind) + bayer.PHASES.index(cfa)
    z = noise.sample(torch.full((1200, 602), x, device=device), cfa, seeded(seed, device), order)
    check_moments(z, x, noise, cfa, order)


@devices
@orders
def test_every_element_of_a_batch_has_its_own_parameters(order: Order, device: str) -> None:
    single = [
        KINDS["Gaussian"],
        model(gain_dn_per_e=0.3, row_sigma_dn=0.2),
        model(read_sigma_dn=9.0, black_error_dn=2.0),
    ]
    names = ("gain_dn_per_e", "read_sigma_dn", "row_sigma_dn", "quantisation_step_dn", "black_error_dn")
    batch = NoiseModel(**{name: torch.stack([getattr(one, name) for one in single]) for name in names})
    levels = torch.tensor([150.0, 90.0, 200.0], device=device)
    x = levels[:, None, None].expand(3, 1200, 602)
    z = batch.sample(x, "GBRG", seeded(7, device), order)
    for i, one in enumerate(single):
        check_moments(z[i], float(levels[i]), one, "GBRG", order)


def test_parameters_broadcast_with_a_burst_of_one_scene() -> None:
    batch = model(gain_dn_per_e=[[0.5] * 4, [8.0] * 4], row_sigma_dn=0.0, quantisation_step_dn=0.0, black_error_dn=0.0)
    z = batch.sample(torch.full((64, 66), 100.0), "RGGB", seeded(1))
    assert z.shape == (2, 64, 66)
    burst = batch.sample(torch.full((5, 1, 64, 66), 100.0), "RGGB", seeded(1))
    assert burst.shape == (5, 2, 64, 66)
    ratio = burst[:, 1].var() / burst[:, 0].var()
    assert float(ratio) == pytest.approx((800 + 20) / (50 + 20), rel=0.15)


@pytest.mark.parametrize("mean", [0.02, 0.5, 3.0, 9.9, 10.1, 45.0, 900.0])
@devices
def test_counts_are_exactly_poisson(mean: float, device: str) -> None:
    noise = NoiseModel(gain_dn_per_e=0.5, read_sigma_dn=0.0)
    z = noise.sample(torch.full((1000, 2000), mean / 2, device=device), "RGGB", seeded(11, device)) / 0.5
    counts = np.bincount(z.cpu().numpy().astype(int).ravel())
    assert z.eq(z.round()).all()
    expected = stats.poisson(mean).pmf(np.arange(len(counts) + 1)) * z.numel()
    expected[-1] = z.numel() - expected[:-1].sum()
    seen = np.append(counts, 0)
    rare = expected < 20
    seen = np.append(seen[~rare], seen[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    few = expected > 5
    assert stats.chisquare(seen[few], expected[few] * seen[few].sum() / expected[few].sum()).pvalue > 1e-4


def test_the_converter_comes_last_and_counts_are_multiples_of_the_step() -> None:
    noise = model(black_error_dn=0.3, black_dn=[2047.25, 2048.0, 2048.5, 2049.0], saturation_dn=1000.0)
    x = torch.linspace(-50, 1100, 64 * 66).reshape(64, 66)
    z = noise.sample(x, "BGGR", seeded(5))
    counts = z + bayer.spread(noise.black_dn, "BGGR", 64, 66)
    below = z < 1000
    assert (counts[below] % 4).eq(0).all()
    assert z.max() == 1000
    assert z.min() < -40


def test_the_published_order_cuts_at_zero_and_saturation_and_keeps_fractions() -> None:
    noise = model(saturation_dn=1000.0)
    z = noise.sample(torch.linspace(0, 1100, 64 * 66).reshape(64, 66), "BGGR", seeded(5), "exposurediffusion")
    assert (float(z.min()), float(z.max())) == (0.0, 1000.0)
    assert z.ne(z.round()).any()


def test_negative_signals_have_no_shot_noise_and_stay() -> None:
    noise = NoiseModel(gain_dn_per_e=2.0, read_sigma_dn=0.0)
    x = torch.full((8, 8), -3.25)
    assert noise.sample(x, "RGGB", seeded(0)).equal(x)


def test_not_a_number_stays_and_infinity_saturates() -> None:
    x = torch.tensor([[math.nan, math.inf], [-1.0, 5.0]])
    z = replace(KINDS["Gaussian"], saturation_dn=torch.tensor(500.0)).sample(x, "RGGB", seeded(0))
    assert z[0, 0].isnan()
    assert z[0, 1] == 500
    assert z[1].isfinite().all()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("shape", [(301, 1003), (3, 301, 503), (40, 33, 35), (2, 5, 70, 70)], ids=str)
@orders
def test_the_same_seed_gives_the_same_bits_whatever_the_threads(order: Order, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=seeded(0)) * 100
    noise = KINDS["Tukey 0.14"]
    parallel = noise.sample(x, "GRBG", seeded(3), order)
    assert parallel.equal(noise.sample(x, "GRBG", seeded(3), order))
    assert not parallel.equal(noise.sample(x, "GRBG", seeded(4), order))
    with torch.inference_mode():
        assert parallel.equal(noise.sample(x, "GRBG", seeded(3), order))
    torch.set_num_threads(1)
    assert parallel.equal(noise.sample(x, "GRBG", seeded(3), order))


@devices
def test_without_a_generator_torchs_own_seed_counts(device: str) -> None:
    x = torch.full((300, 400), 50.0, device=device)
    noise = KINDS["Tukey 0.14"].to(device)
    torch.manual_seed(5)
    first, second = noise.sample(x, "RGGB"), noise.sample(x, "RGGB")
    torch.manual_seed(5)
    assert noise.sample(x, "RGGB").equal(first)
    assert not first.equal(second)


def test_pixels_of_one_exposure_are_independent_across_chunks() -> None:
    noise = NoiseModel(gain_dn_per_e=1.0, read_sigma_dn=5.0)
    z = noise.sample(torch.full((4, 256, 256), 50.0), "RGGB", seeded(0)).flatten()
    pieces = z.reshape(-1, _sampling._CHUNK)
    related = torch.corrcoef(pieces) - torch.eye(len(pieces))
    assert related.abs().max() < 5 / math.sqrt(_sampling._CHUNK)


@pytest.mark.parametrize(("dtype", "given"), [*product([torch.float16, torch.float32, torch.float64], ["", "uint16"])])
def test_dtypes(dtype: torch.dtype, given: str) -> None:
    x = torch.full((50, 51), 100, dtype=torch.uint16) if given else torch.full((50, 51), 100, dtype=dtype)
    before = x.clone()
    z = KINDS["Gaussian"].sample(x, "RGGB", seeded(0))
    assert z.dtype == (torch.float32 if given else dtype)
    assert x.equal(before)


def test_samples_have_no_gradient_and_leave_the_callers_mode_alone() -> None:
    x = torch.full((20, 20), 10.0, requires_grad=True)
    assert not KINDS["Gaussian"].sample(x, "RGGB", seeded(0)).requires_grad
    assert torch.is_grad_enabled()


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ProfileError, match="got order 'backwards'; expected 'physical' or 'exposurediffusion'"):
        KINDS["Gaussian"].sample(torch.zeros(2, 2), "RGGB", order="backwards")


def test_empty_batches_give_empty_samples() -> None:
    assert KINDS["Gaussian"].sample(torch.zeros(0, 8, 8), "RGGB").shape == (0, 8, 8)
