"""PSNR, SSIM and brightness matching: their conventions, on numbers worked out by hand."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from rawpipe import FrameError, StageError
from rawpipe.metrics import brightness_matched, psnr_db, ssim


def test_an_error_of_a_tenth_is_20_db_whatever_the_unit():
    truth = torch.rand(4, 9, 9)
    assert psnr_db(truth + 0.1, truth) == pytest.approx(20, abs=1e-4)
    assert psnr_db(255 * truth + 25.5, 255 * truth, peak=255) == pytest.approx(20, abs=1e-4)


def test_equal_pictures_are_infinitely_near():
    truth = torch.rand(4, 9, 9)
    assert psnr_db(truth, truth) == math.inf and ssim(truth, truth) == pytest.approx(1)


def test_nothing_is_clipped_or_rounded():
    truth = torch.zeros(4, 9, 9)
    assert psnr_db(truth - 10, truth) == pytest.approx(-20)
    assert psnr_db(truth + 1e-3, truth, peak=255) == pytest.approx(20 * math.log10(255e3), abs=1e-4)


def test_ssim_of_flat_pictures_is_that_of_their_means():
    one, two = torch.full((4, 9, 9), 0.4), torch.full((4, 9, 9), 0.5)
    c1 = 0.01**2
    assert ssim(one, two) == pytest.approx((2 * 0.4 * 0.5 + c1) / (0.4**2 + 0.5**2 + c1), abs=1e-6)
    assert ssim(255 * one, 255 * two, peak=255) == pytest.approx(ssim(one, two), abs=1e-7)


def test_ssim_has_a_uniform_window_of_7_and_sample_covariance():
    generator = torch.Generator().manual_seed(0)
    truth, result = torch.rand(2, 1, 7, 7, generator=generator).double()
    ux, vx, uy, vy = truth.mean(), truth.var(), result.mean(), result.var()
    cov = ((truth - ux) * (result - uy)).sum() / 48
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * ux * uy + c1) * (2 * cov + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    assert ssim(result, truth) == pytest.approx(float(expected), abs=1e-9)  # the one window that fits


def test_ssim_is_the_mean_over_planes():
    truth = torch.rand(3, 9, 9)
    result = truth.clone()
    result[1] = 1 - result[1]
    alone = ssim(result[1:2], truth[1:2])
    assert ssim(result, truth) == pytest.approx((2 + alone) / 3)


def test_matching_finds_the_factor_and_leaves_saturated_values_out():
    truth = torch.rand(2, 4, 9, 9) * 0.5
    torch.testing.assert_close(brightness_matched(truth * 0.8, truth), truth)
    truth[:, :, 0] = 1.0
    dim = truth * 0.8
    dim[:, :, 0] = 0.1
    matched = brightness_matched(dim, truth)
    torch.testing.assert_close(matched[:, :, 1:], truth[:, :, 1:])
    torch.testing.assert_close(matched[0], brightness_matched(dim[0], truth[0]))  # each picture by itself


def test_matching_cuts_the_estimate_first_and_leaves_black_black():
    truth = torch.full((4, 8, 8), 0.5)
    torch.testing.assert_close(brightness_matched(torch.full((4, 8, 8), 7.0), truth), truth)
    assert torch.equal(brightness_matched(torch.full((4, 8, 8), -1.0), truth), torch.zeros(4, 8, 8))


def test_pictures_that_cannot_be_compared_are_refused():
    for measure in (psnr_db, ssim):
        with pytest.raises(FrameError, match=r"got pictures \(4, 9, 9\) and \(4, 9, 8\); expected one shape"):
            measure(torch.zeros(4, 9, 9), torch.zeros(4, 9, 8))
    with pytest.raises(FrameError, match="at least 7x7"):
        ssim(torch.zeros(4, 6, 9), torch.zeros(4, 6, 9))


def test_ssim_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(StageError, match=r'pip install "rawpipe-isp\[eval\]"'):
        ssim(torch.zeros(4, 9, 9), torch.zeros(4, 9, 9))
