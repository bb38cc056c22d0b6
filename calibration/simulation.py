"""A simulated sensor whose truth is known: what calibration is tested on, and a way to plan captures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rawpipe import bayer
from rawpipe.calibration.mosaics import Doubles, Floats, laid_out
from rawpipe.calibration.tukey import quantiles, unit_variance


@dataclass(frozen=True, kw_only=True)
class SimulatedSensor:
    """A sensor and the captures it makes; every capture with its own draw.

    Args:
        gain_dn_per_e: DN per electron.
        read_sigma_dn: read noise, Tukey-lambda distributed.
        tukey_lambda: its shape.
        row_sigma_dn: offset of a row in a frame.
        bits: depth of the converter; white is its last count.
        black_dn: level without light.
        prnu: relative standard deviation of the pixels' response.
        dsnu_dn: standard deviation of the pixels' dark level.
        drift_dn: standard deviation of a frame's black.
        hot: share of hot pixels, 20 read sigmas to half the range above black.
        vignetting: loss of light in the corners.
        truncating: whether the converter cuts off instead of rounding.
        step: step of the converter in DN.
        cfa: phase of the top left pixel.
        size: height and width.
        seed: of everything drawn.
    """

    gain_dn_per_e: float = 1.0
    read_sigma_dn: float = 3.0
    tukey_lambda: float = 0.14
    row_sigma_dn: float = 0.0
    bits: int = 14
    black_dn: float = 512.0
    prnu: float = 0.005
    dsnu_dn: float = 0.0
    drift_dn: float = 0.0
    hot: float = 0.0
    vignetting: float = 0.0
    truncating: bool = False
    step: int = 1
    cfa: str = "RGGB"
    size: tuple[int, int] = (256, 256)
    seed: int = 0
    _generators: dict[str, np.random.Generator] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def random(cls, seed: int, size: tuple[int, int] = (1024, 1024)) -> SimulatedSensor:
        """A sensor drawn from the range of real ones."""
        draw = np.random.default_rng([seed, 1288])
        bits, read = int(draw.integers(10, 17)), math.exp(draw.uniform(math.log(0.5), math.log(20)))
        return cls(
            gain_dn_per_e=math.exp(draw.uniform(math.log(0.1), math.log(30))),
            read_sigma_dn=read,
            tukey_lambda=float(draw.uniform(-0.3, 0.3)),
            row_sigma_dn=0.0 if draw.random() < 0.25 else math.exp(draw.uniform(math.log(0.05), math.log(3))),
            bits=bits,
            black_dn=2**bits / 16,
            dsnu_dn=0.3 * read,
            drift_dn=float(draw.uniform(0, 1)),
            hot=0.001,
            vignetting=float(draw.uniform(0.1, 0.5)),
            truncating=bool(draw.integers(2)),
            cfa=bayer.PHASES[draw.integers(4)],
            size=size,
            seed=seed,
        )

    @property
    def white(self) -> int:
        """The converter's last count."""
        return int(2**self.bits - 1) // self.step * self.step

    def _generator(self, name: str) -> np.random.Generator:
        if name not in self._generators:
            self._generators[name] = np.random.default_rng([self.seed, *name.encode()])
        return self._generators[name]

    @cached_property
    def dark_level(self) -> Floats:
        """Mean count of every pixel without light, before the converter (H, W)."""
        draw = self._generator("pattern")
        level = self.black_dn + self.dsnu_dn * draw.standard_normal(self.size, dtype=np.float32)
        hot = draw.random(self.size) < self.hot
        extra = draw.uniform(math.log(20 * self.read_sigma_dn), math.log(self.white / 2), int(hot.sum()))
        level[hot] += np.exp(extra).astype(np.float32)
        return np.asarray(level, np.float32)

    @cached_property
    def hot_pixels(self) -> NDArray[np.bool_]:
        """Where the dark level stands 10 read sigmas above black (H, W)."""
        return self.dark_level > self.black_dn + 10 * max(self.read_sigma_dn, self.dsnu_dn)

    @cached_property
    def response(self) -> Floats:
        """Light of a flat field that every pixel takes, 1 in the centre (H, W)."""
        y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in self.size)
        falloff = 1 - self.vignetting * (y[:, None] ** 2 + x[None] ** 2) / 2
        noise = self._generator("response").standard_normal(self.size, dtype=np.float32)
        return np.asarray(falloff * (1 + self.prnu * noise), np.float32)

    def flat(self, level_dn: float, site_gains: Doubles | None = None) -> NDArray[np.uint16]:
        """A capture of a flat field whose centre is `level_dn` above black; `site_gains` (4) colours the light."""
        light = self.response * np.float32(level_dn)
        if site_gains is not None:
            light = light * laid_out(site_gains, self.cfa, *self.size).astype(np.float32)
        return self.capture(light)

    def capture(self, light_dn: Floats | float) -> NDArray[np.uint16]:
        """A capture of a scene: mean signal of every pixel above black in DN (H, W)."""
        draw = self._generator("captures")
        photons = np.maximum(np.broadcast_to(np.asarray(light_dn, np.float64), self.size), 0) / self.gain_dn_per_e
        value = self.dark_level + self.gain_dn_per_e * draw.poisson(photons)
        value += self._read_noise(draw)
        value += self.row_sigma_dn * draw.standard_normal((self.size[0], 1)) + self.drift_dn * draw.standard_normal()
        steps = np.floor(value / self.step) if self.truncating else np.rint(value / self.step)
        return np.asarray(np.clip(steps * self.step, 0, self.white), np.uint16)

    def dark(self) -> NDArray[np.uint16]:
        """A capture without light."""
        return self.capture(0.0)

    def _read_noise(self, draw: np.random.Generator) -> Doubles:
        p = draw.random(self.size)
        unit = quantiles(self.tukey_lambda, np.log(p), np.log1p(-p))
        return unit * (self.read_sigma_dn / math.sqrt(unit_variance(self.tukey_lambda)))

    def mean_dark_dn(self, kept: NDArray[np.bool_]) -> Doubles:
        """Expected dark count per site R, Gr, Gb, B, over the pixels in `kept` (H, W)."""
        shift = -0.5 * self.step if self.truncating else 0.0
        out = []
        for s in range(4):
            y, x = bayer.offset(self.cfa, s)
            out.append(float(self.dark_level[y::2, x::2][kept[y::2, x::2]].mean(dtype=np.float64)) + shift)
        return np.array(out)
