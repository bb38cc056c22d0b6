"""Exports hold the physics of the noise model, in the form that the other program reads."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import CameraProfile, FormatError, Frame, NoiseModel, ProfileError, Quantity, Space
from rawpipe.calibration.calibrate import Calibration
from rawpipe.calibration.export import FORMS, doubts, exported, noise_profile, write_export
from rawpipe.cli import main
from rawpipe.stages import NoiseCalibration
from rawpipe.testing import synthetic_frame

pytestmark = pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")  # small sensors

SITES = {"R": (0, 0), "Gr": (0, 1), "Gb": (1, 0), "B": (1, 1)}  # in RGGB


def variance(model: NoiseModel, share: float) -> dict[str, float]:
    """The model's variance per site at a share of saturation, in units of saturation squared."""
    span = float(model.saturation_dn.min())
    found = model.variance(torch.full((2, 2), share * span), "RGGB").double() / span**2
    return {name: float(found[at]) for name, at in SITES.items()}


def planes(found: dict[str, float]) -> list[float]:
    return [found["R"], (found["Gr"] + found["Gb"]) / 2, found["B"]]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_darktables_variance_is_the_models(calibration: Calibration, share: float) -> None:
    profile = calibration.profile
    models = exported(profile, "darktable")["noiseprofiles"][0]["models"]
    for entry, iso in zip(models[0]["profiles"], profile.isos, strict=True):
        got = [a * share + b for a, b in zip(entry["a"], entry["b"], strict=True)]
        assert got == pytest.approx(planes(variance(profile.at(iso), share)), rel=1e-5)


def test_a_sample_has_the_exported_variance() -> None:
    model = NoiseModel.virtual("NikonD850", 3200)
    s, o = noise_profile(model)[2:4]
    span = float(model.saturation_dn[0])
    x = torch.full((400, 400), 0.02 * span)
    drawn = replace(model, row_sigma_dn=torch.zeros(())).sample(x, "RGGB", torch.Generator().manual_seed(1)) / span
    assert float(drawn.var()) == pytest.approx(s * 0.02 + o, rel=4 * math.sqrt(2 / 400**2))


def test_darktables_file_has_darktables_form(calibration: Calibration) -> None:
    content = exported(replace(calibration.profile, make="NIKON CORPORATION", model="NIKON D850"), "darktable")
    assert set(content) == {"version", "noiseprofiles"} and content["version"] == 0
    (maker,) = content["noiseprofiles"]
    assert set(maker) == {"maker", "models"} and maker["maker"] == "Nikon"
    (model,) = maker["models"]
    assert set(model) == {"comment", "model", "profiles"} and model["model"] == "D850"
    for entry in model["profiles"]:
        assert set(entry) == {"name", "iso", "a", "b"}
        assert re.fullmatch(r"[a-zA-Z0-9_\- ()*]+ iso [0-9]{2,7}", entry["name"])
        assert type(entry["iso"]) is int
        assert [len(entry["a"]), len(entry["b"])] == [3, 3] and min(entry["a"]) > 0
    named = exported(calibration.profile, "darktable", maker="Leica", model="Q2")["noiseprofiles"][0]
    assert named["maker"] == "Leica" and named["models"][0]["profiles"][0]["name"] == "Q2 iso 100"


def test_a_dngs_tag_gives_the_model_back(calibration: Calibration) -> None:
    profile = calibration.profile
    frame = synthetic_frame(Space.SENSOR, 40, 50, "RGGB")
    range_dn = float(frame.shot.scale_dn)
    for iso, entry in exported(profile, "dng")["iso"].items():
        known = profile.at(float(iso)).summary()
        tag = noise_profile(profile.at(float(iso)), range_dn)
        read = NoiseCalibration("tag")(replace(frame, shot=replace(frame.shot, noise_profile=tag))).noise
        assert read is not None
        np.testing.assert_allclose(planes_of(read.shot), planes_of(known.shot), rtol=1e-5)
        np.testing.assert_allclose(planes_of(read.read**2), planes_of(known.read**2), rtol=1e-5)
        assert entry["range_dn"] == pytest.approx(15871, rel=1e-5)
        assert entry["NoiseProfile"][0] == pytest.approx(tag[0] * range_dn / 15871, rel=3e-5)


def planes_of(values: torch.Tensor) -> list[float]:
    red, green_r, green_b, blue = values.tolist()
    return [red, (green_r + green_b) / 2, blue]


def test_a_written_dng_has_the_same_tag(tmp_path: Path) -> None:
    model = NoiseModel.virtual("CanonEOS70D", 800)
    counts = np.random.default_rng(0).integers(512, 16000, (40, 50)).astype(np.uint16)
    frame = Frame.from_array(counts, "RGGB", black=512, white=16383, matrix="generic", neutral=(1, 1, 1))
    NoiseCalibration(model)(frame).write(tmp_path / "x.dng")
    tag = Frame.read(tmp_path / "x.dng").shot.noise_profile
    assert tag == pytest.approx(noise_profile(model, range_dn=16383 - 512), rel=1e-5)


@pytest.mark.parametrize("camera", ["NikonD850", "CanonEOS5D4", "CanonEOS70D", "CanonEOS700D"])
def test_elds_parameters_of_a_shipped_camera_are_the_published_ones(camera: str) -> None:
    from rawpipe._published import cameras
    from rawpipe.calibration.published import published_profiles

    known = cameras()[camera]
    (profile,) = (one for one in published_profiles().values() if one.provenance["name"] == camera)
    got = exported(profile, "eld")
    assert [got["Kmin"], got["Kmax"]] == pytest.approx(list(known["gain_dn_per_e_at_iso"].values()), rel=1e-6)
    for name, key in (
        ("g_scale", "gaussian_sigma_dn"),
        ("G_scale", "tukey_scale_dn"),
        ("R_scale", "row_sigma_dn"),
    ):
        line = known[key]
        assert list(got["Profile-1"][name].values()) == [line["slope"], line["intercept"], line["scatter"]]
    assert got["Profile-1"]["G_shape"] == known["tukey_lambda"]
    assert got["saturation_dn"] == 15583


def test_elds_lines_pass_through_what_was_measured(calibration: Calibration) -> None:
    content = exported(calibration.profile, "eld")
    k = np.array([one["K"] for one in content["iso"].values()])
    for name in ("g_scale", "G_scale", "R_scale"):
        line = content["Profile-1"][name]
        sigma = np.array([one[name] for one in content["iso"].values()])
        off = np.log(sigma) - line["slope"] * np.log(k) - line["bias"]
        assert np.abs(off).max() < 2.5 * max(line["sigma"], 1e-3)
        assert off.sum() == pytest.approx(0, abs=1e-3)
    assert content["Kmin"] == pytest.approx(0.2, rel=0.03)
    assert content["Kmax"] == pytest.approx(12.8, rel=0.06)  # beyond the highest ISO, in proportion
    total = [profile_variance(calibration.profile, iso) for iso in calibration.profile.isos]
    assert [one["g_scale"] ** 2 for one in content["iso"].values()] == pytest.approx(total, rel=1e-5)


def profile_variance(profile: CameraProfile, iso: float) -> float:
    """Mean variance of a pixel without light, DN^2."""
    return float(profile.at(iso).variance(torch.zeros(2, 2), "RGGB").mean())


@pytest.mark.parametrize("to", sorted(FORMS))
def test_files_are_plain_json(calibration: Calibration, to: str, tmp_path: Path) -> None:
    write_export(calibration.profile, to, tmp_path / "out.json")
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text).keys() == exported(calibration.profile, to).keys()
    with pytest.raises(FormatError, match="make the folder"):
        write_export(calibration.profile, to, tmp_path / "missing" / "out.json")


def test_what_is_missing_is_left_out_or_refused(calibration: Calibration, poor: Calibration) -> None:
    with pytest.raises(ProfileError, match="form 'dcp'"):
        exported(calibration.profile, "dcp")
    said = doubts(poor.profile)
    assert any(one.startswith("ISO 100 is left out") for one in said)
    assert any(one.startswith("ISO 800 is not reliable") for one in said)
    assert set(exported(poor.profile, "dng")["iso"]) == {"800"}
    with pytest.raises(ProfileError, match="expected 3 or more"):
        exported(poor.profile, "eld")
    nothing = replace(calibration.profile, noise={"100": {"gain_dn_per_e": Quantity.missing("no flats")}})
    with pytest.raises(ProfileError, match="nothing to export: .*no flats"):
        exported(nothing, "darktable")
    with pytest.raises(ProfileError, match="expected one: model"):
        noise_profile(NoiseModel.random(3))
    with pytest.raises(ProfileError, match="give range_dn"):
        noise_profile(NoiseModel(gain_dn_per_e=1.0, read_sigma_dn=1.0))


def test_the_command(calibration: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration.profile.write(tmp_path / "one.json")
    words = ["export", str(tmp_path / "one.json"), "-o", str(tmp_path / "out.json"), "--to"]
    for to in FORMS:
        assert main([*words, to]) == 0
    assert str(tmp_path / "out.json") in capsys.readouterr().out
    assert main([*words, "darktable", "--maker", "Leica", "--model", "Q2", "-q"]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["noiseprofiles"][0]["maker"] == "Leica"
    assert capsys.readouterr().out == ""
    assert main([*words, "dng", "--model", "Q2"]) == 1
    assert main(["export", str(tmp_path / "one.json"), "-o", str(tmp_path / "out.npy"), "--to", "eld"]) == 1
    assert main(["export", str(tmp_path / "two.json"), "-o", str(tmp_path / "out.json"), "--to", "eld"]) == 1
    assert capsys.readouterr().err.count("error: ") == 3
