"""The profiles that ship: up to date, found under every name, and honest about whose numbers they are."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from rawpipe import CameraProfile, NoiseModel, ProfileError, RawpipeWarning
from rawpipe._profile import shipped_folder
from rawpipe.calibration.published import published_profiles

NAMES = [
    ("Canon", "Canon EOS 5D Mark IV", "CanonEOS5D4"),
    ("Canon", "Canon EOS 70D", "CanonEOS70D"),
    ("Canon", "Canon EOS 700D", "CanonEOS700D"),
    ("Canon", "EOS Kiss X7i", "CanonEOS700D"),
    ("Canon", "Canon EOS REBEL T5i", "CanonEOS700D"),
    ("NIKON CORPORATION", "NIKON D850", "NikonD850"),
    ("Nikon", "D850", "NikonD850"),
    ("SONY", "ILCE-7SM2", "PMN-SonyA7S2"),
    ("Sony", "A7S II", "PMN-SonyA7S2"),
]


@pytest.fixture(autouse=True)
def nothing_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAWPIPE_PROFILES", str(tmp_path / "none"))


@pytest.mark.parametrize(("make", "model", "published"), NAMES)
def test_a_published_camera_is_found_and_is_the_virtual_one(make: str, model: str, published: str) -> None:
    profile = CameraProfile.find(make, model, serial="123")
    for iso in (100, 1600, 25600):
        with pytest.warns(RawpipeWarning, match="not reliable: published for one body"):
            got = profile.at(iso)
        known = NoiseModel.virtual(published, iso)
        for name in ("gain_dn_per_e", "read_sigma_dn", "tukey_lambda", "row_sigma_dn", "quantisation_step_dn"):
            torch.testing.assert_close(getattr(got, name), getattr(known, name), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(got.saturation_dn, known.saturation_dn)
        assert got.source.startswith("published profile of")


@pytest.mark.filterwarnings("ignore:published profile:rawpipe.RawpipeWarning")
def test_between_isos_the_gain_is_that_of_the_published_line() -> None:
    profile = CameraProfile.find("Nikon", "D850")
    for iso in (125, 500, 2000, 20000):
        got, known = profile.at(iso), NoiseModel.virtual("NikonD850", iso)
        torch.testing.assert_close(got.gain_dn_per_e, known.gain_dn_per_e, rtol=2e-3, atol=0)
        torch.testing.assert_close(got.read_sigma_dn, known.read_sigma_dn, rtol=2e-3, atol=0)
    with pytest.raises(ProfileError, match="ISO 64"):
        profile.at(64)


@pytest.mark.filterwarnings("ignore:published profile:rawpipe.RawpipeWarning")
def test_the_sonys_change_of_gain_is_named() -> None:
    profile = CameraProfile.find("Sony", "ILCE-7SM2")
    assert "across the change of gain at 2000" in profile.at(1800).source
    before, after = (float((m.read_sigma_dn / m.gain_dn_per_e)[0]) for m in map(profile.at, (1600, 2000)))
    assert after < 0.4 * before


def test_none_of_it_is_called_reliable_and_origin_and_licence_are_named() -> None:
    for profile in published_profiles().values():
        assert profile.provenance["kind"] == "published"
        assert profile.provenance["licence"] in ("MIT", "Apache-2.0")
        assert profile.provenance["url"].startswith("https://github.com/")
        for numbers in profile.noise.values():
            for quantity in numbers.values():
                assert not quantity.reliable and "published for one body" in str(quantity.why)


def test_the_files_are_what_the_published_numbers_make(tmp_path: Path) -> None:
    made = published_profiles()
    for name, profile in made.items():
        profile.write(tmp_path / name)
        assert (shipped_folder() / name).read_text(encoding="utf-8") == (tmp_path / name).read_text(encoding="utf-8"), (
            "run python -m rawpipe.calibration.published calibration/profiles"
        )
    there = {one.name for one in shipped_folder().glob("*.json")} - {"published.json"}
    assert there == set(made)


def test_they_are_in_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["rawpipe.calibration.profiles"]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in published_profiles())
