"""Patches of one photograph, taken apart along directions that natural images hardly use.

A patch is 8x8 pixels of the mosaic. After its sites' means are taken off and its pixels divided by the root of the
level, noise has the same energy along every direction, and the picture has little along some: those that no smooth
light and no smooth colour reaches. Which they are follows from a model of natural images (luminance with a 1/f**1.5
amplitude, blurred by the lens, colour smoother and ten times weaker), not from the picture. The energy along the others
tells how much of the picture is in the patch: noise makes the two independent, so choosing patches by the one does not
bias the other.

All directions leave out what a row shares and what a column shares: row noise and column patterns are not seen.

References:
    Pyatykh, Hesser and Zheng (2013), Image noise level estimation by principal component analysis.
    Ruderman and Bialek (1994), Statistics of natural images: scaling in the woods (the spectrum).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rawpipe import bayer
from rawpipe._errors import StageError
from rawpipe._frame import Frame
from rawpipe._on_sensor import unit_per_dn

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SIDE = 8  # pixels
FINE, COARSE, PICTURE = 14, 14, 32  # directions: that the picture uses least, little, and all the others
SITE = 4  # directions of the fine and coarse ones that are nearly of one site
_DENSE = 20_000  # patches side by side; a picture of fewer is cut into overlapping ones
_STRIP = 4_000_000  # pixels taken apart at a time
_PILED = 1e-3  # share of pixels on the lowest or highest count, if the next count has fewer
_TAIL = 65  # counts looked at there
_NEARLY = 0.995  # of where counts end: wells don't all fill up at the same level
_OVERLAPPED = 0.45
_BLUR, _COLOR_BLUR = 0.7, 1.5  # pixels
_COLOR, _SHARP_COLOR = 0.1, 0.02  # variance of colour, and of colour as sharp as luminance, for 1 of luminance


@dataclass(frozen=True, eq=False)
class Directions:
    """Orthonormal directions of a patch, and the share of each site in their energy.

    Args:
        measured: fine directions, then coarse ones (28, 64).
        picture: the others, the four means excepted (32, 64).
        of_site: directions within `measured`, nearly of one site (4, 4, 64).
        shares: of the sites in the energy of the fine, the coarse, and the picture's directions (3, 4).
        site_shares: in that of the sites' own directions (4, 4).
    """

    measured: Doubles
    picture: Doubles
    of_site: Doubles
    shares: Doubles
    site_shares: Doubles


@dataclass(frozen=True, eq=False, kw_only=True)
class Patches:
    """What is kept of a picture's n = h x w patches, row by row. Energies are per direction, of pixels divided by the
    root of `reference_dn`.

    Args:
        grid: h and w.
        stride: pixels from a patch to the next.
        cfa: phase of the first pixel.
        mean_dn: mean above black per site (n, 4).
        energy: along the fine and the coarse directions and those of the picture (n, 3).
        of_site: along directions that are nearly of one site (n, 4).
        usable: without clipped pixels (n).
        ceiling_dn: where the counts end, above black (4).
        clipped: whether pixels pile up there (4).
        floor_dn: where they begin (4), -inf if they don't pile up there.
    """

    grid: tuple[int, int]
    stride: int
    cfa: str
    mean_dn: Floats
    energy: Floats
    of_site: Floats
    usable: Bools
    ceiling_dn: Doubles
    clipped: Bools
    floor_dn: Doubles

    def __len__(self) -> int:
        return len(self.mean_dn)

    @property
    def reference_dn(self) -> Floats:
        """Level per site whose root pixels were divided by (n, 4)."""
        return _reference(self.mean_dn, self.ceiling_dn)

    @property
    def independent(self) -> float:
        """Independent samples per direction and patch: 1 side by side, less where patches overlap."""
        return 1.0 if self.stride == SIDE else _OVERLAPPED

    def around(self, values: Doubles) -> Doubles:
        """Means over the eight patches that touch each, of `values` (n); none of them shares a pixel with it."""
        out = values.reshape(self.grid).copy()
        steps = SIDE // self.stride
        for y in range(steps):
            for x in range(steps):
                lattice = out[y::steps, x::steps]
                padded = np.pad(lattice, 1, mode="symmetric" if min(lattice.shape) else "constant")
                rows = padded[:-2] + padded[1:-1] + padded[2:]
                out[y::steps, x::steps] = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - lattice) / 8
        return out.ravel()

    def tiles(self, side: int) -> Ints:
        """A number per patch (n) for the square of `side` pixels that it lies in."""
        rows, columns = (np.arange(n) * self.stride // side for n in self.grid)
        return np.asarray(rows[:, None] * (columns[-1] + 1) + columns, np.int64).ravel()


def _reference(mean_dn: Floats, ceiling_dn: Doubles) -> Floats:
    """The level, or a thousandth of the range where it is lower."""
    return np.maximum(mean_dn, np.float32(ceiling_dn.min() / 1000))


@lru_cache
def directions(cfa: str) -> Directions:
    """The directions for patches whose first pixel has this phase."""
    y, x = (axis.ravel() for axis in np.mgrid[:SIDE, :SIDE])
    site = _site_of_pixels(cfa)
    color = np.array([0, 1, 1, 2])[site]
    dy, dx = (axis[:, None] - axis for axis in (y, x))
    sharp, smooth = _covariance(_BLUR)[dy, dx], _covariance(_COLOR_BLUR)[dy, dx]
    model = sharp + (color[:, None] == color) * (_COLOR * smooth + _SHARP_COLOR * sharp)
    lines = [axis == i for axis in (y, x) for i in range(SIDE)]
    slopes = [(site == s) * slope for s in range(4) for slope in (np.ones(SIDE**2), y - 3.5, x - 3.5)]
    rest = _complement(np.array([*lines, *slopes], np.float64))
    least_first = np.linalg.eigh(rest @ model @ rest.T)[1].T @ rest
    measured = least_first[: FINE + COARSE]
    means = np.array([(site == s) / 4.0 for s in range(4)])
    picture = _complement(np.concatenate([measured, means]))
    of_site = np.empty((4, SITE, SIDE**2))
    for s in range(4):
        own = measured[:, site == s]
        of_site[s] = np.linalg.eigh(own @ own.T)[1][:, -SITE:].T @ measured
    shares = [_shares(part, site) for part in (measured[:FINE], measured[FINE:], picture)]
    return Directions(measured, picture, of_site, np.stack(shares), np.stack([_shares(one, site) for one in of_site]))


def _complement(vectors: Doubles) -> Doubles:
    """Orthonormal vectors for all that is orthogonal to `vectors` (n, m)."""
    _, sizes, basis = np.linalg.svd(vectors)
    return np.asarray(basis[int((sizes > 1e-9 * sizes[0]).sum()) :])


def _shares(vectors: Doubles, site: Ints) -> Doubles:
    """Share of each site (4) in the energy of white noise along unit vectors (n, 64)."""
    return np.array([(vectors[:, site == s] ** 2).sum() / len(vectors) for s in range(4)])


def _covariance(blur: float, size: int = 64) -> Doubles:
    """Covariance of pixels by distance (size, size; negative ones from the end), of spectrum 1/f**3 after a blur."""
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f)
    radius[0, 0] = 0.5 / size
    covariance = np.fft.ifft2(radius**-3 * np.exp(-((2 * np.pi * radius * blur) ** 2))).real
    return np.asarray(covariance / covariance[0, 0])


def patches_of(frame: Frame, black_dn: Doubles | None = None) -> Patches:
    """Cut a photograph into patches.

    Args:
        frame: SENSOR or MOSAIC (H, W) of at least 64 x 64 pixels.
        black_dn: true black per site (4) in DN where it is known better than by the file.

    Raises:
        StageError: there is no mosaic, or it is too small.
    """
    if frame.cfa is None or frame.data.ndim != 2 or min(frame.height, frame.width) < 64:
        raise StageError(
            f"got {frame.space.label} {tuple(frame.data.shape)}; expected one mosaic of 64 x 64 pixels or more: "
            "demosaicing mixes the noise of pixels"
        )
    counts = _Counts.of(frame, black_dn)
    floor, ceiling, clipped = counts.ends()
    dense = (frame.height // SIDE) * (frame.width // SIDE) < _DENSE
    stride = SIDE // 2 if dense else SIDE
    grid = (frame.height - SIDE) // stride + 1, (frame.width - SIDE) // stride + 1
    rows = max(_STRIP // (frame.width * stride), 1)
    parts = [
        _taken_apart(
            counts.rows(first * stride, (min(first + rows, grid[0]) - 1) * stride + SIDE), frame.cfa, stride, ceiling
        )
        for first in range(0, grid[0], rows)
    ]
    mean, energy, of_site, usable = zip(*parts, strict=True)
    return Patches(
        grid=grid,
        stride=stride,
        cfa=frame.cfa,
        mean_dn=np.concatenate(mean),
        energy=np.concatenate(energy),
        of_site=np.concatenate(of_site),
        usable=np.concatenate(usable),
        ceiling_dn=ceiling,
        clipped=clipped,
        floor_dn=floor,
    )


@dataclass(frozen=True, eq=False)
class _Counts:
    """Pixels of a frame as DN above black, handed out in strips."""

    frame: Frame
    cfa: str
    gain: Doubles
    offset: Doubles
    white_dn: Doubles

    @classmethod
    def of(cls, frame: Frame, black_dn: Doubles | None) -> _Counts:
        unit = unit_per_dn(frame).double().cpu().numpy()
        pedestal = frame.pedestal.double().cpu().numpy()
        black = pedestal if black_dn is None else black_dn
        offset = frame.black.double().cpu().numpy() - (pedestal - black) * unit
        return cls(frame, str(frame.cfa), 1 / unit, offset, frame.shot.white.double().numpy() - black)

    def rows(self, top: int, bottom: int) -> Floats:
        """DN above black of some rows, (bottom - top, W); `top` is even."""
        data = bayer.as_float(self.frame.data[top:bottom].detach()).cpu().numpy().astype(np.float32)
        cell = np.array(bayer.sites_at(self.cfa))
        for y in (0, 1):
            for x in (0, 1):
                own = data[y::2, x::2]
                own -= np.float32(self.offset[cell[y, x]])
                own *= np.float32(self.gain[cell[y, x]])
        return data

    def ends(self) -> tuple[Doubles, Doubles, Bools]:
        """Per site: the lowest level if pixels pile up, else -inf; the highest, else white; whether they do (4)."""
        low, high = np.full(4, np.inf), np.full(4, -np.inf)
        for own in self._sites():
            low = np.minimum(low, [one.min(initial=np.inf) for one in own])
            high = np.maximum(high, [one.max(initial=-np.inf) for one in own])
        bottom, top = np.zeros((4, _TAIL)), np.zeros((4, _TAIL))
        for own in self._sites():
            for s, one in enumerate(own):
                bottom[s] += np.bincount((one[one < low[s] + _TAIL - 1] - low[s] + 0.5).astype(int), minlength=_TAIL)
                top[s] += np.bincount((high[s] - one[one > high[s] - _TAIL + 1] + 0.5).astype(int), minlength=_TAIL)
        pixels = self.frame.height * self.frame.width / 4
        floor = np.where([_piled(tail, pixels) for tail in bottom], low, -np.inf)
        piled = np.array([_piled(tail, pixels) for tail in top]) & (high > self.white_dn / 4)
        return floor, np.where(piled, np.minimum(high, self.white_dn), self.white_dn), piled

    def _sites(self) -> Iterator[list[Floats]]:
        """The pixels of each site, strip by strip."""
        step = max(_STRIP // self.frame.width // 2 * 2, 2)
        for top in range(0, self.frame.height, step):
            strip = self.rows(top, min(top + step, self.frame.height))
            yield [strip[y::2, x::2] for y, x in (bayer.offset(self.cfa, s) for s in range(4))]


def _piled(tail: Doubles, pixels: float) -> bool:
    """Whether noise can't explain how many pixels the last count has; `tail`: pixels of each count, from the end on."""
    following = tail[1:][tail[1:] > 0]
    return bool(tail[0] > _PILED * pixels and (not len(following) or tail[0] > following[0]))


def _taken_apart(strip: Floats, cfa: str, stride: int, ceiling_dn: Doubles) -> tuple[Floats, Floats, Floats, Bools]:
    """Means (n, 4), energies (n, 3) and (n, 4), and whether unclipped (n), of the patches of a strip, row by row."""
    along = directions(cfa)
    pixels = sliding_window_view(strip, (SIDE, SIDE))[::stride, ::stride].reshape(-1, SIDE * SIDE)
    site = _site_of_pixels(cfa)
    usable = (pixels < (_NEARLY * ceiling_dn[site]).astype(np.float32)).all(axis=1)
    mean: Floats = np.stack([pixels[:, site == s].mean(axis=1) for s in range(4)], axis=1)
    rest = (pixels - mean[:, site]) / np.sqrt(_reference(mean, ceiling_dn))[:, site]
    measured, picture = (rest @ basis.T.astype(np.float32) for basis in (along.measured, along.picture))
    energy: Floats = np.stack([(e**2).mean(axis=1) for e in (measured[:, :FINE], measured[:, FINE:], picture)], axis=1)
    of_site: Floats = np.stack([((rest @ own.T.astype(np.float32)) ** 2).mean(axis=1) for own in along.of_site], axis=1)
    return mean, energy, of_site, np.asarray(usable, np.bool_)


def _site_of_pixels(cfa: str) -> Ints:
    y, x = (axis.ravel() for axis in np.mgrid[:SIDE, :SIDE])
    return np.asarray(np.array(bayer.sites_at(cfa))[y % 2, x % 2], np.int64)
