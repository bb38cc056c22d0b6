"""Peak memory and time of `rawpipe develop` on a synthetic DNG: prints a Markdown table.

python tests/benchmarks/develop_memory.py [MEGAPIXELS]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rawpipe import Frame

megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
height = 16 * round((megapixels * 1e6 * 3 / 4) ** 0.5 / 16)
width = 16 * round(megapixels * 1e6 / height / 16)
MEASURE = """
import json, resource, sys, time
from rawpipe.cli import main
start = time.perf_counter()
status = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps({"status": status, "seconds": time.perf_counter() - start, "peak_gb": peak}))
"""

with tempfile.TemporaryDirectory() as folder:
    generator = np.random.default_rng(0)
    scene = np.kron(generator.integers(600, 6000, (height // 16, width // 16), np.uint16), np.ones((16, 16), np.uint16))
    scene += generator.integers(0, 64, (height, width), np.uint16)
    raw = Path(folder) / "raw.dng"
    frame = Frame.from_array(scene, "RGGB", black=512, bits=14, neutral=(0.45, 1, 0.62), matrix="generic")
    frame.write(raw)
    print(f"{height}x{width}, {raw.stat().st_size / 1e6:.0f} MB\n\n| output | peak GB | s |\n|---|---|---|")
    jobs = (["--to", "tiff"], ["--to", "tiff", "--demosaic", "menon2007"], ["--to", "dng"], ["--to", "linear-dng"])
    for options in jobs:
        command = [sys.executable, "-c", MEASURE, "develop", str(raw), "-o", f"{folder}/out", "-q", *options]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert said["status"] == 0
        print(f"| {' '.join(options)} | {said['peak_gb']:.2f} | {said['seconds']:.1f} |")
