"""Identity: the stage that does nothing, and shows how a stage is made."""

from rawpipe.stages.identity.stage import Identity

__all__ = ["Identity"]
