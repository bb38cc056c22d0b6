"""Maps of a profile at a frame's pixels, and the unit of a count."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from rawpipe import CameraProfile, Frame, Pipeline, ProfileError, Quantity, Space, bayer
from rawpipe._on_sensor import SiteMap, check_same_sensor, digest, map_of, unit_per_dn
from rawpipe.calibration import shading
from rawpipe.stages import BlackLevel, Exposure, WhiteBalance
from rawpipe.testing import synthetic_frame


def profile(size: tuple[int, int] = (34, 40), cfa: str = "RGGB", **maps: object) -> CameraProfile:
    return CameraProfile(
        make="a", model="b", cfa=cfa, bits=14, size=size, active_area=(0, 0, *size), noise={}, stored=maps
    )


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("size", [(34, 40), (33, 47)])
def test_a_map_of_full_size_is_taken_as_it_is(cfa: str, size: tuple[int, int]) -> None:
    frame = synthetic_frame(Space.MOSAIC, *size, cfa)
    shape = (4, (size[0] + 1) // 2, (size[1] + 1) // 2)
    points = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    field = SiteMap.of(points, frame).laid_on(frame)
    for site in range(4):
        plane = bayer.view(field, cfa, site)
        assert torch.equal(plane, points[site, : plane.shape[0], : plane.shape[1]])


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize(
    ("size", "block"), [((40, 44), 8), ((33, 47), 4), ((61, 59), 8), ((512, 768), 32), ((20, 30), 32)]
)
def test_a_coarse_map_is_laid_out_as_the_calibration_has_it(cfa: str, size: tuple[int, int], block: int) -> None:
    frame = synthetic_frame(Space.MOSAIC, *size, cfa)
    shape = [-(-((length + 1) // 2) // block) for length in size]
    points = np.random.default_rng(1).random((4, *shape), np.float32)
    laid = SiteMap.of(torch.from_numpy(points), frame)
    field = laid.laid_on(frame)
    np.testing.assert_allclose(field, shading.laid_out_map(points, cfa, *size, block), rtol=1e-5, atol=1e-5)
    lowest, highest = laid.extremes(frame)  # the points themselves may lie between two pixels
    assert float(field.min()) - 0.1 < lowest <= float(field.min()) + 1e-6
    assert float(field.max()) - 1e-6 <= highest < float(field.max()) + 0.1


@pytest.mark.parametrize("size", [(512, 768), (500, 710)])
def test_a_vignette_is_followed_into_the_corners(size: tuple[int, int]) -> None:
    y, x = (np.linspace(-1, 1, length) for length in size)
    vignette = (1 - 0.5 * (y[:, None] ** 2 + x**2) / 2).astype(np.float32)
    points = shading.smooth_map(vignette, np.ones(size, bool), "RGGB")
    frame = synthetic_frame(Space.MOSAIC, *size)
    error = SiteMap.of(torch.from_numpy(points), frame).laid_on(frame).numpy() / vignette - 1
    corners = error[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.abs(corners).max() < 0.04  # with the outermost points held: 0.16
    assert np.abs(error).max() < 0.04


def test_beyond_the_picture_its_edge_holds() -> None:
    frame = synthetic_frame(Space.MOSAIC, 34, 40)
    points = torch.arange(2.0).reshape(1, 2, 1).expand(4, 2, 1)
    laid = SiteMap.of(points, frame)
    whole = replace(frame, data=torch.zeros(frame.shot.size), origin=torch.tensor([0, 0, *frame.shot.size]))
    field = laid.laid_on(whole)
    top = frame.shot.active_area[0]
    assert torch.equal(field[:top], field[top : top + 2].repeat(top // 2, 1))


@pytest.mark.parametrize("top", [0, 1, 5])
@pytest.mark.parametrize("left", [0, 3, 8])
def test_a_crop_gets_its_own_part(top: int, left: int) -> None:
    frame = synthetic_frame(Space.MOSAIC, 61, 59, "BGGR")
    laid = SiteMap.of(torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(2)), frame)
    part = laid.laid_on(frame.crop(top, left, 30, 21))
    assert torch.equal(part, laid.laid_on(frame)[top : top + 30, left : left + 21])


def test_a_map_of_one_point_is_a_constant_per_site() -> None:
    frame = synthetic_frame(Space.MOSAIC, 33, 47, "GBRG")
    points = torch.arange(4.0).reshape(4, 1, 1)
    expected = bayer.spread(torch.arange(4.0), "GBRG", 33, 47)
    assert torch.equal(SiteMap.of(points, frame).laid_on(frame), expected)


def test_a_map_that_is_not_there_or_none_is_an_error_that_names_the_command() -> None:
    with pytest.raises(ProfileError, match=r"no flat_field.*rawpipe calibrate.*\.npz"):
        map_of(profile(), "flat_field")
    for wrong in (np.ones((3, 2, 2)), np.ones((4, 2)), np.full((4, 2, 2), np.nan), np.ones((4, 0, 2))):
        with pytest.raises(ProfileError, match=r"expected \(4, h, w\), all finite.*rawpipe calibrate"):
            map_of(profile(flat_field=wrong), "flat_field")


@pytest.mark.parametrize(("white", "fits"), [(15520, True), (12000, True), (4095, False), (65535, False)])
@pytest.mark.parametrize("known", [True, False])
def test_counts_of_another_depth_are_refused(white: int, fits: bool, known: bool) -> None:
    frame = synthetic_frame(Space.MOSAIC)
    levels = torch.full((4,), float(white))
    frame = replace(frame, shot=replace(frame.shot, white=levels))
    noise = {"100": {"saturation_dn": Quantity((15000.0, 15001.0, 15002.0, 15003.0))}, "200": {}}
    of = replace(profile(), noise=noise if known else {})
    with nullcontext() if fits else pytest.raises(ProfileError, match=r"another bit depth.*rawpipe calibrate"):
        check_same_sensor(of, frame)


def test_another_sensor_mode_or_phase_is_refused() -> None:
    frame = synthetic_frame(Space.MOSAIC, 34, 40, "RGGB")
    check_same_sensor(profile(), frame)
    check_same_sensor(profile(), frame.crop(3, 4, 10, 10))
    with pytest.raises(ProfileError, match=r"34x40 pixels.*is of 34x42.*rawpipe calibrate"):
        check_same_sensor(profile((34, 42)), frame)
    with pytest.raises(ProfileError, match=r"phase RGGB.*is of GRBG"):
        check_same_sensor(profile(cfa="GRBG"), frame)


def test_a_count_is_one_in_counts_and_keeps_its_size_through_gains() -> None:
    frame = synthetic_frame(Space.SENSOR, 34, 40)
    assert unit_per_dn(frame).tolist() == [1, 1, 1, 1]
    stages = [BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5)), Exposure(1.0)]
    brighter = Frame.from_array(frame.data + 100, "RGGB", black=frame.black, white=frame.white, bits=14)
    one, other = (Pipeline(stages)(each) for each in (frame, brighter))
    expected = bayer.spread(unit_per_dn(one), "RGGB", 34, 40) * 100
    torch.testing.assert_close(other.data - one.data, expected, rtol=1e-4, atol=1e-6)


def test_the_digest_tells_maps_apart() -> None:
    one, other = torch.zeros(4, 2, 2), torch.ones(4, 2, 2)
    assert digest(one, other) == digest(one.clone(), other.clone()) != digest(other, one)
    assert len(digest(one)) == 12
