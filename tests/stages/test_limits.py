"""Highlights that pass through, and the guard, on noise that is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Noise
from rawpipe.stages.enhance.limits import guarded, passed_through


def box(planes: Tensor, radius: int) -> Tensor:
    """Means over squares, fewer pixels at the edge, as pooling makes them."""
    return F.avg_pool2d(planes, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (150, 90)])
@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_both_limits_are_those_of_pooled_means(size: tuple[int, int], dtype: torch.dtype, off: float) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(*(torch.rand(4, generator=generator).to(dtype) * 0.01 for _ in range(3)))
    planes = torch.rand(4, *size, generator=generator, dtype=dtype) + 0.3
    result = planes * 0.98 + 0.01
    shot, read, row = (one[:, None, None] for one in (noise.shot, noise.read, noise.row))

    def deviation(light: Tensor, radius: int) -> Tensor:
        ones = F.pad(torch.ones(1, *size, dtype=dtype), (radius,) * 4)
        count = F.avg_pool2d(ones, 2 * radius + 1, stride=1, divisor_override=1)
        rows = F.avg_pool2d(ones[..., radius : radius + size[1]], (2 * radius + 1, 1), stride=1, divisor_override=1)
        return ((shot * box(light.clamp(min=0), radius) + read**2) / count + row**2 / rows).sqrt()

    expected = result
    for radius, sigmas in ((4, 4.0), (32, 1.0), (0, 12.0)):
        change, limit = box(planes - expected, radius), sigmas * deviation(expected, radius)
        expected = expected + change - change.clamp(-limit, limit)
    torch.testing.assert_close(guarded(planes, result, noise, 4.0), expected, rtol=0, atol=off)
    certain = torch.maximum(planes - 4 * deviation(planes, 0), box(planes, 2) - 4 * deviation(planes, 2))
    share = ((certain.amax(0) - 0.85) / 0.1).clamp(0, 1)
    lamps = result + share * (planes - result)
    torch.testing.assert_close(passed_through(planes, result, noise), lamps, rtol=0, atol=10 * off)
    assert size == (1, 1) or not (torch.equal(expected, result) or torch.equal(lamps, result))


def test_highlights_are_blended_from_85_to_95_percent() -> None:
    level = torch.linspace(0.8, 1.0, 41)[:, None].expand(41, 9)
    quiet = Noise(torch.zeros(4), torch.zeros(4), torch.zeros(4))
    result = passed_through(level[None].expand(4, 41, 9), torch.zeros(4, 41, 9), quiet)[0, :, 4]
    share = result / level[:, 4]
    assert float(share[level[:, 4] < 0.84].max()) == 0
    assert float(share[level[:, 4] > 0.951].min()) == pytest.approx(1)
    assert ((share[1:] - share[:-1]) > -1e-6).all()


def test_noise_does_not_count_as_a_highlight() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(torch.full((4,), 0.25), torch.full((4,), 0.3), torch.zeros(4))
    planes = 0.3 + (0.25 * 0.3 + 0.09) ** 0.5 * torch.randn(4, 128, 128, generator=generator)
    assert (planes > 0.95).float().mean() > 0.03
    result = passed_through(planes, torch.full_like(planes, 0.3), noise)
    assert (result != 0.3).float().mean() < 1e-3


def test_the_guard_keeps_what_noise_does_not_explain() -> None:
    planes = torch.full((4, 40, 40), 0.2)
    planes[:, 10, 10] = 0.9  # a star
    result = torch.full_like(planes, 0.2)
    result[:, 24:] += 0.03  # a shadow lifted by less than a pixel's noise
    noise = Noise(torch.full((4,), 1e-3), torch.full((4,), 0.03), torch.zeros(4))
    kept = guarded(planes, result, noise, 4.0)
    sigma = float((noise.shot[0] * 0.2 + noise.read[0] ** 2).sqrt())
    assert float(kept[0, 10, 10]) > 0.9 - 12.6 * sigma
    lifted = (kept[:, 28:37, 8:32] - 0.2).abs()  # away from the step and the edges
    assert float(lifted.max()) < 1.05 * 4 * sigma / 9 < 0.6 * 0.03


def test_the_guard_keeps_the_colour_of_an_area() -> None:
    planes, noise = (
        torch.full((4, 150, 150), 0.2),
        Noise(torch.full((4,), 1e-3), torch.full((4,), 0.03), torch.zeros(4)),
    )
    result = planes.clone()
    result[3] += 0.01  # less than detail may change
    sigma = float((noise.shot[0] * 0.21 + noise.read[0] ** 2).sqrt())
    inside = guarded(planes, result, noise, 4.0)[3, 40:110, 40:110] - 0.2
    assert float(inside.max()) < 1.05 * sigma / 65


def test_the_guard_lets_pass_what_noise_explains() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(torch.full((4,), 0.01), torch.full((4,), 0.1), torch.full((4,), 0.05))
    clean = torch.full((4, 200, 200), 0.3)
    planes = clean + (0.01 * 0.3 + 0.01) ** 0.5 * torch.randn(4, 200, 200, generator=generator)
    planes = planes + 0.05 * torch.randn(4, 200, 1, generator=generator)
    assert float((guarded(planes, clean, noise, 4.0) - clean).abs().mean()) < 2e-3
