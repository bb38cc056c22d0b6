"""Calibrations of simulated sensors that several tests look at, and a simulated camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rawpipe import Frame
from rawpipe.calibration.calibrate import Calibration, Camera, calibrate
from rawpipe.calibration.capture import Captures
from rawpipe.calibration.mosaics import Loaded
from rawpipe.calibration.one_iso import IsoCaptures
from rawpipe.calibration.simulation import SimulatedSensor

CAMERA = Camera(
    make="Acme", model="One <&> Only", serial="7", cfa="GBRG", bits=14, size=(256, 320), active_area=(0, 0, 256, 320)
)
LAMP = np.array([0.55, 1.0, 0.98, 0.7])  # R, Gr, Gb, B


def captures(iso: float, levels: int = 6, darks: int = 4, gain: float | None = None) -> IsoCaptures:
    """Captures of a sensor whose gain follows ISO."""
    k = 0.002 * iso if gain is None else gain
    sensor = SimulatedSensor(
        gain_dn_per_e=k, read_sigma_dn=1 + k, row_sigma_dn=0.3 * (1 + k), cfa="GBRG", size=(256, 320), seed=int(iso)
    )
    top = sensor.white - sensor.black_dn
    flats = [
        (Loaded(np.stack([sensor.flat(share * top), sensor.flat(share * top)]), "GBRG"), float(share))
        for share in np.geomspace(0.02, 1.05, levels)
    ]
    dark = {0.01: Loaded(np.stack([sensor.dark() for _ in range(darks)]), "GBRG")} if darks else {}
    black, white = np.full(4, 512.0), np.full(4, float(sensor.white))
    return IsoCaptures(iso=iso, darks=dark, flats=flats if levels else [], black=black, white=white)


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    """Three ISOs, six levels and four darks each."""
    files = [{"name": "<i>.NEF", "sha256": "ab" * 32, "role": "dark", "iso": 100, "exposure_s": 0.01}]
    return calibrate(CAMERA, [captures(iso) for iso in (100, 400, 1600)], files)


@pytest.fixture(scope="session")
def poor() -> Calibration:
    """One ISO with a dark frame only, one with too few flats and no darks, one without a usable flat."""
    return calibrate(
        CAMERA, [captures(100, levels=0, darks=1), captures(200, levels=2, darks=0), captures(800, levels=1, darks=2)]
    )


class SimulatedCamera:
    """A simulated camera: every capture with its own noise, and the light field fixed."""

    black, white = 512.0, 16383.0

    def __init__(self, height: int = 256, width: int = 320, cfa: str = "RGGB", seed: int = 0, **facts: Any) -> None:
        self.size, self.cfa = (height, width), cfa
        self.random = np.random.default_rng(seed)
        self.y, self.x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        self.response = 1 + 0.005 * self.random.standard_normal(self.size)
        self.field = (1 - 0.3 * (self.x**2 + self.y**2) / 2) * (1 + 0.1 * self.x)
        sites = np.array([[0, 1], [2, 3]]) if cfa == "RGGB" else np.array([[2, 3], [0, 1]])  # else GBRG
        self.color = LAMP[sites[np.arange(height)[:, None] % 2, np.arange(width) % 2]]
        hot = self.random.integers(0, height * width, height * width // 2000)
        self.warm = np.zeros(self.size)
        self.warm.flat[hot] = self.random.exponential(1000, len(hot))
        self.facts = {"black": self.black, "white": self.white, "bits": 14, "make": "Maker", "model": "Model", **facts}

    def counts(self, level: float, light: Any = 1.0, gain: float = 2.0, read: float = 4.0, row: float = 1.0) -> Any:
        """Counts with the green sites at `level` of the range in the middle."""
        signal = np.maximum(level * (self.white - self.black) * self.field * self.color * self.response * light, 0)
        dn = self.black + gain * self.random.poisson(signal / gain) + read * self.random.standard_normal(self.size)
        dn += row * self.random.standard_normal((self.size[0], 1)) + self.random.uniform(0, 0.5)
        return np.clip(np.rint(dn + self.warm), 0, self.white).astype(np.uint16)

    def take(self, level: float, iso: float | None = 100, exposure_s: float | None = 0.02, **how: Any) -> Frame:
        """A frame in memory."""
        return Frame.from_array(self.counts(level, **how), self.cfa, iso=iso, exposure_s=exposure_s, **self.facts)

    def darks(self, count: int, **how: Any) -> list[Frame]:
        return [self.take(0.0, exposure_s=0.001, **how) for _ in range(count)]

    def flats(self, *levels: float, count: int = 2, **how: Any) -> list[Frame]:
        return [self.take(level, **how) for level in levels for _ in range(count)]


@pytest.fixture
def camera_of() -> type[SimulatedCamera]:
    """Makes simulated cameras."""
    return SimulatedCamera


@pytest.fixture
def reasons() -> Callable[[Captures], str]:
    """Says what a scan left out, and why, in lines."""
    return lambda captures: "\n".join(f"{one.name}: {one.reason}" for one in captures.refused)
