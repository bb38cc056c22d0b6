"""Calibrations of simulated sensors that several tests look at."""

from __future__ import annotations

import numpy as np
import pytest

from rawpipe.calibration.calibrate import Calibration, Camera, calibrate
from rawpipe.calibration.mosaics import Loaded
from rawpipe.calibration.one_iso import IsoCaptures
from rawpipe.calibration.simulation import SimulatedSensor

CAMERA = Camera(
    make="Acme", model="One <&> Only", serial="7", cfa="GBRG", bits=14, size=(256, 320), active_area=(0, 0, 256, 320)
)


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
