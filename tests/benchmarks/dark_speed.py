"""Seconds and peak memory of a learned model on a large frame, beside a plain pass of its bare network.

    python tests/benchmarks/dark_speed.py exposure_diffusion [--megapixels 24] [--runs 3]
    python tests/benchmarks/dark_speed.py llflow [--megapixels 24] [--runs 3] [--domain raw]

Every line runs in a process of its own; runs are interleaved, medians shown. "Bare": the network alone, no tiles, its
inputs made before; that of LLFlow, whose memory grows with all it sees, on one megapixel (a quarter of it in cells).
"Stage": a pipeline of Enhance alone, its trial of the noise that is left counted in; the pipeline cuts tiles unless
"untiled" is said, as high as this machine's memory allows. "Of a bare pass" compares CPU seconds for each pixel and
step, which other work on the machine disturbs least, with the bare network of the same precision, or the only one.
Memory is the peak of the process less what it held before the call: the frame, the weights, the library.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from fnmatch import fnmatch
from typing import Any, NamedTuple


class Line(NamedTuple):
    """What runs.

    Args:
        model: as Enhance takes it.
        domain: "raw" or "rgb".
        bare: whether the network runs alone.
        share: of the megapixels asked for; at most 1 MP for a bare LLFlow.
        steps: of the network.
        rows: of a tile; 0 = the pipeline's own.
        memory: in bytes, that the pipeline may take; 0 = as it likes.
    """

    model: str
    domain: str = "raw"
    bare: bool = False
    share: float = 1.0
    steps: int = 1
    rows: int = 64
    memory: int = 0


_UNTILED = 10**6
LINES = {
    "exposure_diffusion": {
        "bare network": Line("exposure_diffusion(steps=1,precision='float32')", bare=True),
        "1 step, untiled": Line("exposure_diffusion(steps=1,precision='float32')", rows=_UNTILED),
        "1 step": Line("exposure_diffusion(steps=1,precision='float32')"),
        "3 steps": Line("exposure_diffusion(steps=3,precision='float32')", steps=3),
        "bare network, bfloat16": Line("exposure_diffusion(steps=1,precision='bfloat16')", bare=True),
        "1 step, bfloat16, untiled": Line("exposure_diffusion(steps=1,precision='bfloat16')", rows=_UNTILED),
        "1 step, bfloat16": Line("exposure_diffusion(steps=1,precision='bfloat16')"),
        "3 steps, bfloat16": Line("exposure_diffusion(steps=3,precision='bfloat16')", steps=3),
        "3 steps, bfloat16, max_memory = 1.5 GB": Line(
            "exposure_diffusion(steps=3,precision='bfloat16')", steps=3, memory=1_500_000_000
        ),
    },
    "llflow": {
        "bare network, raw": Line("llflow()", bare=True),
        "raw, untiled, a quarter of the frame": Line("llflow()", share=0.25, rows=_UNTILED),
        "raw, a quarter of the frame": Line("llflow()", share=0.25),
        "raw": Line("llflow()"),
        "raw, bfloat16": Line("llflow(precision='bfloat16')"),
        "bare network, rgb": Line("llflow(domain='rgb')", "rgb", bare=True),
        "rgb, untiled, a sixteenth of the frame": Line("llflow(domain='rgb')", "rgb", share=1 / 16, rows=_UNTILED),
        "rgb, a sixteenth of the frame": Line("llflow(domain='rgb')", "rgb", share=1 / 16),
        "rgb": Line("llflow(domain='rgb')", "rgb"),
        "rgb, bfloat16": Line("llflow(domain='rgb',precision='bfloat16')", "rgb"),
    },
}
RUN = """
import json, resource, sys, time, warnings
from importlib import import_module
warnings.simplefilter("ignore")
import torch
from rawpipe import Color, Frame, Noise, Pipeline, Space
from rawpipe.bench.picture import size_of
from rawpipe.stages import Enhance
line, megapixels = json.loads(sys.argv[1])
torch.set_num_threads(line["threads"])
height, width = size_of(megapixels)
generator = torch.Generator().manual_seed(0)
noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-3), torch.full((4,), 1e-4))
rgb = line["domain"] == "rgb"
shape = (3, height, width) if rgb else (height, width)
about = dict(space=Space.RGB, color=Color("srgb", "srgb")) if rgb else dict(cfa="RGGB", space=Space.MOSAIC, noise=noise)
frame = Frame.from_array(torch.rand(shape, generator=generator) * (0.1 if rgb else 0.01), **about)
stage = Enhance(line["model"], exposure=None if rgb else 100)
model, cells = stage.enhancer, 1 if rgb else 2
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
room = import_module(type(model).__module__.rpartition(".")[0] + ".load")
held = room.loaded(model.weights or ("lol" if rgb else "default"), torch.device("cpu"))
inputs = torch.rand(1, held.design.inputs, height // cells, width // cells)
if not line["bare"]:
    pipeline = Pipeline([stage], rows=line["rows"])
    job = lambda: pipeline(frame, max_memory=line["memory"] or None)
elif line["model"].startswith("llflow"):
    def job():
        conditions = held.module.conditions(inputs.contiguous(memory_format=torch.channels_last))
        held.module.decode(held.design.mean(conditions.colors), conditions)
else:
    windows = import_module("rawpipe.stages.enhance.exposure_diffusion.windows")
    network = windows.Network(held, model.precision == "bfloat16")
    job = lambda: network(inputs)
before, start, busy = peak(), time.perf_counter(), time.process_time()
with torch.inference_mode():
    job()
print(json.dumps([time.perf_counter() - start, time.process_time() - busy, peak() - before, [height, width]]))
"""


def run(line: Line, megapixels: float, threads: int) -> tuple[float, float, float, list[int]]:
    """Seconds, CPU seconds, peak in GB, and the size of what was run."""
    size = megapixels * line.share
    if line.bare and line.model.startswith("llflow"):
        size = min(size, 1.0)
    told: dict[str, Any] = line._asdict() | {"threads": threads}
    command = [sys.executable, "-c", RUN, json.dumps([told, size])]
    seconds, busy, peak, shape = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    )
    return seconds, busy, peak, shape


def bare_of(name: str, lines: dict[str, Line]) -> str:
    """The bare network that a line is compared with."""
    bare = [other for other, line in lines.items() if line.bare and line.domain == lines[name].domain]
    same = [other for other in bare if ("bfloat16" in other) == ("bfloat16" in name)]
    return (same or bare)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=LINES)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--domain", default="*", help="raw or rgb; default: both")
    options = parser.parse_args()
    lines = {name: line for name, line in LINES[options.model].items() if fnmatch(line.domain, options.domain)}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in lines}
    sizes: dict[str, list[int]] = {}
    for _ in range(options.runs):
        for name, line in lines.items():
            *measured, sizes[name] = run(line, options.megapixels, options.threads)
            found[name].append(tuple(measured))
    pace = {
        name: statistics.median(busy for _, busy, _ in values) / (sizes[name][0] * sizes[name][1])
        for name, values in found.items()
    }
    columns = ("", "size", "s", "CPU s", "of a bare pass, each step", "peak GB")
    print(f"{options.runs} runs\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for name, values in found.items():
        share = pace[name] / pace[bare_of(name, lines)] / lines[name].steps
        seconds, busy, peak = (statistics.median(one) for one in zip(*values, strict=True))
        size = "x".join(map(str, sizes[name]))
        print(f"| {name} | {size} | {seconds:.1f} | {busy:.1f} | {share:.2f} | {peak:.2f} |")


if __name__ == "__main__":
    main()
