"""rawpipe: composable stages over RAW Bayer tensors that give back DNG and TIFF."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rawpipe._camera_color import CameraColor
    from rawpipe._errors import (
        Cancelled,
        FormatError,
        FrameError,
        PipelineError,
        ProfileError,
        RawpipeError,
        RawpipeWarning,
        StageError,
    )
    from rawpipe._frame import Color, Frame, Noise, Space, Step
    from rawpipe._pipeline import Pipeline
    from rawpipe._profile import CameraProfile
    from rawpipe._quantity import Quantity
    from rawpipe._shot import Shot
    from rawpipe._stage import Measured, Stage
    from rawpipe.noise_model import NoiseModel

__version__ = "0.1.0"

# Imported when first used: torch takes more than a second, and `rawpipe --help` doesn't need it.
_HOME = {
    "CameraColor": "_camera_color",
    "CameraProfile": "_profile",
    "Cancelled": "_errors",
    "Color": "_frame",
    "FormatError": "_errors",
    "Frame": "_frame",
    "FrameError": "_errors",
    "Measured": "_stage",
    "Noise": "_frame",
    "NoiseModel": "noise_model",
    "Pipeline": "_pipeline",
    "PipelineError": "_errors",
    "ProfileError": "_errors",
    "Quantity": "_quantity",
    "RawpipeError": "_errors",
    "RawpipeWarning": "_errors",
    "Shot": "_shot",
    "Space": "_frame",
    "Stage": "_stage",
    "StageError": "_errors",
    "Step": "_frame",
}

__all__ = [
    "CameraColor",
    "CameraProfile",
    "Cancelled",
    "Color",
    "FormatError",
    "Frame",
    "FrameError",
    "Measured",
    "Noise",
    "NoiseModel",
    "Pipeline",
    "PipelineError",
    "ProfileError",
    "Quantity",
    "RawpipeError",
    "RawpipeWarning",
    "Shot",
    "Space",
    "Stage",
    "StageError",
    "Step",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rawpipe' has no attribute {name!r}")
    return getattr(import_module(f"rawpipe.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
