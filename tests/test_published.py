"""Virtual cameras against the published numbers and the golden statistics."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import NoiseModel, ProfileError, _published, _sampling, _tukey, bayer

Params = dict[str, Any]


@pytest.fixture(scope="session")
def golden(data: Path) -> dict[str, Any]:
    path = data.parent / "golden" / "exposurediffusion" / "noise.npz"
    if not path.is_file():
        pytest.skip(f"needs {path.name} beside the folder of real files")
    with np.load(path) as stored:
        return dict(stored)


def numbers(data: Path, name: str) -> Params:
    path = data / "noise_params" / name
    if not path.is_file():
        pytest.skip(f"needs noise_params/{name}")
    content: Params = json.loads(path.read_text())
    return content


def test_elds_numbers_are_shipped_unchanged(data: Path) -> None:
    for name, theirs in numbers(data, "eld_camera_params.json").items():
        for profile, ours in (("Profile-1", name), ("Profile-2", f"{name}-profile2")):
            if profile not in theirs:
                continue
            entry = _published.cameras()[ours]
            assert entry["gain_dn_per_e_at_iso"] == {"100": theirs["Kmin"], "6400": theirs["Kmax"]}
            assert entry["tukey_lambda"] == theirs["G_shape"]
            assert entry["black_error_dn"] == theirs["color_bias"]
            for fit, key in (("gaussian_sigma_dn", "g"), ("tukey_scale_dn", "G"), ("row_sigma_dn", "R")):
                line = theirs[profile][f"{key}_scale"]
                assert entry[fit] == {"slope": line["slope"], "intercept": line["bias"], "scatter": line["sigma"]}


def test_pmns_numbers_are_shipped_unchanged(data: Path) -> None:
    theirs = numbers(data, "pmn_camera_params.json")
    for key, values in theirs["get_camera_noisy_params_max"].items():
        camera, iso = key.split("_")
        noise = NoiseModel.virtual(f"PMN-{camera}", iso=float(iso), black_error=True)
        assert float(noise.gain_dn_per_e[0]) == pytest.approx(values["Kmax"])
        assert float(noise.row_sigma_dn) == pytest.approx(values["sigR"])
        assert float(noise.saturation_dn[0]) == values["wp"] - values["bl"]
        if camera == "SonyA7S2":
            assert noise.tukey_lambda is not None
            assert noise.tukey_scale_dn is not None
            assert float(noise.tukey_lambda[0]) == pytest.approx(values["lam"])
            assert float(noise.tukey_scale_dn[0]) == pytest.approx(values["sigTL"], rel=1e-5)
            assert float(noise.black_error_dn[0]) == pytest.approx(theirs["darkshading_BLE_SonyA7S2"][iso])
    for key, values in theirs["get_camera_noisy_params"].items():
        gain = math.exp((values["Kmin"] + values["Kmax"]) / 2)
        noise = NoiseModel.virtual(f"PMN-{key}", gain_dn_per_e=gain, read="gaussian")
        sigma = math.exp(values["sigGsk"] * math.log(gain) + values["sigGsb"])
        assert float(noise.read_sigma_dn[0]) == pytest.approx(sigma)


@pytest.mark.parametrize("camera", _published.ELD)
def test_a_virtual_camera_is_the_mean_of_the_regressions(camera: str) -> None:
    entry = _published.cameras()[camera]
    noise = NoiseModel.virtual(camera, iso=1600)
    gain = _published.gain_at(camera, 1600)
    shape = median(entry["tukey_lambda"])
    assert noise.tukey_lambda is not None
    assert noise.tukey_lambda.tolist() == pytest.approx([shape] * 4)
    assert noise.gain_dn_per_e.tolist() == pytest.approx([gain] * 4)
    scale, row = (
        math.exp(entry[fit]["slope"] * math.log(gain) + entry[fit]["intercept"])
        for fit in ("tukey_scale_dn", "row_sigma_dn")
    )
    sigma = scale * float(_tukey.variance(torch.tensor(shape))) ** 0.5
    assert noise.read_sigma_dn.tolist() == pytest.approx([sigma] * 4)
    assert float(noise.row_sigma_dn) == pytest.approx(row)
    assert (noise.iso, noise.camera, noise.source) == (1600, camera, "published by ELD")
    by_gain = NoiseModel.virtual(camera, gain_dn_per_e=gain)
    assert by_gain.read_sigma_dn.equal(noise.read_sigma_dn)


def test_names_are_found_in_any_case_with_spaces() -> None:
    assert NoiseModel.virtual("sony a7s2", 100).camera == "SonyA7S2"
    assert NoiseModel.virtual("pmn_sonya7s2", 100).camera == "PMN-SonyA7S2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("SonyA7S3", 100),
            r"got published camera 'SonyA7S3'; expected one of CanonEOS5D4, .* did you mean 'SonyA7S2'",
        ),
        (("SonyA7S2", 50), "got ISO 50 for SonyA7S2; expected ISO 100 to 25600"),
        (("PMN-SonyA7S2", 101), "got ISO 101 for PMN-SonyA7S2; expected ISO 50, 64, 80, .* 25600"),
        (("PMN-SonyA7S2", None, 3.0), "expected one of ISO 50, .* PMN-SonyA7S2-highISO, PMN-SonyA7S2-lowISO"),
        (("PMN-IMX686", 100), "expected ISO 6400 or gain_dn_per_e from 0.826 to 8.74"),
        (("PMN-CRVD", None, 300.0), "got gain_dn_per_e 300 for PMN-CRVD; expected 3.72 to 52.2"),
        (("SonyA7S2", None, 0.0), "got gain_dn_per_e 0 for SonyA7S2"),
        (("SonyA7S2",), "got iso None and gain_dn_per_e None; expected one of them"),
        (("SonyA7S2", 100, 1.0), "expected one of them"),
    ],
)
def test_what_is_not_published_is_refused_with_what_is(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        NoiseModel.virtual(*arguments)


def test_a_fit_that_is_not_published_is_refused() -> None:
    with pytest.raises(ProfileError, match="got read noise 'tukey' for PMN-CRVD; expected gaussian"):
        NoiseModel.virtual("PMN-CRVD", gain_dn_per_e=10, read="tukey")
    with pytest.raises(ProfileError, match="got black_error=True for PMN-CRVD; nothing is published of it"):
        NoiseModel.virtual("PMN-CRVD", gain_dn_per_e=10, black_error=True)
    with pytest.raises(ProfileError, match="nothing is published of tukey_scale_dn for PMN-CRVD; expected CanonEOS5D4"):
        NoiseModel.random(2, cameras=["SonyA7S2", "PMN-CRVD"])
    with pytest.raises(ProfileError, match="got 0 sensors, gains 3 to 1"):
        NoiseModel.random(0, gain_range=(3, 1))


def test_random_sensors_follow_the_published_distributions() -> None:
    count = 20_000
    noise = NoiseModel.random(count, torch.Generator().manual_seed(0), cameras=["SonyA7S2"])
    entry = _published.cameras()["SonyA7S2"]
    log_gain = noise.gain_dn_per_e[:, 0].double().log()
    assert (log_gain.min(), log_gain.max()) == pytest.approx((math.log(0.1), math.log(30)), abs=0.01)
    assert float(log_gain.mean()) == pytest.approx((math.log(0.1) + math.log(30)) / 2, abs=0.05)
    assert noise.tukey_scale_dn is not None
    assert noise.tukey_lambda is not None
    for fit, values in (("tukey_scale_dn", noise.tukey_scale_dn[:, 0]), ("row_sigma_dn", noise.row_sigma_dn)):
        line = entry[fit]
        residual = (values.double().log() - line["slope"] * log_gain - line["intercept"]) / line["scatter"]
        assert abs(float(residual.mean())) < 4 / math.sqrt(count)
        assert float(residual.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * count))
        assert abs(float(torch.corrcoef(torch.stack([residual, log_gain]))[0, 1])) < 4 / math.sqrt(count)
    drawn, counts = noise.tukey_lambda[:, 0].unique(return_counts=True)
    published, expected = torch.tensor(entry["tukey_lambda"]).unique(return_counts=True)
    torch.testing.assert_close(drawn, published, rtol=0, atol=1e-6)
    chance = expected / expected.sum()
    assert ((counts / count - chance).abs() < 4 * (chance / count).sqrt()).all()


def test_random_sensors_are_of_all_cameras_differ_and_repeat_under_a_seed() -> None:
    first, second, other = (NoiseModel.random(600, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first.read_sigma_dn.equal(second.read_sigma_dn)
    assert not first.read_sigma_dn.equal(other.read_sigma_dn)
    assert first.gain_dn_per_e[:, 0].unique().numel() == 600
    assert first.tukey_lambda is not None
    all_shapes = {round(v, 5) for camera in _published.ELD for v in _published.cameras()[camera]["tukey_lambda"]}
    assert {round(v, 5) for v in first.tukey_lambda[:, 0].tolist()} == all_shapes


def test_options_change_only_what_they_name() -> None:
    plain, biased, gaussian = (
        NoiseModel.random(50, torch.Generator().manual_seed(1), **options)
        for options in ({}, {"black_error": True}, {"read": "gaussian"})
    )
    assert plain.read_sigma_dn.equal(biased.read_sigma_dn)
    assert not plain.black_error_dn.any()
    assert biased.black_error_dn.any()
    assert plain.gain_dn_per_e.equal(gaussian.gain_dn_per_e)
    assert gaussian.tukey_lambda is None
    assert not gaussian.row_sigma_dn.any()
    assert NoiseModel.random(5, read="gaussian", cameras=["PMN-CRVD"]).row_sigma_dn.all()


def test_a_drawn_black_error_is_one_of_the_nearest_iso() -> None:
    noise = NoiseModel.random(200, torch.Generator().manual_seed(1), cameras=["NikonD850"], black_error=True)
    entry = _published.cameras()["NikonD850"]
    gains = [_published.gain_at("NikonD850", iso) for iso in entry["black_error_iso"]]
    for i in range(200):
        distance = [abs(math.log(gain / float(noise.gain_dn_per_e[i, 0]))) for gain in gains]
        near = [row for row, d in zip(entry["black_error_dn"], distance, strict=True) if d < min(distance) + 1e-6]
        assert len(near) == 2
        assert any(noise.black_error_dn[i].tolist() == pytest.approx(row, rel=1e-5) for row in near)
    virtual = NoiseModel.virtual("NikonD850", iso=1500, black_error=True)
    assert virtual.black_error_dn.tolist() == pytest.approx(np.mean(entry["black_error_dn"][8:10], 0).tolist())


def test_golden_gains_at_isos(golden: dict[str, Any]) -> None:
    for camera, row in zip(golden["cameras"], golden["iso_to_K"], strict=True):
        assert [_published.gain_at(str(camera), int(iso)) for iso in golden["iso"]] == pytest.approx(row.tolist())


def test_golden_draws_follow_from_the_shipped_numbers(golden: dict[str, Any]) -> None:
    entry = _published.cameras()["SonyA7S2"]
    columns = {str(name): i for i, name in enumerate(golden["sample_params_sonya7s2_cols"])}
    for row in golden["sample_params_sonya7s2"]:
        seed, continuous, *_ = row
        legacy = np.random.RandomState(int(seed))
        gain = math.exp(math.log(0.1) + legacy.uniform() * math.log(300))

        def sigma(fit: str, gain: float = gain, legacy: np.random.RandomState = legacy) -> float:
            line = entry[fit]
            return math.exp(line["slope"] * math.log(gain) + line["intercept"] + line["scatter"] * legacy.randn())

        drawn = {"K": gain, "g_scale": sigma("gaussian_sigma_dn"), "sigma_r": sigma("row_sigma_dn")}
        drawn["ratio"] = legacy.uniform(20, 300) if continuous else legacy.uniform(100, 300)
        drawn |= {"G_scale": sigma("tukey_scale_dn"), "saturation": entry["saturation_dn"]}
        assert drawn == {name: pytest.approx(row[columns[name]], rel=1e-12) for name in drawn}


@pytest.mark.parametrize("index", range(12))
def test_golden_flat_field_statistics(golden: dict[str, Any], index: int) -> None:
    letters = str(golden["flat_stats_model"][index])
    columns = [str(name) for name in golden["flat_stats_cols"]]
    row = dict(zip(columns, golden["flat_stats_numeric"][index], strict=True))
    tukey = "G" in letters
    variance = float(_tukey.variance(torch.tensor(row["tukey_lambda"])))
    noise = NoiseModel(
        gain_dn_per_e=row["K"],
        read_sigma_dn=row["G_scale"] * variance**0.5 if tukey else row["g_scale"],
        tukey_lambda=row["tukey_lambda"] if tukey else None,
        row_sigma_dn=row["sigma_r"],
        quantisation_step_dn=1.0,
    )
    unit = row["ratio"] / 15583
    x = torch.full((512, 512), row["y"] / unit)
    z = _sampling.sample(noise, x, "RGGB", torch.Generator().manual_seed(123), letters, clip=False).double() * unit
    planes = bayer.pack(z, "RGGB")
    row_means = planes.mean((0, 2))

    # Theirs and ours are samples of one size, hence the root of 2.
    rows_share = (row["sigma_r"] * unit) ** 2 if "r" in letters else 0.0
    shot = row["K"] * row["y"] * unit
    read = 0.0 if letters == "P" else float(noise.read_sigma_dn[0] * unit) ** 2
    pixel = shot + read + (unit**2 / 12 if "u" in letters else 0.0)
    assert float(z.var()) == pytest.approx(pixel + rows_share, rel=0.03)
    error = math.sqrt(pixel / z.numel() + rows_share / 512)
    assert abs(float(z.mean()) - row["mean_out"]) < 4 * 2**0.5 * error
    uncertainty = float(((z - z.mean()) ** 2).std()) / 512 + rows_share * math.sqrt(2 / 512)
    assert abs(float(z.var()) - row["var_out"]) < 4 * 2**0.5 * uncertainty
    assert float(row_means.var()) == pytest.approx(row["var_of_packed_row_means"], rel=4 * 2**0.5 * math.sqrt(2 / 256))


def test_the_public_published_order_is_the_golden_one_cut_at_zero() -> None:
    noise = NoiseModel.virtual("SonyA7S2", iso=3200)
    x = torch.rand(64, 66, generator=torch.Generator().manual_seed(0)) * 30
    public = noise.sample(x, "GRBG", torch.Generator().manual_seed(1), "exposurediffusion")
    bare = _sampling.sample(noise, x, "GRBG", torch.Generator().manual_seed(1), "P+G+r+u", clip=False)
    assert bare.min() < 0
    assert public.equal(bare.clamp(min=0))
