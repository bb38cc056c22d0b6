from __future__ import annotations

import pytest

from rawpipe import Space
from rawpipe.stages import Identity
from rawpipe.testing import synthetic_frame


@pytest.mark.parametrize("space", list(Identity.takes))
def test_the_frame_comes_out_as_it_went_in(space: Space) -> None:
    frame = synthetic_frame(space)
    assert Identity()(frame) is frame
