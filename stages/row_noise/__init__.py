"""RowNoise: the offset that each sensor row adds is taken off."""

from rawpipe.stages.row_noise.stage import RowNoise

__all__ = ["RowNoise"]
