"""Draws of a noise model beside NumPy's Poisson + normal, interleaved, medians: prints a Markdown table.

python tests/benchmarks/noise_sampler_speed.py [MEGAPIXELS] [RUNS] [DEVICE]
"""

from __future__ import annotations

import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import torch

from rawpipe import NoiseModel

megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
height = 2 * round((megapixels * 1e6 * 2 / 3) ** 0.5 / 2)
width = 2 * round(megapixels * 1e6 / height / 2)
tukey = NoiseModel.virtual("SonyA7S2", iso=1600).to(device)
gaussian = NoiseModel(
    gain_dn_per_e=tukey.gain_dn_per_e, read_sigma_dn=tukey.read_sigma_dn, quantisation_step_dn=1.0
).to(device)
gain, sigma = float(tukey.gain_dn_per_e[0]), float(tukey.read_sigma_dn[0])
numpy_generator, generator = np.random.default_rng(0), torch.Generator(device).manual_seed(0)
levels = np.random.default_rng(1)
scenes = {"night, 0.5 to 50 e": (0.5, 50.0), "day, 50 to 5000 e": (50.0, 5000.0)}


def numpys(x: np.ndarray) -> object:
    z = gain * numpy_generator.poisson(x / gain)
    z += numpy_generator.normal(0, sigma, x.shape)
    return z


def numpys_rounded(x: np.ndarray) -> object:
    """All that our physical order does, the fast way: float32 normals, in place."""
    z = numpy_generator.poisson(x * np.float32(1 / gain)).astype(np.float32)
    z *= np.float32(gain)
    z += np.float32(sigma) * numpy_generator.standard_normal(x.shape, dtype=np.float32)
    return np.minimum(np.round(z, out=z), np.float32(15583), out=z)


def ours(noise: NoiseModel, x: torch.Tensor, order: str, threads: int = torch.get_num_threads()) -> object:
    torch.set_num_threads(threads)
    z = noise.sample(x, "RGGB", generator, order)  # type: ignore[arg-type]
    if device != "cpu":
        torch.cuda.synchronize()
    return z


name = torch.cuda.get_device_name() if device != "cpu" else f"{torch.get_num_threads()} threads"
print(
    f"{height}x{width}, {date.today()}, {platform.processor() or platform.machine()}, {name}, torch "
    f"{torch.__version__}, NumPy {np.__version__}, median of {runs}\n"
)
mosaic = torch.full((height, width), 100.0, device=device)
ours(tukey, mosaic[:64].contiguous(), "physical")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ours(tukey, mosaic, "physical")
growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(f"one sample takes {growth:.0f} MiB of main memory, {mosaic.nbytes / 2**20:.0f} of it the result\n")
for scene, (low, high) in scenes.items():
    signal = gain * np.exp(levels.uniform(np.log(low), np.log(high), (height, width)))
    x, single = torch.from_numpy(signal).float().to(device), signal.astype(np.float32)
    contenders: dict[str, Callable[[], object]] = {
        "NumPy Poisson + normal, float64": lambda signal=signal: numpys(signal),
        "NumPy Poisson + normal, float32, rounded": lambda single=single: numpys_rounded(single),
        "rawpipe Gaussian": lambda x=x: ours(gaussian, x, "physical"),
        "rawpipe Gaussian, 1 thread": lambda x=x: ours(gaussian, x, "physical", 1),
        "rawpipe Tukey-lambda": lambda x=x: ours(tukey, x, "physical"),
        'rawpipe Tukey-lambda, order="exposurediffusion"': lambda x=x: ours(tukey, x, "exposurediffusion"),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    busy: dict[str, list[float]] = {name: [] for name in contenders}  # CPU seconds of all threads: less moved by load
    for turn in range(runs + 1):  # the first one warms up
        for name, work in contenders.items():
            start, cpu = time.perf_counter(), time.process_time()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - cpu)
    print(f"| {scene} | s | CPU s | NumPy float64 takes | CPU |\n|---|---|---|---|---|")
    first, first_busy = (statistics.median(t["NumPy Poisson + normal, float64"]) for t in (times, busy))
    for name in contenders:
        own, cpu = statistics.median(times[name]), statistics.median(busy[name])
        print(f"| {name} | {own:.2f} | {cpu:.2f} | {first / own:.1f}x as long | {first_busy / cpu:.1f}x |")
    print()
