"""How much brighter a dim frame should become, from its own pixels.

References:
    ISO 12232:2019, Digital still cameras: determination of exposure index, 6.2: at the saturation-based speed a
    scene's mean of 18 % stands at 12.7 % of saturation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from rawpipe import Frame, StageError, bayer

MOST = 300.0
"""The greatest ratio: what ExposureDiffusion is published and trained for."""
_TARGET = 0.127
_BLOCK = 16  # green pixels of a plane, each way, whose mean counts as one brightness
_BRIGHT, _BRIGHT_AT = 0.95, 0.9  # this share of the blocks stays below that level
_SIGMAS = 2.0  # of a block's mean: what is darker counts as that bright


def auto_ratio(frame: Frame) -> float:
    """The ratio from 1 to 300 that brings the logarithmic mean of the green to 12.7 % of saturation.

    It is lowered until 95 % of the frame stay below 90 % of saturation. Both are found on means of blocks, since the
    logarithm of noisy pixels says nothing; a block darker than its own noise counts as being as bright as that.

    Args:
        frame: MOSAIC with `noise`, at least 2x2 pixels.

    Raises:
        StageError: no part of the frame is finite.
    """
    noise = frame.noise
    assert noise is not None
    planes = [bayer.view(frame.data, str(frame.cfa), site).float() / frame.white[site] for site in (1, 2)]
    height, width = (min(lengths) for lengths in zip(*(p.shape[-2:] for p in planes), strict=True))
    green = torch.stack([p[..., :height, :width] for p in planes]).mean(0).reshape(-1, 1, height, width)
    block = (min(_BLOCK, height), min(_BLOCK, width))
    means = F.avg_pool2d(green, block).flatten()
    means = means[means.isfinite()]
    if not means.numel():
        raise StageError("got a frame with nan or infinity everywhere; expected light to find the exposure by")
    read = float((noise.read[1:3] / frame.white[1:3]).square().mean()) / (2 * block[0] * block[1])
    row = float((noise.row[1:3] / frame.white[1:3]).square().mean()) / block[0]
    floor = max(_SIGMAS * (read + row) ** 0.5, _TARGET / MOST)
    level = float(means.clamp(min=floor).log().mean().exp())
    bright = float(means.kthvalue(max(1, round(_BRIGHT * means.numel()))).values)
    return min(max(min(_TARGET / level, _BRIGHT_AT / max(bright, 1e-9)), 1.0), MOST)
