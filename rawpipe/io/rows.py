"""Rows of a picture that comes in parts from the top down, as many at a time as are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


class Rows:
    """A picture to draw rows from; of its parts one at a time is held.

    Args:
        parts: its pixels (..., n, W), of any number of rows each.
    """

    def __init__(self, parts: Iterator[Tensor]) -> None:
        self.parts = parts
        self.rest: Tensor | None = None

    def draw(self, count: int) -> Tensor:
        """The next rows (..., count, W); a view where they are all in one part."""
        drawn: list[Tensor] = []
        while count:
            if self.rest is None or not self.rest.shape[-2]:
                self.rest = next(self.parts)
            drawn.append(self.rest[..., :count, :])
            self.rest = self.rest[..., drawn[-1].shape[-2] :, :]
            count -= drawn[-1].shape[-2]
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn, dim=-2)
