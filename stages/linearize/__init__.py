"""Linearize: stored codes become linear counts."""

from rawpipe.stages.linearize.stage import Linearize

__all__ = ["Linearize"]
