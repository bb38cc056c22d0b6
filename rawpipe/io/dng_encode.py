"""From a frame's numbers to a DNG's: which count stands for no light, which for saturation, and what gets lost.

White balance is divided out. A mosaic whose exposure is the sensor's, and whose counts are of 8 to 16 bits, keeps
them with their black, white and border. Any other frame is stretched over 16 bits: from a pedestal high enough for the
noise below black, to a headroom that keeps BaselineExposure small, since most readers ignore it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe._errors import FormatError
from rawpipe._frame import Frame, Noise, Space
from rawpipe._shot import Box

FULL = 65535
HEADROOM = 4.0
_FEWEST = 255  # levels of a source whose counts are kept
_SAMPLES = 1_000_000  # per site or plane, to find percentiles
_SIGMAS = 6  # of the noise that is left, between the pedestal and code 0
_HIGHEST_PEDESTAL = 0.75  # of the range: some must be left for the picture, however noisy it is
_MARGIN = 4  # pixels around the default crop that a reader's demosaicing may look at

Pixels = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True)
class Levels:
    """How pixels become counts: count = data * gain + offset.

    Args:
        gain: counts per unit of data, per site R, Gr, Gb, B (4) or plane (3); white balance is divided out here.
        offset: count of data = 0, likewise.
        black: BlackLevel, likewise.
        white: WhiteLevel, and `limit` the largest code stored.
        limit: see white.
        headroom: data before white balance that is stored as white: above 1 where brighter things are kept.
        in_place: whether counts, black, white and border are the source's.
        noise_profile: DNG NoiseProfile: pairs S, O for R, G, B; empty if the noise is unknown.
    """

    gain: Tensor
    offset: Tensor
    black: Tensor
    white: int
    limit: int
    headroom: float
    in_place: bool
    noise_profile: tuple[float, ...]

    @classmethod
    def of(cls, frame: Frame, headroom: float = HEADROOM) -> Levels:
        """Levels for a SENSOR, MOSAIC or CAMERA frame; `headroom` limits what is kept above 1."""
        balance = (frame.wb if frame.cfa is None else bayer.per_site(frame.wb)).cpu()
        pedestal, black, whites = frame.pedestal.cpu(), frame.black.cpu(), frame.shot.white
        unit = saturation(frame) * balance
        as_exposed = abs(float(frame.exposure_gain) - 1) < 1e-6
        in_range = bool(whites.min() >= _FEWEST and whites.max() <= FULL)
        in_place = frame.cfa is not None and as_exposed and in_range
        if in_place:
            white = int(whites.min())
            limit = white if int(whites.max()) > white else FULL
            gain, kept, level = (whites - pedestal).min() / unit, 1.0, pedestal
        else:
            kept = _headroom(frame, unit, headroom)
            level = torch.full_like(black, 0.0 if frame.cfa is None else _pedestal(frame, unit, kept))
            white = limit = FULL
            gain = (FULL - level) / (kept * unit)
        profile = _noise_profile(frame.noise, gain / (white - float(level.max())))
        return cls(gain, level - black * gain, level, white, limit, kept, in_place, profile)


def saturation(frame: Frame) -> float:
    """How far above black the first site saturated in the exposure as taken, in the unit of the data.

    1 behind `BlackLevel`; in your own frames whatever their white says. A site whose highlights were clipped since
    then tells less than the others.
    """
    balance = frame.wb if frame.cfa is None else bayer.per_site(frame.wb)
    reached = ((frame.white - frame.black) / (frame.exposure_gain * balance)).cpu()
    whites = frame.shot.white
    if len(whites) != len(reached):
        whites = whites[[0, 1, 3]]
    full = whites - frame.pedestal.cpu()
    found = float((reached / full).max() * full.min())
    return 1.0 if abs(found - 1) < 0.01 else found  # one of two greens, a rounded gain: still the unit of BlackLevel


def _headroom(frame: Frame, unit: Tensor, limit: float) -> float:
    """The value stored as white: where the sensor saturated, the limit, or the brightest 0.01 %, whichever is least.

    In whole hundredths of a stop, since that is how finely Adobe's SDK reads BaselineExposure.
    """
    brightest = max(_percentile(one, 0.9999) for one in _samples(frame, unit))
    wanted = min(float(frame.exposure_gain), limit, max(1.0, brightest))  # the sensor saturates at the gain
    return min(2 ** (math.ceil(100 * math.log2(wanted) - 1e-4) / 100), limit)


def _pedestal(frame: Frame, unit: Tensor, headroom: float) -> float:
    """Count that stands for no light: the source's share of the range, and room for the noise below it."""
    share = float((frame.pedestal.cpu() / frame.shot.white).mean())
    if frame.noise is not None:
        sigma = ((frame.noise.read.cpu() ** 2 + frame.noise.row.cpu() ** 2).sqrt() / unit).max()
        depth = _SIGMAS * float(sigma) / headroom
    else:  # unknown noise: what the pixels show
        depth = -min(_percentile(one, 0.0001) for one in _samples(frame, unit)) / headroom
    return float(round(FULL * min(max(share, depth / (1 + depth), 0.0), _HIGHEST_PEDESTAL)))


def _percentile(values: Tensor, share: float) -> float:
    return float(values.kthvalue(max(1, round(share * values.numel()))).values)


def _samples(frame: Frame, unit: Tensor) -> list[Tensor]:
    """Evenly taken values of every site or plane in `unit` above black, flat, as float32 on the CPU."""
    if frame.cfa is not None:
        planes = [bayer.view(frame.data, frame.cfa, site) for site in range(4)]
    else:
        planes = list(frame.data.unbind(dim=-3))
    step = max(1, int((planes[0].numel() / _SAMPLES) ** 0.5))
    taken = [plane[::step, ::step].flatten().cpu().float() for plane in planes]
    return [(one - black) / size for one, black, size in zip(taken, frame.black.cpu(), unit, strict=True)]


def _noise_profile(noise: Noise | None, unit: Tensor) -> tuple[float, ...]:
    """S and O of R, G (the mean of both greens) and B for data times `unit`; empty if unknown or S isn't positive."""
    if noise is None:
        return ()
    shot, read = noise.shot.cpu() * unit, (noise.read.cpu() * unit) ** 2
    if len(shot) == 4:
        shot, read = (torch.stack([v[0], (v[1] + v[2]) / 2, v[3]]) for v in (shot, read))
    good = bool((shot > 0).all()) and bool(shot.isfinite().all()) and bool(read.isfinite().all())
    return tuple(torch.stack([shot, read], dim=1).flatten().tolist()) if good else ()


@dataclass(frozen=True)
class Layout:
    """Where the picture lies in the stored image.

    Args:
        size: height and width of the stored image.
        top_left: row and column of the frame's first pixel in it.
        active: top, left, bottom, right of the picture in it; top and left are even, since LibRaw and others take
            per-site black from the wrong sites behind an odd origin.
        crop: top, left, bottom, right of the default crop within the active area.
        dropped: rows and columns of the source's border that were left out to make the origin even.
        unchanged: whether the picture is the source's whole active area, pixel by pixel.
    """

    size: tuple[int, int]
    top_left: tuple[int, int]
    active: Box
    crop: Box
    dropped: tuple[int, int]
    unchanged: bool

    @classmethod
    def of(cls, frame: Frame) -> Layout:
        """Layout of a frame: with the source's border around it where the frame is the whole picture of a mosaic."""
        shot = frame.shot
        y, x, height, width = (int(v) for v in frame.origin.tolist())
        top, left, bottom, right = shot.active_area
        full = (height, width) == shot.size
        whole_picture = full and (y, x, frame.height, frame.width) == (top, left, bottom - top, right - left)
        whole_sensor = full and (y, x, frame.height, frame.width) == (0, 0, *shot.size)
        if frame.cfa is None or not (whole_picture or whole_sensor):
            active = (0, 0, frame.height, frame.width)
            return cls((frame.height, frame.width), (0, 0), active, _crop(frame, (0, 0), active), (0, 0), whole_picture)
        drop = top % 2, left % 2
        size = height - drop[0], width - drop[1]
        active = top - drop[0], left - drop[1], bottom - drop[0], right - drop[1]
        crop = _crop(frame, (top - y, left - x), active)
        return cls(size, (y - drop[0], x - drop[1]), active, crop, drop, drop == (0, 0))


def _crop(frame: Frame, start: tuple[int, int], active: Box) -> Box:
    """The recommended crop within the active area, which starts at row and column `start` of the frame.

    A mosaic keeps a few pixels around it, or readers warn that they can't interpolate its edge.
    """
    height, width = active[2] - active[0], active[3] - active[1]
    top, left, bottom, right = frame.recommended_crop() or (0, 0, frame.height, frame.width)
    margin = 0 if frame.cfa is None else min(_MARGIN, (height - 1) // 2, (width - 1) // 2)
    return (
        max(top - start[0], margin),
        max(left - start[1], margin),
        min(bottom - start[0], height - margin),
        min(right - start[1], width - margin),
    )


@dataclass
class Encoder:
    """Rows of the stored image, counting what had to be clipped on the way.

    Args:
        frame: the picture.
        levels: how it is stored.
        layout: where.
        draw: gives so many of the next rows of camera RGB, where `frame` has only their number; rows are then asked for
            from the top down.
        below: samples clipped at the lower end so far.
        above: and at the upper.
    """

    frame: Frame
    levels: Levels
    layout: Layout
    draw: Callable[[int], Tensor] | None = None
    below: int = 0
    above: int = 0

    @property
    def cfa(self) -> str:
        """Phase at the active area's origin."""
        (top, left), (y, x) = self.layout.active[:2], self.layout.top_left
        return bayer.rephase(str(self.frame.cfa), top - y, left - x)

    def rows(self, start: int, stop: int) -> Pixels:
        """Rows of the stored image: (n, W) of a mosaic, (n, W, 3) of RGB.

        Raises:
            FormatError: a value is nan or infinite.
        """
        stored = self._surround(start, stop)
        (y, x), (top, left, bottom, right) = self.layout.top_left, self._pasted()
        first, last = max(start, top), min(stop, bottom)
        if first < last:
            if self.draw is None:
                part = self.frame.crop(first - y, left - x, last - first, right - left)
            else:
                part = replace(self.frame, data=self.draw(last - first))
            part = part.as_type(torch.float32)
            levels, device = self.levels, part.device
            values = part.scaled(levels.gain.to(device), levels.offset.to(device)).data
            codes, below, above = quantized(values, levels.limit)
            self.below, self.above = self.below + below, self.above + above
            stored[first - start : last - start, left:right] = codes if codes.ndim == 2 else np.moveaxis(codes, 0, -1)
        return stored

    def _pasted(self) -> Box:
        """Top, left, bottom, right of what comes from the frame: the picture; its border too if nobody else has one."""
        if self.frame.shot.sensor is not None or not self.levels.in_place:
            return self.layout.active
        (y, x), (height, width) = self.layout.top_left, self.layout.size
        return max(y, 0), max(x, 0), min(y + self.frame.height, height), min(x + self.frame.width, width)

    def _surround(self, start: int, stop: int) -> Pixels:
        """Rows of the source's masked border with room for the picture, or of the pedestal that stands for no light."""
        sensor, (height, width), drop = self.frame.shot.sensor, self.layout.size, self.layout.dropped
        if self.levels.in_place and sensor is not None and sensor.shape == (height + drop[0], width + drop[1]):
            return quantized(sensor[start + drop[0] : stop + drop[0], drop[1] :].float(), FULL)[0]
        shape = (stop - start, width) if self.frame.cfa is not None else (stop - start, width, 3)
        return np.full(shape, round(float(self.levels.black[0])), dtype=np.uint16)


def quantized(values: Tensor, limit: int) -> tuple[Pixels, int, int]:
    """Values rounded to counts from 0 to `limit`, and how many had to be clipped below and above.

    Raises:
        FormatError: a value is nan or infinite.
    """
    low, high = (float(bound) for bound in values.aminmax())
    if not math.isfinite(low) or not math.isfinite(high):
        raise FormatError("got nan or infinite pixels; expected finite ones: find the stage they come from with keep=")
    below = int(torch.count_nonzero(values < -0.5)) if low < -0.5 else 0
    above = int(torch.count_nonzero(values > limit + 0.5)) if high > limit + 0.5 else 0
    return values.round().clamp_(0, limit).to(torch.int32).cpu().numpy().astype(np.uint16), below, above


def check(frame: Frame) -> None:
    """Refuse what a DNG can't hold.

    Raises:
        FormatError: RGB, a burst, or counts that want linearizing or have black levels by row.
    """
    if frame.color is not None:
        raise FormatError(
            "got an RGB frame; a DNG holds a mosaic or camera RGB: write it before ColorTransform, or write a TIFF"
        )
    if frame.data.ndim != (2 if frame.cfa is not None else 3):
        raise FormatError(f"got a stack of frames {tuple(frame.data.shape)}; expected one: frame[0].write(...)")
    if min(frame.height, frame.width) < 2:
        raise FormatError(f"got {frame.height}x{frame.width} pixels; expected at least 2x2")
    shot = frame.shot
    if frame.space is Space.SENSOR and shot.linearization is not None and "linearization" not in frame.applied:
        raise FormatError("got counts that aren't linear yet; run Linearize first")
    if frame.space is Space.SENSOR and (shot.black_rows is not None or shot.black_columns is not None):
        raise FormatError("got counts whose black differs by row or column; run BlackLevel first")
