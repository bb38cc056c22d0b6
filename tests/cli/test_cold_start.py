"""What answers without torch, whose import takes longer than all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rawpipe import Frame
from rawpipe.cli import COMMANDS

CODE = """
import sys
from rawpipe.cli import main
try: status = main(sys.argv[1:])
except SystemExit as stop: status = stop.code
print("imported", *sorted({"torch", "numpy", "rawpy", "tifffile", "scipy"} & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (0, ["--help"], ""),
        (0, ["--version"], ""),
        (0, ["stages", "--names"], ""),
        *((0, [command, "--help"], "") for command in COMMANDS),
        (2, ["nonsense"], "invalid choice"),
        (2, ["develop"], "arguments are required"),
        (1, ["develop", "none.nef", "-o", "x.tif"], "none.nef can't be read: No such file"),
        (1, ["develop", "none.nef", "junk.nef", "-o", "out"], "0 of 2 files developed, 2 failed"),
        (1, ["develop", "cut.dng", "-o", "x.tif"], "truncated or damaged"),
        (1, ["develop", "junk.nef", "-o", "x.tif", "--recipe", "none.toml"], "none.toml can't be read"),
        (1, ["info"], "expected one of them"),
        (1, ["info", "none.nef"], "none.nef can't be read: No such file"),
        (1, ["info", "junk.nef"], "no RAW container"),
        (1, ["calibrate", "none", "-o", "x.json"], "none can't be read"),
        (1, ["export", "none.json", "--to", "dng", "-o", "x.json"], "none.json can't be read"),
        (1, ["eval", "sid-full", "none"], "none can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_errors_do_not_wait_for_torch(tmp_path: Path, status: int, words: list[str], said: str):
    (tmp_path / "junk.nef").write_text("no picture")
    (tmp_path / "cut.dng").write_bytes(b"II*\0\xff\0\0\0")
    command = [sys.executable, "-c", CODE, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == status and said in done.stderr
    assert done.stderr.splitlines()[-1] == "imported"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.dng", "junk.nef"]


def test_a_file_and_weights_are_described_without_torch(tmp_path: Path):
    Frame.from_array(np.ones((40, 50), np.uint16), "RGGB", bits=12, neutral=(0.5, 1, 0.6)).write(
        tmp_path / "x.dng", matrix="generic"
    )
    Frame.from_array(np.ones((3, 40, 50), np.float32)).write(tmp_path / "rgb.dng", matrix="generic")
    for words, said in ((["x.dng"], "RGGB"), (["rgb.dng"], "camera RGB"), (["--weights"], "Apache-2.0")):
        command = [sys.executable, "-c", CODE, "info", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0 and said in done.stdout
        assert "torch" not in done.stderr.splitlines()[-1]


def test_names_of_stages_and_exceptions_do_not_need_torch():
    code = """
import sys, rawpipe
from rawpipe import FormatError, RawpipeWarning
from rawpipe._registry import installed
assert "demosaic" in installed() and rawpipe.__all__ == sorted(rawpipe.__all__)
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
