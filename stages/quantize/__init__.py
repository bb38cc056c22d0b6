"""Quantize: RGB as codes of 16 bits."""

from rawpipe.stages.quantize.stage import Quantize

__all__ = ["Quantize"]
