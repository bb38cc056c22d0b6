"""Lines from file to file: a DNG of lossless JPEG in, a TIFF of 16 bits out, ours and peers', beside copied files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import tifffile

from rawpipe.bench.measure import Line
from rawpipe.bench.picture import counts_of, frame_of

COPY = "copy of both files"


def files(megapixels: float, folder: Path) -> Iterator[Line]:
    """Warm files; programs of others start anew each time, with their default modules, which do far more.

    Args:
        megapixels: of the frame.
        folder: to work in.
    """
    raw = folder / f"{megapixels:g}.dng"
    frame_of(counts_of(megapixels)).write(raw)
    ours, other, copy = (folder / f"{megapixels:g}-{name}.tif" for name in ("ours", "other", "copy"))
    _develop(raw, ours)

    def copied() -> None:
        raw.read_bytes()
        shutil.copyfile(ours, copy)

    yield Line(COPY, copied, megapixels)
    yield Line("rawpipe develop, file to file", lambda: _develop(raw, ours), megapixels, COPY)
    yield Line("LibRaw AHD + tifffile, file to file", lambda: _libraw(raw, other), megapixels, COPY)
    if shutil.which("darktable-cli"):
        words = ["darktable-cli", str(raw), str(other), "--core", "--library", ":memory:"]
        words += ["--configdir", str(folder / "darktable"), "--conf", "plugins/imageio/format/tiff/bpp=16"]
        yield Line("darktable-cli", lambda: _program(words, other), megapixels, COPY, outside=True)
    if shutil.which("rawtherapee-cli"):
        asked = ["rawtherapee-cli", "-o", str(other), "-d", "-t", "-b16", "-Y", "-c", str(raw)]
        yield Line("rawtherapee-cli", lambda: _program(asked, other), megapixels, COPY, outside=True)


def _develop(raw: Path, target: Path) -> None:
    from rawpipe.cli import main

    status = main(["develop", str(raw), "-o", str(target), "-q"])
    assert status == 0


def _libraw(raw: Path, target: Path) -> None:
    import rawpy

    with rawpy.imread(str(raw)) as opened:
        ahd = rawpy.DemosaicAlgorithm.AHD
        picture = opened.postprocess(demosaic_algorithm=ahd, use_camera_wb=True, output_bps=16)
    tifffile.imwrite(target, picture)


def _program(words: list[str], target: Path) -> None:
    target.unlink(missing_ok=True)  # darktable would number a second one
    subprocess.run(words, capture_output=True, check=True)
