"""Peak memory and time of `rawpipe calibrate` on synthetic captures of one camera: prints a Markdown table.

python tests/benchmarks/calibrate_memory.py [MEGAPIXELS [DARKS [LEVELS]]]     (24 MP, 8 darks and 6 pairs: 20 captures)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

megapixels, darks, levels = (float(sys.argv[1]) if len(sys.argv) > 1 else 24.0), 8, 6
if len(sys.argv) > 3:
    darks, levels = int(sys.argv[2]), int(sys.argv[3])
height = 16 * round((megapixels * 1e6 * 2 / 3) ** 0.5 / 16)
width = 16 * round(megapixels * 1e6 / height / 16)
BLACK, GAIN, READ, ROW = 512.0, 2.0, 4.0, 1.0
MEASURE = """
import json, resource, sys, time
from pathlib import Path
import rawpipe.cli.calibrate as command
from rawpipe.cli import main
peaks = {}
def peak(part):
    def wrap(work):
        def run(*given):
            start = time.perf_counter()
            out = work(*given)
            peaks[part] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, time.perf_counter() - start]
            return out
        return run
    return wrap
command._scan, command._measure = peak("scan")(command._scan), peak("measure")(command._measure)
command._report = peak("report")(command._report)
status = main(sys.argv[1:])
print(json.dumps({"status": status, "peaks": peaks}))
"""


def capture(generator: np.random.Generator, signal: float, response: np.ndarray) -> np.ndarray:
    """Counts at `signal` DN above black, made in strips."""
    out = np.empty((height, width), np.uint16)
    for top in range(0, height, 256):
        part = response[top : top + 256]
        electrons = np.maximum(signal / GAIN * part, 0)
        shot = GAIN * (electrons + np.sqrt(electrons) * generator.standard_normal(part.shape, np.float32))
        row = ROW * generator.standard_normal((len(part), 1), np.float32)
        dn = BLACK + shot + READ * generator.standard_normal(part.shape, np.float32) + row
        out[top : top + 256] = np.clip(np.rint(dn), 0, 16383)
    return out


with tempfile.TemporaryDirectory() as folder:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    response = (1 - 0.15 * (x**2 + y**2)) * (1 + 0.005 * generator.standard_normal((height, width), np.float32))
    del y, x
    shots = Path(folder) / "shots"
    shots.mkdir()
    facts = 'cfa = "RGGB"\nblack = 512\nbits = 14\niso = 100\nmake = "Acme"\nmodel = "One"\n'
    (shots / "captures.toml").write_text(facts + '[files."dark*"]\nexposure_s = 0.001\n')
    for index in range(darks):
        np.save(shots / f"dark{index}.npy", capture(generator, 0.0, response))
    for level, share in enumerate(np.linspace(0.05, 0.85, levels)):
        for index in range(2):
            np.save(shots / f"flat{level}{index}.npy", capture(generator, share * 15871, response))
    command = [sys.executable, "-c", MEASURE, "calibrate", str(shots), "-o", f"{folder}/out/p.json"]
    command += ["--report", f"{folder}/out/r.html"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    *table, last = said.strip().splitlines()
    print("\n".join(line for line in table if not line.startswith("/")))
    result = json.loads(last)
    assert result["status"] == 0
    print(
        f"{darks} darks and {levels} pairs of flats of {height}x{width}\n\n| part | peak GB so far | s |\n|---|---|---|"
    )
    for part, (peak, seconds) in result["peaks"].items():
        print(f"| {part} | {peak:.2f} | {seconds:.0f} |")
