from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from rawpipe import Frame, FrameError, Noise, Pipeline, Space, StageError, bayer
from rawpipe.stages import BlackLevel, Crop, Demosaic, Orient
from rawpipe.testing import synthetic_frame

phases = pytest.mark.parametrize("cfa", bayer.PHASES)
spaces = pytest.mark.parametrize("space", list(Crop.takes))
turnable = pytest.mark.parametrize("space", [Space.MOSAIC, Space.CAMERA, Space.RGB])
orientations = pytest.mark.parametrize("orientation", range(1, 9))


def turned_by_pillow(plane: torch.Tensor, orientation: int) -> torch.Tensor:
    """What a viewer shows of a picture that carries this orientation."""
    image = Image.fromarray(plane.numpy().astype(np.float32))
    image.getexif()[0x0112] = orientation
    return torch.from_numpy(np.array(ImageOps.exif_transpose(image)))


# Crop


@spaces
def test_a_crop_is_the_frames_own(space: Space) -> None:
    frame = synthetic_frame(space)
    result = Crop((3, 5, 20, 33))(frame)
    expected = frame.crop(3, 5, 17, 28)
    assert result.data.equal(expected.data)
    assert result.cfa == expected.cfa
    assert result.origin.equal(expected.origin)


@spaces
def test_the_default_crop_is_the_makers(space: Space) -> None:
    frame = synthetic_frame(space)
    assert frame.shot.default_crop == (4, 4, 30, 36)
    assert Crop()(frame).data.equal(frame.data[..., 4:30, 4:36])


def test_the_default_crop_of_a_cropped_frame_is_what_is_left_of_it() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    assert Crop()(frame.crop(2, 10, 20, 20)).data.equal(frame.data[4:22, 10:30])
    assert Crop()(Crop()(frame)).data.equal(Crop()(frame).data)


def test_a_frame_that_lies_outside_the_default_crop_stays() -> None:
    frame = synthetic_frame(Space.MOSAIC).crop(0, 0, 3, 40)
    assert Crop()(frame) is frame


def test_the_default_crop_of_the_whole_sensor_leaves_the_masked_border_out() -> None:
    frame = synthetic_frame(Space.SENSOR)
    assert frame.shot.sensor is not None
    sensor = frame.shot.sensor.float().clone()
    sensor[6:, 38:] = frame.data
    whole = replace(frame, data=sensor, cfa=bayer.rephase("RGGB", -6, -38), origin=torch.tensor([0, 0, 40, 78]))
    assert Crop()(whole).data.equal(Crop()(frame).data)
    assert Crop()(whole).cfa == Crop()(frame).cfa


@phases
@pytest.mark.parametrize("size", [(34, 40), (35, 41)])
def test_the_default_crop_follows_a_superpixel_picture_to_half_the_size(cfa: str, size: tuple[int, int]) -> None:
    frame = synthetic_frame(Space.MOSAIC, *size, cfa)
    small = Demosaic("superpixel")(frame)
    result = Crop()(small)
    assert result.data.equal(small.data[:, 2 : 2 + (size[0] - 8) // 2, 2 : 2 + (size[1] - 8) // 2])


def test_a_frame_without_a_default_crop_stays() -> None:
    frame = Frame.from_array(torch.rand(3, 8, 8))
    assert Crop()(frame) is frame


@pytest.mark.parametrize("box", [(0, 0, 35, 40), (-1, 0, 5, 5), (5, 0, 5, 9), (9, 0, 5, 9)])
def test_a_box_outside_the_frame_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(FrameError, match="expected it within 34x40"):
        Crop(box)(synthetic_frame())
    with pytest.raises(StageError, match=r"stage 0 \(crop\): got a crop of"):
        Pipeline([Crop(box)])(synthetic_frame())


@pytest.mark.parametrize("box", ["center", (1, 2, 3), 3, None])
def test_a_wrong_box_is_refused(box: Any) -> None:
    with pytest.raises(StageError, match=r"expected top, left, bottom, right, or \"default\""):
        Crop(box)


# Orient


@orientations
@turnable
@pytest.mark.parametrize("size", [(34, 40), (33, 41)])
def test_pixels_come_out_as_a_viewer_shows_them(orientation: int, space: Space, size: tuple[int, int]) -> None:
    frame = synthetic_frame(space, *size)
    result = Orient(orientation)(frame)
    for got, plane in zip(result.data.reshape(-1, *result.data.shape[-2:]), frame.data.reshape(-1, *size), strict=True):
        assert got.equal(turned_by_pillow(plane, orientation))


def test_the_orientation_of_the_shot_is_the_default_and_becomes_one() -> None:
    frame = synthetic_frame(Space.CAMERA)
    assert frame.shot.orientation == 6
    result = Orient()(frame)
    assert result.data.equal(Orient(6)(frame).data)
    assert result.shot.orientation == 1
    assert Orient()(result).data.equal(result.data)


@phases
@orientations
@pytest.mark.parametrize("size", [(20, 24), (21, 23), (20, 23)])
def test_the_phase_and_the_levels_turn_with_the_mosaic(cfa: str, orientation: int, size: tuple[int, int]) -> None:
    """A mosaic made of its own levels: wherever a pixel goes, its level goes too."""
    levels = torch.tensor([0.1, 0.2, 0.3, 0.4])
    frame = synthetic_frame(Space.MOSAIC, *size, cfa)
    noise = Noise(levels, levels, torch.zeros(4))
    mosaic = bayer.spread(levels, cfa, *size)
    frame = replace(frame, data=mosaic, black=levels, white=levels + 1, noise=noise)
    result = Orient(orientation)(frame)
    laid_out = bayer.spread(result.black, str(result.cfa), result.height, result.width)
    assert result.data.equal(laid_out)
    assert result.white.equal(result.black + 1)
    assert result.noise is not None
    torch.testing.assert_close(result.noise.read, result.black)
    assert result.noise.shot.equal(result.black)


@orientations
def test_row_noise_turned_by_90_degrees_counts_as_read_noise(orientation: int) -> None:
    noise = Noise(torch.full((3,), 1e-4), torch.full((3,), 3e-3), torch.full((3,), 4e-3))
    frame = replace(synthetic_frame(Space.CAMERA, 20, 24), noise=noise)
    turned = Orient(orientation)(frame).noise
    assert turned is not None
    torch.testing.assert_close(turned.variance(torch.full((3,), 0.3)), noise.variance(torch.full((3,), 0.3)))
    assert turned.row.tolist() == ([0] * 3 if orientation > 4 else noise.row.tolist())


@phases
@orientations
def test_demosaicing_before_or_after_turning_is_the_same(cfa: str, orientation: int) -> None:
    frame = synthetic_frame(Space.MOSAIC, 25, 30, cfa, dtype=torch.float64)
    before, after = Orient(orientation)(Demosaic()(frame)).data, Demosaic()(Orient(orientation)(frame)).data
    torch.testing.assert_close(before, after, rtol=0, atol=1e-12)


@orientations
def test_the_default_crop_turns_with_the_picture(orientation: int) -> None:
    frame = synthetic_frame(Space.CAMERA)
    frame = replace(frame, shot=replace(frame.shot, default_crop=(2, 3, 30, 31)))
    turned = Crop()(Orient(orientation)(frame)).data
    assert turned.equal(Orient(orientation)(Crop()(frame)).data)


def test_what_is_tied_to_the_sensor_is_left_behind() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    shot = replace(frame.shot, opcodes=(b"1", b"2", b"3"), black_rows=torch.zeros(34), masked_areas=((0, 0, 6, 78),))
    result = Orient(3)(replace(frame, shot=shot)).shot
    assert (result.sensor, result.black_rows, result.masked_areas) == (None, None, ())
    assert result.opcodes == (b"", b"", b"")
    assert (result.size, result.active_area) == ((34, 40), (0, 0, 34, 40))
    assert result.iso == shot.iso


def test_a_turned_picture_shares_no_memory_and_lies_in_order() -> None:
    frame = synthetic_frame(Space.CAMERA)
    result = Orient(8)(frame).data
    assert result.is_contiguous()
    assert result.data_ptr() != frame.data.data_ptr()


@pytest.mark.parametrize("orientation", [0, 9, -1, "up"])
def test_an_unknown_orientation_is_refused(orientation: Any) -> None:
    with pytest.raises(StageError, match="expected an EXIF orientation from 1 to 8"):
        Orient(orientation)


def test_counts_are_turned_only_behind_black_level() -> None:
    Pipeline([BlackLevel(), Orient()])
    assert not Orient.takes & Space.SENSOR


@pytest.mark.parametrize("box", [[1, 2, 9, 12], np.array([1, 2, 9, 12]), torch.tensor([1, 2, 9, 12])])
def test_a_box_may_come_in_a_list_or_an_array(box: Any) -> None:
    assert Crop(box) == Crop((1, 2, 9, 12))
    assert Pipeline.from_recipe(Pipeline([Crop(box)]).recipe()).stages == (Crop((1, 2, 9, 12)),)
