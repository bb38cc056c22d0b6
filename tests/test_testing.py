"""check_stage finds every broken law, and synthetic_frame is what it says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F

from rawpipe import Frame, Space, Stage, bayer
from rawpipe.testing import check_stage, synthetic_frame


@dataclass(frozen=True)
class Good:
    """Keeps every law; the stages below break one each."""

    gain: float = 2.0

    takes = Space.MOSAIC
    gives: Space | None = field(default=None, init=False, repr=False)
    halo: int | None = field(default=0, init=False, repr=False)
    grid = 2

    def __call__(self, frame: Frame, /) -> Frame:
        return frame.scaled(self.gain)


class Mutable:
    gain = 2.0
    takes, gives, halo, grid = Space.MOSAIC, None, 0, 2

    def __call__(self, frame: Frame, /) -> Frame:
        return frame.scaled(2.0)


class WritesIntoItsInput(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        frame.data.mul_(2)
        return frame


class ScalesTheMetadataInPlace(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        frame.white.mul_(2)
        return replace(frame, data=frame.data * 2)


class GivesAnotherSpace(Good):
    gives = Space.CAMERA  # type: ignore[assignment]


class DividesByZero(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data / 0)


class PromotesToDouble(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data.double())


class DrawsAnew(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data + torch.rand_like(frame.data))


class LooksFurtherThanItSays(Good):
    halo = 1  # type: ignore[assignment]

    def __call__(self, frame: Frame, /) -> Frame:
        flat = frame.data.reshape(-1, 1, frame.height, frame.width)
        blurred = F.avg_pool2d(bayer.mirror(flat, 3, 3, 3, 3), 7, 1)
        return replace(frame, data=blurred.reshape(frame.data.shape))


class LooksAtTheWholeFrame(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data - frame.data.amin(dim=(-2, -1), keepdim=True))


class MeasuresTheBatchAsOne(Good):
    halo = None  # type: ignore[assignment]

    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data / frame.data.max())


class LosesTheGradient(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame.scaled(2.0), data=frame.data.detach() * 2)


class ForgetsTheNoise(Good):
    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame.scaled(2.0), noise=frame.noise)


@dataclass(frozen=True, repr=False)
class HidesItsParameter(Good):
    def __repr__(self) -> str:
        return "HidesItsParameter()"


def test_a_good_stage_passes() -> None:
    check_stage(Good())


@pytest.mark.parametrize(
    ("stage", "law"),
    [
        (Mutable(), "a stage is a frozen dataclass"),
        (HidesItsParameter(3.0), "repr round-trips"),
        (WritesIntoItsInput(), "the input stays untouched': data changed"),
        (ScalesTheMetadataInPlace(), "the input stays untouched': white changed"),
        (GivesAnotherSpace(), "the space is as declared"),
        (DividesByZero(), "finite in, finite out"),
        (PromotesToDouble(), "the dtype is kept"),
        (DrawsAnew(), "deterministic"),
        (LooksFurtherThanItSays(), "tiled equals untiled with halo 1 and grid 2"),
        (LooksAtTheWholeFrame(), "tiled equals untiled with halo 0 and grid 2"),
        (MeasuresTheBatchAsOne(), "a batch is its frames"),
        (LosesTheGradient(), "differentiable"),
        (ForgetsTheNoise(), "noise is propagated"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_law_is_found_and_named(stage: Stage, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_stage(stage)


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_a_synthetic_flat_field_is_neutral_behind_black_and_balance(cfa: str) -> None:
    frame = synthetic_frame(Space.SENSOR, cfa=cfa, level=0.5)
    linear = (frame.data - bayer.spread(frame.black, cfa, 34, 40)) / (frame.white - frame.black).min()
    balanced = linear / bayer.spread(bayer.per_site(frame.neutral), cfa, 34, 40)
    assert (balanced - 0.5).abs().max() < 1e-4  # whole counts


def test_the_same_seed_gives_the_same_frame() -> None:
    assert synthetic_frame(seed=3).data.equal(synthetic_frame(seed=3).data)
    assert not synthetic_frame(seed=3).data.equal(synthetic_frame(seed=4).data)
