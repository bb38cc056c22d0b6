"""Our demosaicing beside colour-demosaicing's and others', interleaved, medians: prints a Markdown table.

python tests/benchmarks/demosaic_speed.py [MEGAPIXELS] [RUNS]
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date

import numpy as np
import torch

from rawpipe import Frame, Pipeline, Space
from rawpipe.stages import Demosaic

megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
height = 2 * round((megapixels * 1e6 * 2 / 3) ** 0.5 / 2)
width = 2 * round(megapixels * 1e6 / height / 2)
mosaic = np.random.default_rng(0).random((height, width), dtype=np.float32)
frame = Frame.from_array(mosaic, "RGGB", space=Space.MOSAIC)


def ours(method: str) -> Callable[[], object]:
    pipeline = Pipeline([Demosaic(method)])
    return lambda: pipeline(frame)


def copy_floor() -> object:
    """Read the mosaic once, write three planes once."""
    return torch.from_numpy(mosaic).expand(3, height, width).contiguous()


contenders: dict[str, Callable[[], object]] = {"copy floor": copy_floor}
contenders |= {f"rawpipe {method}": ours(method) for method in ("bilinear", "malvar2004", "menon2007")}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import colour_demosaicing as cd

    double = mosaic.astype(np.float64)
    contenders["colour-demosaicing bilinear"] = lambda: cd.demosaicing_CFA_Bayer_bilinear(double, "RGGB")
    contenders["colour-demosaicing Malvar2004"] = lambda: cd.demosaicing_CFA_Bayer_Malvar2004(double, "RGGB")
    contenders["colour-demosaicing Menon2007"] = lambda: cd.demosaicing_CFA_Bayer_Menon2007(double, "RGGB")
    try:
        import cv2

        counts = (mosaic * 65535).astype(np.uint16)
        contenders["OpenCV bilinear, uint16"] = lambda: cv2.demosaicing(counts, cv2.COLOR_BayerRGGB2RGB)
    except ImportError:
        pass

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(runs + 1):  # the first one warms up
        for name, work in contenders.items():
            if turn and name.endswith("Menon2007") and turn > 2:
                continue  # two of those are enough: they take most of the time
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)

machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
print(f"{height}x{width}, {date.today()}, {machine}, median of {runs}, default allocator\n")
print("| method | ms | of the copy floor | colour-demosaicing's same method takes |\n|---|---|---|---|")
floor = statistics.median(times["copy floor"])
for name, taken in times.items():
    own = statistics.median(taken)
    peer = f"colour-demosaicing {name.split()[-1]}".lower()
    other = next(
        (statistics.median(t) for n, t in times.items() if n.lower() == peer and name.startswith("rawpipe")), None
    )
    ratio = "" if other is None else f"{other / own:.1f}x as long"
    print(f"| {name} | {1000 * own:.0f} | {own / floor:.1f}x | {ratio} |")
