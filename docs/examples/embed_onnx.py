"""A host with NumPy and onnxruntime alone: an exported ExposureDiffusion on a mosaic. Usage: MODEL.onnx OUT.npy"""

import sys

import numpy as np
import onnxruntime

SITES = ((0, 0), (0, 1), (1, 0), (1, 1))  # rows and columns of R, Gr, Gb, B in a cell of RGGB


def enhanced(session, mosaic, shot, read, ratio):
    """A mosaic (RGGB, black 0, saturation 1), `ratio` times brighter and clean; white is then the ratio.

    shot and read: of the mosaic as it is, per site: variance = shot * signal + read**2.
    """
    multiple = int(session.get_modelmeta().custom_metadata_map["multiple"])
    planes = (
        np.stack([mosaic[y::2, x::2] for y, x in SITES]) * ratio
    )  # not clipped: noise below zero tells how dark it is
    height, width = planes.shape[1:]
    planes = np.pad(planes, ((0, 0), (0, -height % multiple), (0, -width % multiple)), mode="reflect")
    inputs = {"planes": planes[None], "shot": shot * ratio, "read": read * ratio, "ratio": np.array(ratio)}
    (clean,) = session.run(None, {name: value.astype(np.float32) for name, value in inputs.items()})
    bright = planes.max(0) > 0.95  # what the model can't show stays as it was
    clean = np.where(bright, planes, clean[0])[:, :height, :width]
    result = np.empty_like(mosaic)
    for plane, (y, x) in zip(clean, SITES, strict=True):
        result[y::2, x::2] = plane
    return result


rng = np.random.default_rng(0)
y, x = np.mgrid[:120, :200] / 100
truth = 0.004 * (1 + np.sin(5 * x) * np.cos(3 * y))
shot, read = np.full(4, 1e-4), np.full(4, 5e-4)
dim = (truth + rng.normal(size=truth.shape) * np.sqrt(shot[0] * truth + read[0] ** 2)).astype(np.float32)
bright = enhanced(onnxruntime.InferenceSession(sys.argv[1]), dim, shot, read, 100.0)
np.save(sys.argv[2], bright)
print(f"error {np.abs(100 * dim - 100 * truth).mean():.3f} before, {np.abs(bright - 100 * truth).mean():.3f} behind")
