"""Fixtures that every test may ask for."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
import torch

# Small tensors: threads cost more than they bring, most of all where other work is going on.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files: RAWPIPE_DATA, else shared/data beside the repository; the test skips without it."""
    folder = os.environ.get("RAWPIPE_DATA")
    path = Path(folder) if folder else Path(__file__).parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the folder of real files: set RAWPIPE_DATA to it")
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference outputs: RAWPIPE_GOLDEN, else shared/golden beside the repository; skips without it."""
    folder = os.environ.get("RAWPIPE_GOLDEN")
    path = Path(folder) if folder else Path(__file__).parents[2] / "shared" / "golden"
    if not path.is_dir():
        pytest.skip("needs the folder of reference outputs: set RAWPIPE_GOLDEN to it")
    return path


@pytest.fixture(scope="session")
def golden_weights(golden: Path) -> ModuleType:
    """What makes the reference networks' weights out of their keys and shapes, a function for each model."""
    spec = importlib.util.spec_from_file_location("weights", golden / "tools" / "weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Datasets:
    """Writes folders laid out as SID, ELD and LOL, of a sensor and scenes that are known."""

    gain_dn_per_e = 0.4

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def scene(self, size: tuple[int, int] = (72, 88)) -> torch.Tensor:
        """What the long exposure sees, in DN above black: smooth, with an edge and something saturated."""
        y, x = torch.meshgrid(*(torch.linspace(0, 1, length) for length in size), indexing="ij")
        bright = 400 + 5000 * x * y + 3000 * (x > 0.6)
        return torch.where((y > 0.9) & (x > 0.9), 20000.0, bright)

    def write(
        self,
        name: str,
        light_dn: torch.Tensor,
        exposure_s: float = 10.0,
        iso: float | None = 100,
        cfa: str = "RGGB",
        noisy: bool = False,
    ) -> Path:
        """A DNG with black 512 and white 16383, with the noise of a photon counter if wanted."""
        from rawpipe import Frame, NoiseModel

        model = NoiseModel(gain_dn_per_e=self.gain_dn_per_e, read_sigma_dn=1.5)
        if noisy:
            light_dn = model.sample(light_dn, cfa, torch.Generator().manual_seed(len(name)))
        counts = (light_dn + 512).round().clamp(0, 16383).to(torch.uint16)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"iso": iso, "exposure_s": exposure_s, "make": "Sony", "model": "ILCE-7SM2"}
        Frame.from_array(counts, cfa, black=512, bits=14, **facts).write(path, matrix="generic")
        return path

    def sid(
        self,
        *shots: tuple[str, float, float],
        size: tuple[int, int] = (72, 88),
        cfa: str = "RGGB",
        noisy: bool = True,
    ) -> Path:
        """Of each (scene, short, long) the two files."""
        scene = self.scene(size)
        for name, short_s, long_s in shots:
            short, long = f"Sony/short/{name}_00_{short_s:g}s.dng", f"Sony/long/{name}_00_{long_s:g}s.dng"
            self.write(short, scene.clamp(max=15871) * short_s / long_s, short_s, 200, cfa, noisy)
            self.write(long, scene, long_s, 200, cfa)
        return self.folder

    def eld(self, camera: str = "SonyA7S2", scenes: int = 1, noisy: bool = True) -> Path:
        """The sixteen pictures of each scene; 1, 6, 11 and 16 long at ISO 100, then ISO 800 at 1, 10, 100, 200."""
        scene = self.scene()
        for number in range(1, scenes + 1):
            for image in range(1, 17):
                within = (image - 1) % 5
                ratio = (1, 1, 10, 100, 200)[within]
                iso, exposure_s = (100, 8.0) if within == 0 else (800, 1.0 / ratio)
                light = scene if within == 0 else scene.clamp(max=15871) / ratio
                self.write(f"{camera}/scene-{number}/IMG{image:04}.dng", light, exposure_s, iso, noisy=noisy and within)
        return self.folder

    def lol(self, *names: str, inner: str = "", size: tuple[int, int] = (40, 52)) -> Path:
        """Of each name a well-lit picture, and the dark one: its square at an eighth."""
        import numpy as np
        from PIL import Image

        for name in names:
            generator = np.random.default_rng(ord(name[0]))
            smooth = np.cumsum(generator.normal(size=(*size, 3)), 1)
            bright = (smooth - smooth.min()) / np.ptp(smooth)
            for folder, picture in (("high", bright), ("low", bright**2 / 8)):
                path = self.folder / inner / folder / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray((picture * 255).round().astype(np.uint8)).save(path)
        return self.folder


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    """Writes folders laid out as SID, ELD and LOL."""
    return Datasets(tmp_path / "datasets")
