"""Exposure: all values multiplied by a power of two."""

from rawpipe.stages.exposure.stage import Exposure

__all__ = ["Exposure"]
