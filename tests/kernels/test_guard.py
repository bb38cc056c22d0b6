"""The compiled guard: the reference's result but for rounding, the same bits whatever tile or band a pixel is in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance import limits
from rawpipe.stages.enhance.limits import GUARD_RADIUS, guarded

pytest.importorskip("numba")
SIZES = ((1, 1), (3, 70), (37, 41), (150, 90), (140, 600), (300, 270))  # tiles are of 128 x 256


def pictures(*shape: int) -> tuple[Tensor, Tensor, Noise]:
    """An input, a result that changes it by more than its noise in places, and the noise."""
    generator = torch.Generator().manual_seed(0)
    noise = Noise(*(torch.rand(4, generator=generator) * 0.02 for _ in range(3)))
    planes = 0.2 + 0.1 * torch.randn(shape, generator=generator)
    return planes, (planes * 0.5 + 0.1 * torch.rand(shape, generator=generator)).clamp(0, 1), noise


def by_torch(planes: Tensor, result: Tensor, noise: Noise, sigmas: float = 4.0) -> Tensor:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "_compiled", lambda *_: False)
        return guarded(planes, result, noise, sigmas)


@pytest.mark.parametrize("size", SIZES)
def test_the_result_is_the_references(size: tuple[int, int]) -> None:
    planes, result, noise = pictures(4, *size)
    expected = by_torch(planes, result, noise)
    torch.testing.assert_close(guarded(planes, result, noise, 4.0), expected, rtol=0, atol=5e-7)
    assert float((expected - result).abs().max()) > 1e-3


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_variance_counts(which: int) -> None:
    planes, result, _ = pictures(4, 90, 80)
    noise = Noise(*(torch.full((4,), 0.02 * (number == which)) for number in range(3)))
    found = guarded(planes, result, noise, 2.0)
    torch.testing.assert_close(found, by_torch(planes, result, noise, 2.0), rtol=0, atol=5e-7)
    none = Noise(*(torch.zeros(4) for _ in range(3)))
    assert float((found - guarded(planes, result, none, 2.0)).abs().mean()) > 1e-3


def test_stacks_and_other_layouts_in_memory() -> None:
    planes, result, noise = pictures(2, 4, 70, 60)
    expected = guarded(planes, result, noise, 4.0)
    assert torch.equal(torch.stack([guarded(*one, noise, 4.0) for one in zip(planes, result, strict=True)]), expected)
    last = result.to(memory_format=torch.channels_last)
    wide = torch.zeros(2, 4, 70, 66)
    wide[..., 3:63] = planes
    assert torch.equal(guarded(wide[..., 3:63], last, noise, 4.0), expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bits_depend_on_no_tile(threads: int) -> None:
    planes, result, noise = pictures(4, 420, 430)
    before = torch.get_num_threads()
    whole = guarded(planes, result, noise, 4.0)
    try:
        torch.set_num_threads(threads)
        assert torch.equal(guarded(planes, result, noise, 4.0), whole)
    finally:
        torch.set_num_threads(before)
    for top, left in ((0, 101), (57, 0), (101, 57)):
        window = (..., slice(top, top + 310), slice(left, left + 320))
        found = guarded(planes[window], result[window], noise, 4.0)
        inner = (..., slice(GUARD_RADIUS, -GUARD_RADIUS), slice(GUARD_RADIUS, -GUARD_RADIUS))
        assert torch.equal(found[inner], whole[window][inner])


def test_what_wants_gradients_or_is_of_another_type_goes_to_the_reference() -> None:
    planes, result, noise = pictures(4, 20, 20)
    wanted = result.clone().requires_grad_()
    (slope,) = torch.autograd.grad(guarded(planes, wanted, noise, 4.0).sum(), wanted)
    assert bool(slope.isfinite().all())
    double = guarded(planes.double(), result.double(), noise, 4.0)
    assert double.dtype is torch.float64
    torch.testing.assert_close(double.float(), guarded(planes, result, noise, 4.0), rtol=0, atol=1e-6)
