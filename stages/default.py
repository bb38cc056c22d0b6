"""The stages that `rawpipe develop` runs, for a pipeline of your own to start from."""

from __future__ import annotations

from typing import Any

from rawpipe import PipelineError, Stage
from rawpipe._errors import unknown
from rawpipe._recipe import make

Named = tuple[str, dict[str, Any]]
_COUNTS: list[Named] = [("linearize", {}), ("opcodes", {"number": 1}), ("black_level", {}), ("opcodes", {"number": 2})]
_NAMED: dict[str, list[Named]] = {
    "dng": [("linearize", {}), ("black_level", {})],  # opcode lists are carried over
    "linear-dng": [*_COUNTS, ("white_balance", {}), ("demosaic", {})],
    "tiff": [
        *_COUNTS,
        ("white_balance", {}),
        ("clip_highlights", {}),
        ("demosaic", {}),
        ("opcodes", {"number": 3}),
        ("color_transform", {}),
        ("exposure", {}),
        ("tone_curve", {}),
    ],
}
KINDS = tuple(_NAMED)
_ON_MOSAIC = [*_COUNTS, ("demosaic", {})]  # what a demosaiced DNG has behind it


def default_stages(
    to: str = "tiff",
    *,
    demosaic: str = "malvar2004",
    enhance: str | None = None,
    exposure: float | str | None = None,
    demosaiced: bool = False,
) -> list[Stage]:
    """Stages from a camera file to a "dng" (its mosaic), a "linear-dng" (camera RGB), or a "tiff" (sRGB).

    Args:
        to: the kind of file.
        demosaic: the method of `Demosaic`. "superpixel" leaves OpcodeList3 out, which is for the full size.
        enhance: the model of `Enhance`, which cleans the mosaic by the noise that `NoiseCalibration` finds, or None.
        exposure: the ratio of `Enhance` by which the frame gets brighter, "auto", or None: what the model is for.
        demosaiced: for a frame that is camera RGB already; it can't be enhanced any more.

    Raises:
        PipelineError: no such kind.
    """
    if to not in _NAMED:
        raise PipelineError(unknown("kind", to, KINDS))
    chosen = [one for one in _NAMED[to] if not (demosaiced and one in _ON_MOSAIC)]
    if demosaic == "superpixel" and not demosaiced:
        chosen = [one for one in chosen if one != ("opcodes", {"number": 3})]
    if enhance is not None and not demosaiced:
        behind = 1 + max(chosen.index(one) for one in _COUNTS if one in chosen)
        ratio = {} if exposure is None else {"exposure": exposure}
        clean: list[Named] = [*chosen[1:behind], ("defect_pixels", {}), ("enhance", {"model": enhance} | ratio)]
        chosen = [chosen[0], ("noise_calibration", {}), *clean, *chosen[behind:]]
    return [make(name, {"method": demosaic} if name == "demosaic" else values) for name, values in chosen]
