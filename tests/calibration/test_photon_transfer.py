import numpy as np
import pytest

from rawpipe import bayer
from rawpipe.calibration.darks import measure_darks
from rawpipe.calibration.levels import measure_level
from rawpipe.calibration.mosaics import Loaded, site
from rawpipe.calibration.photon_transfer import fit_transfer
from rawpipe.calibration.simulation import SimulatedSensor

LEVELS = (200, 800, 3000, 9000)


def blocks(sensor, counts, exposure_s=None):
    return measure_level(
        Loaded(np.stack(counts), sensor.cfa),
        np.full(4, sensor.black_dn),
        sensor.hot_pixels,
        sensor.white,
        exposure_s,
    )


def transfer(sensor, levels=LEVELS, captures=2, darks=8):
    dark = None
    if darks:
        found = measure_darks(Loaded(np.stack([sensor.dark() for _ in range(darks)]), sensor.cfa))
        dark = found.variance_dn2, found.variance_se
    return fit_transfer([blocks(sensor, [sensor.flat(v) for _ in range(captures)]) for v in levels], dark)


def off(quantity, truth):
    """Largest deviation in standard errors."""
    ends = np.array(quantity.ci95)
    return float(np.max(np.abs(np.array(quantity.value) - truth) / ((ends[:, 1] - ends[:, 0]) / 3.92)))


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("gain", [0.2, 8.0])
def test_the_gain_is_found(cfa, gain):
    sensor = SimulatedSensor(seed=1, cfa=cfa, gain_dn_per_e=gain, vignetting=0.4, size=(512, 514))
    found = transfer(sensor).gain_dn_per_e
    assert off(found, gain) < 4
    assert found.reliable


@pytest.mark.parametrize("captures", [2, 4, 5])
def test_bursts_sharpen_it(captures):
    sensor = SimulatedSensor(seed=2, gain_dn_per_e=2)
    found = transfer(sensor, captures=captures).gain_dn_per_e
    assert off(found, 2) < 4
    width = np.ptp(np.array(found.ci95), axis=1).mean()
    pair = np.ptp(np.array(transfer(sensor).gain_dn_per_e.ci95), axis=1).mean()
    assert width < 1.15 * pair / np.sqrt(captures - 1)


def test_fixed_pattern_row_noise_and_hot_pixels_drop_out():
    sensor = SimulatedSensor(
        seed=3, gain_dn_per_e=1, prnu=0.02, dsnu_dn=5, row_sigma_dn=3, hot=0.002, vignetting=0.5, size=(512, 512)
    )
    assert off(transfer(sensor).gain_dn_per_e, 1) < 4


def test_sites_keep_their_own_gain_and_light():
    sensor = SimulatedSensor(seed=4, gain_dn_per_e=1, cfa="GBRG", size=(512, 512))
    light = np.array([0.5, 1.0, 1.0, 0.3])
    levels = []
    for level in LEVELS:
        counts = [sensor.flat(level, light).astype(np.float64) for _ in range(2)]
        for one in counts:
            green = site(one, sensor.cfa, 2)
            green[...] = 512 + (green - 512) * 1.1  # a second amplifier
        levels.append(blocks(sensor, counts))
    found = fit_transfer(levels, (np.array([9.1, 9.1, 11.0, 9.1]), np.full(4, 0.02))).gain_dn_per_e
    assert off(found, np.array([1, 1, 1.1, 1])) < 4
    assert found.value[2] / found.value[1] == pytest.approx(1.1, rel=0.03)


def test_saturated_blocks_are_left_out_without_choosing_quiet_ones():
    sensor = SimulatedSensor(seed=5, gain_dn_per_e=2, bits=12, black_dn=256, vignetting=0.5, size=(768, 768))
    found = transfer(sensor, levels=(1000, 2500, 4100))
    assert off(found.gain_dn_per_e, 2) < 4
    assert found.gain_dn_per_e.reliable, found.gain_dn_per_e.why


def test_light_that_changes_between_captures_does_not_count_as_noise():
    sensor = SimulatedSensor(seed=6, gain_dn_per_e=1, vignetting=0.5, size=(512, 512))
    levels = [blocks(sensor, [sensor.flat(v), sensor.flat(v * 1.02)]) for v in LEVELS]
    found = fit_transfer(levels, (np.full(4, 9 + 1 / 12), np.full(4, 0.02)))
    assert off(found.gain_dn_per_e, 1) < 4
    np.testing.assert_allclose(levels[-1].light, [1, 1.02], atol=0.003)


def test_levels_held_out_of_the_fit_are_predicted_and_a_wrong_one_is_named():
    sensor = SimulatedSensor(seed=7, gain_dn_per_e=1, size=(512, 512))
    good = transfer(sensor)
    assert good.held_out.reliable
    ratios = np.array([level.held_out for level in good.levels])
    errors = np.array([level.held_out_se for level in good.levels])
    assert (np.abs(ratios - 1) < 4 * errors).all()
    levels = [blocks(sensor, [sensor.flat(v) for _ in range(2)]) for v in LEVELS]
    noisy = np.random.default_rng(0).normal(0, 30, (2, *sensor.size))
    levels[2] = blocks(sensor, [sensor.flat(LEVELS[2]) + one for one in noisy])
    bad = fit_transfer(levels, (np.full(4, 9 + 1 / 12), np.full(4, 0.02)))
    assert not bad.gain_dn_per_e.reliable
    assert "the level at 2" in bad.gain_dn_per_e.why or "the level at 3" in bad.gain_dn_per_e.why
    assert off(bad.gain_dn_per_e, 1) < 6  # and it hardly moves the gain
    assert bad.levels[2].weight.max() < 0.5


def test_without_darks_the_gain_comes_from_the_slope_and_is_doubted():
    sensor = SimulatedSensor(seed=8, gain_dn_per_e=2, read_sigma_dn=10, size=(512, 512))
    found = transfer(sensor, darks=0)
    assert off(found.gain_dn_per_e, 2) < 4
    assert not found.gain_dn_per_e.reliable
    assert "no dark frames" in found.gain_dn_per_e.why
    np.testing.assert_allclose(found.dark_variance_dn2, 100, rtol=0.2)


def test_flats_without_a_usable_block_are_refused():
    sensor = SimulatedSensor(seed=9)
    found = transfer(sensor, levels=(40_000,))
    assert found.gain_dn_per_e.value is None
    assert "saturated" in found.gain_dn_per_e.why


def test_the_smooth_response_and_its_pattern_are_measured():
    sensor = SimulatedSensor(seed=10, vignetting=0.4, prnu=0.01, gain_dn_per_e=0.2, size=(512, 512))
    level = blocks(sensor, [sensor.flat(8000) for _ in range(16)])
    np.testing.assert_allclose(level.pattern[0], 0.01, rtol=0.05)
    whole = sensor.response / sensor.response.mean()
    np.testing.assert_allclose(level.response[:, 0, 0], whole[:64, :64].mean(), rtol=0.01)


def test_light_that_tilts_between_captures_does_not_count_as_noise():
    sensor = SimulatedSensor(seed=11, gain_dn_per_e=0.2, size=(512, 512))
    tilt = 1 + 0.003 * np.linspace(-1, 1, 512)[:, None] * np.ones(512)
    levels = []
    for level in LEVELS:
        light = sensor.response * level
        levels.append(blocks(sensor, [sensor.capture(light), sensor.capture(light * tilt)]))
    found = fit_transfer(levels, (np.full(4, 9 + 1 / 12), np.full(4, 0.02)))
    assert off(found.gain_dn_per_e, 0.2) < 4
