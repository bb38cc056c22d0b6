"""Noise from photographs: synthetic scenes and sensors of known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rawpipe import Frame, NoiseModel, Quantity, StageError, bayer
from rawpipe._blind import BlindNoise, blind_noise, count_step, measure_blind
from rawpipe._blind_patches import directions
from rawpipe.stages import BlackLevel, WhiteBalance

BLACK, WHITE = 512, 16383
Light = NDArray[np.float64]


def scene(height: int = 384, width: int = 512, top: float = 12000.0, seed: int = 0) -> Light:
    """Walls of different brightness with sharp edges, a slope of light over them, and texture in a third of it."""
    rng = np.random.default_rng(seed)
    walls = rng.uniform(0.02, 1, (math.ceil(height / 64), math.ceil(width / 64))).repeat(64, 0).repeat(64, 1)
    light = walls[:height, :width] * (0.7 + 0.3 * np.linspace(0, 1, width))
    rough = rng.standard_normal((height, width // 3))
    light[:, : width // 3] *= np.clip(1 + 0.3 * rough, 0.2, 2)
    return light * top


def shot_of(
    light: Light,
    gain: float | tuple[float, float, float, float] = 2.0,
    read: float = 5.0,
    *,
    cfa: str = "RGGB",
    colors: tuple[float, float, float, float] = (0.6, 1.0, 1.0, 0.7),
    row: float = 0.0,
    step: float = 1.0,
    seed: int = 1,
    **facts: object,
) -> Frame:
    """A photograph of a scene whose brightness in DN is `light` (H, W)."""
    color = bayer.spread(torch.tensor(colors, dtype=torch.float64), cfa, *light.shape).numpy()
    noise = NoiseModel(
        gain_dn_per_e=gain, read_sigma_dn=read, row_sigma_dn=row, quantisation_step_dn=step, black_dn=float(BLACK)
    )
    pixels = noise.sample(torch.from_numpy(light * color), cfa, torch.Generator().manual_seed(seed))
    counts = (pixels + BLACK).round().clamp(0, WHITE).to(torch.uint16)
    return Frame.from_array(counts, cfa, black=BLACK, white=WHITE, **facts)


def numbers(found: BlindNoise, name: str = "gain_dn_per_e") -> list[float]:
    value = found.quantities[name].value
    assert isinstance(value, tuple)
    return list(value)


def inside(quantity: Quantity, truth: float) -> bool:
    return all(low <= truth <= high for low, high in quantity.ci95 or ())  # type: ignore[misc]


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("gain", [0.2, 2.0, 12.0])
def test_the_gain_of_a_scene_is_found_in_every_phase(cfa: str, gain: float) -> None:
    found = measure_blind([shot_of(scene(), gain, 3 * gain**0.6, cfa=cfa)])
    assert found.reliable, found.doubts
    assert np.allclose(numbers(found), gain, rtol=0.1)
    assert inside(found.quantities["gain_dn_per_e"], gain)


@pytest.mark.parametrize("top, left, height, width", [(1, 0, 383, 512), (0, 1, 384, 511), (3, 5, 371, 501)])
def test_odd_crops_do_not_matter(top: int, left: int, height: int, width: int) -> None:
    found = measure_blind([shot_of(scene(), cfa="GBRG").crop(top, left, height, width)])
    assert found.reliable, found.doubts
    assert np.allclose(numbers(found), 2.0, rtol=0.1)


@pytest.mark.parametrize("height, width", [(256, 256), (257, 391)])
def test_a_constant_picture_is_fine(height: int, width: int) -> None:
    found = measure_blind([shot_of(np.full((height, width), 2000.0))])
    assert found.reliable, found.doubts
    assert np.allclose(numbers(found), 2.0, rtol=0.1)


@pytest.mark.parametrize("period", [3, 4, 5])
def test_a_fine_checkerboard_is_unreliable(period: int) -> None:
    y, x = np.indices((384, 512))
    found = measure_blind([shot_of(1000.0 + 500 * ((y // period + x // period) % 2))])
    assert not found.reliable
    assert found.why is not None
    assert "unreliable" in found.model.source


def test_texture_everywhere_is_unreliable() -> None:
    """Amplitude 1/f as in natural images, no smooth part."""
    rng = np.random.default_rng(0)
    f = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.fftfreq(512))
    f[0, 0] = 1
    texture = np.fft.ifft2(np.fft.fft2(rng.standard_normal((384, 512))) / f).real
    light = 3000 * np.exp(0.5 * texture / texture.std())
    found = measure_blind([shot_of(light, 0.2, 1.5)])
    assert not found.reliable
    assert max(numbers(found)) > 0.2  # what is left of a picture only adds
    assert inside(found.quantities["gain_dn_per_e"], 0.2)


def test_denoised_pixels_are_unreliable() -> None:
    frame = shot_of(scene(seed=3))
    counts = frame.data.float().numpy()
    for y in (0, 1):
        for x in (0, 1):
            own = counts[y::2, x::2]
            own[1:-1] = own[:-2] / 4 + own[1:-1] / 2 + own[2:] / 4
    assert not measure_blind([Frame.from_array(counts, "RGGB", black=BLACK, white=WHITE)]).reliable


def test_clipped_parts_are_left_out() -> None:
    light = scene(top=30000.0)
    assert (light > WHITE - BLACK).mean() > 0.2
    found = measure_blind([shot_of(light)])
    assert found.reliable, found.doubts
    assert np.allclose(numbers(found), 2.0, rtol=0.1)
    assert found.quantities["saturation_dn"].reliable
    assert np.allclose(found.quantities["saturation_dn"].value, WHITE - BLACK)


def test_a_black_that_counts_stop_at_is_left_out() -> None:
    frame = shot_of(scene(top=1500.0), 2.0, 10.0)
    counts = np.maximum(frame.data.numpy().astype(int) - BLACK, 0).astype(np.uint16)
    found = measure_blind([Frame.from_array(counts, "RGGB", black=0, white=WHITE - BLACK)])
    assert np.allclose(numbers(found), 2.0, rtol=0.12)


def test_defects_are_avoided() -> None:
    frame = shot_of(scene())
    counts = frame.data.numpy().copy()
    rng = np.random.default_rng(2)
    counts[rng.random(counts.shape) < 1e-3] = 9000
    found = measure_blind([Frame.from_array(counts, "RGGB", black=BLACK, white=WHITE)])
    assert np.allclose(numbers(found), 2.0, rtol=0.1)


def test_row_noise_is_no_read_noise() -> None:
    light = np.broadcast_to(np.linspace(0, 1, 512) ** 3 * 9000, (384, 512))
    found = measure_blind([shot_of(light, 2.0, 12.0, row=30.0)])
    read = found.quantities["read_sigma_dn"]
    assert read.reliable, read.why
    assert np.allclose(read.value, 12.0, rtol=0.1)
    assert np.allclose(numbers(found), 2.0, rtol=0.1)


def test_read_noise_is_measured_where_the_picture_shows_it() -> None:
    light = np.broadcast_to(np.linspace(0, 1, 512) ** 3 * 9000, (384, 512))
    shown = measure_blind([shot_of(light, 2.0, 12.0)]).quantities["read_sigma_dn"]
    assert shown.reliable, shown.why
    assert inside(shown, 12.0)
    hidden = measure_blind([shot_of(scene() + 500, 2.0, 4.0)]).quantities["read_sigma_dn"]
    assert not hidden.reliable
    assert hidden.why is not None and hidden.why.startswith("upper bound")
    assert inside(hidden, 4.0)


def test_a_site_of_another_gain_is_seen() -> None:
    """A camera that multiplies its red pixels."""
    flat = shot_of(np.full((512, 768), 2000.0), (3.0, 2.0, 2.0, 2.0))
    assert np.allclose(numbers(measure_blind([flat])), (3.0, 2.0, 2.0, 2.0), rtol=0.1)


def test_pixels_that_went_through_stages_give_the_same_counts() -> None:
    frame = shot_of(scene())
    plain = numbers(measure_blind([frame]))
    linear = BlackLevel()(frame)
    balanced = WhiteBalance(gains=(2.0, 1.0, 1.5))(linear)
    for changed in (linear, balanced, balanced.as_type(torch.float64)):
        assert np.allclose(numbers(measure_blind([changed])), plain, rtol=1e-3)


def test_pictures_together_narrow_the_interval() -> None:
    def width(found: BlindNoise) -> float:
        pairs = found.quantities["gain_dn_per_e"].ci95
        assert pairs is not None
        low, high = pairs[0]  # type: ignore[misc]
        return float(high - low)

    some = [shot_of(scene(256, 256, seed=i), seed=i) for i in range(6)]
    alone = [measure_blind([one]) for one in some]
    together = measure_blind(some)
    assert together.reliable and together.pictures > 1
    assert width(together) < np.mean([width(one) for one in alone])
    assert np.allclose(numbers(together), 2.0, rtol=0.06)


def test_a_textured_picture_does_not_spoil_the_others() -> None:
    y, x = np.indices((384, 512))
    rough = shot_of(1000.0 + 500 * ((y // 3 + x // 3) % 2))
    found = measure_blind([rough, shot_of(scene())])
    assert found.reliable and found.pictures == 1
    assert np.allclose(numbers(found), 2.0, rtol=0.1)


def test_a_stack_is_several_pictures() -> None:
    one, other = shot_of(scene()), shot_of(scene(seed=4), seed=2)
    stack = Frame.from_array(torch.stack([one.data, other.data]), "RGGB", black=BLACK, white=WHITE)
    assert numbers(measure_blind([stack])) == numbers(measure_blind([one, other]))


def test_the_model_says_what_it_is() -> None:
    model = blind_noise(shot_of(scene(), iso=800, make="Acme", model="One"))
    assert model.source == "blind estimate from this picture"
    assert (model.iso, model.camera) == (800, "Acme One")
    assert np.allclose(model.summary().shot, 2.0, rtol=0.1)


@pytest.mark.parametrize("step", [1.0, 4.0])
def test_the_step_of_the_counts_is_seen_and_is_no_read_noise(step: float) -> None:
    light = np.broadcast_to(np.linspace(0, 1, 512) ** 3 * 9000, (384, 512))
    frame = shot_of(light, 1.0, 6.0, step=step)
    assert count_step(frame).value == step
    assert np.allclose(measure_blind([frame]).quantities["read_sigma_dn"].value, 6.0, rtol=0.1)


@pytest.mark.parametrize(
    "counts, message",
    [
        (np.full((128, 128), WHITE), "better exposed"),
        (np.full((128, 128), BLACK), "better exposed"),
        (np.full((40, 128), 2000), "64 x 64"),
    ],
)
def test_pictures_that_show_nothing_are_refused(counts: NDArray[np.int64], message: str) -> None:
    with pytest.raises(StageError, match=message):
        blind_noise(Frame.from_array(counts.astype(np.uint16), "RGGB", black=BLACK, white=WHITE))


def test_no_picture_and_no_mosaic_are_refused() -> None:
    with pytest.raises(StageError, match="no picture"):
        measure_blind([])
    with pytest.raises(StageError, match="mosaic"):
        blind_noise(Frame.from_array(np.zeros((3, 128, 128), np.float32)))


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_directions_are_orthonormal_and_blind_to_rows_columns_and_smooth_color(cfa: str) -> None:
    along = directions(cfa)
    every = np.concatenate([along.measured, along.picture])
    assert np.allclose(every @ every.T, np.eye(60), atol=1e-10)
    y, x = np.mgrid[:8, :8]
    site = np.array(bayer.sites_at(cfa))[y % 2, x % 2]
    for picture in (y == 3, x == 5, (site == 1) * (2 * x + 3 * y + 1)):
        assert np.allclose(along.measured @ picture.ravel().astype(float), 0, atol=1e-10)
