"""BlackLevel: counts become linear light, black = 0 and saturation = 1."""

from rawpipe.stages.black_level.stage import BlackLevel

__all__ = ["BlackLevel"]
