"""Your own Bayer array through your own code and the rest of the pipeline, into a DNG that opens everywhere."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from rawpipe import Frame, Pipeline
from rawpipe.stages import BlackLevel, Demosaic, WhiteBalance

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# A 14-bit mosaic, as a camera SDK, a simulator or a network gives it.
bayer = np.random.default_rng(0).poisson(2000, (400, 600)).astype(np.uint16) + 512
frame = Frame.from_array(
    bayer,  # shared, not copied; torch tensors and anything with DLPack do too
    "GRBG",
    black=512,
    bits=14,
    neutral=(0.48, 1.0, 0.63),  # the camera RGB of a neutral object: 1 / white-balance gains
    matrix=[[0.65, -0.12, -0.09], [-0.38, 1.16, 0.25], [-0.04, 0.15, 0.60]],  # XYZ to camera RGB under D65
    iso=800,
    exposure_s=1 / 125,
    make="Example",
    model="Sensor One",
)

linear = Pipeline([BlackLevel()])(frame)  # black = 0, saturation = 1; noise below black stays negative
denoised = replace(linear, data=linear.data.clone())  # ... your own work on the tensor goes here
denoised.write(folder / "cfa.dng")
Pipeline([WhiteBalance(), Demosaic()])(denoised).write(folder / "linear.dng")  # the history has all three stages
