"""What `rawpipe info` says, which must be what `Frame.read` makes of the same file."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rawpipe import CameraColor, FormatError, Frame, RawpipeWarning, Space
from rawpipe.bayer import PHASES
from rawpipe.cli import main
from rawpipe.io.recorded import recorded
from rawpipe.stages.enhance import ExposureDiffusion, LLFlow
from rawpipe.testing import synthetic_frame


def agree(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every field of the shot, the phase, the size, and the warnings, or the refusal."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frame = Frame.read(path)
        except FormatError as error:
            assert main(["info", str(path)]) == 1
            assert capsys.readouterr() == ("", f"error: {error}\n")
            return
        found = recorded(path)
    shot = frame.shot
    for field in fields(shot):
        if field.name not in ("color", "sensor"):
            same(getattr(found.taken, field.name), getattr(shot, field.name))
    assert (found.taken.color is None) == (shot.color is None)
    for field in fields(CameraColor) if shot.color is not None else ():
        same(getattr(found.taken.color, field.name), getattr(shot.color, field.name))
    assert found.is_dark == (not frame.data.any())
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr()
    assert f"\npixels             {frame.height} x {frame.width} of {shot.size[0]} x {shot.size[1]}" in said.out
    assert f"\nmosaic             {frame.cfa or 'none, camera RGB'}\n" in said.out
    expected = list(dict.fromkeys(f"warning: {one.message}" for one in caught))
    assert said.err.splitlines() == expected


def same(plain: object, value: object) -> None:
    """Bit for bit, types of numbers included."""
    if isinstance(value, Tensor):
        assert isinstance(plain, np.ndarray) and plain.dtype == value.numpy().dtype
        assert np.array_equal(plain, value.numpy())
    else:
        assert plain == value


def test_info_agrees_with_frames_of_all_real_files(data: Path, capsys: pytest.CaptureFixture[str]):
    paths = [path for folder in ("raw", "raw_negative") for path in sorted((data / folder).iterdir())]
    assert len(paths) > 10
    for path in paths:
        agree(path, capsys)


@pytest.mark.parametrize("cfa", PHASES)
@pytest.mark.parametrize("size", [(40, 50), (41, 53)])
def test_info_agrees_with_frames_of_mosaics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cfa: str, size: tuple[int, int]
):
    synthetic_frame(Space.SENSOR, *size, cfa, dtype=torch.uint16).write(tmp_path / "x.dng")
    agree(tmp_path / "x.dng", capsys)


def test_info_agrees_with_frames_of_camera_rgb(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rgb = np.random.default_rng(0).random((3, 41, 53), dtype=np.float32)
    Frame.from_array(rgb, neutral=(0.5, 1, 0.6), matrix="generic").write(tmp_path / "x.dng")
    agree(tmp_path / "x.dng", capsys)


@pytest.mark.parametrize("lit", [False, True])
def test_info_sees_a_frame_without_light(tmp_path: Path, capsys: pytest.CaptureFixture[str], lit: bool):
    counts = np.zeros((40, 50), np.uint16)
    counts[39, 49] = lit
    Frame.from_array(counts, "RGGB", bits=12, matrix="generic").write(tmp_path / "mosaic.dng")
    rgb = np.zeros((3, 40, 50), np.float32)
    rgb[2, 39, 49] = lit
    Frame.from_array(rgb, matrix="generic").write(tmp_path / "rgb.dng")
    for name in ("mosaic.dng", "rgb.dng"):
        assert recorded(tmp_path / name).is_dark == (not lit)
        agree(tmp_path / name, capsys)


def test_info_knows_every_set_of_weights_that_the_models_know(capsys: pytest.CaptureFixture[str]):
    assert main(["info", "--weights"]) == 0
    said = capsys.readouterr().out
    names = []
    for name, model in (("exposure_diffusion", ExposureDiffusion), ("llflow", LLFlow)):
        for set_name, path in model.weight_sets().items():
            names.append(f"{name} {set_name}, {path.stat().st_size / 1e6:.1f} MB")
            assert hashlib.sha256(path.read_bytes()).hexdigest() in said
    assert [line[19:] for line in said.splitlines() if line.startswith("weights ")] == names


def test_info_says_what_a_file_holds(tmp_path: Path, capsys):
    synthetic_frame(Space.SENSOR, 40, 50, "GBRG", dtype=torch.uint16).write(tmp_path / "x.dng")
    assert main(["info", str(tmp_path / "x.dng")]) == 0
    said = capsys.readouterr().out
    for fact in (
        "Rawpipe Synthetic",
        "GBRG",
        "40 x 50 of 46 x 88",
        "512 516 520 508",
        "15520",
        "from dng, illuminants 21",
        "800",
    ):
        assert fact in said


def test_info_of_a_bad_file_is_one_line(tmp_path: Path, capsys):
    (tmp_path / "x.dng").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    assert main(["info", str(tmp_path / "x.dng")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_info_says_what_runs_the_kernels(capsys):
    assert main(["info", "--backends"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cpu  ") and ("Numba" in said or "torch, since" in said)
    assert main(["info", "--backends", "--weights"]) == 1
    assert "expected one of them" in capsys.readouterr().err


def test_a_warning_is_one_line(tmp_path: Path, capsys):
    Frame.from_array(np.zeros((40, 50), np.uint16), "RGGB", bits=12, matrix="generic").write(tmp_path / "x.dng")
    assert main(["info", str(tmp_path / "x.dng")]) == 0
    assert "warning: " in capsys.readouterr().err
    with pytest.warns(RawpipeWarning):
        Frame.read(tmp_path / "x.dng")
