from __future__ import annotations

from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from torch import Tensor

from rawpipe import Color, FrameError, Noise, Space, bayer
from rawpipe.testing import synthetic_frame

phases = pytest.mark.parametrize("cfa", bayer.PHASES)
WINDOWS = [(0, 0, 20, 30), (1, 0, 15, 15), (0, 1, 8, 9), (3, 5, 11, 7)]


def noise_of(count: int) -> Noise:
    values = torch.arange(1.0, count + 1)
    return Noise(1e-4 * values, 1e-3 * values, 2e-3 * values)


@phases
@pytest.mark.parametrize("window", WINDOWS)
def test_a_crop_holds_the_same_pixels_on_the_same_sites(cfa: str, window: tuple[int, int, int, int]) -> None:
    frame = synthetic_frame(Space.SENSOR, 30, 40, cfa)
    part = frame.crop(*window)
    top, left, height, width = window
    assert part.data.equal(frame.data[top : top + height, left : left + width])
    black = bayer.spread(frame.black, cfa, 30, 40)[top : top + height, left : left + width]
    assert bayer.spread(part.black, str(part.cfa), height, width).equal(black)


def test_a_crop_is_a_view() -> None:
    frame = synthetic_frame()
    assert frame.crop(1, 1, 4, 4).data.untyped_storage().data_ptr() == frame.data.untyped_storage().data_ptr()


def test_a_crop_of_a_crop_knows_where_it_stands_in_the_whole_frame() -> None:
    frame = synthetic_frame(Space.SENSOR, 30, 40)
    y, x, height, width = frame.origin.tolist()
    assert frame.crop(3, 4, 20, 20).crop(2, 7, 5, 5).origin.tolist() == [y + 5, x + 11, height, width]


@pytest.mark.parametrize("window", [(-1, 0, 4, 4), (0, 0, 35, 4), (0, 0, 0, 4), (10, 38, 4, 4)])
def test_a_crop_outside_the_frame_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(FrameError, match="expected it within 34x40"):
        synthetic_frame().crop(*window)


@phases
@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float64])
def test_black_white_and_noise_follow_the_pixels_into_another_unit(cfa: str, dtype: torch.dtype) -> None:
    frame = replace(synthetic_frame(Space.SENSOR, 31, 37, cfa, dtype=dtype), noise=noise_of(4))
    gain, offset = torch.tensor([2.0, 0.5, 3.0, 1.5]), torch.tensor([1.0, -2.0, 0.0, 7.0])
    scaled = frame.scaled(gain, offset)
    assert scaled.data.dtype is (torch.float64 if dtype is torch.float64 else torch.float32)
    for site in range(4):
        before = bayer.view(frame.data, cfa, site).double()
        after = bayer.view(scaled.data, cfa, site).double()
        torch.testing.assert_close(after, before * gain[site] + offset[site], rtol=1e-6, atol=1e-3)
    assert scaled.black.equal(frame.black * gain + offset)
    assert scaled.white.equal(frame.white * gain + offset)
    assert scaled.noise is not None
    assert frame.noise is not None
    # Noise at a signal above black: in the new unit the signal is `gain` times as large, the variance gain squared.
    signal = torch.full((4,), 0.3)
    torch.testing.assert_close(scaled.noise.variance(signal * gain), frame.noise.variance(signal) * gain**2)


def test_a_gain_for_three_planes_needs_no_phase() -> None:
    frame = synthetic_frame(Space.CAMERA, 8, 9)
    scaled = frame.scaled(torch.tensor([1.0, 2.0, 4.0]))
    assert scaled.data.equal(frame.data * torch.tensor([1.0, 2.0, 4.0])[:, None, None])


def test_a_float64_gain_does_not_promote_the_picture() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    assert frame.scaled(torch.tensor(2.0, dtype=torch.float64)).data.dtype is torch.float32
    assert frame.scaled(2.0).black.dtype is torch.float32


def test_map_reaches_every_tensor_but_the_shots() -> None:
    frame = replace(synthetic_frame(), noise=noise_of(4))
    seen: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        seen.append(tensor)
        return tensor

    frame.map(note)
    own = [value for f in fields(frame) if isinstance(value := getattr(frame, f.name), Tensor)]
    assert frame.noise is not None
    expected = [*own, frame.noise.shot, frame.noise.read, frame.noise.row]
    assert {id(tensor) for tensor in seen} == {id(tensor) for tensor in expected}


def test_one_frame_of_a_batch_is_that_frame() -> None:
    batch = synthetic_frame(Space.SENSOR, batch=(3, 2))
    assert batch[1][0].data.equal(batch.data[1, 0])
    assert [batch[i].data.shape for i in range(3)] == [(2, 34, 40)] * 3
    with pytest.raises(FrameError, match="expected a stack of frames"):
        batch[0][0][0]


def test_as_type_changes_the_pixels_and_leaves_the_levels() -> None:
    half = synthetic_frame(Space.MOSAIC).as_type(torch.float16)
    assert (half.data.dtype, half.black.dtype) == (torch.float16, torch.float32)


def test_small_tensors_become_float32_and_origins_integers() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    doubled = replace(
        frame,
        **{name: getattr(frame, name).double() for name in ("black", "white", "wb", "exposure_gain", "neutral")},
        origin=frame.origin.int(),
    )
    for f in fields(doubled):
        value = getattr(doubled, f.name)
        if isinstance(value, Tensor) and f.name != "data":
            assert value.dtype is (torch.int64 if f.name == "origin" else torch.float32), f.name
    assert doubled.scaled(2.0).data.dtype is torch.float32


@pytest.mark.parametrize("device", [torch.float16, "warp", "cuda:99", None])
def test_what_is_no_device_of_this_machine_is_refused(device: object) -> None:
    with pytest.raises(FrameError, match="expected one of this machine"):
        synthetic_frame().to(device)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "pinned", "locked"), [(2, False, False), (512, False, True), (512, True, False)])
def test_a_gpu_gets_large_pixels_through_locked_pages_of_its_own(
    side: int, pinned: bool, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(Tensor, "is_pinned", lambda tensor: pinned)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: calls.append("locked") or tensor)
    monkeypatch.setattr(Tensor, "to", lambda tensor, device, **options: calls.append((device, options)) or tensor)
    frame = synthetic_frame(Space.MOSAIC, side, side)
    calls.clear()
    frame.to("cuda:0")
    gpu = torch.device("cuda:0")
    assert calls[: 1 + locked] == (["locked", (gpu, {"non_blocking": True})] if locked else [(gpu, {})])
    assert calls[1 + locked :] and all(call == (gpu, {}) for call in calls[1 + locked :])


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32, "float16"])
def test_as_type_takes_floating_types_only(dtype: object) -> None:
    with pytest.raises(FrameError, match="expected a floating type"):
        synthetic_frame().as_type(dtype)  # type: ignore[arg-type]


def test_a_frames_repr_is_one_line_without_its_pixels() -> None:
    said = repr(synthetic_frame(Space.SENSOR, 30, 40, "GBRG"))
    assert said == "<Frame SENSOR GBRG 30x40 torch.float32 from 'Rawpipe Synthetic'>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cfa": None}, r"cfa None; expected \(..., H, W\) and a phase"),
        ({"cfa": "RGBG"}, "expected one of RGGB"),
        ({"data": torch.zeros(5)}, r"expected \(..., H, W\) and a phase"),
        ({"space": Space.CAMERA}, r"expected \(..., 3, H, W\) and None"),
        ({"space": Space.CAMERA, "cfa": None}, r"expected \(..., 3, H, W\) and None"),
        ({"color": Color("srgb")}, "expected a Color in RGB and CODES and None elsewhere"),
        ({"black": torch.zeros(3)}, r"got black \(3,\); expected a tensor of shape \(4,\) in SENSOR"),
        ({"data": [1, 2]}, "got list as data; expected a tensor"),
        ({"wb": torch.ones(4)}, r"got wb \(4,\); expected a tensor of shape \(3,\)"),
        ({"origin": None}, r"got origin \(\); expected a tensor of shape \(4,\)"),
        ({"white": torch.ones(())}, r"got white \(\); expected a tensor of shape \(4,\) in SENSOR"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        replace(synthetic_frame(), **change)  # type: ignore[arg-type]


def test_an_rgb_frame_needs_a_color() -> None:
    with pytest.raises(FrameError, match="got RGB with color None"):
        replace(synthetic_frame(Space.RGB), color=None)


def test_joined_spaces_are_spelt_out() -> None:
    assert (Space.MOSAIC | Space.CAMERA).label == "MOSAIC or CAMERA"
    assert [space.is_mosaic for space in Space] == [True, True, False, False, False]


def test_synthetic_noise_has_the_size_that_the_frame_says() -> None:
    noise = Noise(torch.full((4,), 3e-4), torch.full((4,), 5e-3), torch.zeros(4))
    frame = synthetic_frame(Space.MOSAIC, 256, 256, level=0.3, noise=noise, dtype=torch.float64)
    for site in range(4):
        pixels = bayer.view(frame.data, "RGGB", site)
        expected = noise.variance(pixels.mean().float().expand(4))[site]
        assert abs(pixels.var() / expected - 1) < 0.03


def test_the_noise_of_a_mixture_is_that_of_the_mixed_draws() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = Noise(torch.tensor([2e-3, 1e-3]), torch.tensor([0.02, 0.03]), torch.tensor([0.01, 0.02]))
    signal = torch.tensor([0.4, 0.8])
    mix = torch.tensor([[1.5, -0.25], [0.5, 0.5]])
    count = 200_000
    pixel = torch.randn(count, 2, generator=generator) * (noise.shot * signal + noise.read**2).sqrt()
    row = torch.randn(count, 1, generator=generator) * noise.row  # one draw, shared by both inputs
    got = ((pixel + row) @ mix.T).var(dim=0)
    row_weights = mix[:, :, None] * mix[:, None, :]
    said = noise.mixed(mix.square(), row_weights, signal, mix @ signal).variance(mix @ signal)
    torch.testing.assert_close(said, got, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("space", "dtype"), list(product([Space.MOSAIC, Space.CAMERA], [torch.float32, torch.float64]))
)
def test_scaling_is_differentiable_and_leaves_its_input(space: Space, dtype: torch.dtype) -> None:
    frame = synthetic_frame(space, 6, 6, dtype=dtype)
    before = frame.data.clone()
    asked = replace(frame, data=frame.data.clone().requires_grad_())
    (gradient,) = torch.autograd.grad(asked.scaled(3.0, 1.0).data.sum(), asked.data)
    assert gradient.equal(torch.full_like(gradient, 3.0))
    assert frame.data.equal(before)
