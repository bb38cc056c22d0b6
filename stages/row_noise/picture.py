"""Row offsets from the picture itself: what a whole row has against its neighbours of the same colours.

A row's offset is the same at all its pixels, a scene's structure isn't: the difference of each pixel to the two of its
site above and below is averaged along the row, robustly, and weighed by how much its parts agree. Offsets are the most
probable ones under that and a normal prior; those that the prior can't explain are taken for the scene's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from torch import Tensor

Vector = NDArray[np.float64]

_CLIP = 2.0  # of the M-estimator, in standard deviations
_ROUNDS = 3
_PART = 32  # pixels of a part of a row: how far a structure may go on and still count once
_MAD = 1.4826
_REJECTED = 4.0  # standard deviations of what a row may differ by
_SECOND = 1.5  # variance of x[i] - (x[i-1] + x[i+1]) / 2 for white x
_ROWS = 256  # at a time
_FLOOR = 1e-9  # DN**2, so that pictures without noise divide by something


class Differences(NamedTuple):
    """What each row of one parity has against the rows above and below (n), and the variance of that (n), in DN."""

    value: Tensor
    variance: Tensor


def differences(rows: Tensor) -> Differences:
    """From the rows of one parity (n, W), in DN."""
    above, below = _beside(len(rows), rows.device)
    values, variances = [], []
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        value, variance = _location(rows[part] - (rows[above[part]] + rows[below[part]]) / 2)
        values.append(value)
        variances.append(variance)
    return Differences(torch.cat(values).double(), torch.cat(variances).double().clamp(min=_FLOOR))


def _beside(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices of the rows above and below, mirrored at the ends."""
    at = torch.arange(count, device=device)
    last = count - 1
    return (at - 1).abs().clamp(max=last), (last - (last - at - 1).abs()).clamp(min=0)


def _location(values: Tensor) -> tuple[Tensor, Tensor]:
    """Robust mean of each row of (n, W), and its variance.

    A row is cut into parts. Each part's mean counts by the inverse of its variance, so that dark and flat parts lead,
    and less where it lies apart from the others; how much the parts scatter gives the variance.
    """
    width = values.shape[1]
    size = min(max(width // 8, 2), _PART)
    parts = values[:, : width // size * size].reshape(len(values), -1, size)
    means = parts.mean(dim=2)
    error2 = (parts.square().mean(dim=2) - means**2).clamp(min=0) / (size - 1) + _FLOOR
    found = means.median(dim=1, keepdim=True).values
    for _ in range(_ROUNDS):
        apart = (means - found).abs() / error2.sqrt()
        weight = (_CLIP / apart.clamp(min=_CLIP)) / error2
        total = weight.sum(dim=1, keepdim=True)
        found = (weight * means).sum(dim=1, keepdim=True) / total
    scatter = (weight * (means - found)).square().sum(dim=1) / total[:, 0] ** 2
    return found[:, 0], torch.maximum(scatter, 1 / total[:, 0])


def row_sigma(mosaic: Tensor) -> float:
    """Standard deviation of the row noise of a picture (H, W), in DN: what rows scatter more than columns do.

    A scene has as much of structure along rows as along columns, roughly; what the rows have more is taken for noise.
    """
    spread = [_spread([differences(lines[parity::2]) for parity in (0, 1)]) for lines in (mosaic, mosaic.T)]
    return float(max((spread[0] - spread[1]) / _SECOND, 0.0) ** 0.5)


def _spread(found: list[Differences]) -> float:
    """Variance of the differences that the scatter within the lines doesn't explain, over the quiet ones."""
    value, variance = (torch.cat(both) for both in zip(*found, strict=True))
    quiet = variance <= 2 * variance.quantile(0.25)
    return max(float((_MAD * value[quiet].abs().median()) ** 2 - variance[quiet].median()), 0.0)


def offsets(rows: Tensor, row_dn: float) -> tuple[Tensor, float]:
    """The most probable offsets of the rows of one parity (n, W), in DN, and the variance that is left.

    Args:
        rows: pixels in DN.
        row_dn: standard deviation of the row noise, above 0.
    """
    found = differences(rows)
    explained = found.value.abs() <= _REJECTED * (_SECOND * row_dn**2 + found.variance).sqrt()
    solved = _most_probable(found.value.cpu().numpy(), (explained / found.variance).cpu().numpy(), row_dn)
    return torch.from_numpy(solved).to(rows.device), _left(found.variance, explained, row_dn)


def _most_probable(value: Vector, weight: Vector, row_dn: float) -> Vector:
    """The r (n) that minimises the sum of weight * (A r - value)**2 and (r / row_dn)**2, A being the difference.

    A has three diagonals, so the normal equations have five.
    """
    count = len(value)
    before, after = np.full(count, -0.5), np.full(count, -0.5)
    before[0], after[0], before[-1], after[-1] = 0, -1, -1, 0
    if count < 2:
        return np.zeros(count)
    bands = np.zeros((3, count))  # upper form: the main diagonal last
    bands[2] = weight + 1 / row_dn**2
    bands[2, :-1] += (weight * before**2)[1:]
    bands[2, 1:] += (weight * after**2)[:-1]
    bands[1, 1:] = (weight * after)[:-1] + (weight * before)[1:]
    bands[0, 2:] = (weight * before * after)[1:-1]
    right = weight * value
    right[:-1] += (weight * before * value)[1:]
    right[1:] += (weight * after * value)[:-1]
    solved: Vector = solveh_banded(bands, right)
    return solved


def _left(variance: Tensor, explained: Tensor, row_dn: float) -> float:
    """Variance of the row noise that is left: slow changes, which no difference shows, and the error of the rest.

    For rows that all have the mean variance, where the solution is a filter: a difference passes frequency f by
    1 - cos f, and the offsets are h = (1 - cos f)**2 / ((1 - cos f)**2 + variance / row**2) of what there is.
    """
    share = float(explained.double().mean())
    if share == 0:
        return row_dn**2
    mean = float(variance[explained].mean())
    count = len(variance)
    passed = (1 - torch.cos(torch.arange(count, dtype=torch.float64) * torch.pi / count)) ** 2
    kept = passed / (passed + mean / row_dn**2)
    left = float(((1 - kept) ** 2 * row_dn**2 + kept**2 * mean / _SECOND).mean())
    return share * left + (1 - share) * row_dn**2
