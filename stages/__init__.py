"""The stages that come with rawpipe, one room each. `from rawpipe.stages import BlackLevel, Demosaic, ...`

Names are found through the entry points, so a stage whose folder and entry-point line are gone is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawpipe import _registry

if TYPE_CHECKING:  # for type checkers and editors, which don't read entry points
    from rawpipe.stages.black_level import BlackLevel as BlackLevel
    from rawpipe.stages.color import ColorTransform as ColorTransform
    from rawpipe.stages.dark_shading import DarkShading as DarkShading
    from rawpipe.stages.defect_pixels import DefectPixels as DefectPixels
    from rawpipe.stages.demosaic import Demosaic as Demosaic
    from rawpipe.stages.enhance import Enhance as Enhance
    from rawpipe.stages.exposure import Exposure as Exposure
    from rawpipe.stages.flat_field import FlatField as FlatField
    from rawpipe.stages.geometry import Crop as Crop
    from rawpipe.stages.geometry import Orient as Orient
    from rawpipe.stages.highlights import ClipHighlights as ClipHighlights
    from rawpipe.stages.identity import Identity as Identity
    from rawpipe.stages.linearize import Linearize as Linearize
    from rawpipe.stages.noise import NoiseCalibration as NoiseCalibration
    from rawpipe.stages.opcodes import Opcodes as Opcodes
    from rawpipe.stages.quantize import Quantize as Quantize
    from rawpipe.stages.row_noise import RowNoise as RowNoise
    from rawpipe.stages.tone import ToneCurve as ToneCurve
    from rawpipe.stages.white_balance import WhiteBalance as WhiteBalance


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _names()
    for point in _registry.installed().values():
        if point.attr == name:
            return _registry.load(point.name)
    raise AttributeError(f"module 'rawpipe.stages' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_names()})


def _names() -> list[str]:
    return sorted({point.attr for point in _registry.installed().values()})
