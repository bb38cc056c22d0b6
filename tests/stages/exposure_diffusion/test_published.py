"""The published process, with networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rawpipe import FormatError, Frame
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.exposure_diffusion.published import PublishedProcess, _padded
from rawpipe.stages.enhance.training.planes import published_planes


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A network that always says 0.25: all weights 0, the mask's and the picture's biases not."""
    module = Design("nafnet-1", 16, sigma=False, clipped=True).build()
    tensors = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    tensors["ending.bias"][0] = 50.0
    tensors["ending.bias"][1:5] = 0.25
    path = tmp_path / "own.pt"
    torch.save({"netG": tensors}, path)
    return path


def planes(level: float, side: int = 24) -> Tensor:
    return torch.full((4, side, side + 3), level)


def test_the_result_is_scaled_to_the_clean_picture(checkpoint: Path) -> None:
    result = PublishedProcess(checkpoint)(planes(0.2), planes(0.4), 100.9, 0.4)
    torch.testing.assert_close(result, planes(0.4))


def test_photons_are_the_same_every_time(checkpoint: Path) -> None:
    process = PublishedProcess(checkpoint, steps=4)
    dim = torch.rand(4, 20, 20)
    assert torch.equal(process(dim, dim, 250, 3.0), process(dim, dim, 250, 3.0))


def test_pictures_are_mirrored_by_8_pixels_even_where_16_divides_them() -> None:
    seen: list[tuple[int, ...]] = []

    def network(channels: Tensor) -> Tensor:
        seen.append(tuple(channels.shape))
        return channels

    for size in ((32, 48), (21, 34)):
        picture = torch.rand(1, 4, *size)
        assert torch.equal(_padded(network, picture), picture)
    assert seen == [(1, 4, 48, 64), (1, 4, 32, 48)]


def test_the_weights_are_named_by_their_hash(checkpoint: Path) -> None:
    digest, name = PublishedProcess(checkpoint).weights_used.split()
    assert len(digest) == 12 and name == "own.pt"


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"got .*x.pt"):
        PublishedProcess(tmp_path / "x.pt")(planes(0.2), planes(0.4), 100, 0.4)


def test_planes_are_laid_out_as_the_reference_packs_them(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.load(golden / "exposurediffusion" / "pack.npz") as stored:
        bayer, packed = torch.from_numpy(stored["bayer"]), torch.from_numpy(stored["packed"])
    frame = Frame.from_array(bayer, "RGGB", black=0, white=16383)
    monkeypatch.setattr(Frame, "read", lambda path: frame)
    torch.testing.assert_close(published_planes("any") * 16383, packed)
