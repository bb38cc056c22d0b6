"""DarkShading: the dark level that differs from place to place is taken off."""

from rawpipe.stages.dark_shading.stage import DarkShading

__all__ = ["DarkShading"]
