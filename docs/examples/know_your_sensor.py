"""Calibrate a (simulated) camera, develop with its profile, and make a clean picture noisy as that camera would.

python know_your_sensor.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch

from rawpipe import CameraProfile, Frame, Pipeline
from rawpipe.calibration.captures import scan
from rawpipe.calibration.measure import measure_captures
from rawpipe.calibration.report import write_report
from rawpipe.calibration.simulation import SimulatedSensor
from rawpipe.stages import BlackLevel, Enhance, NoiseCalibration, RowNoise

FACTS = {"cfa": "GRBG", "black": 512, "bits": 14, "iso": 800, "make": "Acme", "model": "One"}

folder = Path(sys.argv[1])
captures = folder / "captures"
captures.mkdir(parents=True, exist_ok=True)

# Instead of these, point your camera at nothing (cap on), and at an even light.
sensor = SimulatedSensor(gain_dn_per_e=2.0, read_sigma_dn=6.0, row_sigma_dn=1.0, cfa="GRBG", size=(384, 512))
for number in range(8):
    np.save(captures / f"dark{number}.npy", sensor.dark())
for level in (300, 1000, 4000, 12000):
    for number in range(2):
        np.save(captures / f"flat{level}_{number}.npy", sensor.flat(level))

# What `rawpipe calibrate` does.
found = scan([captures], **FACTS)
calibration = measure_captures(found)
calibration.profile.write(folder / "acme-one.json")
write_report(calibration, folder / "report.html", found.notes, found.advice)
profile = CameraProfile.read(folder / "acme-one.json")
noise = profile.at(800)
print(f"K {float(noise.gain_dn_per_e.mean()):.2f} DN/e, read noise {float(noise.read_sigma_dn.mean()):.2f} DN")

# A dim scene as that camera records it, developed with what is known about it.
scene = torch.linspace(0, 200, 512).expand(384, 512)
noisy = noise.sample(scene, "GRBG", torch.Generator().manual_seed(1)) + 512
frame = Frame.from_array(noisy.round().clamp(min=0).to(torch.uint16), **FACTS)
pipeline = Pipeline([NoiseCalibration(profile), BlackLevel(), RowNoise(), Enhance("classical")])
clean = pipeline(frame)
clean.write(folder / "clean.dng", matrix="generic")  # its NoiseProfile tag says what noise is left

scale = float(frame.shot.scale_dn)
for name, pixels in (("recorded", noisy - 512), ("enhanced", clean.data * scale)):
    print(f"{name}: {float((pixels - scene).square().mean().sqrt()):.1f} DN beside the truth")
print(*(f"{step.name}: {step.parameters.get('source', '')}" for step in clean.history[:1]))
