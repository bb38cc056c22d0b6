"""WhiteBalance: neutral objects get equal red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Frame, Space, StageError, bayer, kernels
from rawpipe._errors import unknown

METHODS = ("as_shot", "daylight", "gray_world")
_SATURATED = 0.95  # of white: pixels above don't tell the colour of the light


@dataclass(frozen=True)
class WhiteBalance:
    """Red, green and blue multiplied so that what the camera saw as neutral is neutral.

    The gains count from the sensor: what was applied before is taken into account, so balancing twice is balancing
    once. Gains found from a neutral are never below 1, so that all channels saturate at 1 or above.

    Takes: MOSAIC or CAMERA. Gives: the same.

    Args:
        method: "as_shot", the camera's own; "daylight", the colour matrix's D65; "gray_world", equal channel means over
            the pixels that aren't saturated.
        gains: your own gains for R, G, B; they win over `method`.

    Raises:
        StageError: no as-shot white balance, no colour matrix, or nothing to average.

    References: Buchsbaum, G. (1980) "A spatial processor model for object colour perception" (gray world).
    """

    method: str = "as_shot"
    gains: tuple[float, float, float] | None = None
    _gains: Tensor | None = field(
        default=None,
        repr=False,
        compare=False,
        metadata={"says": "gains for R, G, B: the greatest part of the neutral / each"},
    )

    takes = Space.MOSAIC | Space.CAMERA
    gives = None
    halo = 0
    grid = 2

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise StageError(unknown("method", self.method, METHODS))
        if self.gains is None:
            return
        try:
            red, green, blue = map(float, self.gains)  # a list or an array too
        except (TypeError, ValueError):
            red = green = blue = 0.0
        if isinstance(self.gains, str) or not all(0 < gain < 1e6 for gain in (red, green, blue)):
            raise StageError(f"got gains {self.gains!r}; expected three positive numbers for R, G, B")
        object.__setattr__(self, "gains", (red, green, blue))

    @property
    def sees_pixels(self) -> bool:
        """Whether the gains are found in the pixels."""
        return self.gains is None and self.method == "gray_world"

    def measure(self, frame: Frame, /) -> WhiteBalance:
        """Find the gains."""
        gains = self.gains
        if gains is None:
            neutral = self._neutral(frame).cpu().double()
            red, green, blue = (neutral.max() / neutral).tolist()
            gains = (red, green, blue)
        return replace(self, gains=gains, _gains=torch.tensor(gains, device=frame.device))

    def _neutral(self, frame: Frame) -> Tensor:
        if self.method == "gray_world":
            return _gray_world(frame)
        if self.method == "daylight":
            daylight = frame.shot.daylight_neutral()
            if daylight is None:
                raise StageError(
                    "got a frame without a color matrix of its camera; give matrix=... when you read it, "
                    "or WhiteBalance(gains=...)"
                )
            return daylight
        if frame.shot.neutral is None and frame.shot.color is None:
            raise StageError(
                "got a frame without an as-shot white balance or a color matrix; "
                'use WhiteBalance("gray_world") or WhiteBalance(gains=...)'
            )
        return frame.neutral

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        if self._gains is None:
            return None
        step = self._gains / frame.wb
        return (kernels.Affine(bayer.per_site(step) if frame.space.is_mosaic else step),)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._gains is None:
            return self.measure(frame)(frame)
        step = self._gains / frame.wb
        balanced = frame.scaled(bayer.per_site(step) if frame.space.is_mosaic else step)
        return replace(balanced, wb=self._gains, neutral=self._gains[1] / self._gains)


def _gray_world(frame: Frame) -> Tensor:
    """Neutral (3) that makes the mean of the pixels grey, from those that aren't saturated in any channel's site."""
    if frame.cfa is not None:
        planes = [bayer.view(frame.data, frame.cfa, site) for site in range(4)]
    else:
        planes = list(frame.data.unbind(dim=-3))
    means = []
    for plane, white in zip(planes, frame.white, strict=True):
        kept = plane < _SATURATED * white
        rows = torch.where(kept, plane, 0).float().sum(dim=-1).cpu().double()  # not every device has float64
        means.append(rows.sum() / kept.sum().cpu())
    red, *greens, blue = means
    neutral = torch.stack([red, torch.stack(greens).mean(), blue]) / frame.wb.cpu()
    if not (neutral > 0).all():
        raise StageError(
            f"got channel means {neutral.tolist()}; expected positive ones: the frame is too dark for gray world"
        )
    return neutral / neutral[1]
