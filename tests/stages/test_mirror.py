"""The mean over mirror images: sites stay what they are, and what a model prefers to one side is gone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rawpipe import bayer
from rawpipe.stages.enhance.mirror import over_mirror_images

PLACE = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 4), (16, 24)])
def test_what_a_model_leaves_alone_and_does_to_a_site_comes_back(size: tuple[int, int]) -> None:
    planes = torch.rand(2, 4, *size, dtype=torch.float64)
    gains = torch.tensor([2.0, 3.0, 5.0, 7.0], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(over_mirror_images(lambda x, _: x)(planes, PLACE), planes)
    torch.testing.assert_close(over_mirror_images(lambda x, _: gains * x)(planes, PLACE), gains * planes)


def test_a_model_that_looks_to_the_right_looks_to_all_sides() -> None:
    def next_pixel(planes: Tensor, _: Tensor) -> Tensor:
        mosaic = bayer.unpack(planes[0], "RGGB", *(2 * length for length in planes.shape[-2:]))
        return bayer.pack(mosaic.roll(-1, 1), "RGGB")[None]

    mosaic = torch.zeros(12, 12, dtype=torch.float64)
    mosaic[6, 4] = 1.0
    result = over_mirror_images(next_pixel)(bayer.pack(mosaic, "RGGB")[None], PLACE)[0]
    expected = torch.zeros(12, 12, dtype=torch.float64)
    expected[6, 3] = expected[6, 5] = 0.5
    torch.testing.assert_close(bayer.unpack(result, "RGGB", 12, 12), expected)
