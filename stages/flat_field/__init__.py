"""FlatField: a uniformly lit surface gets uniform."""

from rawpipe.stages.flat_field.stage import FlatField

__all__ = ["FlatField"]
