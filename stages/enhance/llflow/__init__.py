"""LLFlow: the distribution of well-exposed pictures given a dark one, by a conditional normalising flow."""

from rawpipe.stages.enhance.llflow.enhancer import LLFlow

__all__ = ["LLFlow"]
