"""WhiteBalance: neutral objects get equal red, green and blue."""

from rawpipe.stages.white_balance.stage import WhiteBalance

__all__ = ["WhiteBalance"]
