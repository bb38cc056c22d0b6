"""Enhance: less noise, by a model of your choice."""

from rawpipe.stages.enhance.classical import Classical
from rawpipe.stages.enhance.enhancer import Enhancer
from rawpipe.stages.enhance.stage import Enhance

__all__ = ["Classical", "Enhance", "Enhancer"]
