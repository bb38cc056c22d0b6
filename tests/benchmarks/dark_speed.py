"""Seconds and peak memory of ExposureDiffusion on a large frame, beside a plain pass of its bare network.

    python tests/benchmarks/dark_speed.py [MEGAPIXELS] [RUNS]

Every line runs in a process of its own; runs are interleaved, medians shown. "Bare": the network alone on the packed
frame, no tiles, channels made before. "Stage": a pipeline of Enhance alone, its trial of the noise that is left
counted in; with `rows` or `max_memory` the pipeline cuts tiles. Memory is the peak of the process less what it held
before the call: the frame, the weights, the library.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

LINES = {
    "bare network, one pass": ("bare", 1, None, "float32"),
    "bare network, one pass, bfloat16": ("bare", 1, None, "bfloat16"),
    "stage, 1 step, untiled": ("stage", 1, 10**6, "float32"),
    "stage, 1 step": ("stage", 1, None, "float32"),
    "stage, 3 steps": ("stage", 3, None, "float32"),
    "stage, 3 steps, bfloat16": ("stage", 3, None, "bfloat16"),
    "stage, 3 steps, max_memory = 1.5 GB": ("stage", 3, -1_500_000_000, "float32"),
}
RUN = """
import json, resource, sys, time
import torch
from rawpipe import Frame, Noise, Pipeline, Space
from rawpipe.stages import Enhance
from rawpipe.stages.enhance import ExposureDiffusion
from rawpipe.stages.enhance.exposure_diffusion.load import loaded
from rawpipe.stages.enhance.exposure_diffusion.windows import Network
kind, steps, rows, precision, megapixels = json.loads(sys.argv[1])
torch.set_num_threads(2)
height = 32 * round((megapixels * 1e6 * 2 / 3) ** 0.5 / 32)
width = 32 * round(megapixels * 1e6 / height / 32)
data = torch.rand(height, width, generator=torch.Generator().manual_seed(0)) * 0.01
noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-3), torch.full((4,), 1e-4))
frame = Frame.from_array(data, "RGGB", space=Space.MOSAIC, noise=noise)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
held = loaded("default", torch.device("cpu"))
if kind == "bare":
    network = Network(held, precision == "bfloat16")
    channels = torch.rand(1, held.design.inputs, height // 2, width // 2)
    job = lambda: network(channels)
else:
    enhance = Enhance(ExposureDiffusion(steps=steps, precision=precision), exposure=100)
    pipeline = Pipeline([enhance], rows=rows if rows and rows > 0 else 64)
    job = lambda: pipeline(frame, max_memory=-rows if rows and rows < 0 else None)
before, start = peak(), time.perf_counter()
with torch.inference_mode():
    job()
print(json.dumps([time.perf_counter() - start, peak() - before, [height, width]]))
"""


def main(megapixels: float, runs: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LINES}
    for _ in range(runs):
        for name, line in LINES.items():
            command = [sys.executable, "-c", RUN, json.dumps([*line, megapixels])]
            seconds, peak, size = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            found[name].append((seconds, peak))
    bare = statistics.median(seconds for seconds, _ in found["bare network, one pass"])
    print(f"{size[0]}x{size[1]}, {runs} runs\n\n| | s | of a bare pass, each step | peak GB |\n|---|---|---|---|")
    for name, values in found.items():
        seconds, peak = (statistics.median(one) for one in zip(*values, strict=True))
        print(f"| {name} | {seconds:.1f} | {seconds / bare / LINES[name][1]:.2f} | {peak:.2f} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 24.0, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
