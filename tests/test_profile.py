import json
import math

import numpy as np
import pytest

from rawpipe import CameraProfile, ProfileError, Quantity, RawpipeWarning

FOUR = (1.0, 2.0, 3.0, 4.0)


def noise(gain=1.0, read=2.0, **more):
    one = Quantity((gain,) * 4, ((gain * 0.99, gain * 1.01),) * 4, 1000)
    return {
        "gain_dn_per_e": one,
        "read_sigma_dn": Quantity((read,) * 4, None, 10),
        "tukey_lambda": Quantity((0.1,) * 4),
        "row_sigma_dn": Quantity(0.5, (0.4, 0.6), 99),
        "quantisation_step_dn": Quantity(1.0),
        "saturation_dn": Quantity((15000.0,) * 4),
        **more,
    }


def profile(**changes):
    values = {
        "make": "NIKON CORPORATION",
        "model": "NIKON D850",
        "cfa": "GBRG",
        "bits": 14,
        "size": (40, 60),
        "active_area": (2, 4, 42, 64),
        "noise": {"100": noise(0.5, 1.0), "400": noise(2.0, 3.0), "1600": noise(8.0, 10.0)},
        "provenance": {"kind": "measured"},
    }
    return CameraProfile(**values | changes)


def test_a_profile_comes_back_from_its_file(tmp_path):
    made = profile(
        noise={"100": noise(black_dn=Quantity(FOUR, tuple((v - 1, v + 1) for v in FOUR), 7, False, "one frame"))},
        sensor={"full_well_e": Quantity(60000.0, (59000.0, math.inf), 3)},
        across_iso={"extended_iso": [50.0], "slope": np.float64(0.5)},
        stored={"defects": np.array([[1, 2]])},
    )
    made.write(tmp_path / "p.json")
    read = CameraProfile.read(tmp_path / "p.json")
    assert read.noise["100"] == made.noise["100"]
    assert read.sensor["full_well_e"] == made.sensor["full_well_e"]
    assert read.across_iso == {"extended_iso": [50.0], "slope": 0.5}
    assert (read.size, read.active_area, read.cfa) == (made.size, made.active_area, made.cfa)
    np.testing.assert_array_equal(read.maps["defects"], [[1, 2]])
    assert sorted(path.name for path in tmp_path.iterdir()) == [read.stored.path.name, "p.json"]


def test_the_file_holds_sites_in_raster_order_at_the_active_area(tmp_path):
    profile(noise={"100": noise(black_dn=Quantity(FOUR))}).write(tmp_path / "p.json")
    stored = json.loads((tmp_path / "p.json").read_text())
    assert stored["noise"]["100"]["black_dn"]["value"] == [3.0, 4.0, 1.0, 2.0]  # G of a blue row, B, R, G of a red row


def test_a_measured_iso_is_exact_and_others_are_interpolated_and_say_so():
    exact, between = profile().at(400), profile().at(200)
    assert exact.gain_dn_per_e.tolist() == [2.0] * 4
    assert "interpolated" not in exact.source
    np.testing.assert_allclose(between.gain_dn_per_e, [1.0] * 4, rtol=1e-6)
    np.testing.assert_allclose(between.read_sigma_dn, [math.sqrt(3.0)] * 4, rtol=1e-6)
    assert "interpolated between 100 and 400" in between.source
    assert "change of gain at 1600" in profile(across_iso={"dual_gain_iso": 1600.0}).at(800).source


@pytest.mark.parametrize("iso", [50, 3200])
def test_an_iso_outside_the_measured_ones_is_refused(iso):
    with pytest.raises(ProfileError, match=rf"ISO {iso}; .* 100, 400, 1600; .*rawpipe calibrate"):
        profile().at(iso)


def test_a_missing_gain_says_why():
    made = profile(noise={"100": noise() | {"gain_dn_per_e": Quantity.missing("no flats")}})
    with pytest.raises(ProfileError, match="no gain_dn_per_e at ISO 100: no flats"):
        made.at(100)


def change(path, edit, signed=False):
    stored = json.loads(path.read_text())
    if not signed:
        del stored["digest"]
    edit(stored)
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.update(schema=2), "got schema 2; expected 1"),
        (lambda s: s.pop("schema"), 'no "schema"'),
        (lambda s: s.pop("cfa"), "got no cfa"),
        (lambda s: s.update(extra=1), "got extra"),
        (lambda s: s.update(cfa="RGBG"), "got cfa 'RGBG'"),
        (lambda s: s.update(bits=0), "got bits 0"),
        (lambda s: s.update(size=[1]), "got size"),
        (lambda s: s["noise"].update(high={}), "ordered by ISO"),
        (
            lambda s: s["noise"]["100"]["gain_dn_per_e"].update(value=[1, 1, 1, -1], ci95=None),
            "got -1; expected a positive",
        ),
        (lambda s: s["noise"]["100"]["read_sigma_dn"].update(value=-2, ci95=None), "got -2; expected no negative"),
        (lambda s: s["noise"]["100"]["tukey_lambda"].update(value=-0.6, ci95=None), "above -0.5"),
        (lambda s: s["noise"]["100"]["gain_dn_per_e"].update(value="1"), "ISO 100, gain_dn_per_e: got value '1'"),
        (lambda s: s["noise"]["100"]["gain_dn_per_e"].update(value=[1, 2]), "four numbers"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].update(ci95=[2, 1]), "the lower end first"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].pop("n"), "expected an object with"),
        (lambda s: s.update(schema=True), "got schema True"),
        (lambda s: s.update(maps="foo"), "got maps 'foo'; expected file and sha256"),
        (lambda s: s.update(maps={"file": "x"}), "expected file and sha256"),
        (lambda s: s.update(maps={"file": "../x.npz", "sha256": "0" * 64}), "got maps with file '../x.npz'"),
        (lambda s: s.update(maps={"file": "x.npz", "sha256": 5}), "got maps with sha256 5"),
        (lambda s: s.update(aliases=5), "got aliases 5; expected a list"),
        (lambda s: s.update(aliases=[5]), "got aliases"),
        (lambda s: s.update(sensor=[1]), "got sensor .*expected an object"),
        (lambda s: s.update(across_iso="x"), "got across_iso 'x'"),
        (lambda s: s.update(provenance="x"), "got provenance 'x'"),
        (lambda s: s["provenance"].update(kind=[1]), r"got provenance with kind \[1\]"),
        (lambda s: s["across_iso"].update(dual_gain_iso="x"), "got across_iso with dual_gain_iso 'x'"),
        (lambda s: s.update(cfa=["RGGB"]), "got cfa"),
        (lambda s: s.update(make=1), "got make 1"),
        (lambda s: s.update(bits=True), "got bits True"),
        (lambda s: s.update(size=[0, 0], active_area=[0, 0, 0, 0]), "above 0"),
        (lambda s: s.update(size=[40, 62]), r"got size \[40, 62\], active_area \[2, 4, 42, 64\]"),
        (lambda s: s.update(active_area=[42, 64, 2, 4]), "top, left, bottom, right"),
        (lambda s: s.update(active_area=""), "got active_area ''"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].update(value=0.7), "row_sigma_dn: got 0.7; expected it within"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].update(n=-3), "row_sigma_dn: got n -3"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].update(value=10**400), "row_sigma_dn: got value 1000"),
        (lambda s: s["noise"]["100"]["row_sigma_dn"].update(value=[0.5] * 4, ci95=None), "one number for all sites"),
        (lambda s: s["noise"]["100"]["tukey_lambda"].update(value=50), "got 50; expected above -0.5"),
        (lambda s: s["noise"].update({"100.0": {}}), "got ISOs .*100.0; expected each once"),
    ],
)
def test_a_damaged_profile_is_refused_with_the_place_named(tmp_path, edit, message):
    path = tmp_path / "p.json"
    profile().write(path)
    change(path, edit)
    with pytest.raises(ProfileError, match=message):
        CameraProfile.read(path)


def test_edited_numbers_are_noticed_unless_the_digest_is_removed(tmp_path):
    path = tmp_path / "p.json"
    profile().write(path)
    change(path, lambda s: s["noise"]["100"]["row_sigma_dn"].update(value=0.55), signed=True)
    with pytest.raises(ProfileError, match="edited after calibration"):
        CameraProfile.read(path)
    change(path, lambda s: None)
    assert CameraProfile.read(path).noise["100"]["row_sigma_dn"].value == 0.55


def test_maps_may_be_missing_but_not_others(tmp_path):
    made = profile(stored={"defects": np.array([[1, 2]])})
    made.write(tmp_path / "p.json")
    beside = CameraProfile.read(tmp_path / "p.json").stored.path
    beside.write_bytes(b"something else")
    with pytest.raises(ProfileError, match="aren't those"):
        _ = CameraProfile.read(tmp_path / "p.json").maps
    beside.unlink()
    read = CameraProfile.read(tmp_path / "p.json")
    assert read.maps == {}
    assert read.at(100).iso == 100


def test_a_profile_is_found_by_camera_and_body(tmp_path, monkeypatch):
    monkeypatch.setenv("RAWPIPE_PROFILES", str(tmp_path))
    profile().write(tmp_path / "any.json")
    profile(serial="7").write(tmp_path / "own.json")
    (tmp_path / "notes.json").write_text("{}")
    assert CameraProfile.find("Nikon", "D850", "7").path.name == "own.json"
    assert CameraProfile.find("NIKON CORPORATION", "NIKON D850", "8").path.name == "any.json"
    with pytest.raises(ProfileError, match=r"no profile for Acme One .*rawpipe calibrate"):
        CameraProfile.find("Acme", "One")


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    with pytest.raises(ProfileError, match="expected a positive"):
        profile(noise={"100": noise(gain_dn_per_e=Quantity((-1.0,) * 4))}).write(tmp_path / "p.json")
    assert list(tmp_path.iterdir()) == []


def test_profiles_of_other_cameras_do_no_harm_however_bad_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("RAWPIPE_PROFILES", str(tmp_path))
    profile(model="Other").write(tmp_path / "a.json")
    change(tmp_path / "a.json", lambda s: s.update(bits="no"))
    (tmp_path / "b.json").write_text("[" * 100_000)
    (tmp_path / "c.json").write_text('{"schema": 1, "make": 5, "model": [], "noise": 7}')
    (tmp_path / "d.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "e.json").mkdir()
    profile().write(tmp_path / "z.json")
    assert CameraProfile.find("Nikon", "D850").path.name == "z.json"
    assert CameraProfile.search("Acme", "One") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: change(path, lambda s: s.update(bits="no")),
        lambda path: change(path, lambda s: s.update(schema=2)),
        lambda path: path.write_text(path.read_text().replace('"bits": 14,', '"bits": 14')),
    ],
)
def test_a_bad_profile_of_the_camera_is_an_error_by_name_and_a_warning_in_a_search(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("RAWPIPE_PROFILES", str(tmp_path))
    profile().write(tmp_path / "a.json")
    damage(tmp_path / "a.json")
    with pytest.raises(ProfileError, match=r"a\.json"):
        CameraProfile.find("Nikon", "D850")
    with pytest.warns(RawpipeWarning, match=r"left out: .*a\.json"):
        shipped = CameraProfile.search("Nikon", "D850")
    assert shipped.provenance["kind"] == "published"


def test_a_folder_of_profiles_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileError, match="the folder of profiles .*file can't be read: Not a directory"):
        CameraProfile.find("Nikon", "D850", folder=tmp_path / "file")
    with pytest.warns(RawpipeWarning, match="the folder of profiles"):
        assert CameraProfile.search("Nikon", "D850", folder=tmp_path / "file") is not None
    assert CameraProfile.search("Acme", "One", folder=tmp_path / "none") is None


def test_unreliable_numbers_are_named_in_the_source_and_warned_about():
    doubtful = Quantity((2.0,) * 4, None, 10, False, "known to no better than 3 %")
    made = profile(noise={"100": noise(), "400": noise(read_sigma_dn=doubtful), "1600": noise()})
    assert "not reliable" not in made.at(100).source
    for iso in (400, 200, 800):
        with pytest.warns(RawpipeWarning, match="not reliable: known to no better than 3 %"):
            source = made.at(iso).source
        assert source.endswith("not reliable: known to no better than 3 % (read_sigma_dn at 400)")


def test_maps_of_an_earlier_calibration_of_that_name_are_removed(tmp_path):
    for name in ("p", "other", "p"):
        profile(stored={"defects": np.array([[1, len(list(tmp_path.iterdir()))]])}).write(tmp_path / f"{name}.json")
    kept = {CameraProfile.read(tmp_path / name).stored.path.name for name in ("p.json", "other.json")}
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", "other.json", *kept}
    profile().write(tmp_path / "p.json")
    assert len(list(tmp_path.glob("p.*"))) == 1
