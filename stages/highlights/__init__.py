"""ClipHighlights: blown highlights become neutral."""

from rawpipe.stages.highlights.stage import ClipHighlights

__all__ = ["ClipHighlights"]
