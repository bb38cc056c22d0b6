"""DefectPixels: hot and dead pixels replaced, found in the picture or known from a map."""

from rawpipe.stages.defect_pixels.stage import DefectPixels

__all__ = ["DefectPixels"]
