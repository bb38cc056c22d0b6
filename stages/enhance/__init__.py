"""Enhance: less noise, and more light, by a model of your choice."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rawpipe.stages.enhance.classical import Classical
    from rawpipe.stages.enhance.enhancer import Enhancer, Given
    from rawpipe.stages.enhance.exposure_diffusion import ExposureDiffusion
    from rawpipe.stages.enhance.llflow import LLFlow
    from rawpipe.stages.enhance.maps import change, spread
    from rawpipe.stages.enhance.stage import Enhance

# Imported when first used: what files of weights say of themselves is told without torch.
_HOME = {
    "Classical": "classical",
    "Enhance": "stage",
    "Enhancer": "enhancer",
    "ExposureDiffusion": "exposure_diffusion",
    "Given": "enhancer",
    "LLFlow": "llflow",
    "change": "maps",
    "spread": "maps",
}

__all__ = ["Classical", "Enhance", "Enhancer", "ExposureDiffusion", "Given", "LLFlow", "change", "spread"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rawpipe.stages.enhance' has no attribute {name!r}")
    return getattr(import_module(f"rawpipe.stages.enhance.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
