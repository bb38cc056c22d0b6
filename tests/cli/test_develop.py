from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from rawpipe import Frame, NoiseModel, Space
from rawpipe.cli import main
from rawpipe.io.tiff import COMPRESSIONS
from rawpipe.testing import synthetic_frame


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder with three RAW files, one that is broken, and one that is none."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for index in range(3):
        synthetic_frame(Space.SENSOR, 40, 50, level=0.2, seed=index, dtype=torch.uint16).write(folder / f"{index}.dng")
    (folder / "broken.dng").write_bytes((folder / "0.dng").read_bytes()[:3000])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_file_becomes_a_tiff_by_default(shots: Path, tmp_path: Path, capsys):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "out")]) == 0
    picture = tifffile.imread(tmp_path / "out" / "0.tif")
    assert picture.shape == (40, 50, 3) and picture.dtype == np.uint16
    middle = picture[8:-8, 8:-8].reshape(-1, 3).mean(axis=0) / 65535
    assert middle == pytest.approx([1.055 * 0.2 ** (1 / 2.4) - 0.055] * 3, abs=0.01)  # neutral grey stays grey
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "0.tif")


@pytest.mark.parametrize(("to", "space"), [("dng", Space.SENSOR), ("linear-dng", Space.CAMERA)])
def test_both_kinds_of_dng(shots: Path, tmp_path: Path, to: str, space: Space):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.dng"), "--to", to, "-q"]) == 0
    assert Frame.read(tmp_path / "x.dng").space is space


def test_the_outputs_ending_chooses_the_kind(shots: Path, tmp_path: Path):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.dng"), "-q"]) == 0
    assert np.array_equal(Frame.read(tmp_path / "x.dng").data.numpy(), Frame.read(shots / "0.dng").data.numpy())


def test_one_bad_file_does_not_stop_the_rest(shots: Path, tmp_path: Path, capsys):
    assert main(["develop", str(shots), "-o", str(tmp_path / "out")]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.tif", "1.tif", "2.tif"]
    said = capsys.readouterr()
    assert said.err.count("error:") == 1 and "broken.dng" in said.err and "3 of 4 files developed, 1 failed" in said.err
    assert "Traceback" not in said.err


def test_files_of_one_name_do_not_overwrite_each_other(shots: Path, tmp_path: Path):
    (shots / "sub").mkdir()
    (shots / "sub" / "0.dng").write_bytes((shots / "0.dng").read_bytes())
    (shots / "0.nef").write_bytes((shots / "0.dng").read_bytes())
    assert main(["develop", str(shots / "0.dng"), str(shots / "0.nef"), "-o", str(tmp_path / "out"), "-q"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.dng.tif", "0.nef.tif"]
    assert main(["develop", str(shots / "0.dng"), str(shots / "sub" / "0.dng"), "-o", str(tmp_path / "b"), "-q"]) == 1


def test_the_original_is_never_overwritten(shots: Path, capsys):
    before = (shots / "0.dng").read_bytes()
    assert main(["develop", str(shots / "0.dng"), "-o", str(shots / "0.dng")]) == 1
    assert main(["develop", str(shots / "0.dng"), "-o", str(shots), "--to", "dng"]) == 1
    assert (shots / "0.dng").read_bytes() == before
    assert "never overwritten" in capsys.readouterr().err


def test_until_stops_behind_a_stage(shots: Path, tmp_path: Path):
    options = ["--until", "white_balance", "-q"]
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.tif"), *options]) == 0
    assert tifffile.imread(tmp_path / "x.tif").shape == (40, 50)


def test_a_recipe_runs_instead_of_the_default_stages(shots: Path, tmp_path: Path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'schema = 1\n[[stage]]\nname = "black_level"\n[[stage]]\nname = "demosaic"\nmethod = "superpixel"\n'
    )
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.tif"), "--recipe", str(recipe), "-q"]) == 0
    assert tifffile.imread(tmp_path / "x.tif").shape == (20, 25, 3)


def test_exposure_and_demosaicing_can_be_chosen(shots: Path, tmp_path: Path):
    for name, options in (("a", []), ("b", ["--ev", "1"]), ("c", ["--demosaic", "superpixel", "--ev", "auto"])):
        assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / f"{name}.tif"), "-q", *options]) == 0
    plain, brighter, half = (tifffile.imread(tmp_path / f"{name}.tif") for name in "abc")
    assert brighter.mean() > 1.2 * plain.mean() and half.shape == (20, 25, 3)


@pytest.mark.parametrize("to", ["dng", "linear-dng", "tiff"])
def test_a_model_can_clean_the_mosaic(tmp_path: Path, to: str):
    pytest.importorskip("skimage")
    light = torch.linspace(0, 4000, 320).expand(256, 320)
    noisy = NoiseModel(gain_dn_per_e=4.0, read_sigma_dn=20.0).sample(light, "RGGB", torch.Generator().manual_seed(0))
    counts = (noisy + 512).round().clamp(0, 16383).to(torch.uint16)
    raw, plain = tmp_path / "raw.dng", tmp_path / "plain.dng"
    Frame.from_array(counts, "RGGB", black=512, bits=14).write(raw, matrix="generic")
    name = tmp_path / ("x.tif" if to == "tiff" else "x.dng")
    assert main(["develop", str(raw), "-o", str(name), "--to", to, "--enhance", "classical", "-q"]) == 0
    if to == "dng":
        assert main(["develop", str(raw), "-o", str(plain), "-q"]) == 0
        errors = [(Frame.read(path).data.float() - 512 - light).square().mean() for path in (name, plain)]
        assert errors[0] < errors[1] / 10
        assert Frame.read(name).shot.noise_profile and not Frame.read(plain).shot.noise_profile


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_compression_of_tiffs_can_be_chosen(shots: Path, tmp_path: Path, compression: str):
    command = ["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.tif"), "-q"]
    assert main([*command, "--compression", compression]) == 0
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert file.pages[0].compression == {"none": 1, "zstd": 50000, "zlib": 8}[compression]


def test_a_linear_dng_is_developed_from_where_it_stands(shots: Path, tmp_path: Path):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "l.dng"), "--to", "linear-dng", "-q"]) == 0
    assert main(["develop", str(tmp_path / "l.dng"), "-o", str(tmp_path / "x.tif"), "-q"]) == 0
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "y.tif"), "-q"]) == 0
    one, two = (tifffile.imread(tmp_path / name).astype(int) for name in ("x.tif", "y.tif"))
    assert abs(one - two).max() <= 8  # the linear DNG is rounded to 16 bits in between


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "dng", "--demosaic", "menon2007"], "keep the mosaic"),
        (["--demosaic", "magic"], "expected one of bilinear"),
        (["--until", "nowhere"], "got stage 'nowhere'"),
        (["--recipe", "none.toml"], "can't be read"),
        (["--matrix", "1,2,3"], "nine numbers"),
        (["--ev", "bright"], "number of stops"),
        (["--device", "warp:9"], "can't use"),
        (["--to", "dng"], "expected names of one kind"),
        (["-o", "x.dng", "--compression", "zlib"], "leave it out"),
        (["--to", "linear-dng"], "expected names of one kind"),
    ],
)
def test_wrong_options_get_one_line_and_nothing_written(
    shots: Path, tmp_path: Path, capsys, options: list[str], said: str
):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "x.tif"), *options]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and said in error and len(error.splitlines()) == 1
    assert not (tmp_path / "x.tif").exists()


def test_a_file_without_a_matrix_needs_one(tmp_path: Path, capsys):
    frame = Frame.from_array(np.full((40, 50), 900, np.uint16), "RGGB", bits=12, neutral=(0.5, 1, 0.6))
    frame.write(tmp_path / "x.dng", matrix="generic")
    data = (
        (tmp_path / "x.dng").read_bytes().replace(b"\x21\xc6\x0a\x00", b"\x2f\xc6\x0a\x00", 1)
    )  # ColorMatrix1 made unknown
    (tmp_path / "y.dng").write_bytes(data)
    assert main(["develop", str(tmp_path / "y.dng"), "-o", str(tmp_path / "y.tif")]) == 1
    assert "--matrix generic" in capsys.readouterr().err
    assert main(["develop", str(tmp_path / "y.dng"), "-o", str(tmp_path / "y.tif"), "--matrix", "generic", "-q"]) == 0


RECIPE = (
    'schema = 1\n[[stage]]\nname = "black_level"\n[[stage]]\nname = "demosaic"\n[[stage]]\nname = "color_transform"'
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.dng", "--recipe", "r.toml"], "stages that end in RGB for x.dng"),
        (["x.dng", "--recipe", "r.toml", "--until", "demosaic", "--to", "dng"], "a dng holds SENSOR or MOSAIC"),
        (["x.dng", "--recipe", "r.toml", "--until", "black_level", "--to", "linear-dng"], "holds CAMERA"),
        (["x.jpg"], "expected a name that ends in .dng, .tif or .tiff, or a folder"),
        (["x.tif", "--to", "dng"], "got --to dng and the output x.tif"),
    ],
)
def test_what_contradicts_the_output_is_refused_before_anything_is_read(
    shots: Path, tmp_path: Path, capsys, monkeypatch, words: list[str], said: str
):
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(RECIPE)
    before = sorted(tmp_path.iterdir())
    assert main(["develop", "shots/0.dng", "-o", *words]) == 1
    assert said in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before
    if "--recipe" in words:
        assert main(["develop", "shots/0.dng", "-o", "x.dng", "--recipe", "r.toml", "--until", "demosaic", "-q"]) == 0


def test_several_inputs_do_not_go_into_one_file(shots: Path, tmp_path: Path, capsys):
    for inputs in ([shots], [shots / "0.dng", shots / "1.dng"]):
        assert main(["develop", *map(str, inputs), "-o", str(tmp_path / "x.tif")]) == 1
        assert "expected a folder" in capsys.readouterr().err
    assert not (tmp_path / "x.tif").exists()


def test_a_folder_is_made_when_there_is_something_to_put_in(shots: Path, tmp_path: Path):
    assert main(["develop", str(shots / "broken.dng"), "-o", str(tmp_path / "out"), "-q"]) == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "v1.2").mkdir()
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "v1.2"), "-q"]) == 0
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / "a" / "b.tif"), "-q"]) == 0


def test_whatever_goes_wrong_with_one_file_the_others_go_on(shots: Path, tmp_path: Path, capsys, monkeypatch):
    read = Frame.read

    def odd(path, **options):
        if path.name == "1.dng":
            raise ZeroDivisionError("a bug\nof two lines")
        return read(path, **options)

    monkeypatch.setattr(Frame, "read", odd)
    (shots / "broken.dng").unlink()
    assert main(["develop", str(shots), "-o", str(tmp_path / "out")]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.tif", "2.tif"]
    assert "1.dng: ZeroDivisionError: a bug of two lines\n" in capsys.readouterr().err


def test_half_size_leaves_the_opcode_list_for_the_full_size_out(shots: Path, tmp_path: Path):
    source = synthetic_frame(Space.SENSOR, 40, 50, level=0.2)
    source = replace(source, shot=replace(source.shot, opcodes=(b"", b"", b"\0\0\0\0")))
    source.write(tmp_path / "x.dng")
    assert main(["develop", str(tmp_path / "x.dng"), "-o", str(tmp_path / "x.tif"), "--demosaic", "superpixel"]) == 0


@pytest.mark.parametrize("name", ["x" * 300 + ".dng", "sub/" + "y" * 300])
def test_names_that_the_system_refuses_are_one_line(shots: Path, tmp_path: Path, capsys, name: str):
    assert main(["develop", str(tmp_path / name), "-o", str(tmp_path / "x.tif")]) == 1
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / f"{name}.tif")]) == 1
    error = capsys.readouterr().err.strip()
    assert error.count("error: ") == 2 == len(error.splitlines())


def test_a_name_of_full_length_can_be_written(shots: Path, tmp_path: Path):
    assert main(["develop", str(shots / "0.dng"), "-o", str(tmp_path / ("z" * 251 + ".tif")), "-q"]) == 0


def test_a_full_standard_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rawpipe", "stages"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1


def test_a_request_to_end_leaves_no_temporary_file(tmp_path: Path):
    code = "import os, signal, sys\nimport rawpipe.cli\nfrom rawpipe.io.atomic import replacing\n"
    code += (
        "class Work:\n    @staticmethod\n    def arguments(parser): pass\n    @staticmethod\n    def run(options):\n"
    )
    code += "        with replacing(sys.argv[1]): os.kill(os.getpid(), signal.SIGTERM)\n"
    code += "rawpipe.cli.import_module = lambda name: Work\nsys.exit(rawpipe.cli.main(['stages']))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.tif")], capture_output=True, text=True)
    assert done.returncode == 130 and "stopped" in done.stderr and list(tmp_path.iterdir()) == []


def test_a_missing_file_is_one_line(tmp_path: Path, capsys):
    assert main(["develop", str(tmp_path / "none.nef"), "-o", str(tmp_path / "x.tif")]) == 1
    assert "No such file" in capsys.readouterr().err


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rawpipe", *words], capture_output=True, text=True, check=False)


def test_the_command_runs_as_a_module():
    assert run("--version").stdout.startswith("rawpipe ")
    assert run().returncode == 2
