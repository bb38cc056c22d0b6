"""Photographs out of unpacked packages: which of them, how large, and nothing half done."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from rawpipe import FormatError
from rawpipe.stages.enhance.training.free_photographs import write_photographs


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Two pictures of each package, one of which is drawn where a package has such."""
    made = tmp_path / "unpacked"
    pixels = np.random.default_rng(0).integers(0, 256, (90, 180, 3), dtype=np.uint8)
    for name in ("hills0@2x", "sea1@2x"):
        save(made / "images/land" / f"{name}.jpg", Image.fromarray(pixels))
    for name in ("casa-mila", "abstract-spiral"):
        path = made / "backgrounds/budgie" / f"{name}.jxl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True))
    for name in ("Bridge", "umang_by_Abhishek_Mudgal"):
        save(made / "backgrounds" / f"{name}.jpg", Image.fromarray(pixels).resize((3840, 1920)))
    return made


def save(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_photographs_are_scaled_and_cut_and_drawings_left_out(unpacked: Path, tmp_path: Path) -> None:
    out = tmp_path / "free_photographs"
    assert write_photographs(unpacked, out) == 2 + 1 + 6
    sizes = {path.name: pixels(path).shape[1::-1] for path in out.iterdir()}
    bridge = {f"Bridge_{i}.webp": (640, 480) for i in range(6)}
    assert sizes == {"hills0_0.webp": (120, 60), "sea1_0.webp": (120, 60), "casa-mila_0.webp": (180, 90), **bridge}


def test_pictures_that_need_no_scaling_are_kept_as_they_are(unpacked: Path, tmp_path: Path) -> None:
    write_photographs(unpacked, tmp_path / "out")
    was = imagecodecs.jpegxl_decode(next(unpacked.rglob("casa-mila.jxl")).read_bytes())
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "casa-mila_0.webp"), was)


def test_a_missing_package_is_named_and_a_folder_that_exists_is_kept(unpacked: Path, tmp_path: Path) -> None:
    for path in unpacked.rglob("*.jxl"):
        path.unlink()
    with pytest.raises(FormatError, match="without photographs of budgie-backgrounds"):
        write_photographs(unpacked, tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(FormatError, match="which exists"):
        write_photographs(unpacked, tmp_path / "out")


def test_nothing_is_left_of_a_run_that_fails(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "backgrounds/Broken.jpg").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="Broken"):
        write_photographs(unpacked, tmp_path / "out")
    assert not list(tmp_path.rglob("*out*"))
