"""A camera profile for the synthetic sensor, and a folder of profiles of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import CameraProfile, Frame, Noise, Quantity, Space
from rawpipe.testing import check_noise

ProfileMaker = Callable[..., CameraProfile]


@dataclass(frozen=True)
class Claiming:
    """A stage whose result claims another noise than it has: what `check_noise` must see."""

    stage: Any
    times: float

    @property
    def takes(self) -> Space:
        space: Space = self.stage.takes
        return space

    gives, halo, grid, sees_pixels = None, None, 2, True

    def measure(self, frame: Frame, /) -> Claiming:
        return replace(self, stage=self.stage.measure(frame))

    def __call__(self, frame: Frame, /) -> Frame:
        result: Frame = self.stage(frame)
        assert result.noise is not None
        return replace(result, noise=result.noise.scaled(torch.tensor(self.times)))


@pytest.fixture
def noise_is_right() -> Callable[..., None]:
    """Holds a stage to the law of noise, and shows that the law would see noise twice or half as large."""

    def check(stage: Any, tolerance: float = 0.06, noises: Sequence[Noise] = ()) -> None:
        check_noise(stage, tolerance, noises=noises)
        for times in (0.5, 2.0):
            for noise in noises or (None,):
                with pytest.raises(AssertionError, match="noise is propagated"):
                    check_noise(Claiming(stage, times), tolerance, noises=() if noise is None else (noise,))

    return check


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's folder of profiles, empty."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    monkeypatch.setenv("RAWPIPE_PROFILES", str(folder))
    yield folder


def smooth(low: float, high: float, shape: tuple[int, int] = (5, 7)) -> np.ndarray[Any, Any]:
    """A map (4, h, w) that rises to the lower right, a little different in each site."""
    y, x = np.linspace(0, 1, shape[0])[:, None], np.linspace(0, 1, shape[1])
    slope = (y + x * x) / 2
    return np.stack([low + (high - low) * slope * (1 + 0.05 * site) / 1.15 for site in range(4)]).astype(np.float32)


@pytest.fixture
def profile_of() -> ProfileMaker:
    """Makes a profile of `synthetic_frame`'s camera, for a picture of `size` and `cfa`."""

    def make(size: tuple[int, int] = (34, 40), cfa: str = "RGGB", **given: Any) -> CameraProfile:
        def at(scale: float) -> dict[str, Quantity]:
            return {
                "gain_dn_per_e": Quantity((1.0 * scale, 1.1 * scale, 1.2 * scale, 1.3 * scale)),
                "read_sigma_dn": Quantity((3.0, 3.1, 3.2, 3.3)),
                "row_sigma_dn": Quantity(0.5),
                "quantisation_step_dn": Quantity(1.0),
                "saturation_dn": Quantity(15000.0),
            }

        facts: dict[str, Any] = {
            "make": "Rawpipe",
            "model": "Rawpipe Synthetic",
            "cfa": cfa,
            "bits": 14,
            "size": size,
            "active_area": (0, 0, *size),
            "noise": {"400": at(0.5), "800": at(1.0), "1600": at(2.0)},
            "provenance": {"kind": "measured"},
            "stored": {
                "dark_shading_k": smooth(-0.002, 0.03),
                "dark_shading_b": smooth(4.0, -3.0),
                "flat_field": 1.0 - smooth(-0.1, 0.5),
                "defects": np.array([[3, 4], [10, 11], [10, 13]]),
            },
        }
        return CameraProfile(**(facts | given))

    return make
