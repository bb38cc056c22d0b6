"""Work in bands of rows is the work at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import Frame, Noise, Space, bayer
from rawpipe.stages.enhance import Enhance, bands, limits, slots
from rawpipe.stages.enhance.bands import in_bands
from rawpipe.stages.enhance.limits import GUARD_RADIUS, believed, brightest_seen, passed_through


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "_PIXELS", 1)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("height", [1, 2, 9, 40, 100])
@pytest.mark.parametrize("halo", [0, 1, 3])
def test_bands_carry_the_rows_that_a_result_needs(height: int, halo: int) -> None:
    heights = []

    def sums(one: Tensor, other: Tensor) -> Tensor:
        heights.append(one.shape[-2])
        padded = F.pad(one + other, (0, 0, halo, halo))
        return sum((padded.narrow(-2, dy, one.shape[-2]) for dy in range(2 * halo + 1)), torch.zeros(()))

    one, other = torch.rand(2, 3, height, 5), torch.rand(height, 5)
    result = in_bands(sums, one, other, halo=halo)
    assert (len(heights) > 1) == (height > max(10 * halo, 1))
    assert torch.equal(result, sums(one, other))


@pytest.mark.usefixtures("thin")
def test_the_layout_and_type_of_a_band_are_those_of_the_result() -> None:
    def laid_out(one: Tensor) -> Tensor:
        return torch.cat([one, -one], 1).to(torch.bfloat16, memory_format=torch.channels_last)

    one = torch.rand(1, 4, 30, 20)
    result = in_bands(laid_out, one)
    assert torch.equal(result, laid_out(one)) and result.stride() == laid_out(one).stride()


@pytest.mark.usefixtures("thin")
def test_gradients_go_through_bands() -> None:
    one = torch.rand(4, 30, 20, requires_grad=True)
    (gradient,) = torch.autograd.grad(in_bands(torch.square, one).sum(), one)
    torch.testing.assert_close(gradient, 2 * one)


def test_the_compiled_guard_hides_lamps_as_the_reference_does(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Noise(*(torch.full((4,), value) for value in (1e-3, 1e-4, 0.0)))
    planes = 0.3 * torch.rand(4, 90, 80, generator=torch.Generator().manual_seed(0))
    planes[:, 40:44, 30:34] = 30.0
    result, top = planes.clamp(max=1) * 0.9, brightest_seen(noise.shot[:, None, None], noise.read[:, None, None])
    found = believed(planes, result, noise, 4.0, top)
    monkeypatch.setattr(limits, "_compiled", lambda *_: False)
    torch.testing.assert_close(found, believed(planes, result, noise, 4.0, top), rtol=0, atol=1e-6)
    assert not torch.allclose(found, limits.guarded(planes, result, noise, 4.0), atol=1e-3)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_guard_and_lamps_in_bands_are_those_at_once(
    batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_compiled", lambda *_: False)  # which has tiles of its own
    generator = torch.Generator().manual_seed(0)
    noise = Noise(*(torch.rand(4, generator=generator) * 0.03 for _ in range(3)))
    planes = torch.rand(*batch, 4, 12 * GUARD_RADIUS, 70, generator=generator) * torch.linspace(0, 2, 70)
    result = planes.clamp(max=1) * 0.9
    top = brightest_seen(noise.shot[:, None, None], noise.read[:, None, None])

    def both() -> tuple[Tensor, Tensor]:
        return believed(planes, result, noise, 4.0, top), passed_through(planes, result, noise)

    cut = both()
    monkeypatch.setattr(bands, "_PIXELS", 2**30)
    for band, whole in zip(cut, both(), strict=True):
        assert torch.equal(band, whole) and not torch.equal(whole, result)


@pytest.mark.parametrize("brightest", [0.5, 0.9, 2.0])
def test_looking_at_the_pixels_first_changes_no_bit(brightest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Noise(*(torch.full((4,), 1e-4) for _ in range(3)))
    planes = brightest * torch.rand(4, 40, 50)
    frame = Frame.from_array(bayer.unpack(planes, "RGGB", 80, 100) / 4, "RGGB", space=Space.MOSAIC, noise=noise)
    result, top = planes.clamp(max=0.8) * 0.9, brightest_seen(noise.shot[:, None, None], noise.read[:, None, None])

    def every() -> tuple[Tensor, ...]:
        blended = Enhance("exposure_diffusion", exposure=4, strength=0)(frame).data
        return believed(planes, result, noise, 4.0, top), passed_through(planes, result, noise), blended

    looked = every()
    for room in (limits, slots):
        monkeypatch.setattr(room, "looked_at", lambda _: False)
    assert all(map(torch.equal, looked, every()))
    assert torch.equal(looked[1], result) == (brightest == 0.5)  # there are no lamps
