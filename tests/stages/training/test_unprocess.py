"""Unprocessing undoes a camera's processing, on pictures whose truth is known."""

from __future__ import annotations

import torch

from rawpipe.stages.enhance.training.unprocess import Look, random_look, sampled, typical, unprocess


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def process(camera: torch.Tensor, look: Look) -> torch.Tensor:
    """What Brooks et al. undo: gains, matrix, the curve of sRGB, and 3 x**2 - 2 x**3."""
    balanced = camera * look.gains[:, :, None, None]
    linear = torch.einsum("nij,njhw->nihw", torch.linalg.inv(look.matrix), balanced)
    curved = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    return 3 * curved**2 - 2 * curved**3


def test_processing_what_was_unprocessed_gives_the_picture_back() -> None:
    grey = 0.1 + 0.5 * torch.rand(4, 1, 16, 16, generator=seeded())
    pictures = grey + 0.04 * torch.rand(4, 3, 16, 16, generator=seeded(1))  # colours that every camera can show
    for look in (typical(4), random_look(4, seeded(2))):
        back = process(unprocess(pictures, look), look)
        torch.testing.assert_close(back, pictures, atol=2e-5, rtol=0)


def test_white_stays_white_and_black_black() -> None:
    look = random_look(5, seeded())
    for level in (0.0, 1.0):
        flat = torch.full((5, 3, 2, 2), level)
        torch.testing.assert_close(unprocess(flat, look), flat, atol=1e-5, rtol=0)


def test_grey_becomes_what_the_gains_take_back_to_grey() -> None:
    look = random_look(6, seeded())
    camera = unprocess(torch.full((6, 3, 1, 1), 0.4), look) * look.gains[:, :, None, None]
    torch.testing.assert_close(camera, camera[:, :1].expand(6, 3, 1, 1))


def test_no_picture_leaves_the_sensors_range() -> None:
    raw = unprocess(torch.rand(8, 3, 32, 32, generator=seeded()), random_look(8, seeded(1)))
    assert float(raw.min()) >= 0 and float(raw.max()) <= 1


def test_looks_are_drawn_from_the_published_ranges() -> None:
    look = random_look(4000, seeded())
    red, green, blue = (look.gains[:, i] for i in range(3))
    for gain, low, high in ((red / green, 1.9, 2.4), (blue / green, 1.5, 1.9)):
        assert low <= float(gain.min()) < low + 0.01 and high - 0.01 < float(gain.max()) <= high
    bright = 1 / green
    error = 4 * 0.1 / len(bright) ** 0.5
    assert abs(float(bright.mean()) - 0.8) < error and abs(float(bright.std()) - 0.1) < error
    torch.testing.assert_close(look.matrix.sum(2), torch.ones(4000, 3))


def test_the_typical_camera_is_the_middle_of_the_drawn_ones() -> None:
    look, many = typical(), random_look(4000, seeded())
    ratio = many.gains / many.gains[:, 1:2]
    torch.testing.assert_close(look.gains[0] / look.gains[0, 1], ratio.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(look.matrix[0], many.matrix.mean(0), atol=0.03, rtol=0)


def test_planes_are_red_both_greens_and_blue_of_an_rggb_sensor() -> None:
    camera = torch.arange(3 * 4 * 6).reshape(1, 3, 4, 6)
    red, green, blue = camera[0]
    planes = sampled(camera)[0]
    assert planes.shape == (4, 2, 3)
    for y in range(2):
        for x in range(3):
            cell = [red[2 * y, 2 * x], green[2 * y, 2 * x + 1], green[2 * y + 1, 2 * x], blue[2 * y + 1, 2 * x + 1]]
            assert planes[:, y, x].tolist() == cell
