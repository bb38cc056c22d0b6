"""Vignette: corners darkened, as an example of a third-party stage that depends on position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from rawpipe import Frame, Space, StageError


@dataclass(frozen=True)
class Vignette:
    """Linear values multiplied by 1 - strength * r**2, r = 1 at the corners of the whole frame.

    Takes: CAMERA or RGB. Gives: the same.

    Args:
        strength: 0 (nothing) to 1 (black corners).

    Raises:
        StageError: another strength.
    """

    strength: float = 0.3

    takes = Space.CAMERA | Space.RGB
    gives = None  # the same space as taken
    halo = 0  # a pixel needs no neighbours
    grid = 1

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise StageError(f"got strength={self.strength}; expected a number from 0 to 1")

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        top, left, height, width = frame.origin  # tensors: where this window stands in the whole frame
        y = top + torch.arange(frame.height, device=frame.device) - (height - 1) / 2
        x = left + torch.arange(frame.width, device=frame.device) - (width - 1) / 2
        corner = ((height - 1) / 2) ** 2 + ((width - 1) / 2) ** 2
        falloff = 1 - self.strength * (y[:, None] ** 2 + x**2) / corner
        # The noise now differs from place to place, which two numbers can't say: unknown is None, never a guess.
        return replace(frame, data=frame.data * falloff.to(frame.data.dtype), noise=None)
