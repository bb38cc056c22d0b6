"""Equal histograms of 8-bit pictures, as OpenCV's equalizeHist makes them, with the tables apart from the pictures."""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = 256


def in_8_bits(picture: Tensor) -> Tensor:
    """A picture in 0..1 as uint8."""
    return (picture.clamp(0, 1) * (_LEVELS - 1)).round().to(torch.uint8)


def equalisation(picture: Tensor) -> Tensor:
    """Tables (c, 256) that equalise the histograms of an 8-bit picture's channels, float32 in 0..1.

    The darkest level there is becomes 0; a channel of one level stays as it is.

    Args:
        picture: (c, H, W), uint8; the whole of it, not a tile.
    """
    return torch.stack([_table(channel) for channel in picture.flatten(1)])


def _table(channel: Tensor) -> Tensor:
    counts = torch.bincount(channel.long(), minlength=_LEVELS)
    darkest = int(counts.nonzero()[0])
    rest = channel.numel() - int(counts[darkest])
    if rest == 0:
        return torch.arange(_LEVELS, device=channel.device) / (_LEVELS - 1)
    counts[: darkest + 1] = 0
    scale = torch.tensor((_LEVELS - 1) / rest, dtype=torch.float32)
    return (counts.cumsum(0) * scale).round().float() / (_LEVELS - 1)


def equalised(picture: Tensor, tables: Tensor) -> Tensor:
    """An 8-bit picture or a tile of it (..., c, h, w) through the tables (c, 256) of the whole picture."""
    channels = torch.arange(len(tables), device=picture.device)[:, None, None]
    return tables[channels, picture.long()]
