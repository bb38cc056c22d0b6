"""Demosaic: a mosaic becomes three planes of camera RGB."""

from rawpipe.stages.demosaic.stage import Demosaic

__all__ = ["Demosaic"]
