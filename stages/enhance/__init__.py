"""Enhance: less noise, and more light, by a model of your choice."""

from rawpipe.stages.enhance.classical import Classical
from rawpipe.stages.enhance.enhancer import Enhancer, Given
from rawpipe.stages.enhance.exposure_diffusion import ExposureDiffusion
from rawpipe.stages.enhance.llflow import LLFlow
from rawpipe.stages.enhance.maps import change, spread
from rawpipe.stages.enhance.stage import Enhance

__all__ = ["Classical", "Enhance", "Enhancer", "ExposureDiffusion", "Given", "LLFlow", "change", "spread"]
