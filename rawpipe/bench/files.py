"""Lines over a folder: DNGs of lossless JPEG in, TIFFs of 16 bits out, ours and peers', beside copied files."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tifffile

from rawpipe._frame import Frame
from rawpipe.bench.measure import Line
from rawpipe.bench.picture import counts_of

COPY = "copy of all files"
LIBRAW = "rawpy.postprocess (AHD) + tifffile"
_FILES = 12
_MOST = 300.0  # megapixels of all files together
_OF_OTHERS = 2  # files that programs of others get, in one call


def files(megapixels: float, folder: Path) -> Iterator[Line]:
    """Warm files, twelve of them or as many as 300 megapixels are, each with another part of the picture.

    Programs of others start anew each time, with their default modules, which do far more.

    Args:
        megapixels: of a frame.
        folder: to work in.
    """
    raws, few, out = (folder / f"{megapixels:g}" / name for name in ("raws", "few", "out"))
    for made in (raws, few, out):
        made.mkdir(parents=True)
    sources = _shot(megapixels, raws, max(1, min(_FILES, int(_MOST / megapixels))))
    for path in sources[:_OF_OTHERS]:
        (few / path.name).hardlink_to(path)
    _develop(raws, out)
    count, others = len(sources), len(list(few.iterdir()))

    def copied() -> None:
        for path in sources:
            path.read_bytes()
            shutil.copyfile(out / f"{path.stem}.tif", out / "copy")

    def ours(name: str, *options: str) -> Line:
        return Line(name, lambda: _develop(raws, out, *options), megapixels, LIBRAW, frames=count)

    def one_by_one() -> None:
        for path in sources:
            _develop(path, out)

    yield Line(COPY, copied, megapixels, frames=count)
    yield Line(LIBRAW, lambda: _libraw(sources, out), megapixels, COPY, frames=count)
    yield ours("rawpipe develop")
    yield Line("rawpipe develop, file by file", one_by_one, megapixels, LIBRAW, frames=count)
    yield ours("rawpipe develop --compression zstd", "--compression", "zstd")
    if importlib.util.find_spec("flashraw") is not None:
        yield ours("rawpipe develop --reader flashraw", "--reader", "flashraw")
    for program, words in (("darktable-cli", _darktable(few, out)), ("rawtherapee-cli", _rawtherapee(few, out))):
        if shutil.which(program) is not None:
            yield Line(program, _program(words, few, out), megapixels, LIBRAW, outside=True, frames=others)


def _shot(megapixels: float, folder: Path, count: int) -> list[Path]:
    counts = counts_of(megapixels)
    facts: dict[str, Any] = {
        "neutral": (0.45, 1.0, 0.62),
        "matrix": "generic",
        "iso": 200.0,
        "make": "Rawpipe",
        "model": "Bench",
    }
    for index in range(count):
        part = counts.roll((64 * index, 96 * index), (0, 1))
        Frame.from_array(part, "RGGB", black=512, bits=14, **facts).write(folder / f"{index:02}.dng")
    return sorted(folder.iterdir())


def _develop(raws: Path, out: Path, *options: str) -> None:
    from rawpipe.cli import main

    status = main(["develop", str(raws), "-o", str(out), "--to", "tiff", "-q", *options])
    assert status == 0


def _libraw(sources: list[Path], out: Path) -> None:
    import rawpy

    for path in sources:
        with rawpy.imread(str(path)) as opened:
            ahd = rawpy.DemosaicAlgorithm.AHD
            picture = opened.postprocess(demosaic_algorithm=ahd, use_camera_wb=True, output_bps=16)
        tifffile.imwrite(out / f"{path.stem}.tif", picture)


def _darktable(raws: Path, out: Path) -> list[str]:
    words = ["darktable-cli", str(raws), str(out), "--out-ext", "tif", "--core", "--library", ":memory:"]
    return [*words, "--configdir", str(raws.parent / "darktable"), "--conf", "plugins/imageio/format/tiff/bpp=16"]


def _rawtherapee(raws: Path, out: Path) -> list[str]:
    return ["rawtherapee-cli", "-o", str(out), "-d", "-t", "-b16", "-Y", "-c", *map(str, sorted(raws.iterdir()))]


def _program(words: list[str], raws: Path, out: Path) -> Callable[[], None]:
    targets = [out / f"{path.stem}.tif" for path in raws.iterdir()]

    def run() -> None:
        for target in targets:
            target.unlink(missing_ok=True)  # darktable would number a second one
        subprocess.run(words, capture_output=True, check=True)
        if not all(target.is_file() for target in targets):
            raise FileNotFoundError(f"{words[0]} wrote nothing to {out}")

    return run
