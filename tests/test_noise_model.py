from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from rawpipe import NoiseModel, ProfileError, _tukey, bayer


def model(**changes: Any) -> NoiseModel:
    values: dict[str, Any] = {
        "gain_dn_per_e": [1.0, 2.0, 3.0, 4.0],
        "read_sigma_dn": 3.0,
        "row_sigma_dn": 0.5,
        "quantisation_step_dn": 2.0,
        "black_error_dn": 0.1,
        "saturation_dn": 1000.0,
    }
    return NoiseModel(**values | changes)


def test_numbers_arrays_and_doubles_become_float32_of_the_full_shape() -> None:
    import numpy as np

    noise = model(gain_dn_per_e=np.array([1.0, 2.0, 3.0, 4.0]), tukey_lambda=torch.tensor(0.1, dtype=torch.float64))
    for name in ("gain_dn_per_e", "read_sigma_dn", "tukey_lambda", "black_error_dn", "saturation_dn", "black_dn"):
        value = getattr(noise, name)
        assert (value.dtype, value.shape) == (torch.float32, (4,)), name
    for name in ("row_sigma_dn", "quantisation_step_dn"):
        value = getattr(noise, name)
        assert (value.dtype, value.shape) == (torch.float32, ()), name


def test_what_is_left_out_is_none() -> None:
    noise = NoiseModel(gain_dn_per_e=1.0, read_sigma_dn=2.0)
    for name in ("row_sigma_dn", "quantisation_step_dn", "black_error_dn", "black_dn"):
        assert not getattr(noise, name).any(), name
    assert noise.saturation_dn.isinf().all()
    assert noise.tukey_lambda is None
    assert noise.tukey_scale_dn is None


def test_leading_dimensions_of_all_fields_broadcast() -> None:
    noise = model(gain_dn_per_e=torch.ones(3, 1, 4), read_sigma_dn=torch.ones(5, 1), row_sigma_dn=torch.ones(3, 5))
    assert noise.batch_shape == (3, 5)
    assert noise.read_sigma_dn.shape == (3, 5, 4)
    assert noise.quantisation_step_dn.shape == (3, 5)
    one = noise[1, 2]
    assert one.batch_shape == ()
    assert one.gain_dn_per_e.equal(torch.ones(4))
    with pytest.raises(ProfileError, match="got index 0 for the model of one sensor"):
        one[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gain_dn_per_e": torch.ones(3)}, r"got a noise model of gain_dn_per_e \(3,\); expected \(\.\.\., 4\)"),
        ({"gain_dn_per_e": torch.ones(2, 4), "row_sigma_dn": torch.ones(3)}, "leading dimensions that broadcast"),
        ({"gain_dn_per_e": 0.0}, r"got gain_dn_per_e \[0.0, 0.0, 0.0, 0.0\]; expected > 0"),
        ({"gain_dn_per_e": math.inf}, "expected > 0"),
        ({"read_sigma_dn": -1.0}, "got read_sigma_dn .* expected >= 0"),
        ({"read_sigma_dn": math.nan}, "expected >= 0"),
        ({"tukey_lambda": -0.5}, "expected > -0.5, where the variance is finite"),
        ({"row_sigma_dn": -0.1}, "got row_sigma_dn .*; expected >= 0"),
        ({"quantisation_step_dn": -1}, "got quantisation_step_dn"),
        ({"black_error_dn": math.inf}, "got black_error_dn"),
        ({"saturation_dn": 0}, "got saturation_dn"),
    ],
)
def test_shapes_and_numbers_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        model(**changes)


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_the_variance_is_the_formula_at_every_site(cfa: str) -> None:
    noise = model(tukey_lambda=0.2)
    x = torch.rand(7, 9, generator=torch.Generator().manual_seed(0)) * 200 - 10
    variance = noise.variance(x, cfa)
    for site, gain in enumerate((1.0, 2.0, 3.0, 4.0)):
        expected = gain * bayer.view(x, cfa, site).clamp(min=0) + 9 + 4 / 12 + 0.25
        torch.testing.assert_close(bayer.view(variance, cfa, site), expected)


def test_variance_takes_batches_and_counts() -> None:
    noise = model(gain_dn_per_e=[[1.0] * 4, [2.0] * 4])
    x = torch.full((2, 4, 4), 100, dtype=torch.int32)
    constant = 9 + 4 / 12 + 0.25
    torch.testing.assert_close(noise.variance(x, "RGGB")[:, 0, 0], torch.tensor([100 + constant, 200 + constant]))


def test_the_summary_agrees_with_the_variance() -> None:
    noise = model(gain_dn_per_e=torch.rand(3, 4) + 1, row_sigma_dn=torch.rand(3))
    short = noise.summary()
    assert short.shot.equal(noise.gain_dn_per_e)
    assert short.row.shape == (3, 4)
    signal = torch.full((4,), 80.0)
    for i in range(3):
        mosaic = noise[i].variance(torch.full((2, 2), 80.0), "RGGB").flatten()
        torch.testing.assert_close(noise[i].summary().variance(signal), mosaic)


def test_the_tukey_scale_gives_the_read_sigma_back() -> None:
    noise = model(tukey_lambda=[-0.3, 0.0, 0.14, 0.5])
    assert noise.tukey_scale_dn is not None
    sigma = noise.tukey_scale_dn * _tukey.variance(noise.tukey_lambda).sqrt()
    torch.testing.assert_close(sigma.float(), noise.read_sigma_dn)


def test_map_moves_every_tensor_and_keeps_the_names() -> None:
    noise = replace(model(tukey_lambda=0.1), iso=800, camera="a camera", source="profile a")
    seen: list[torch.Tensor] = []

    def watch(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor)
        return tensor.clone()

    moved = noise.map(watch)
    assert len(seen) == 8
    assert (moved.iso, moved.camera, moved.source) == (800, "a camera", "profile a")
    assert noise.to("cpu") is noise


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_models_and_pixels_meet_on_the_pixels_device() -> None:
    x = torch.full((8, 8), 50.0, device="cuda")
    for method in ("variance", "sample", "vst", "inverse_vst"):
        assert getattr(model(), method)(x, "RGGB").device.type == "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_sampling_on_a_gpu_never_waits_for_it() -> None:
    noise, x = model(tukey_lambda=0.1).to("cuda"), torch.full((64, 64), 50.0, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    noise.sample(x, "RGGB", generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        noise.sample(x, "RGGB", generator)
        noise.variance(x, "RGGB")
    finally:
        torch.cuda.set_sync_debug_mode("default")
