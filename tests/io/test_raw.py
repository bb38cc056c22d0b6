from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import CameraColor, FormatError, Frame, RawpipeWarning, Space
from rawpipe.bayer import PHASES, rephase, sites_at
from rawpipe.io.ifd import BYTE, DOUBLE, LONG, RATIONAL, SHORT, SRATIONAL, UNDEFINED, Tag, rationals
from rawpipe.stages import BlackLevel

BLACK = (512.0, 516.0, 520.0, 508.0)  # R, Gr, Gb, B


def counts(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(400, 16000, (height, width)).astype(np.uint16)


def black_tags(cfa: str) -> tuple[Tag, Tag]:
    cell = [BLACK[site] for row in sites_at(cfa) for site in row]
    return Tag(50713, SHORT, (2, 2)), rationals(50714, cell)


@pytest.mark.parametrize("cfa", PHASES)
@pytest.mark.parametrize("corner", [(0, 0), (6, 8), (7, 8), (6, 9), (7, 9)])
def test_phase_and_black_are_right_in_any_active_area(foreign_dng, cfa: str, corner: tuple[int, int]):
    pixels, (top, left) = counts(80, 100), corner
    path = foreign_dng(
        pixels, *black_tags(cfa), Tag(50717, LONG, (15520,)), Tag(50829, LONG, (top, left, 75, 93)), cfa=cfa
    )
    frame = Frame.read(path)
    assert frame.cfa == cfa
    assert np.array_equal(frame.data.numpy(), pixels[top:75, left:93])
    assert frame.black.tolist() == list(BLACK)
    assert frame.origin.tolist() == [top, left, 80, 100]
    whole = Frame.read(path, area="sensor")
    assert whole.cfa == rephase(cfa, -top, -left)
    assert whole.origin.tolist() == [0, 0, 80, 100]
    assert whole.black.tolist() == list(BLACK)


@pytest.mark.parametrize("crop", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_crop_or_the_whole_sensor_finds_the_same_linear_values(foreign_dng, crop: tuple[int, int]):
    path = foreign_dng(
        counts(60, 70), *black_tags("GRBG"), Tag(50717, LONG, (15520,)), Tag(50829, LONG, (5, 7, 57, 67)), cfa="GRBG"
    )
    picture, sensor = (BlackLevel()(Frame.read(path, area=area)) for area in ("active", "sensor"))
    y, x = crop
    cropped = BlackLevel()(Frame.read(path).crop(y, x, 40, 41))
    assert torch.equal(cropped.data, picture.data[y : y + 40, x : x + 41])
    assert torch.equal(sensor.data[5:57, 7:67], picture.data)


def test_black_additions_by_row_and_column_are_subtracted_where_they_stand(foreign_dng):
    rows, columns = np.linspace(-3, 3, 50), np.linspace(0, 6, 60)
    pixels = (1000 + rows[:, None] + columns).round().astype(np.uint16)
    path = foreign_dng(
        np.pad(pixels, ((4, 0), (6, 0))),
        Tag(50714, SHORT, (600,)),
        Tag(50717, LONG, (10600,)),
        Tag(50829, LONG, (4, 6, 54, 66)),
        rationals(50716, rows.tolist(), signed=True),
        rationals(50715, columns.tolist(), signed=True),
    )
    frame = Frame.read(path)
    expected = (pixels - 600 - rows[:, None] - columns) / 10000
    assert np.allclose(BlackLevel()(frame).data.numpy(), expected, atol=1e-6)
    part = BlackLevel()(frame.crop(3, 5, 20, 30))
    assert np.allclose(part.data.numpy(), expected[3:23, 5:35], atol=1e-6)


def test_a_linearization_table_has_been_looked_up_once(foreign_dng):
    codes = (np.arange(64 * 64).reshape(64, 64) % 1024).astype(np.uint16)
    table = tuple((np.arange(1024) ** 2 // 16).tolist())
    frame = Frame.read(foreign_dng(codes, Tag(50712, SHORT, table), Tag(50717, LONG, (table[-1],))))
    assert np.array_equal(frame.data.numpy(), np.array(table)[codes])
    assert "linearization" in frame.applied
    assert frame.shot.linearization is not None and len(frame.shot.linearization) == 1024


def test_a_dngs_own_tags_say_everything_they_can(foreign_dng):
    opcodes = b"\0\0\0\0"
    frame = Frame.read(
        foreign_dng(
            counts(80, 100),
            Tag(50829, LONG, (6, 8, 76, 98)),
            Tag(50830, LONG, (0, 0, 6, 100, 6, 0, 80, 8)),
            rationals(50719, (3, 2)),
            rationals(50720, (80, 60)),
            rationals(50722, (0.6, -0.1, -0.1, -0.4, 1.2, 0.2, -0.1, 0.2, 0.6), signed=True),
            Tag(50778, SHORT, (17,)),
            Tag(50779, SHORT, (21,)),
            rationals(50964, (0.6, 0.2, 0.1642, 0.3, 0.6, 0.1, 0.0, 0.1, 0.7249), signed=True),
            Tag(50730, SRATIONAL, (-1, 4)),
            Tag(51041, DOUBLE, (1e-4, 1e-7, 2e-4, 2e-7, 3e-4, 3e-7)),
            Tag(51008, UNDEFINED, opcodes),
            Tag(50735, 2, b"SN 17\0"),
        )
    )
    shot = frame.shot
    assert shot.default_crop == (2, 3, 62, 83)
    assert shot.masked_areas == ((0, 0, 6, 100), (6, 0, 80, 8))
    assert shot.color is not None and (shot.color.illuminant1, shot.color.illuminant2) == (17, 21)
    assert shot.color.color2 is not None and shot.color.forward1 is not None and shot.color.source == "dng"
    assert shot.baseline_exposure == -0.25
    assert shot.opcodes == (opcodes, b"", b"")
    assert (shot.make, shot.model, shot.unique_model, shot.serial) == ("Maker", "Model X", "Maker Model X", "SN 17")
    assert torch.allclose(frame.neutral, torch.tensor([0.5, 1.0, 0.65]))
    assert frame.noise is not None
    scale = 65535.0
    assert torch.allclose(frame.noise.shot, torch.tensor([1e-4, 2e-4, 2e-4, 3e-4]) * scale)
    assert torch.allclose(frame.noise.read, torch.tensor([1e-7, 2e-7, 2e-7, 3e-7]).sqrt() * scale)


def test_a_white_point_stands_in_for_a_neutral(foreign_dng):
    path = foreign_dng(counts(40, 40), Tag(50728, RATIONAL, (0, 0) * 3), rationals(50729, (0.3127, 0.3290)))
    frame = Frame.read(path)
    daylight = frame.shot.daylight_neutral()
    assert daylight is not None and torch.allclose(frame.neutral, daylight, atol=1e-5)


@pytest.mark.parametrize(("white", "bits"), [((15520,), 14), ((16384,), 15), ((), 16)])
def test_the_white_level_tells_how_many_bits_were_recorded(foreign_dng, white: tuple[int, ...], bits: int):
    tags = [Tag(50717, LONG, white)] if white else []
    assert Frame.read(foreign_dng(counts(40, 40), *tags)).shot.bits == bits


def test_an_undefined_baseline_exposure_is_absent(foreign_dng):
    assert Frame.read(foreign_dng(counts(40, 40), Tag(50730, SRATIONAL, (0, 0)))).shot.baseline_exposure == 0


def test_without_a_neutral_the_matrixs_daylight_stands_in_and_says_so(foreign_dng):
    path = foreign_dng(counts(40, 40), Tag(50728, RATIONAL, (0, 1) * 3))
    with pytest.warns(RawpipeWarning, match="no as-shot white balance"):
        frame = Frame.read(path)
    assert frame.shot.neutral is None and frame.neutral[1] == 1 and frame.neutral[0] < 1


def test_a_linear_dng_reads_as_camera_rgb(foreign_dng):
    pixels = np.random.default_rng(1).integers(100, 4000, (40, 50, 3)).astype(np.uint16)
    frame = Frame.read(foreign_dng(pixels, Tag(50714, SHORT, (64, 64, 64)), Tag(50717, LONG, (4095,) * 3), cfa=None))
    assert frame.space is Space.CAMERA and frame.cfa is None
    expected = (np.moveaxis(pixels, -1, 0).astype(np.float32) - 64) / (4095 - 64)
    assert np.allclose(frame.data.numpy(), expected, atol=1e-6)
    assert frame.black.tolist() == [0, 0, 0] and frame.white.tolist() == [1, 1, 1]


def test_a_linear_dng_has_a_border_too(foreign_dng):
    pixels = np.random.default_rng(1).integers(100, 4000, (40, 50, 3)).astype(np.uint16)
    rows = np.linspace(-3, 3, 30)
    tags = (
        Tag(50717, LONG, (4095,) * 3),
        Tag(50829, LONG, (4, 6, 34, 46)),
        rationals(50716, rows.tolist(), signed=True),
    )
    path = foreign_dng(pixels, *tags, cfa=None)
    picture, whole = Frame.read(path), Frame.read(path, area="sensor")
    assert (picture.data.shape, whole.data.shape) == ((3, 30, 40), (3, 40, 50))
    assert whole.origin.tolist() == [0, 0, 40, 50] and picture.origin.tolist() == [4, 6, 40, 50]
    assert torch.equal(whole.crop(4, 6, 30, 40).data, picture.data)
    expected = (np.moveaxis(pixels[4:34, 6:46], -1, 0) - rows[:, None]) / 4095
    assert np.allclose(picture.data.numpy(), expected, atol=1e-6)


def test_floating_samples_are_not_cut_to_14_bits(foreign_dng):
    pixels = np.random.default_rng(2).random((48, 64)).astype(np.float32)
    frame = Frame.read(foreign_dng(pixels, Tag(339, SHORT, (3,)), Tag(50717, LONG, (1,))))
    assert np.array_equal(frame.data.numpy(), pixels)
    assert frame.white.tolist() == [1.0] * 4


def test_mosaics_that_are_not_bayer_are_refused(foreign_dng):
    pattern = bytes(np.resize([0, 1, 2], 36).tolist())
    path = foreign_dng(counts(60, 60), Tag(33421, SHORT, (6, 6)), Tag(33422, BYTE, pattern))
    with pytest.raises(FormatError, match="Bayer|X-Trans"):
        Frame.read(path)


def test_black_levels_that_repeat_oddly_are_refused(foreign_dng):
    path = foreign_dng(counts(64, 64), Tag(50713, SHORT, (4, 4)), Tag(50714, SHORT, tuple(range(16))))
    with pytest.raises(FormatError, match="black levels"):
        Frame.read(path)


def test_an_impossible_active_area_is_refused(foreign_dng):
    with pytest.raises(FormatError, match=r"ActiveArea|can't be decoded"):
        Frame.read(foreign_dng(counts(64, 64), Tag(50829, LONG, (0, 0, 100, 64))))


def test_a_black_frame_reads_with_a_warning(foreign_dng):
    with pytest.warns(RawpipeWarning, match="every pixel is zero"):
        frame = Frame.read(foreign_dng(np.zeros((40, 40), np.uint16)))
    assert not frame.data.numpy().any()


def test_a_matrix_of_ones_own_wins_and_the_generic_one_only_fills_a_gap(foreign_dng):
    path = foreign_dng(counts(40, 40))
    own = CameraColor.of(torch.eye(3))
    for matrix, source in ((own, "user"), (torch.eye(3).tolist(), "user"), ("generic", "dng"), (None, "dng")):
        color = Frame.read(path, matrix=matrix).shot.color
        assert color is not None and color.source == source
    bare = Frame.read(foreign_dng(counts(40, 40), Tag(50721, SRATIONAL, (0, 1) * 9)), matrix="generic")
    assert bare.shot.color is not None and bare.shot.color.source == "generic"


def test_the_generic_matrix_is_no_judge_of_the_light(foreign_dng):
    path = foreign_dng(counts(40, 40), Tag(50728, RATIONAL, (0, 1) * 3), Tag(50721, SRATIONAL, (0, 1) * 9))
    with pytest.warns(RawpipeWarning, match="no as-shot white balance; 1 1 1 stands in"):
        frame = Frame.read(path, matrix="generic")
    assert frame.shot.neutral is None and frame.neutral.tolist() == [1, 1, 1]


def test_unknown_options_are_refused(foreign_dng):
    path = foreign_dng(counts(40, 40))
    with pytest.raises(FormatError, match="area"):
        Frame.read(path, area="visible")
    with pytest.raises(FormatError, match="headless"):
        Frame.read(path, black=5)


REAL = {  # height, width, phase, black, white, ISO
    "canon_550d_ml_colorchecker.dng": (1156, 1734, "RGGB", 2056, 15000, None),
    "nikon_d1_berlin.nef": (1324, 2012, "BGGR", 0, 4095, 200),
    "kodak_dc50.kdc": (512, 768, "GRBG", 0, 16383, 84),
    "raspberrypi_pidng_640x480.dng": (480, 640, "GBRG", 0, 1023, None),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_real_files_of_all_four_phases_read(data: Path, name: str):
    import rawpy

    height, width, cfa, black, white, iso = REAL[name]
    frame = Frame.read(data / "raw" / name)
    assert (frame.height, frame.width, frame.cfa) == (height, width, cfa)
    assert frame.black.tolist() == [black] * 4 and frame.white.tolist() == [white] * 4
    assert frame.shot.iso == iso
    with rawpy.imread(str(data / "raw" / name)) as raw:
        assert np.array_equal(frame.data.numpy(), raw.raw_image_visible)


def test_the_nikon_keeps_its_exif_and_its_white_balance_of_ones(data: Path, tmp_path: Path):
    with pytest.warns(RawpipeWarning, match="1 1 1; the counts are taken as balanced by the camera"):
        frame = Frame.read(data / "raw" / "nikon_d1_berlin.nef")
    shot = frame.shot
    assert (shot.make, shot.model) == ("NIKON CORPORATION", "NIKON D1")
    assert (shot.exposure_s, shot.f_number, shot.focal_mm) == (0.004, 7.6, 20.0)
    assert shot.taken == "2000:11:19 13:01:50"
    assert shot.neutral is not None and shot.color is not None and shot.color.source == "libraw"
    assert frame.neutral.tolist() == shot.neutral.tolist() == [1, 1, 1]
    frame.write(tmp_path / "x.dng")
    again = Frame.read(tmp_path / "x.dng")
    assert again.neutral.tolist() == [1, 1, 1] and torch.equal(again.data, frame.data)
    assert again.shot.color is not None
    assert torch.allclose(again.shot.color.neutral_of().float(), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("name", ["photoprism_canon6d_linear.dng", "skia_dng_with_preview.dng"])
def test_real_linear_dngs_read_as_camera_rgb(data: Path, name: str):
    frame = Frame.read(data / "raw_negative" / name)
    assert frame.space is Space.CAMERA
    assert float(frame.data.min()) >= 0 and 0.9 < float(frame.data.max()) <= 1
    assert "opcodes2" in frame.applied  # LibRaw expands lossy JPEG through the list's polynomial


def test_masked_pixels_of_a_real_camera_give_its_true_black(data: Path):
    frame = Frame.read(data / "raw" / "canon_550d_ml_colorchecker.dng")
    with pytest.warns(RawpipeWarning, match="taken for it"):
        stage = BlackLevel("masked").measure(frame)
    assert stage.black == pytest.approx((2047.3, 2047.4, 2050.4, 2050.3), abs=0.4)
