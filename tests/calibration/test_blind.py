"""Profiles from photographs of a simulated camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rawpipe import CameraProfile, FormatError, Frame, ProfileError, RawpipeWarning
from rawpipe.calibration.blind import estimate_blind
from rawpipe.calibration.simulation import SimulatedSensor

SIZE = (320, 448)


def photograph(iso: float | None, seed: int = 0, model: str = "One", level: float = 1.0, **sensor: Any) -> Frame:
    """Walls of different brightness; K = ISO / 200."""
    gain = 0.005 * (iso or 200)
    camera = SimulatedSensor(gain_dn_per_e=gain, read_sigma_dn=2 + gain, size=SIZE, seed=seed, cfa="GRBG", **sensor)
    rng = np.random.default_rng(seed)
    walls = rng.uniform(0.02, 0.9, (5, 7)).repeat(64, 0).repeat(64, 1)
    counts = camera.capture(walls * level * (camera.white - camera.black_dn))
    return Frame.from_array(
        counts, "GRBG", black=camera.black_dn, bits=14, iso=iso, make="Acme", model=model, source=f"{model}{seed}.dng"
    )


@pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")
def test_photographs_of_two_isos_become_a_profile(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    frames = [photograph(200, 1), photograph(200, 2), photograph(800, 3)]
    profile = estimate_blind(frames, lambda share, name: told.append((share, name)))
    assert profile.isos == [200, 800]
    assert (profile.make, profile.model, profile.cfa, profile.size) == ("Acme", "One", "GRBG", SIZE)
    assert profile.provenance["kind"] == "blind"
    assert [one["name"] for one in profile.provenance["files"]] == ["One1.dng", "One2.dng", "One3.dng"]
    assert told[0][0] == 0 and told[-1][0] == 1
    profile.write(tmp_path / "one.json")
    again = CameraProfile.read(tmp_path / "one.json")
    for iso in (200, 400, 800):
        model = again.at(iso)
        assert np.allclose(model.gain_dn_per_e, 0.005 * iso, rtol=0.1)
        assert model.source.startswith("blind")
    assert again.quantities(200)["gain_dn_per_e"].reliable


def test_files_and_folders_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for seed in (1, 2):
        photograph(200, seed).write(folder / f"{seed}.dng", matrix="generic")
    (folder / "notes.txt").write_text("not a picture")
    one = estimate_blind([folder / "1.dng"])
    both = estimate_blind([folder])
    assert len(one.provenance["files"]) == 1 and len(both.provenance["files"]) == 2
    assert len(both.provenance["files"][0]["sha256"]) == 64
    width = [p.quantities(200)["gain_dn_per_e"].ci95[0] for p in (one, both)]  # type: ignore[index]
    assert width[1][1] - width[1][0] <= width[0][1] - width[0][0]  # type: ignore[index, operator]


def test_what_the_file_does_not_say_can_be_stated(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", photograph(200).data.numpy())
    profile = estimate_blind([tmp_path / "a.npy"], cfa="GRBG", black=1024, bits=14, iso=200, model="Two")
    assert profile.model == "Two" and profile.isos == [200]


def test_the_camera_with_most_pictures_is_taken_and_the_rest_named() -> None:
    frames = [photograph(200, 1), photograph(200, 2), photograph(200, 3, model="Other"), photograph(None, 4)]
    with pytest.warns(RawpipeWarning, match=r"One4.dng: its ISO is unknown.*Other3.dng: of another camera"):
        profile = estimate_blind(frames)
    assert profile.model == "One" and len(profile.provenance["files"]) == 2
    assert len(profile.provenance["left_out"]) == 2


def test_an_iso_whose_pictures_show_nothing_is_left_out() -> None:
    with pytest.warns(RawpipeWarning, match="better exposed"):
        profile = estimate_blind([photograph(200, 1), photograph(400, 2, level=1000.0)])
    assert profile.isos == [200]


def test_nothing_to_estimate_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="doesn't exist"):
        estimate_blind([tmp_path / "none.dng"])
    with pytest.raises(ProfileError, match="none was given"):
        estimate_blind([])
    with pytest.raises(ProfileError, match="ISO is unknown"):
        estimate_blind([photograph(None)])
    with pytest.raises(ProfileError, match="better exposed"):
        estimate_blind([photograph(200, level=1000.0)])
    (tmp_path / "broken.dng").write_bytes(b"II*\0 nothing")
    with pytest.raises(ProfileError, match=r"broken.dng"):
        estimate_blind([tmp_path])


@pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")
def test_a_masked_border_gives_black_and_read_noise(data: Path) -> None:
    profile = estimate_blind([data / "raw" / "canon_550d_ml_colorchecker.dng"], iso=800)
    found = profile.quantities(800)
    assert found["gain_dn_per_e"].reliable, found["gain_dn_per_e"].why
    assert np.allclose(found["gain_dn_per_e"].value, 2.0, rtol=0.05)
    assert np.allclose(found["black_dn"].value, (2047.3, 2047.4, 2050.4, 2050.3), atol=0.2)
    assert np.allclose(found["read_sigma_dn"].value, 16.4, atol=0.6)
    assert found["row_sigma_dn"].value == pytest.approx(1.26, abs=0.15)
    assert profile.at(800).black_error_dn.tolist() == [0.0] * 4
