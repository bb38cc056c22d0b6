"""Maps of a profile at a frame's pixels, and the unit of a count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rawpipe import CameraProfile, Frame, Pipeline, ProfileError, Space, bayer
from rawpipe._on_sensor import SiteMap, check_same_sensor, digest, map_of, unit_per_dn
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


def test_a_coarse_map_is_bilinear_between_the_middles_of_its_blocks() -> None:
    frame = synthetic_frame(Space.MOSAIC, 40, 44, "GRBG")  # 20 x 22 of each site: blocks of 8, the last of 4 and 6
    points = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(1))
    field = SiteMap.of(points, frame).laid_on(frame)
    for site in range(4):
        along_y = np.stack(
            [np.interp(np.arange(20), [3.5, 11.5, 17.5], points[site, :, i].numpy()) for i in range(3)], axis=1
        )
        expected = np.stack([np.interp(np.arange(22), [3.5, 11.5, 18.5], row) for row in along_y])
        np.testing.assert_allclose(bayer.view(field, "GRBG", site).numpy(), expected, rtol=1e-5)


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
