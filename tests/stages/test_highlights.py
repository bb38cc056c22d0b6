from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rawpipe import Pipeline, Space, bayer
from rawpipe.stages import ClipHighlights, ColorTransform, Demosaic, WhiteBalance
from rawpipe.testing import synthetic_frame

spaces = pytest.mark.parametrize("space", [Space.MOSAIC, Space.CAMERA, Space.RGB])


@spaces
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_channels_are_clipped_where_the_first_saturates(space: Space, dtype: torch.dtype) -> None:
    frame = synthetic_frame(space, dtype=dtype)
    white = torch.linspace(0.7, 1.3, len(frame.white))
    result = ClipHighlights()(replace(frame, white=white))
    assert result.data.equal(frame.data.minimum(white.min().to(dtype)))
    assert result.white.equal(white.min().expand_as(white))
    assert result.data.dtype is dtype


@spaces
def test_values_below_zero_stay(space: Space) -> None:
    frame = synthetic_frame(space)
    result = ClipHighlights()(frame)
    assert result.data.min() == frame.data.min() < 0


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_a_blown_sky_comes_out_neutral_and_without_it_magenta(cfa: str) -> None:
    frame = synthetic_frame(Space.MOSAIC, cfa=cfa)
    blown = replace(frame, data=torch.ones_like(frame.data))
    pipe = Pipeline([WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform()])
    red, green, blue = pipe(blown).data.mean(dim=(1, 2)).tolist()
    assert (red, green, blue) == pytest.approx((1, 1, 1), abs=1e-5)
    without = Pipeline([WhiteBalance(), Demosaic(), ColorTransform()])(blown).data.mean(dim=(1, 2))
    assert without[0] > 1.5 * without[1]
