"""Everything the documentation shows is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile
import torch

from rawpipe import Frame, Space
from rawpipe.testing import synthetic_frame

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def run(*words: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    synthetic_frame(Space.SENSOR, 200, 240, level=0.3, dtype=torch.uint16).write(tmp_path / "raw.dng")
    return tmp_path / "raw.dng"


def test_quickstart_makes_a_dng_and_a_tiff(raw: Path, tmp_path: Path):
    said = run(EXAMPLES / "quickstart.py", raw, tmp_path, cwd=tmp_path)
    assert "demosaic" in said
    assert Frame.read(tmp_path / "mosaic.dng").space is Space.SENSOR
    assert tifffile.imread(tmp_path / "picture.tif").shape == (200, 240, 3)


def test_your_own_array_becomes_both_kinds_of_dng(tmp_path: Path):
    run(EXAMPLES / "array_to_dng.py", tmp_path, cwd=tmp_path)
    assert Frame.read(tmp_path / "cfa.dng").cfa == "GRBG"
    assert Frame.read(tmp_path / "linear.dng").space is Space.CAMERA


def test_a_calibrated_camera_s_dim_picture_comes_out_cleaner_by_its_profile(tmp_path: Path):
    pytest.importorskip("skimage")
    said = run(EXAMPLES / "know_your_sensor.py", tmp_path, cwd=tmp_path)
    assert "K 2.0" in said and "measured profile of Acme One, ISO 800" in said
    recorded, enhanced = (float(re.search(rf"{name}: ([0-9.]+) DN", said)[1]) for name in ("recorded", "enhanced"))
    assert enhanced < recorded / 4
    assert Frame.read(tmp_path / "clean.dng").shot.noise_profile[0] > 0


def test_the_host_program_develops_reports_and_survives_a_bad_file(raw: Path, tmp_path: Path):
    said = run(EXAMPLES / "embed_host.py", raw, tmp_path / "x.tif", cwd=tmp_path)
    assert "100% tone_curve" in said and said.strip().endswith("x.tif")
    said = run(EXAMPLES / "embed_host.py", tmp_path / "none.nef", tmp_path / "y.tif", cwd=tmp_path)
    assert said.startswith("failed: ") and not (tmp_path / "y.tif").exists()


def test_a_host_without_torch_runs_an_exported_model(tmp_path: Path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from rawpipe.cli import main

    assert main(["export", "exposure_diffusion", "--to", "onnx", "-o", str(tmp_path / "model.onnx")]) == 0
    said = run(EXAMPLES / "embed_onnx.py", tmp_path / "model.onnx", tmp_path / "out.npy", cwd=tmp_path)
    before, behind = map(float, re.findall(r"[0-9.]+", said))
    assert behind < before / 2


def test_the_example_plugin_installs_is_found_and_keeps_the_laws(raw: Path, tmp_path: Path):
    pytest.importorskip("setuptools", minversion="77", reason="building the plugin offline needs setuptools 77")
    site, copy = tmp_path / "site", tmp_path / "plugin"
    subprocess.run(["cp", "-r", EXAMPLES / "rawpipe-vignette", copy], check=True)
    run("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, copy, cwd=tmp_path)
    assert "vignette" in run("-m", "rawpipe", "stages", cwd=tmp_path, PYTHONPATH=str(site))
    recipe = tmp_path / "r.toml"
    stages = ("black_level", "demosaic", "vignette", "color_transform", "tone_curve")
    recipe.write_text("schema = 1\n" + "".join(f'[[stage]]\nname = "{name}"\n' for name in stages))
    words = ("-m", "rawpipe", "develop", raw, "-o", tmp_path / "x.tif", "--recipe", recipe, "-q")
    run(*words, cwd=tmp_path, PYTHONPATH=str(site))
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", copy, cwd=tmp_path, PYTHONPATH=str(site))


def code_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_the_how_to_shows_the_host_programs_that_run():
    programs = [(EXAMPLES / name).read_text(encoding="utf-8") for name in ("embed_host.py", "embed_onnx.py")]
    assert programs == code_blocks(ROOT / "docs" / "howto" / "embed.md")
    program = programs[0]
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 32


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_every_code_block_of_a_page_runs(page: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Blocks of a page share their names; `photo.dng`, `frame` and `bayer` are there."""
    monkeypatch.chdir(tmp_path)
    raw.rename(tmp_path / "photo.dng")
    names: dict[str, object] = {"frame": Frame.read("photo.dng"), "bayer": Frame.read("photo.dng").data.numpy()}
    for block in code_blocks(page):
        if "sys.argv" not in block:  # a program, run above
            exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target
