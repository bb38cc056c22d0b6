"""Exposure: all values multiplied by a power of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

import torch
from torch import Tensor

from rawpipe import Frame, Space, StageError, kernels

_TARGET = 0.9  # where "auto" puts its percentile
_PERCENTILE = 0.99
_SAMPLES = 1_000_000
_LIMIT_EV = 16.0


@dataclass(frozen=True)
class Exposure:
    """Linear values times 2**ev. Nothing is clipped.

    Takes: MOSAIC, CAMERA, or linear RGB. Gives: the same.

    Args:
        ev: stops; or "auto", which brings the 99th percentile of the brightest channel to 0.9, by 16 stops at most.

    Raises:
        StageError: RGB that has a transfer curve, or a frame without light for "auto".
    """

    ev: float | str = 0.0
    _gain: Tensor | None = field(
        default=None, repr=False, compare=False, metadata={"says": "by which linear light is multiplied"}
    )

    takes = Space.MOSAIC | Space.CAMERA | Space.RGB
    gives = None
    halo = 0
    grid = 1

    def __post_init__(self) -> None:
        ev: object = self.ev
        if ev == "auto":
            return
        if isinstance(ev, bool) or not (isinstance(ev, Real) and abs(float(ev)) <= _LIMIT_EV):
            raise StageError(f'got ev={ev!r}; expected a number of stops from -16 to 16, or "auto"')
        object.__setattr__(self, "ev", float(ev))  # NumPy's numbers too

    @property
    def sees_pixels(self) -> bool:
        """Whether the gain is found in the pixels."""
        return self.ev == "auto"

    def measure(self, frame: Frame, /) -> Exposure:
        """Find the gain."""
        ev = auto_ev(frame) if isinstance(self.ev, str) else float(self.ev)
        return replace(self, ev=ev, _gain=torch.tensor(2.0**ev, device=frame.device))

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        if self._gain is None:
            return None
        unchanged = self._gain == 1 and frame.data.is_floating_point()
        return () if unchanged else (kernels.Affine(self._gain),)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._gain is None:
            return self.measure(frame)(frame)
        if frame.color is not None and frame.color.curve != "linear":
            raise StageError(
                f"got RGB with the curve {frame.color.curve!r}; exposure works on linear light: put it before ToneCurve"
            )
        return replace(frame.scaled(self._gain), exposure_gain=frame.exposure_gain * self._gain)


def auto_ev(frame: Frame) -> float:
    """Stops that bring the 99th percentile of the brightest channel to 0.9."""
    flat = frame.data.flatten(-2)
    flat = flat[..., :: max(1, flat.shape[-1] // _SAMPLES) | 1]  # odd, so that it meets all four sites of a mosaic
    if not frame.space.is_mosaic:
        flat = flat.amax(dim=-2)
    level = float(flat.float().flatten().kthvalue(max(1, round(_PERCENTILE * flat.numel()))).values)
    if not level > 0:
        raise StageError(f"got a frame whose 99th percentile is {level:.3g}; expected light: give ev as a number")
    ev = torch.tensor(_TARGET / level).log2().clamp(-_LIMIT_EV, _LIMIT_EV)
    return float(ev)
