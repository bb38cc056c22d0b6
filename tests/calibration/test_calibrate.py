import dataclasses
import math

import numpy as np
import pytest

from rawpipe import CameraProfile, ProfileError, Quantity
from rawpipe.calibration.across_iso import check_gains, compare_isos
from rawpipe.calibration.calibrate import Camera, calibrate
from rawpipe.calibration.converter import count_step
from rawpipe.calibration.mosaics import Loaded
from rawpipe.calibration.one_iso import IsoCaptures, IsoResult, measure_iso
from rawpipe.calibration.simulation import SimulatedSensor

SIZE = (192, 256)
CAMERA = Camera(make="Acme", model="One", serial="", cfa="GRBG", bits=14, size=SIZE, active_area=(0, 0, *SIZE))


def sensor_at(iso, seed=0, **changes):
    values = {"gain_dn_per_e": iso / 200, "read_sigma_dn": 2 + iso / 100, "cfa": "GRBG", "size": SIZE}
    return SimulatedSensor(seed=seed + int(iso), **values | changes)


def captures_of(sensor, iso, levels=(400, 1500, 6000, 14000), darks=8, flats=2, dark_s=0.01):
    return IsoCaptures(
        iso=iso,
        darks={dark_s: Loaded(np.stack([sensor.dark() for _ in range(darks)]), sensor.cfa)} if darks else {},
        flats=[
            (Loaded(np.stack([sensor.flat(v) for _ in range(flats)]), sensor.cfa), v / 1e5) for v in levels if flats
        ],
        black=np.full(4, sensor.black_dn),
        white=np.full(4, float(sensor.white)),
    )


@pytest.mark.filterwarnings("ignore:.*not reliable")  # the pictures are small
def test_a_profile_comes_out_that_knows_the_camera_at_every_iso(tmp_path):
    made = calibrate(CAMERA, (captures_of(sensor_at(iso), iso) for iso in (400, 100, 200)), [{"name": "a.dng"}])
    made.profile.write(tmp_path / "acme.json")
    profile = CameraProfile.read(tmp_path / "acme.json")
    assert list(profile.noise) == ["100", "200", "400"]
    for iso in (100, 200, 400):
        model = profile.at(iso)
        np.testing.assert_allclose(model.gain_dn_per_e, iso / 200, rtol=0.06)
        np.testing.assert_allclose(model.read_sigma_dn, 2 + iso / 100, rtol=0.02)
    np.testing.assert_allclose(profile.at(300).gain_dn_per_e, 1.5, rtol=0.06)
    assert profile.across_iso["gain_dn_per_e_per_iso"] == pytest.approx(1 / 200, rel=0.03)
    assert profile.across_iso["extended_iso"] == []
    assert profile.provenance["kind"] == "measured"
    assert profile.maps["dark_shading_k"].shape == profile.maps["flat_field"].shape == (4, 3, 4)
    full = profile.sensor["full_well_e"]
    assert full.reliable is False  # nothing clipped
    np.testing.assert_allclose(full.value, (2**14 - 1 - 512) / 0.5, rtol=0.06)


def test_clipping_flats_show_where_the_sensor_saturates():
    sensor = sensor_at(100)
    result = measure_iso(captures_of(sensor, 100, levels=(400, 3000, 9000, 30000)))
    assert result.numbers["saturation_dn"].reliable
    np.testing.assert_allclose(result.numbers["saturation_dn"].value, sensor.white - 512, atol=1)
    np.testing.assert_allclose(result.numbers["saturation_e"].value, (sensor.white - 512) / 0.5, rtol=0.05)


def test_without_flats_or_darks_every_number_says_what_is_missing():
    sensor = sensor_at(100)
    only_darks = measure_iso(captures_of(sensor, 100, flats=0)).numbers
    assert only_darks["read_sigma_dn"].reliable
    assert only_darks["gain_dn_per_e"].value is None
    assert "no pair of flats" in only_darks["gain_dn_per_e"].why
    only_flats = measure_iso(captures_of(sensor, 100, darks=0)).numbers
    assert not only_flats["gain_dn_per_e"].reliable
    for name in ("read_sigma_dn", "black_dn", "row_sigma_dn"):
        assert "no dark frames" in only_flats[name].why
    with pytest.raises(ProfileError, match="no dark frames and no pairs of flats"):
        calibrate(CAMERA, [])


def test_prnu_and_dsnu_have_their_names_only_from_sixteen_frames():
    sensor = sensor_at(100, gain_dn_per_e=0.1, prnu=0.01, dsnu_dn=1.0, read_sigma_dn=2)
    few = measure_iso(captures_of(sensor, 100, levels=(7000,))).numbers
    assert not {"prnu_percent", "dsnu_dn"} & few.keys()
    assert not few["response_pattern_percent"].reliable
    np.testing.assert_allclose(few["response_pattern_percent"].value, 1.0, rtol=0.1)
    many = measure_iso(captures_of(sensor, 100, levels=(7000,), flats=16, darks=16)).numbers
    assert many["prnu_percent"].reliable
    np.testing.assert_allclose(many["prnu_percent"].value, 1.0, rtol=0.05)
    np.testing.assert_allclose(many["dsnu_dn"].value, 1.0, rtol=0.05)


def test_linearity_is_measured_against_exposure_time():
    sensor = sensor_at(100)
    assert max(measure_iso(captures_of(sensor, 100)).numbers["linearity_error"].value) < 0.01
    bent = captures_of(sensor, 100)
    flats = [(m, t * (1.1 if i == 3 else 1)) for i, (m, t) in enumerate(bent.flats)]
    found = measure_iso(dataclasses.replace(bent, flats=flats)).numbers["linearity_error"]
    assert 0.03 < max(found.value) < 0.1


def test_long_darks_give_dark_current_and_hot_pixels():
    sensor = sensor_at(100)
    captures = captures_of(sensor, 100)
    glow = np.zeros(SIZE)
    glow[50, 60] = 900
    long = np.stack([sensor.capture(20 + glow) for _ in range(4)])
    made = calibrate(CAMERA, [dataclasses.replace(captures, darks={**captures.darks, 10.0: Loaded(long, "GRBG")})])
    found = made.profile.sensor["dark_current_e_per_s"]
    np.testing.assert_allclose(found.value, 20 / 0.5 / 9.99, rtol=0.05)
    assert found.reliable
    assert [50, 60] in made.profile.maps["defects"].tolist()


@pytest.mark.parametrize("step", [1, 2, 4, 16])
def test_the_comb_in_the_histogram_tells_the_step(step):
    sensor = SimulatedSensor(read_sigma_dn=40, step=step)
    assert count_step([Loaded(sensor.dark()[None], "RGGB")]).value == step


def test_counts_scaled_by_no_whole_number_are_noticed():
    counts = np.rint(SimulatedSensor(read_sigma_dn=60, bits=16, black_dn=4000).dark() * 1.37).astype(np.uint16)
    found = count_step([Loaded(counts[None], "RGGB")])
    assert not found.reliable
    assert "never occur" in found.why


def made_up(iso, gain, read=4.0, half=0.01):
    values = {
        "gain_dn_per_e": Quantity((gain,) * 4, ((gain * (1 - half), gain * (1 + half)),) * 4, 9),
        "read_sigma_dn": Quantity((read,) * 4),
        "row_sigma_dn": Quantity(read / 10),
    }
    return IsoResult(iso=iso, numbers=values, darks=None, exposure_s=None, long_darks={}, transfer=None, levels=())


def test_a_gain_that_falls_with_iso_is_doubted_on_both_sides():
    checked = check_gains([made_up(100, 1.0), made_up(200, 2.0), made_up(400, 1.5), made_up(800, 8.0)])
    assert [one.numbers["gain_dn_per_e"].reliable for one in checked] == [True, False, False, True]
    assert "falls from ISO 200 to 400" in checked[1].numbers["gain_dn_per_e"].why
    within = check_gains([made_up(100, 1.0), made_up(125, 0.995)])
    assert all(one.numbers["gain_dn_per_e"].reliable for one in within)


def test_isos_that_share_a_gain_are_named():
    found = compare_isos([made_up(50, 0.5), made_up(100, 0.5), made_up(200, 1.0), made_up(400, 2.0)])
    assert found["extended_iso"] == [{"iso": 50.0, "shares_the_gain_of": 100.0}]


def test_a_dual_gain_switch_is_found_where_it_is_and_only_there():
    isos = [100, 200, 400, 800, 1600, 3200, 6400]

    def read(iso, behind):
        return iso / 200 * math.sqrt(1.2**2 + (behind / (iso / 200)) ** 2)

    plain = compare_isos([made_up(iso, iso / 200, read(iso, 3.0)) for iso in isos])
    assert plain["dual_gain_iso"] is None
    dual = compare_isos([made_up(iso, iso / 200, read(iso, 6.0 if iso < 800 else 1.0)) for iso in isos])
    assert dual["dual_gain_iso"] == 800
    assert compare_isos([made_up(iso, iso / 200) for iso in (100, 200)])["dual_gain_iso"] is None


def test_noise_is_regressed_on_gain_in_log_log():
    rows = [made_up(iso, iso / 200, 3 * (iso / 200) ** 0.6) for iso in (100, 200, 400, 800)]
    found = compare_isos(rows)["ln_read_sigma_dn_against_ln_gain"]
    assert found["slope"] == pytest.approx(0.6, abs=1e-6)
    assert found["bias"] == pytest.approx(math.log(3), abs=1e-6)
    assert found["sigma"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("read", [1.0, 2.5])
def test_a_step_that_darks_hide_shows_in_flats(read):
    sensor = SimulatedSensor(seed=1, read_sigma_dn=read, step=4, truncating=True, size=SIZE, cfa="GRBG")
    found = measure_iso(captures_of(sensor, 100)).numbers
    assert found["quantisation_step_dn"].value == 4
    if read > 2:
        np.testing.assert_allclose(found["read_sigma_dn"].value, read, rtol=0.06)
    else:
        assert not found["read_sigma_dn"].reliable
        assert "of the converter's step" in found["read_sigma_dn"].why


def test_any_whole_step_is_found():
    counts = SimulatedSensor(read_sigma_dn=30).dark() // 3 * 3
    assert count_step([Loaded(counts[None], "RGGB")]).value == 3


def test_an_unknown_step_makes_read_noise_unreliable():
    sensor = SimulatedSensor(seed=2, read_sigma_dn=0.05, size=SIZE, cfa="GRBG", black_dn=512.25)
    found = measure_iso(captures_of(sensor, 100, flats=0)).numbers
    assert not found["quantisation_step_dn"].reliable
    assert not found["read_sigma_dn"].reliable
    assert "step isn't known" in found["read_sigma_dn"].why


def test_long_darks_do_not_stand_for_short_ones_however_many():
    sensor = sensor_at(100, read_sigma_dn=3)
    captures = captures_of(sensor, 100, darks=4)
    long = Loaded(np.stack([sensor.capture(150) for _ in range(8)]), "GRBG")
    found = measure_iso(dataclasses.replace(captures, darks={30.0: long, **captures.darks}))
    assert found.exposure_s == 0.01
    np.testing.assert_allclose(found.numbers["black_dn"].value, 512, atol=0.2)
    np.testing.assert_allclose(found.numbers["read_sigma_dn"].value, 3, rtol=0.02)


def test_small_flats_do_not_saturate_by_chance():
    sensor = SimulatedSensor(seed=3, size=(128, 128), cfa="GRBG")
    assert not measure_iso(captures_of(sensor, 100, levels=(500, 8000))).numbers["saturation_dn"].reliable


def test_a_site_without_light_is_named_and_ends_nothing():
    sensor = sensor_at(100)
    captures = captures_of(sensor, 100, flats=0)
    light = np.array([0.0, 1.0, 1.0, 0.5])
    flats = [(Loaded(np.stack([sensor.flat(v, light) for _ in range(2)]), "GRBG"), v / 1e5) for v in (500, 2000, 8000)]
    found = measure_iso(dataclasses.replace(captures, flats=flats)).numbers
    assert found["gain_dn_per_e"].value is None
    assert found["gain_dn_per_e"].why.startswith("R got too little light")
    assert found["read_sigma_dn"].reliable


def test_pixels_that_take_no_light_are_found_in_flats():
    sensor = sensor_at(100)
    captures = captures_of(sensor, 100)
    for mosaics, _ in captures.flats:
        mosaics.counts[:, 33, 44] = 512
    made = calibrate(CAMERA, [captures])
    assert [33, 44] in made.profile.maps["defects"].tolist()
    assert made.profile.sensor["dead_pixels"].value == 1


def test_every_reliable_number_has_an_interval(tmp_path):
    made = calibrate(CAMERA, [captures_of(sensor_at(100), 100, levels=(400, 7500, 30000), flats=16, darks=16)])
    numbers = {**made.profile.noise["100"], **made.profile.sensor}
    assert [name for name, one in numbers.items() if one.reliable and one.ci95 is None] == []
    assert {"prnu_percent", "dsnu_dn", "saturation_e", "dynamic_range_db"} <= {
        n for n, q in numbers.items() if q.reliable
    }
    levels = made.profile.provenance["held_out"]["100"]
    assert np.shape(levels["ratio"]) == np.shape(levels["mean_dn"]) == (3, 4)


def test_one_line_through_a_change_of_gain_is_doubted():
    isos = [100, 200, 400, 800, 1600, 3200]

    def read(iso):
        behind = 6.0 if iso < 800 else 1.0
        return iso / 200 * math.sqrt(1.2**2 + (behind / (iso / 200)) ** 2)

    line = compare_isos([made_up(iso, iso / 200, read(iso)) for iso in isos])["ln_read_sigma_dn_against_ln_gain"]
    assert not line["reliable"]
    assert "ISO 800" in line["why"]


def test_single_electrons_are_no_step_and_no_scaling():
    sensor = SimulatedSensor(seed=4, gain_dn_per_e=16, read_sigma_dn=1.2, bits=12, black_dn=256, size=SIZE, cfa="GRBG")
    found = measure_iso(captures_of(sensor, 100, levels=(60, 200, 800, 2500))).numbers
    assert found["quantisation_step_dn"].value == 1 and found["quantisation_step_dn"].reliable
    assert found["read_sigma_dn"].reliable
