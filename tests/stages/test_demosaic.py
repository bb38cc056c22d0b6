from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rawpipe import Frame, Noise, Space, StageError, bayer
from rawpipe.stages import Demosaic
from rawpipe.testing import synthetic_frame

METHODS = ("bilinear", "malvar2004", "menon2007")
INTERIOR = {"bilinear": 1, "malvar2004": 2, "menon2007": 16}

phases = pytest.mark.parametrize("cfa", bayer.PHASES)
methods = pytest.mark.parametrize("method", METHODS)


def demosaic(mosaic: Tensor, cfa: str, method: str, backend: str = "torch") -> Tensor:
    return Demosaic(method, backend)(Frame.from_array(mosaic, cfa, space=Space.MOSAIC)).data


def inner(picture: Tensor, border: int) -> Tensor:
    return picture[..., border : picture.shape[-2] - border, border : picture.shape[-1] - border]


def smooth_with_noise(height: int, width: int, seed: int) -> Tensor:
    """A mosaic like a photograph's: slow changes, an edge, a little noise; no two values tie."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.arange(height)[:, None] / height, torch.arange(width) / width
    field = 0.4 + 0.2 * torch.sin(7 * x + 3 * y) + 0.3 * ((x + 0.6 * y) > 0.8)
    return (field + 0.02 * torch.randn(height, width, generator=generator)).double()


# Equal to the reference where the reference is right


@phases
@methods
@pytest.mark.parametrize("size", [(64, 66), (71, 64), (66, 73), (69, 71)], ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("kind", ["random", "noisy"])
def test_the_interior_equals_colour_demosaicing(cfa: str, method: str, size: tuple[int, int], kind: str) -> None:
    height, width = size
    generator = torch.Generator().manual_seed(height)
    random = torch.rand(height, width, generator=generator, dtype=torch.float64)
    mosaic = random if kind == "random" else smooth_with_noise(height, width, seed=width)
    expected = inner(demosaic(mosaic, cfa, method, "colour-demosaicing"), INTERIOR[method])
    double = inner(demosaic(mosaic, cfa, method), INTERIOR[method])
    assert (double - expected).abs().max() < 1e-6
    single = inner(demosaic(mosaic.float(), cfa, method), INTERIOR[method])
    gap = (single.double() - expected).abs()
    if method == "menon2007":  # rounding turns the direction where both are nearly as good
        assert (gap < 1e-4).double().mean() >= 0.999
    else:
        assert gap.max() < 1e-4


def kodak(data: Path, name: str) -> Tensor:
    folder = data / "kodak24"
    if not folder.is_dir():
        pytest.skip("needs the 24 Kodak images in the folder of real files")
    pixels = np.asarray(Image.open(folder / name).convert("RGB"))
    return torch.from_numpy(pixels.copy()).movedim(-1, 0).double() / 255


def mosaic_of(picture: Tensor, cfa: str) -> Tensor:
    height, width = picture.shape[-2:]
    channel = bayer.spread(torch.tensor([0, 1, 1, 2]), cfa, height, width)
    return picture.gather(0, channel[None])[0]


def psnr_db(picture: Tensor, truth: Tensor) -> float:
    """Clipped, without the eight outermost pixels."""
    return float(-10 * (inner(picture.clamp(0, 1), 8) - inner(truth, 8)).square().mean().log10())


# Two images, for time; tests/benchmarks/kodak24_psnr.py does them all.
@methods
@pytest.mark.parametrize("name", ["kodim08.png", "kodim19.png"])
def test_on_kodak_images_the_psnr_is_the_references(data: Path, name: str, method: str) -> None:
    picture = kodak(data, name)
    mosaic = mosaic_of(picture, "RGGB")
    ours = psnr_db(demosaic(mosaic, "RGGB", method), picture)
    theirs = psnr_db(demosaic(mosaic, "RGGB", method, "colour-demosaicing"), picture)
    assert ours == pytest.approx(theirs, abs=0.01)


def test_the_methods_rank_as_published(data: Path) -> None:
    picture = kodak(data, "kodim19.png")
    mosaic = mosaic_of(picture, "GBRG")
    figures = [psnr_db(demosaic(mosaic, "GBRG", method), picture) for method in METHODS]
    assert figures == sorted(figures)
    assert figures[2] - figures[0] > 6


# Borders keep the phase


@phases
@methods
@pytest.mark.parametrize("size", [(2, 2), (3, 3), (4, 5), (7, 6), (31, 33)], ids=lambda size: "x".join(map(str, size)))
def test_a_flat_field_stays_flat_to_the_very_edge(cfa: str, method: str, size: tuple[int, int]) -> None:
    color = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    picture = demosaic(bayer.spread(bayer.per_site(color), cfa, *size), cfa, method)
    torch.testing.assert_close(picture, color[:, None, None].expand(3, *size), rtol=0, atol=1e-12)


@phases
@methods
def test_the_references_border_breaks_the_phase_which_is_why_ours_differs(cfa: str, method: str) -> None:
    color = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    flat = bayer.spread(bayer.per_site(color), cfa, 40, 42)
    gap = (demosaic(flat, cfa, method, "colour-demosaicing") - color[:, None, None]).abs()
    if method == "menon2007":  # it mirrors as we do
        assert gap.max() < 1e-12
    else:  # these repeat the edge pixel, which belongs to another site
        assert gap.max() > 0.1
    assert inner(gap, INTERIOR[method]).max() < 1e-12


@phases
@methods
def test_the_colour_that_was_measured_stays_as_it_is(cfa: str, method: str) -> None:
    mosaic = torch.rand(23, 22, generator=torch.Generator().manual_seed(1))
    picture = demosaic(mosaic, cfa, method)
    assert mosaic_of(picture, cfa).equal(mosaic)


@methods
def test_a_crop_by_one_row_or_column_finds_the_same_colours(method: str) -> None:
    frame = synthetic_frame(Space.MOSAIC, 70, 72)
    whole = Demosaic(method)(frame).data
    for top, left in ((1, 0), (0, 1), (1, 1)):
        part = Demosaic(method)(frame.crop(top, left, 68, 70)).data
        halo = Demosaic(method).halo
        assert halo is not None
        assert inner(part, halo).equal(inner(whole[:, top : top + 68, left : left + 70], halo))


@methods
def test_all_phases_of_one_scene_agree(method: str) -> None:
    """A mosaic turned by 180 degrees is another phase of the same scene."""
    mosaic = smooth_with_noise(40, 44, seed=9)
    straight = demosaic(mosaic, "RGGB", method)
    turned = demosaic(mosaic.flip(0, 1), "BGGR", method).flip(1, 2)
    torch.testing.assert_close(turned, straight, rtol=0, atol=1e-12)
    transposed = demosaic(mosaic.T, "RGGB", method).transpose(1, 2)
    if method != "menon2007":  # its decision prefers rows where both directions tie, but there are no ties here
        torch.testing.assert_close(transposed, straight, rtol=0, atol=1e-12)
    else:
        assert ((transposed - straight).abs() < 1e-9).double().mean() > 0.999


# Superpixel


@phases
@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 9), (8, 5)], ids=lambda size: "x".join(map(str, size)))
def test_a_superpixel_is_its_cell_exactly(cfa: str, size: tuple[int, int]) -> None:
    mosaic = torch.arange(size[0] * size[1], dtype=torch.float64).reshape(size)
    picture = demosaic(mosaic, cfa, "superpixel")
    height, width = size[0] // 2, size[1] // 2
    assert picture.shape == (3, height, width)
    for y in range(height):
        for x in range(width):
            cell = mosaic[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten().tolist()
            greens = [value for value, letter in zip(cell, cfa, strict=True) if letter == "G"]
            assert picture[:, y, x].tolist() == [cell[cfa.index("R")], sum(greens) / 2, cell[cfa.index("B")]]


def test_a_superpixel_frame_stands_in_a_whole_frame_of_half_the_size() -> None:
    frame = Demosaic("superpixel")(synthetic_frame(Space.MOSAIC, 34, 40).crop(2, 4, 20, 20))
    assert frame.origin.tolist() == [(6 + 2) // 2, (38 + 4) // 2, 40 // 2, 78 // 2]


# The frame


def test_levels_of_the_two_greens_become_that_which_saturates_first() -> None:
    frame = replace(synthetic_frame(Space.MOSAIC), white=torch.tensor([1.0, 1.1, 1.05, 1.2]))
    result = Demosaic()(frame)
    torch.testing.assert_close(result.white, torch.tensor([1.0, 1.05, 1.2]))
    assert (result.cfa, result.space) == (None, Space.CAMERA)


def test_noise_is_left_unknown_where_it_was() -> None:
    assert Demosaic()(synthetic_frame(Space.MOSAIC)).noise is None


@pytest.mark.parametrize("method", [*METHODS, "superpixel"])
def test_no_method_makes_noise_much_larger_and_each_kind_stays_what_it_is(method: str) -> None:
    noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-2), torch.full((4,), 3e-3))
    result = Demosaic(method)(synthetic_frame(Space.MOSAIC, noise=noise)).noise
    assert result is not None
    assert ((result.read > 0.3e-2) & (result.read <= 1.05e-2)).all()
    assert ((result.shot > 0) & (result.shot <= 1.7e-4)).all()
    assert ((result.row > 1e-3) & (result.row <= 3.3e-3)).all()


def test_a_superpixel_halves_the_variance_of_green_and_leaves_the_rest() -> None:
    noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-2), torch.full((4,), 3e-3))
    result = Demosaic("superpixel")(synthetic_frame(Space.MOSAIC, noise=noise)).noise
    assert result is not None
    torch.testing.assert_close(result.shot, torch.tensor([1e-4, 0.5e-4, 1e-4]))
    torch.testing.assert_close(result.read, torch.tensor([1e-2, 1e-2 * 0.5**0.5, 1e-2]))
    # Its two greens stand in two rows, whose draws don't know each other; two thousand draws know that to 3 %.
    torch.testing.assert_close(result.row, torch.tensor([3e-3, 3e-3 * 0.5**0.5, 3e-3]), rtol=0.03, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("malvar",), "got method 'malvar'; expected one of bilinear, .*did you mean 'malvar2004'"),
        (("bilinear", "opencv"), "got backend 'opencv'; expected one of torch, colour-demosaicing"),
        (("superpixel", "colour-demosaicing"), "got method 'superpixel' for backend .*; use backend='torch'"),
    ],
)
def test_an_unknown_method_or_backend_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(StageError, match=message):
        Demosaic(*arguments)


@pytest.mark.parametrize("size", [(1, 8), (8, 1)])
def test_less_than_a_cell_is_refused(size: tuple[int, int]) -> None:
    frame = Frame.from_array(torch.rand(size), "RGGB", space=Space.MOSAIC)
    for method in (*METHODS, "superpixel"):
        with pytest.raises(StageError, match=f"got {size[0]}x{size[1]} pixels; expected at least one 2x2 Bayer cell"):
            Demosaic(method)(frame)
