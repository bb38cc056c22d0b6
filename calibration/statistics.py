"""Statistics of one capture in one pass over its counts, in strips: what tells darks, flats and pictures apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawpipe import bayer

Array = NDArray[Any]
CODES = 65536
SAMPLES = 32  # tiles whose pixels are kept, to compare captures without decoding them again
_PILE = 0.002  # share of pixels on the first or last code that Gaussian noise doesn't put there


@dataclass(frozen=True, eq=False, kw_only=True)
class Statistics:
    """What one pass over a mosaic tells. Per-site arrays are in the order R, Gr, Gb, B; tiles are T x T of one site.

    Args:
        mean: mean per site (4) in DN without the lowest and highest 1 %, so that hot pixels don't count.
        low: share of pixels per site (4) on the lowest code, if they pile up there.
        zero: the count at which the converter clips from below: the code where pixels pile up, and 0 for integers from
            0 on, below which there is nothing; -inf if no pixel shows one.
        high: share of pixels per site (4) at saturation: the white level, or a lower code where they pile up.
        codes: number of different codes; 0 for floating-point samples.
        step: distance of neighbouring codes per site (4) in DN where most pixels are, NaN if too few pixels tell.
        tile: T, in pixels of a site.
        tile_mean: mean of every tile (4, h, w) in DN.
        fine: variance of single pixels in every tile (4, h, w) in DN^2, rows and columns of the tile levelled.
        coarse: variance of means of 4x4 pixels times 16, likewise: equal to `fine` for white noise, more for texture.
        rows: mean of every row (H) in DN.
        columns: mean of every column (W) in DN.
        samples: counts of up to 32 tiles spread over the frame (k, 4, T, T).
        digest: SHA-256 of the pixels.
    """

    mean: Array
    low: Array
    zero: float
    high: Array
    codes: int
    step: Array
    tile: int
    tile_mean: Array
    fine: Array
    coarse: Array
    rows: Array
    columns: Array
    samples: Array
    digest: str

    @property
    def noise(self) -> Array:
        """Standard deviation of a pixel beside its neighbours per site (4) in DN: the median over tiles."""
        sigma: Array = np.sqrt(np.median(self.fine, axis=(1, 2)))
        return sigma

    @property
    def row_noise(self) -> float:
        """Standard deviation of a row's mean beside its neighbours of the same sites in DN."""
        jumps = self.rows[2:] - self.rows[:-2]
        return float(1.4826 * np.median(np.abs(jumps)) / np.sqrt(2))

    @property
    def is_constant(self) -> bool:
        """Whether all pixels are (nearly) the same: nothing but clipping."""
        return bool((self.low + self.high >= 0.9999).all())


def as_counts(data: Array) -> Array:
    """Counts as uint16 where no value changes by it, else float32."""
    if data.dtype in (np.uint16, np.uint8):
        return data.astype(np.uint16, copy=False)
    if data.min() >= 0 and data.max() < CODES and (data.dtype.kind in "ui" or bool((data == np.rint(data)).all())):
        return data.astype(np.uint16)
    return data.astype(np.float32, copy=False)


def measure(counts: Array, cfa: str, white: Array) -> Statistics:
    """The statistics of a mosaic.

    Args:
        counts: (H, W), uint16 or float32, of at least 64 x 64 pixels.
        cfa: phase of the first pixel.
        white: saturation per site (4) in DN.
    """
    height, width = counts.shape
    tile = 32 if min(height, width) >= 512 else 16
    down, across = height // (2 * tile), width // (2 * tile)
    low, scale = (0.0, 1.0) if counts.dtype == np.uint16 else _range(counts)
    histogram = np.zeros((4, CODES), dtype=np.int64)
    means, fine, coarse = (np.zeros((4, down, across), dtype=np.float32) for _ in range(3))
    rows, columns = np.zeros(height), np.zeros(width)
    kept = _spread(down, across)
    samples = np.zeros((len(kept), 4, tile, tile), dtype=counts.dtype)
    digest = hashlib.sha256()
    for strip in range(-(-height // (2 * tile))):
        top = strip * 2 * tile
        part = np.ascontiguousarray(counts[top : top + 2 * tile])
        digest.update(part.tobytes())
        rows[top : top + len(part)] = part.mean(axis=1)
        columns += part.sum(axis=0, dtype=np.float64)
        for site in range(4):
            y, x = bayer.offset(cfa, site)
            plane = part[y::2, x::2]
            codes = plane if scale == 1.0 else np.rint((plane - low) * scale).astype(np.uint16)
            histogram[site] += np.bincount(codes.ravel(), minlength=CODES)
            if strip < down:
                tiles = plane[:, : across * tile].reshape(tile, across, tile).swapaxes(0, 1)
                for index, (row, column) in enumerate(kept):
                    if row == strip:
                        samples[index, site] = tiles[column]
                means[site, strip], fine[site, strip], coarse[site, strip] = two_scales(tiles)
    floating = counts.dtype != np.uint16
    codes_of = [_Codes(histogram[site], low, scale, float(white[site])) for site in range(4)]
    return Statistics(
        mean=np.array([one.trimmed_mean() for one in codes_of]),
        low=np.array([one.low() for one in codes_of]),
        zero=max(0.0 if not floating and histogram[:, 0].any() else -np.inf, *(one.zero() for one in codes_of)),
        high=np.array([one.high() for one in codes_of]),
        codes=0 if floating else int(np.count_nonzero(histogram.any(axis=0))),
        step=np.zeros(4) if floating else np.array([one.step() for one in codes_of]),
        tile=tile,
        tile_mean=means,
        fine=fine,
        coarse=coarse,
        rows=rows,
        columns=columns / height,
        samples=samples,
        digest=digest.hexdigest(),
    )


def two_scales(tiles: Array) -> tuple[Array, Array, Array]:
    """Mean (n), variance of pixels (n) and 16 times the variance of 4x4 means (n) of tiles (n, T, T).

    Outliers are pulled in first; rows and columns are levelled, which takes away gradients, row noise and column noise.
    """
    size = tiles.shape[-1]
    pixels = tiles.astype(np.float32)
    some = pixels[:, ::4, ::2].reshape(len(pixels), -1)
    middle = np.median(some, axis=1)[:, None, None]
    spread = 1.4826 * np.median(np.abs(some - middle[:, :, 0]), axis=1)[:, None, None]
    reach = 6 * np.maximum(spread, 1.0)
    np.clip(pixels, middle - reach, middle + reach, out=pixels)
    mean = pixels.mean(axis=(1, 2))
    pixels -= pixels.mean(axis=2, keepdims=True)
    pixels -= pixels.mean(axis=1, keepdims=True)
    small = pixels.reshape(len(pixels), size // 4, 4, size // 4, 4).mean(axis=(2, 4))
    # Levelling rows and columns leaves (n - 1)^2 degrees of freedom of n^2.
    fine = np.square(pixels).sum(axis=(1, 2)) / (size - 1) ** 2
    coarse = 16 * np.square(small).sum(axis=(1, 2)) / (size // 4 - 1) ** 2
    return mean, fine, coarse


def _spread(down: int, across: int) -> list[tuple[int, int]]:
    """Rows and columns of up to 32 tiles, spread evenly over a grid of tiles."""
    vertical, horizontal = min(down, 4), min(across, SAMPLES // min(down, 4))
    return [
        (int((y + 0.5) * down / vertical), int((x + 0.5) * across / horizontal))
        for y in range(vertical)
        for x in range(horizontal)
    ]


def _range(counts: Array) -> tuple[float, float]:
    """Lowest value of floating-point counts, and the factor that spreads them over the codes."""
    low, high = float(counts.min()), float(counts.max())
    return low, (CODES - 1) / max(high - low, 1e-30)


@dataclass(frozen=True, eq=False)
class _Codes:
    """The histogram of one site; code c stands for c / scale + lowest DN."""

    histogram: Array
    lowest: float
    scale: float
    white: float

    def trimmed_mean(self) -> float:
        total = self.histogram.sum()
        rank = np.minimum(np.cumsum(self.histogram), 0.99 * total)
        weight = np.diff(np.maximum(rank, 0.01 * total), prepend=0.01 * total)
        return float((weight * np.arange(CODES)).sum() / weight.sum() / self.scale + self.lowest)

    def low(self) -> float:
        used = np.flatnonzero(self.histogram)
        end = int(np.searchsorted(used, self._quantile(_PILE / 2)))
        if self._dn(used[end]) > 0.25 * self.white:
            return 0.0
        return self._pile(used[end], used[end + 1 : end + 9], sure=self._dn(used[end]) == 0)

    def zero(self) -> float:
        """The count where pixels pile up at the low end, -inf if they don't."""
        if not self.low():
            return -np.inf
        used = np.flatnonzero(self.histogram)
        end = used[np.searchsorted(used, self._quantile(_PILE / 2))]
        half = 0.0 if self.scale == 1.0 else 0.5 / self.scale  # codes of floating-point counts are rounded
        return float(self._dn(end) + half)

    def high(self) -> float:
        used = np.flatnonzero(self.histogram)
        end = int(np.searchsorted(used, self._quantile(1 - _PILE / 2)))
        clipped = self._dn(np.arange(CODES)) >= self.white
        share = float(self.histogram[clipped].sum() / self.histogram.sum())
        if self._dn(used[end]) < 0.5 * self.white:
            return share
        return max(share, self._pile(used[end], used[max(end - 8, 0) : end], sure=False))

    def _dn(self, code: Any) -> Any:
        return code / self.scale + self.lowest

    def _quantile(self, share: float) -> int:
        """The code below which that share of the pixels lies."""
        return int(np.searchsorted(np.cumsum(self.histogram), share * self.histogram.sum()))

    def _pile(self, end: int, beside: Array, sure: bool) -> float:
        """Share of pixels on an outermost code if they pile up there, else 0.

        Args:
            end: the code.
            beside: the next codes in use.
            sure: it is the end of the scale, so a few codes are enough to tell.
        """
        share = float(self.histogram[end] / self.histogram.sum())
        if share == 1.0:
            return share
        piled = share > _PILE and (sure or len(beside) == 8)
        return share if piled and self.histogram[end] > 2 * self.histogram[beside].mean() else 0.0

    def step(self) -> float:
        """Distance of codes between the 2 % and the 98 % quantile, NaN where a code holds too few pixels to tell."""
        rank = np.cumsum(self.histogram) / self.histogram.sum()
        first, last = np.searchsorted(rank, (0.02, 0.98))
        used = np.count_nonzero(self.histogram[first : last + 1])
        if last - first < 4 or self.histogram[first : last + 1].sum() < 10 * used:
            return float("nan")
        return float((last - first) / max(used - 1, 1))
