from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from rawpipe import Frame, Pipeline
from rawpipe.cli import main
from rawpipe.cli._scene import HEIGHT, LAMP, WIDTH, checker_linear, checker_means, scene, take


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
