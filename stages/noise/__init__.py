"""NoiseCalibration: the frame learns how noisy its pixels are."""

from rawpipe.stages.noise.stage import NoiseCalibration

__all__ = ["NoiseCalibration"]
