from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from rawpipe import Frame, Pipeline, RawpipeWarning, Space
from rawpipe.cli import main
from rawpipe.cli._scene import HEIGHT, LAMP, WIDTH, checker_linear, checker_means, scene, take
from rawpipe.testing import synthetic_frame


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


def test_stages_lists_every_stage_with_its_spaces(capsys):
    from rawpipe._registry import installed

    assert main(["stages"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{name} " in "\n" + said for name in installed())
    assert "MOSAIC -> CAMERA" in said
    assert main(["stages", "--names"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(installed())


def test_the_demo_writes_all_it_names_and_finds_the_colours_again(tmp_path: Path, capsys):
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr()
    assert "warning" not in said.err
    said = said.out
    for name in ("raw.dng", "bright.dng", "linear.dng", "developed.tif", "recipe.toml", "stages.png"):
        assert str(tmp_path / "demo" / name) in said and (tmp_path / "demo" / name).stat().st_size > 100
    mean = float(said.split("mean ΔE2000 ")[1].split(",")[0])
    assert mean < 1.5
    assert tifffile.imread(tmp_path / "demo" / "developed.tif").shape == (HEIGHT, WIDTH, 3)
    assert len(Pipeline.load(tmp_path / "demo" / "recipe.toml")) == 8
    with Image.open(tmp_path / "demo" / "stages.png") as sheet:
        assert np.asarray(sheet).std() > 30


def test_the_demos_colours_are_far_off_without_the_matrix():
    from rawpipe.metrics import delta_e_2000, lab
    from rawpipe.stages import BlackLevel, Demosaic, Exposure, WhiteBalance

    frame = take(scene())
    camera = Pipeline([BlackLevel(), WhiteBalance(), Demosaic(), Exposure(4.0)])(frame)
    assert float(delta_e_2000(lab(checker_means(camera.data)), lab(checker_linear())).mean()) > 5


def test_the_demos_raw_is_dim_and_its_lamp_is_not():
    frame: Frame = take(scene())
    row, column, _ = LAMP
    assert float(frame.data[row, column + 1].float()) > 512 + 0.3 * 15871  # a green site
    assert float(frame.data.float().median()) < 512 + 0.05 * 16383
    assert frame.noise is not None


def test_a_warning_is_one_line(tmp_path: Path, capsys):
    Frame.from_array(np.zeros((40, 50), np.uint16), "RGGB", bits=12, matrix="generic").write(tmp_path / "x.dng")
    assert main(["info", str(tmp_path / "x.dng")]) == 0
    assert "warning: " in capsys.readouterr().err
    with pytest.warns(RawpipeWarning):
        Frame.read(tmp_path / "x.dng")
