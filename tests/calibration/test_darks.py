import math

import numpy as np
import pytest

from rawpipe import bayer
from rawpipe.calibration.darks import measure_darks
from rawpipe.calibration.mosaics import Loaded, site
from rawpipe.calibration.simulation import SimulatedSensor

FRAMES = 12


def darks(sensor, n=FRAMES):
    return Loaded(np.stack([sensor.dark() for _ in range(n)]), sensor.cfa)


def within(quantity, truth, widths=1.6):
    """Whether the truth lies in an interval of 4 standard errors or so around every value."""
    value, ends = np.ravel(quantity.value), np.reshape(quantity.ci95, (-1, 2))
    half = (ends[:, 1] - ends[:, 0]) / 2
    return bool((np.abs(value - truth) <= widths * half + 1e-9).all())


SENSORS = {
    "all four phases, rounded": SimulatedSensor(seed=1, cfa="GRBG", read_sigma_dn=4, tukey_lambda=-0.1),
    "truncated": SimulatedSensor(seed=2, cfa="BGGR", read_sigma_dn=2, truncating=True, drift_dn=0.7),
    "read noise below a step": SimulatedSensor(seed=3, cfa="GBRG", read_sigma_dn=0.5, dsnu_dn=0.2, row_sigma_dn=0.3),
    "fixed pattern and rows": SimulatedSensor(
        seed=4, read_sigma_dn=6, dsnu_dn=3, row_sigma_dn=2, hot=0.002, tukey_lambda=0.25, size=(257, 255)
    ),
    "step of four": SimulatedSensor(seed=5, read_sigma_dn=8, step=4, tukey_lambda=0.05),
}


@pytest.mark.parametrize("name", SENSORS)
def test_darks_give_back_what_the_sensor_was_made_of(name):
    sensor = SENSORS[name]
    found = measure_darks(darks(sensor), step=sensor.step)
    assert within(found.read_sigma_dn, sensor.read_sigma_dn, 2.2)
    assert within(found.tukey_lambda, sensor.tukey_lambda, 2.2)
    assert within(found.black_dn, sensor.mean_dark_dn(~sensor.hot_pixels), 2.2)
    assert found.read_sigma_dn.reliable
    if sensor.row_sigma_dn:
        assert within(found.row_sigma_dn, sensor.row_sigma_dn, 2.2)
    else:
        assert found.row_sigma_dn.ci95[0] == 0
        assert "upper bound" in found.row_sigma_dn.why


def test_a_fixed_pattern_is_told_from_noise():
    found = measure_darks(darks(SENSORS["fixed pattern and rows"], 16))
    np.testing.assert_allclose(found.pixel_fpn_dn.value, 3, rtol=0.03)
    assert found.pixel_fpn_dn.reliable
    fewer = measure_darks(darks(SENSORS["fixed pattern and rows"], 4))
    assert not fewer.pixel_fpn_dn.reliable
    assert "EMVA 1288" in fewer.pixel_fpn_dn.why


def test_every_hot_pixel_is_found_and_hardly_any_other():
    sensor = SENSORS["fixed pattern and rows"]
    found = np.zeros(sensor.size, bool)
    found[tuple(measure_darks(darks(sensor)).defects.T)] = True
    assert (found & sensor.hot_pixels).sum() == sensor.hot_pixels.sum() > 50
    assert (found & ~sensor.hot_pixels).sum() <= 2


def test_hot_pixels_do_not_move_read_noise():
    clean = SimulatedSensor(seed=6, read_sigma_dn=3)
    counts = darks(clean).counts
    spoilt = counts.copy()
    spoilt[:, ::31, ::29] = 9000
    a, b = measure_darks(Loaded(counts, "RGGB")), measure_darks(Loaded(spoilt, "RGGB"))
    np.testing.assert_allclose(a.read_sigma_dn.value, b.read_sigma_dn.value, rtol=2e-3)
    np.testing.assert_allclose(a.tukey_lambda.value, b.tukey_lambda.value, atol=5e-3)
    np.testing.assert_allclose(a.black_dn.value, b.black_dn.value, atol=0.02)


def test_one_glitch_in_one_frame_is_no_defect():
    counts = darks(SimulatedSensor(seed=7)).counts
    counts[3, 40, 50] = 12000
    assert [40, 50] not in measure_darks(Loaded(counts, "RGGB")).defects.tolist()


def test_one_dark_frame_gives_only_a_bound_for_row_noise_and_says_so():
    sensor = SimulatedSensor(seed=8, read_sigma_dn=4, row_sigma_dn=1)
    found = measure_darks(darks(sensor, 1))
    assert found.row_sigma_dn.ci95[0] == 0
    assert found.row_sigma_dn.ci95[1] > 1
    assert "upper bound: one dark frame" in found.row_sigma_dn.why
    for quantity in (found.read_sigma_dn, found.black_dn, found.row_sigma_dn, found.column_fpn_dn):
        assert not quantity.reliable
    np.testing.assert_allclose(found.read_sigma_dn.value, 4, rtol=0.02)


def test_column_patterns_are_named_and_do_not_count_as_noise():
    sensor = SimulatedSensor(seed=9, read_sigma_dn=4)
    pattern = np.random.default_rng(0).normal(0, 2, sensor.size[1])
    counts = np.rint(darks(sensor).counts + pattern).astype(np.uint16)
    found = measure_darks(Loaded(counts, sensor.cfa))
    # Rounding once more adds a twelfth of a count to the variance.
    assert within(found.column_fpn_dn, pattern.std(), 1.5)
    np.testing.assert_allclose(found.read_sigma_dn.value, math.sqrt(16 + 1 / 12), rtol=0.01)
    assert found.row_fpn_dn.ci95[0] == 0


def test_counts_clipped_at_zero_are_refused_for_read_noise():
    sensor = SimulatedSensor(seed=10, read_sigma_dn=5, black_dn=4)
    found = measure_darks(darks(sensor))
    assert not found.read_sigma_dn.reliable
    assert "clipped at zero" in found.read_sigma_dn.why
    assert not found.black_dn.reliable
    np.testing.assert_allclose(found.read_sigma_dn.value, 5, rtol=0.1)  # yet the fit knows what clipping is


def test_smooth_shading_is_mapped():
    sensor = SimulatedSensor(seed=11, size=(256, 384), read_sigma_dn=2)
    glow = 20 * np.exp(-np.hypot(*np.mgrid[0:256, 0:384]) / 100)
    counts = np.stack([sensor.capture(0) + glow for _ in range(FRAMES)])
    found = measure_darks(Loaded(np.rint(counts).astype(np.uint16), sensor.cfa))
    assert found.shading_dn.shape == (4, 4, 6)
    expected = glow[:64, :64].mean() - glow.mean()
    np.testing.assert_allclose(found.shading_dn[:, 0, 0], expected, atol=0.3)


class Strips:
    """Mosaics that note how much was asked for at once."""

    def __init__(self, counts):
        self.counts, self.shape, self.most = counts, counts.shape, 0

    cfa = "RGGB"

    def rows(self, top, bottom):
        self.most = max(self.most, (bottom - top) * self.shape[0] * self.shape[2])
        return self.counts[:, top:bottom]


def test_strips_give_the_same_numbers_and_bound_memory(monkeypatch):
    sensor = SimulatedSensor(seed=12, row_sigma_dn=1, dsnu_dn=1)
    counts = darks(sensor, 6).counts
    whole = measure_darks(Loaded(counts, "RGGB"))
    monkeypatch.setattr("rawpipe.calibration.mosaics._STRIP_VALUES", 100_000)
    strips = Strips(counts)
    cut = measure_darks(strips)
    assert strips.most <= 100_000
    np.testing.assert_allclose(cut.read_sigma_dn.value, whole.read_sigma_dn.value, rtol=1e-5)
    np.testing.assert_allclose(cut.row_sigma_dn.value, whole.row_sigma_dn.value, rtol=1e-6)
    np.testing.assert_array_equal(cut.defects, whole.defects)


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_sites_are_found_by_phase(cfa):
    counts = darks(SimulatedSensor(seed=13, cfa=cfa), 4).counts
    site(counts, cfa, 3)[...] += 7
    black = np.array(measure_darks(Loaded(counts, cfa)).black_dn.value)
    np.testing.assert_allclose(black - black[0], [0, 0, 0, 7], atol=0.1)


def test_noise_narrower_than_a_step_does_not_pass_for_row_noise():
    # Rows' mean counts follow their level in stairs: steeper than 1 where they climb.
    sensor = SimulatedSensor(
        seed=14, read_sigma_dn=0.5, tukey_lambda=-0.24, row_sigma_dn=0.1, drift_dn=0.4, size=(512, 512)
    )
    found = measure_darks(darks(sensor, 8))
    assert within(found.row_sigma_dn, 0.1, 2.2)
    assert within(found.read_sigma_dn, 0.5, 2.2)
    assert within(found.tukey_lambda, -0.24, 2.2)


def test_the_pattern_of_pixels_is_not_taken_for_one_of_columns():
    sensor = SimulatedSensor(seed=15, read_sigma_dn=2, dsnu_dn=4, size=(256, 512))
    found = measure_darks(darks(sensor))
    for quantity in (found.column_fpn_dn, found.row_fpn_dn):
        assert quantity.ci95[0] == 0
        assert "upper bound" in quantity.why


def test_darks_that_lie_on_zero_are_refused_and_break_nothing():
    sensor = SimulatedSensor(seed=16, read_sigma_dn=3, black_dn=0.5)
    found = measure_darks(darks(sensor, 4))
    assert not found.read_sigma_dn.reliable
    assert "clipped at zero" in found.read_sigma_dn.why
    constant = measure_darks(Loaded(np.zeros((3, 64, 64), np.uint16), "RGGB"))
    assert not constant.read_sigma_dn.reliable


def test_noise_of_columns_is_told_from_read_noise():
    sensor = SimulatedSensor(seed=17, read_sigma_dn=3, size=(256, 512))
    draw = np.random.default_rng(0)
    counts = [np.rint(sensor.dark() + draw.normal(0, 1.5, (1, 512))) for _ in range(FRAMES)]
    found = measure_darks(Loaded(np.stack(counts).astype(np.uint16), "RGGB"))
    assert within(found.column_sigma_dn, 1.5, 2.2)
    np.testing.assert_allclose(found.read_sigma_dn.value, math.sqrt(9 + 1 / 12), rtol=0.01)
    assert 0 < found.row_sigma_dn.ci95[1] < 0.1


def test_row_noise_that_a_row_s_sites_do_not_share_is_noticed():
    sensor = SimulatedSensor(seed=18, read_sigma_dn=3)
    draw = np.random.default_rng(0)
    counts = np.stack([sensor.dark() for _ in range(FRAMES)]).astype(np.float64)
    counts[:, :, ::2] += draw.normal(0, 2, (FRAMES, 256, 1))
    counts[:, :, 1::2] += draw.normal(0, 2, (FRAMES, 256, 1))
    found = measure_darks(Loaded(np.rint(counts).astype(np.uint16), "RGGB"))
    assert not found.read_sigma_dn.reliable
    assert "two sites have offsets of their own, 2 DN" in found.read_sigma_dn.why


def test_intervals_hold_for_two_darks():
    missed = []
    for seed in range(30):
        sensor = SimulatedSensor(seed=seed, read_sigma_dn=3, dsnu_dn=0.9, row_sigma_dn=1.5, size=(128, 128))
        found = measure_darks(darks(sensor, 2)).read_sigma_dn
        missed += [not low <= 3 <= high for low, high in found.ci95]
    assert np.mean(missed) < 0.1


def test_a_stuck_column_is_a_defect_and_no_clipping():
    counts = darks(SimulatedSensor(seed=19)).counts
    counts[:, :, 33] = 0
    found = measure_darks(Loaded(counts, "RGGB"))
    assert found.read_sigma_dn.reliable
    assert found.clipped.max() == 0
