"""ColorTransform: camera RGB becomes linear RGB with named primaries."""

from rawpipe.stages.color.stage import ColorTransform

__all__ = ["ColorTransform"]
