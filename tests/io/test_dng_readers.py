"""What other programs make of our DNGs: the Adobe SDK, LibRaw; darktable and RawTherapee where they are installed."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rawpy
import torch

from rawpipe import Frame, Noise, Pipeline, RawpipeWarning, Space, bayer
from rawpipe.bayer import PHASES
from rawpipe.colorimetry import RGB_SPACES
from rawpipe.io.dng_encode import Encoder, Layout, Levels
from rawpipe.stages import BlackLevel, Crop, Demosaic, Enhance, Exposure, WhiteBalance
from rawpipe.testing import synthetic_frame

SIZES = ((64, 70), (65, 71), (301, 523), (300, 768))
REAL = {
    "canon_550d_ml_colorchecker.dng": None,
    "nikon_d1_berlin.nef": None,
    "kodak_dc50.kdc": "generic",
    "raspberrypi_pidng_640x480.dng": "generic",
}
SDK = """
import hashlib, json, sys
import dngpy
for path in sys.argv[1:]:
    dng = dngpy.Dng(path)
    pixels = dng.raw_pixels
    print(json.dumps({
        "path": path, "shape": pixels.shape, "sha": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "neutral": dng.get_white_balance(), "exposure": dng.get_baseline_exposure(), "cfa": dng.get_bayer_pattern(),
    }), flush=True)
"""


@dataclass(frozen=True)
class Written:
    frame: Frame
    path: Path

    def stored(self) -> np.ndarray:
        layout = Layout.of(self.frame)
        return Encoder(self.frame, Levels.of(self.frame), layout).rows(0, layout.size[0])


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> list[Written]:
    """Four phases x mosaic, linear and brightened x odd and even sizes x odd and even origins."""
    folder, made = tmp_path_factory.mktemp("gallery"), []
    noise = Noise(torch.full((4,), 2e-5), torch.full((4,), 1e-3), torch.zeros(4))
    for phase in PHASES:
        for height, width in SIZES:
            source = BlackLevel()(synthetic_frame(Space.SENSOR, height, width, phase, level=0.2, noise=noise))
            for crop in (None, (0, 0), (1, 0), (0, 1), (1, 1)):
                frame = source if crop is None else Crop((*crop, height - 2, width - 2))(source)
                for kind, stages in KINDS.items():
                    path = folder / f"{phase}_{height}x{width}_{crop}_{kind}.dng"
                    made.append(Written(Pipeline([*stages, WhiteBalance()])(frame), path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        for one in made:
            one.frame.write(one.path)
    return made


KINDS = {"cfa": (), "linear": (Demosaic("bilinear"),), "bright": (Exposure(1.5),)}


@pytest.fixture(scope="module")
def real_gallery(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Written]:
    folder, made = tmp_path_factory.mktemp("real"), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        for name, matrix in REAL.items():
            source = BlackLevel()(Frame.read(data / "raw" / name, matrix=matrix))
            for kind, stages in KINDS.items():
                one = Written(Pipeline([*stages, Exposure(0.0)])(source), folder / f"{name}_{kind}.dng")
                one.frame.write(one.path)
                made.append(one)
    return made


def enhanced(phase: str, folder: Path) -> Written:
    """A hundredth of the light, with noise and a lamp a hundred times too bright, exposed and cleaned by a network."""
    noise = Noise(torch.full((4,), 5e-5), torch.full((4,), 3e-4), torch.full((4,), 5e-5))
    source = BlackLevel()(synthetic_frame(Space.SENSOR, 300, 401, phase, level=0.3 / 100, noise=noise))
    dim = source.data.clone()
    dim[100:150, 100:150] = 1.0
    bright = Enhance("exposure_diffusion(steps=1)", exposure=100)(replace(source, data=dim))
    path = folder / f"{phase}.dng"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        bright.write(path)
    return Written(bright, path)


def ask_sdk(paths: list[Path]) -> Iterator[dict[str, object]]:
    pytest.importorskip("dngpy", reason="the Adobe SDK's Python package isn't installed")
    run = subprocess.run([sys.executable, "-c", SDK, *map(str, paths)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = run.stdout.splitlines() + run.stderr.splitlines()
    assert [line for line in lines if "***" in line] == []
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(answers) == len(paths)
    return iter(answers)


def check_sdk(gallery: list[Written]) -> None:
    for one, said in zip(gallery, ask_sdk([one.path for one in gallery]), strict=True):
        stored = one.stored()
        assert np.prod(said["shape"]) == stored.size
        assert said["sha"] == hashlib.sha256(stored.tobytes()).hexdigest(), one.path.name
        neutral = one.frame.neutral / one.frame.neutral.max()
        assert said["neutral"] == pytest.approx(neutral.tolist(), abs=2e-6)
        exposure = one.frame.shot.baseline_exposure + math.log2(Levels.of(one.frame).headroom)
        assert said["exposure"] == pytest.approx(exposure, abs=1e-5)
        if one.frame.cfa is not None:
            assert said["cfa"] == Encoder(one.frame, Levels.of(one.frame), Layout.of(one.frame)).cfa


def check_libraw(gallery: list[Written]) -> None:
    for one in gallery:
        frame, levels, layout = one.frame, Levels.of(one.frame), Layout.of(one.frame)
        with rawpy.imread(str(one.path)) as raw:
            pixels = raw.raw_image if frame.cfa is not None else raw.raw_image[..., :3]
            assert np.array_equal(pixels, one.stored()), one.path.name
            assert raw.white_level == levels.white
            red, green_red, blue, green_blue = raw.black_level_per_channel
            black = (
                torch.tensor([red, green_red, green_blue, blue])
                if frame.cfa is not None
                else torch.tensor([red, green_red, blue])
            )
            assert float((black - levels.black).abs().max()) <= 1
            if frame.cfa is not None:
                top, left = layout.active[:2]
                cell = [raw.raw_pattern[(top + y) % 2, (left + x) % 2] for y in (0, 1) for x in (0, 1)]
                assert "".join("RGBG"[color] for color in cell) == Encoder(frame, levels, layout).cfa
            got = np.array(raw.camera_whitebalance[:3])
            assert np.allclose(got[1] / got, frame.neutral, atol=1e-4)
            assert np.allclose(raw.color_matrix[:, :3], libraw_matrix(frame), atol=2e-3)


def libraw_matrix(frame: Frame) -> np.ndarray:
    """Camera to sRGB as LibRaw derives it: rows of sRGB to camera normalised to 1, then inverted."""
    color = frame.shot.color
    assert color is not None
    to_camera = (color.color1 @ RGB_SPACES["srgb"].to_xyz()).numpy()
    return np.linalg.inv(to_camera / to_camera.sum(axis=1, keepdims=True))


def test_the_adobe_sdk_reads_every_kind_of_file_without_a_warning(gallery: list[Written]):
    check_sdk(gallery)


def test_libraw_reads_every_kind_of_file(gallery: list[Written]):
    check_libraw(gallery)


def test_the_adobe_sdk_reads_what_real_files_become_without_a_warning(real_gallery: list[Written]):
    check_sdk(real_gallery)


def test_libraw_reads_what_real_files_become(real_gallery: list[Written]):
    check_libraw(real_gallery)


@pytest.mark.parametrize("phase", PHASES)
def test_what_was_exposed_a_hundredfold_by_a_network_reads_right(phase: str, tmp_path: Path):
    one = enhanced(phase, tmp_path)
    check_sdk([one])
    check_libraw([one])
    (said,) = ask_sdk([one.path])
    with rawpy.imread(str(one.path)) as raw:
        black, white = raw.black_level_per_channel[1], raw.white_level
        linear = torch.from_numpy((raw.raw_image_visible.astype(np.float64) - black) / (white - black))
    shown = float(bayer.view(linear[200:], phase, 1).mean())
    assert shown * 2 ** said["exposure"] == pytest.approx(0.3, rel=0.03)
    lamp = float(bayer.view(linear[110:140, 110:140], phase, 1).mean())
    assert lamp > 3 * shown  # not cut off at the model's range


def test_exiftool_finds_nothing_wrong(gallery: list[Written]):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool isn't on the PATH")
    paths = [str(one.path) for one in gallery]
    run = subprocess.run(
        ["exiftool", "-validate", "-warning", "-error", "-a", "-S", *paths], capture_output=True, text=True, check=False
    )
    verdicts = [
        line for line in run.stdout.splitlines() if line and not line.startswith("=") and "image files read" not in line
    ]
    assert set(verdicts) == {"Validate: OK"}


@pytest.mark.filterwarnings("ignore:.*above white:rawpipe.RawpipeWarning")
def test_a_noisy_grey_ramp_keeps_its_colour_down_to_one_sigma(tmp_path: Path):
    sigma, width = 0.01, 2048
    noise = Noise(torch.full((4,), 1e-9), torch.full((4,), sigma), torch.zeros(4))
    levels = (1, 2, 4, 8)
    for level in levels:
        green = level * sigma
        frame = synthetic_frame(
            Space.MOSAIC, 1024, width, "GRBG", level=green, noise=noise, dtype=torch.float64, seed=level
        )
        Exposure(4.0)(frame).write(tmp_path / "x.dng")
        with rawpy.imread(str(tmp_path / "x.dng")) as raw:
            picture = torch.from_numpy(raw.raw_image_visible.astype(np.float32))
            red_black, green_black, _, _ = raw.black_level_per_channel
            gains = raw.camera_whitebalance
        red = (bayer.view(picture, "GRBG", 0).mean() - red_black) * gains[0]
        green_mean = (bayer.view(picture, "GRBG", 1).mean() - green_black) * gains[1]
        assert float(red / green_mean) == pytest.approx(1.0, abs=0.02)


def test_a_hundredfold_frame_with_a_lamp_reads_right_with_and_without_baseline_exposure(tmp_path: Path):
    patch, lamp = 0.3, 100.0
    source = synthetic_frame(Space.MOSAIC, 1000, 800, "GBRG", level=patch / 100, dtype=torch.float64)
    dim = source.data.clone()
    dim[100:200, 100:200] = lamp / 100
    dim[400:] = torch.linspace(0.0, 0.9 / 100, 600 * 800, dtype=torch.float64).reshape(600, 800)
    frame = Exposure(math.log2(100))(replace(source, data=dim))
    with pytest.warns(RawpipeWarning, match="above white"):
        frame.write(tmp_path / "x.dng")
    (said,) = ask_sdk([tmp_path / "x.dng"])
    with rawpy.imread(str(tmp_path / "x.dng")) as raw:
        black, white = raw.black_level_per_channel[1], raw.white_level
        linear = (raw.raw_image_visible.astype(np.float64) - black) / (white - black)
        codes = raw.raw_image_visible[400:].copy()
    green = torch.from_numpy(linear)[300:390]
    shown = float(bayer.view(green, "GBRG", 1).mean())
    assert shown * 2 ** said["exposure"] == pytest.approx(patch, rel=1e-3)
    assert patch / 4 <= shown * 1.001 <= patch * 1.002  # two stops at most for a reader that ignores the tag
    assert linear[150, 150] > 3 * shown
    gaps = np.diff(np.unique(codes))  # 480 000 values on the way up: nothing was rounded before it was stretched
    assert len(gaps) > 10_000 and gaps.max() <= 2


def grey_scene(path: Path, kind: str) -> Frame:
    """Six grey steps side by side."""
    frame = synthetic_frame(Space.MOSAIC, 400, 600, "GRBG", level=1.0, dtype=torch.float64)
    steps = torch.tensor([0.02, 0.05, 0.1, 0.2, 0.4, 0.8], dtype=torch.float64).repeat_interleave(100)
    frame = replace(frame, data=frame.data * steps, shot=replace(frame.shot, orientation=1))
    result = Pipeline([*KINDS[kind], WhiteBalance()])(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RawpipeWarning)
        result.write(path)
    return result


def cast(picture: np.ndarray) -> float:
    """Largest departure of R/G and B/G from 1 in the middle of the six steps."""
    height, width, _ = picture.shape
    worst = 0.0
    for step in range(1, 6):
        center = int((step + 0.5) / 6 * width)
        red, green, blue = picture[height // 3 : 2 * height // 3, center - 15 : center + 15].reshape(-1, 3).mean(axis=0)
        worst = max(worst, abs(red / green - 1), abs(blue / green - 1))
    return worst


@pytest.mark.parametrize("kind", KINDS)
def test_darktable_shows_grey_as_grey(tmp_path: Path, kind: str):
    if shutil.which("darktable-cli") is None:
        pytest.skip("darktable-cli isn't on the PATH")
    import tifffile

    grey_scene(tmp_path / "x.dng", kind)
    options = "--apply-custom-presets false --icc-type LIN_REC709 --core --library :memory: "
    options += "--conf plugins/darkroom/workflow=none"
    command = ["darktable-cli", str(tmp_path / "x.dng"), str(tmp_path / "x.tif"), *options.split()]
    command += ["--configdir", str(tmp_path / "config"), "--conf", "plugins/imageio/format/tiff/bpp=16"]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert cast(tifffile.imread(tmp_path / "x.tif").astype(float)) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_rawtherapee_shows_grey_as_grey(tmp_path: Path, kind: str):
    if shutil.which("rawtherapee-cli") is None:
        pytest.skip("rawtherapee-cli isn't on the PATH")
    import tifffile

    grey_scene(tmp_path / "x.dng", kind)
    (tmp_path / "neutral.pp3").write_text("[White Balance]\nSetting=Camera\n\n[Color Management]\nToneCurve=false\n")
    command = [
        "rawtherapee-cli",
        "-o",
        tmp_path / "x.tif",
        "-p",
        tmp_path / "neutral.pp3",
        "-t",
        "-b16",
        "-Y",
        "-c",
        tmp_path / "x.dng",
    ]
    subprocess.run(list(map(str, command)), capture_output=True, timeout=120, check=True)
    assert cast(tifffile.imread(tmp_path / "x.tif").astype(float)) < 0.02
