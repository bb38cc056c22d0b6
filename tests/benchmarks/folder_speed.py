"""Seconds per file from lossless-JPEG DNG to 16-bit TIFF over a folder, beside others': prints a Markdown table.

    python tests/benchmarks/folder_speed.py [MEGAPIXELS] [TURNS] [FILES]

A synthetic scene with the noise of a camera, another part of it in every file. Every turn runs each contender once over
the whole folder, in this process and warm; what is shown is the median over the turns of a turn's seconds per file.
darktable-cli and rawtherapee-cli, where they are on the PATH, get the first two files in one call, with their default
modules, which do far more, and start anew each time.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import rawpy
import tifffile
import torch

from rawpipe import Frame, NoiseModel
from rawpipe.bench.picture import size_of
from rawpipe.cli import main

megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
files = int(sys.argv[3]) if len(sys.argv) > 3 else 12
height, width = size_of(megapixels)
peer_files = min(2, files)


def shoot(folder: Path) -> None:
    """Write the files: smooth parts, edges and something saturated, photon and read noise."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    light = 200 + 6000 * x * y + 2500 * ((9 * x).sin() > 0.3) + 9000 * ((x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.01)
    noisy = NoiseModel(gain_dn_per_e=0.5, read_sigma_dn=4.0).sample(light, "RGGB", generator)
    counts = (noisy + 512).round_().clamp_(0, 16383).to(torch.int32)
    for index in range(files):
        part = counts.roll((64 * index, 96 * index), (0, 1)).to(torch.uint16)
        facts = {"neutral": (0.45, 1, 0.62), "matrix": "generic", "iso": 200.0, "make": "Rawpipe", "model": "Bench"}
        Frame.from_array(part, "RGGB", black=512, bits=14, **facts).write(folder / f"{index:02}.dng")


def develop(*options: str) -> None:
    assert main(["develop", str(raws), "-o", str(out), "-q", *options]) == 0


def one_by_one() -> None:
    """The same without one file waiting for another: what overlapping is worth."""
    for path in sources:
        assert main(["develop", str(path), "-o", str(out / f"{path.stem}.tif"), "-q"]) == 0


def libraw(demosaic: rawpy.DemosaicAlgorithm) -> None:
    for path in sources:
        with rawpy.imread(str(path)) as raw:
            picture = raw.postprocess(demosaic_algorithm=demosaic, use_camera_wb=True, output_bps=16)
        tifffile.imwrite(out / f"{path.stem}.tif", picture)


def darktable() -> None:
    for path in sources[:peer_files]:
        (few / path.name).unlink(missing_ok=True)
        (few / path.name).hardlink_to(path)
    options = ["--out-ext", "tif", "--core", "--library", ":memory:", "--configdir", str(few.parent / "config")]
    bits = ["--conf", "plugins/imageio/format/tiff/bpp=16"]
    subprocess.run(["darktable-cli", str(few), str(out), *options, *bits], capture_output=True, check=True)


def rawtherapee() -> None:
    names = [str(path) for path in sources[:peer_files]]
    subprocess.run(
        ["rawtherapee-cli", "-o", str(out), "-d", "-t", "-b16", "-Y", "-c", *names], capture_output=True, check=True
    )


with tempfile.TemporaryDirectory() as folder:
    raws, few, out = (Path(folder) / name for name in ("raws", "few", "out"))
    for made in (raws, few):
        made.mkdir()
    shoot(raws)
    sources = sorted(raws.iterdir())
    ahd = "rawpy.postprocess (AHD) + tifffile"
    contenders: dict[str, tuple[int, Callable[[], None]]] = {
        "rawpipe develop": (files, develop),
        "rawpipe develop, file by file": (files, one_by_one),
        "rawpipe develop --compression zstd": (files, lambda: develop("--compression", "zstd")),
        ahd: (files, lambda: libraw(rawpy.DemosaicAlgorithm.AHD)),
        "rawpy.postprocess (bilinear) + tifffile": (files, lambda: libraw(rawpy.DemosaicAlgorithm.LINEAR)),
    }
    if importlib.util.find_spec("flashraw") is not None:
        contenders["rawpipe develop --reader flashraw"] = (files, lambda: develop("--reader", "flashraw"))
    for command, work in (("darktable-cli", darktable), ("rawtherapee-cli", rawtherapee)):
        if shutil.which(command) is not None:
            contenders[f"{command}, defaults"] = (peer_files, work)

    times: dict[str, list[float]] = {name: [] for name in contenders}
    sizes = {}
    load = []
    for turn in range(turns + 1):  # the first one warms up
        for name, (count, work) in contenders.items():
            if not turn and "-cli" in name:
                continue
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            start = time.perf_counter()
            work()
            taken = (time.perf_counter() - start) / count
            written = list(out.glob("*.tif"))
            assert len(written) == count, (name, written)
            sizes[name] = statistics.mean(path.stat().st_size for path in written) / 1e6
            load.append(os.getloadavg()[0])
            if turn:
                times[name].append(taken)
    megabytes = np.mean([path.stat().st_size for path in sources]) / 1e6

machine = (
    f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads"
)
print(
    f"{files} files of {height}x{width}, {megabytes:.0f} MB each, {date.today()}, {machine}, torch {torch.__version__},"
)
print(f"rawpy {rawpy.__version__}; median of {turns}; load {min(load):.1f} to {max(load):.1f}\n")
print("| | s per file | of rawpy AHD | MB written |\n|---|---|---|---|")
floor = statistics.median(times[ahd])
for name, taken in times.items():
    own = statistics.median(taken)
    print(f"| {name} | {own:.2f} | {own / floor:.2f}x | {sizes[name]:.0f} |")
