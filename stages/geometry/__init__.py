"""Crop and Orient: which part of the picture, and which way up."""

from rawpipe.stages.geometry.crop import Crop
from rawpipe.stages.geometry.orient import Orient

__all__ = ["Crop", "Orient"]
