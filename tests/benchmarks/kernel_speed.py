"""The kernel room against copies of the same bytes, and beside its peers: prints a Markdown table.

python tests/benchmarks/kernel_speed.py [MEGAPIXELS [RUNS [THREADS]]]     (24 MP, 7 runs, 2 threads)

One run, interleaved, medians; where others use the machine, CPU time, of all threads, is what counts. A copy reads the
mosaic once and writes three planes, into memory that was touched before, as our results are.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import torch

from rawpipe import Frame, Pipeline, Space, kernels
from rawpipe.bench.picture import size_of
from rawpipe.stages import BlackLevel, ColorTransform, Demosaic, Quantize, ToneCurve, WhiteBalance
from rawpipe.stages.demosaic.malvar2004 import malvar2004
from rawpipe.stages.demosaic.menon2007 import menon2007

megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
torch.set_num_threads(threads)
height, width = size_of(megapixels)
floats = torch.from_numpy(np.random.default_rng(0).random((height, width), dtype=np.float32))
counts = (floats * 16383).to(torch.uint16)
mosaic = Frame.from_array(floats, "RGGB", space=Space.MOSAIC)
sensor = Frame.from_array(counts, "RGGB", black=512, bits=14, neutral=(0.45, 1, 0.62), matrix="generic")
stages = [BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform(), ToneCurve()]
compiled = Pipeline(stages).compile()
to_codes = Pipeline([*stages, Quantize()]).compile()


def copy(source: torch.Tensor, dtype: torch.dtype) -> Callable[[], object]:
    result = torch.zeros((3, height, width), dtype=dtype)
    return lambda: result.copy_(source.expand(3, height, width))


FLOATS, FROM_COUNTS, CODES = "copy float32 to float32", "copy uint16 to float32", "copy uint16 to uint16"
work: dict[str, tuple[str, Callable[[], object]]] = {
    FLOATS: (FLOATS, copy(floats, torch.float32)),
    FROM_COUNTS: (FROM_COUNTS, copy(counts.view(torch.int16), torch.float32)),
    CODES: (CODES, copy(counts.view(torch.int16), torch.int16)),
    "bilinear": (FLOATS, lambda: Demosaic("bilinear")(mosaic)),
    "Malvar 2004": (FLOATS, lambda: Demosaic()(mosaic)),
    "Malvar 2004, the torch reference in strips": (
        FLOATS,
        lambda: [malvar2004(strip, "RGGB") for strip in floats.split(64)],
    ),
    "Menon 2007": (FLOATS, lambda: Demosaic("menon2007")(mosaic)),
    "Menon 2007, the torch reference in strips": (
        FLOATS,
        lambda: [menon2007(strip, "RGGB") for strip in floats.split(64)],
    ),
    "black, white balance, Malvar, colour, sRGB to float32, compiled": (
        FROM_COUNTS,
        lambda: compiled(sensor),
    ),
    "the same, not compiled": (FROM_COUNTS, lambda: Pipeline(stages)(sensor)),
    "the same work to uint16": (CODES, lambda: to_codes(sensor)),
}
try:
    import cv2

    cv2.setNumThreads(threads)
    pixels, result = counts.numpy(), np.empty((height, width, 3), np.uint16)
    work["OpenCV bilinear, uint16"] = (CODES, lambda: cv2.demosaicing(pixels, cv2.COLOR_BayerRGGB2RGB, result))
except ImportError:
    pass
try:
    from kornia.color import CFA, raw_to_rgb

    work["kornia bilinear"] = (FLOATS, lambda: raw_to_rgb(floats[None, None], CFA.BG))
except ImportError:
    pass

if __name__ == "__main__":
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for turn in range(runs + 1):  # the first one compiles and touches memory
        for name, (_, one) in work.items():
            start = time.perf_counter(), time.process_time()
            one()
            if turn:
                times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, cpu = ({name: statistics.median(t[i] for t in taken) for name, taken in times.items()} for i in (0, 1))
    print(f"{height}x{width}, {date.today()}, {threads} threads, torch {torch.__version__}, median of {runs}, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}; {kernels.backends()['cpu']}\n")
    print("| | ms | of the copy | CPU, ms | of the copy's |\n|---|---|---|---|---|")
    for name, (floor, _) in work.items():
        ratios = (f"{1000 * took[name]:.1f} | {took[name] / took[floor]:.1f}x" for took in (wall, cpu))
        print(f"| {name} | {' | '.join(ratios)} |")
