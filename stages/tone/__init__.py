"""ToneCurve: linear RGB gets a transfer curve."""

from rawpipe.stages.tone.stage import ToneCurve

__all__ = ["ToneCurve"]
