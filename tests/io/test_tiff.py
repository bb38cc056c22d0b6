from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch

from rawpipe import Color, FormatError, Frame, Pipeline, Space
from rawpipe.colorimetry import CURVES, RGB_SPACES, adaptation, xyz
from rawpipe.io.icc import icc_profile
from rawpipe.io.ifd import EXIF_IFD, read_tree
from rawpipe.io.tiff import COMPRESSIONS
from rawpipe.stages import BlackLevel, ColorTransform, Demosaic, ToneCurve, WhiteBalance
from rawpipe.testing import synthetic_frame

PCS = torch.tensor([0.9642, 1.0, 0.8249], dtype=torch.float64)


def rgb(height: int = 150, width: int = 170, **options) -> Frame:
    return synthetic_frame(Space.RGB, height, width, **options)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("size", [(1, 1), (63, 5), (64, 33), (150, 171)])
def test_sixteen_bits_come_back_rounded_and_clipped(tmp_path: Path, compression: str, size: tuple[int, int]):
    frame = rgb(*size)
    step = frame.write(tmp_path / "x.tif", compression=compression)
    expected = np.moveaxis(frame.data.numpy(), 0, -1) * np.float32(65535)
    assert np.array_equal(tifffile.imread(tmp_path / "x.tif"), expected.round().clip(0, 65535).astype(np.uint16))
    assert step.parameters["clipped_below"] == (expected < -0.5).sum()
    assert step.parameters["clipped_above"] == (expected > 65535.5).sum()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_float_comes_back_bit_for_bit_with_what_is_below_zero_and_above_one(tmp_path: Path, compression: str):
    frame = rgb()
    frame.write(tmp_path / "x.tiff", dtype="float32", compression=compression)
    assert np.array_equal(tifffile.imread(tmp_path / "x.tiff"), np.moveaxis(frame.data.numpy(), 0, -1))
    assert float(frame.data.min()) < 0 and float(frame.data.max()) > 1


@pytest.mark.parametrize(
    ("space", "shape"), [(Space.SENSOR, (40, 50)), (Space.MOSAIC, (40, 50)), (Space.CAMERA, (40, 50, 3))]
)
def test_other_spaces_are_written_as_plain_samples(tmp_path: Path, space: Space, shape: tuple[int, ...]):
    frame = synthetic_frame(space, 40, 50)
    frame.write(tmp_path / "x.tif")
    pixels = tifffile.imread(tmp_path / "x.tif")
    assert pixels.shape == shape and pixels.dtype == np.uint16
    if space is Space.SENSOR:
        assert np.array_equal(pixels, frame.data.numpy())
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert 34675 not in file.pages[0].tags


def test_metadata_history_and_profile_are_in_the_file(tmp_path: Path):
    source = synthetic_frame(Space.SENSOR, 60, 70)
    source = replace(source, shot=replace(source.shot, exposure_s=0.01, lens="35mm"))
    stages = [BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform("display_p3"), ToneCurve()]
    result = Pipeline(stages)(source)
    result.write(tmp_path / "x.tif")
    (root,) = read_tree((tmp_path / "x.tif").read_bytes())
    exif = root.children[EXIF_IFD][0]
    assert (root.tags[271].text(), root.tags[272].text()) == ("Rawpipe", "Rawpipe Synthetic")
    assert root.tags[274].integers() == (6,)
    assert exif.tags[0xA434].text() == "35mm" and exif.tags[0x829A].numbers() == (0.01,)
    assert b"color_transform" in root.tags[700].raw() and b"[[stage]]" in root.tags[700].raw()
    assert root.tags[34675].raw() == icc_profile(Color("display_p3", "srgb"))


@pytest.mark.parametrize("name", ["x.tif", "x.dng"])
def test_a_frame_with_a_gradient_is_written_as_its_values(tmp_path: Path, name: str):
    frame = synthetic_frame(Space.MOSAIC, 40, 50, level=0.4)
    frame.write(tmp_path / f"plain{name}")
    replace(frame, data=frame.data.clone().requires_grad_()).write(tmp_path / f"grad{name}")
    assert (tmp_path / f"plain{name}").read_bytes() == (tmp_path / f"grad{name}").read_bytes()


def test_options_of_the_other_format_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match=r"got headroom for x.tif"):
        rgb().write(tmp_path / "x.tif", headroom=2.0)
    with pytest.raises(FormatError, match=r"got dtype, compression for x.dng"):
        synthetic_frame().write(tmp_path / "x.dng", dtype="float32", compression="none")


def test_options_that_do_not_exist_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="dtype"):
        rgb().write(tmp_path / "x.tif", dtype="uint8")
    with pytest.raises(FormatError, match="compression"):
        rgb().write(tmp_path / "x.tif", compression="lzw")
    with pytest.raises(FormatError, match="stack"):
        rgb(batch=(2,)).write(tmp_path / "x.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("space", RGB_SPACES)
@pytest.mark.parametrize("curve", CURVES)
def test_a_colour_engine_reads_the_profile_as_it_is_meant(space: str, curve: str):
    values = np.random.default_rng(0).random((9, 9, 3)).astype(np.float32)
    profile = icc_profile(Color(space, curve))
    got = imagecodecs.cms_transform(
        values, profile, imagecodecs.cms_profile("xyz"), colorspace="rgb", outcolorspace="xyz"
    )
    to_pcs = adaptation(xyz(RGB_SPACES[space].white), PCS) @ RGB_SPACES[space].to_xyz()
    linear = CURVES[curve].decode(torch.from_numpy(values).double())
    assert np.allclose(got, (linear @ to_pcs.T).numpy(), atol=2e-5)


@pytest.mark.parametrize("space", RGB_SPACES)
def test_profiles_are_well_formed(space: str):
    profile = icc_profile(Color(space))
    assert int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"
    count = int.from_bytes(profile[128:132], "big")
    entries = [profile[132 + 12 * i : 144 + 12 * i] for i in range(count)]
    assert {entry[:4] for entry in entries} >= {b"desc", b"cprt", b"wtpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC"}
    for entry in entries:
        at, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        assert at % 4 == 0 and at + size <= len(profile)


def test_the_three_colorants_add_up_to_the_connection_spaces_white():
    profile = icc_profile(Color("srgb", "srgb"))
    total = np.zeros(3)
    for name in (b"rXYZ", b"gXYZ", b"bXYZ"):
        entry = profile.index(name)
        at = int.from_bytes(profile[entry + 4 : entry + 8], "big")
        total += np.frombuffer(profile[at + 8 : at + 20], ">i4") / 65536
    assert np.allclose(total, PCS, atol=3 / 65536)
    assert not math.isnan(total.sum())


def test_a_16_bit_tiff_is_uncompressed_unless_asked(tmp_path: Path):
    for compression, code in ((None, 1), ("none", 1), ("zstd", 50000), ("zlib", 8)):
        rgb().write(tmp_path / "x.tif", compression=compression)
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            assert file.pages[0].compression == code
