from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rawpipe import FormatError, FrameError
from rawpipe.lpips import _LAYERS, Lpips


@pytest.fixture(scope="module")
def untrained() -> Lpips:
    """Random features, which tell pictures apart already."""
    draw = torch.Generator().manual_seed(0)
    kernels = [
        torch.randn(out, into, side, side, generator=draw) / (into * side**2) ** 0.5 for out, into, side in _LAYERS
    ]
    weights = [torch.rand(out, generator=draw) for out, _, _ in _LAYERS]
    return Lpips(tuple(kernels), tuple(torch.zeros(out) for out, _, _ in _LAYERS), tuple(weights))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))


def written(path: Path, network: Lpips) -> Path:
    arrays = {f"AlexNet_0/Conv_{i}/kernel": one.permute(2, 3, 1, 0).numpy() for i, one in enumerate(network.kernels)}
    arrays |= {f"AlexNet_0/Conv_{i}/bias": one.numpy() for i, one in enumerate(network.biases)}
    arrays |= {
        f"NetLinLayer_{i}/Conv_0/kernel": one.numpy()[None, None, :, None] for i, one in enumerate(network.weights)
    }
    np.savez(path, **arrays)
    return path


def test_distances_are_those_that_its_authors_state(data: Path) -> None:
    folder = data / "weights"
    if not (folder / "lpips_alex_v0.1_f16.npz").is_file():
        pytest.skip("needs the weights of LPIPS")

    def read(name: str) -> Tensor:
        with Image.open(folder / name) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0)[None] / 255

    network = Lpips.read(folder / "lpips_alex_v0.1_f16.npz")
    reference = read("ex_ref.png")
    assert float(network(reference, read("ex_p0.png"))) == pytest.approx(0.7219, abs=1e-3)
    assert float(network(reference, read("ex_p1.png"))) == pytest.approx(0.1376, abs=1e-3)


def test_a_picture_is_at_distance_zero_from_itself(untrained: Lpips, pictures: Tensor) -> None:
    assert torch.equal(untrained(pictures, pictures), torch.zeros(2))


def test_the_distance_there_is_the_distance_back(untrained: Lpips, pictures: Tensor) -> None:
    one, two = pictures[:1], pictures[1:]
    assert float(untrained(one, two)) > 0
    assert torch.equal(untrained(one, two), untrained(two, one))


def test_more_noise_is_farther_away(untrained: Lpips, pictures: Tensor) -> None:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(2))
    far = torch.stack([untrained(pictures, (pictures + sigma * noise).clamp(0, 1)) for sigma in (0.02, 0.1, 0.5)])
    assert bool((far.diff(dim=0) > 0).all())


def test_pictures_of_a_batch_are_judged_one_by_one(untrained: Lpips, pictures: Tensor) -> None:
    other = pictures.flip(0)
    alone = torch.cat([untrained(pictures[i : i + 1], other[i : i + 1]) for i in range(2)])
    assert torch.allclose(untrained(pictures, other), alone, rtol=1e-5)


def test_a_flat_black_picture_has_a_distance_and_a_gradient(untrained: Lpips, pictures: Tensor) -> None:
    black = torch.zeros_like(pictures).requires_grad_()
    far = untrained(black, pictures)
    far.sum().backward()
    assert bool(far.isfinite().all()) and black.grad is not None and bool(black.grad.isfinite().all())


def test_what_was_written_is_read(tmp_path: Path, untrained: Lpips, pictures: Tensor) -> None:
    network = Lpips.read(written(tmp_path / "network.npz", untrained))
    assert torch.equal(network(pictures, pictures.flip(0)), untrained(pictures, pictures.flip(0)))


def test_another_file_is_refused(tmp_path: Path, untrained: Lpips) -> None:
    with pytest.raises(FormatError, match="can't be read"):
        Lpips.read(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(FormatError, match="holds no LPIPS weights"):
        Lpips.read(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(FormatError, match="holds no LPIPS weights"):
        Lpips.read(tmp_path / "other.npz")
    short = Lpips.__new__(Lpips)
    object.__setattr__(short, "kernels", untrained.kernels)
    object.__setattr__(short, "biases", untrained.biases)
    object.__setattr__(short, "weights", tuple(one[:3] for one in untrained.weights))
    with pytest.raises(FormatError, match="expected AlexNet's"):
        Lpips.read(written(tmp_path / "short.npz", short))


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 3, 30, 64)])
def test_pictures_that_it_cannot_see_are_refused(untrained: Lpips, shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match="expected \\(n, 3, H, W\\)"):
        untrained.features(torch.zeros(shape))
