from __future__ import annotations

from itertools import product

import pytest
import torch

from rawpipe import FrameError, bayer

SIZES = [(2, 2), (3, 3), (4, 6), (5, 8), (6, 7), (9, 11)]

phases = pytest.mark.parametrize("cfa", bayer.PHASES)
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))


def numbered(height: int, width: int) -> torch.Tensor:
    return torch.arange(height * width, dtype=torch.float64).reshape(height, width)


def sites(cfa: str, height: int, width: int) -> torch.Tensor:
    """The site index of every pixel, from the letters alone."""
    letters = [[cfa[2 * (y % 2) + x % 2] for x in range(width)] for y in range(height)]

    def site(y: int, x: int) -> int:
        if letters[y][x] != "G":
            return "R..B".index(letters[y][x])
        beside = cfa[2 * (y % 2) + (x + 1) % 2]
        return 1 if beside == "R" else 2

    return torch.tensor([[site(y, x) for x in range(width)] for y in range(height)])


@phases
def test_a_green_in_a_red_row_is_gr_whatever_the_phase(cfa: str) -> None:
    assert torch.tensor(bayer.sites_at(cfa)).equal(sites(cfa, 2, 2))


@phases
@sizes
def test_spread_lays_every_number_on_its_own_site(cfa: str, size: tuple[int, int]) -> None:
    assert bayer.spread(torch.arange(4), cfa, *size).equal(sites(cfa, *size))


@phases
@sizes
def test_spread_takes_leading_dimensions(cfa: str, size: tuple[int, int]) -> None:
    values = torch.rand(2, 3, 4)
    laid_out = bayer.spread(values, cfa, *size)
    assert laid_out.shape == (2, 3, *size)
    assert laid_out[1, 2].equal(bayer.spread(values[1, 2], cfa, *size))


@phases
@sizes
def test_view_holds_the_pixels_of_one_site_and_shares_their_memory(cfa: str, size: tuple[int, int]) -> None:
    data = numbered(*size)
    for site in range(4):
        view = bayer.view(data, cfa, site)
        assert view.flatten().equal(data[sites(cfa, *size) == site])
        assert view.untyped_storage().data_ptr() == data.untyped_storage().data_ptr()


@pytest.mark.parametrize("by", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 3), (-1, -2), (-3, 5)])
@phases
def test_rephase_is_what_a_crop_sees(cfa: str, by: tuple[int, int]) -> None:
    dy, dx = by
    whole = sites(cfa, 20, 20)
    assert sites(bayer.rephase(cfa, dy, dx), 4, 4).equal(whole[10 + dy : 14 + dy, 10 + dx : 14 + dx])


@phases
@sizes
def test_flipped_and_transposed_name_the_phase_of_the_turned_mosaic(cfa: str, size: tuple[int, int]) -> None:
    height, width = size
    color = torch.tensor([0, 1, 1, 2])[sites(cfa, height, width)]  # a transposed green changes its row, not its colour
    for rows, columns in product((False, True), repeat=2):
        turned = bayer.flipped(cfa, height, width, rows=rows, columns=columns)
        axes = [axis for axis, flip in ((0, rows), (1, columns)) if flip]
        assert torch.tensor([0, 1, 1, 2])[sites(turned, height, width)].equal(color.flip(axes))
    turned = bayer.transposed(cfa)
    assert torch.tensor([0, 1, 1, 2])[sites(turned, width, height)].equal(color.T)


@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 2, 3, 0), (4, 4, 4, 4), (9, 5, 0, 13)])
@phases
@sizes
def test_a_mirrored_border_goes_on_with_the_phase(cfa: str, size: tuple[int, int], pad: tuple[int, ...]) -> None:
    top, bottom, left, right = pad
    padded = bayer.mirror(bayer.spread(torch.arange(4.0), cfa, *size), top, bottom, left, right)
    first = bayer.rephase(cfa, -top, -left)
    assert padded.equal(sites(first, size[0] + top + bottom, size[1] + left + right).float())


def test_mirror_equals_numpys_reflect_however_wide() -> None:
    import numpy as np

    data = numbered(4, 5)
    for width in (1, 3, 4, 11):
        padded = bayer.mirror(data, width, width, width, width)
        assert padded.equal(torch.from_numpy(np.pad(data.numpy(), width, mode="reflect")))


def test_mirror_keeps_leading_dimensions_and_refuses_less_than_a_cell() -> None:
    stack = torch.rand(2, 3, 4, 5)
    assert bayer.mirror(stack, 1, 1, 1, 1)[1, 2].equal(bayer.mirror(stack[1, 2], 1, 1, 1, 1))
    with pytest.raises(FrameError, match=r"got 1x5 pixels; expected at least one 2x2 Bayer cell"):
        bayer.mirror(torch.rand(1, 5), 1, 1, 1, 1)


@pytest.mark.parametrize("ring", [0, 1, 3])
@phases
@sizes
def test_unpack_undoes_pack(cfa: str, size: tuple[int, int], ring: int) -> None:
    data = torch.stack([numbered(*size), -numbered(*size)])
    planes = bayer.pack(data, cfa, ring)
    inner = planes[..., ring : planes.shape[-2] - ring, ring : planes.shape[-1] - ring]
    assert bayer.unpack(inner, cfa, *size).equal(data)


@phases
@sizes
def test_packed_planes_hold_one_site_each_mirrored_cells_included(cfa: str, size: tuple[int, int]) -> None:
    planes = bayer.pack(bayer.spread(torch.arange(4.0), cfa, *size), cfa, ring=2)
    assert planes.shape[0] == 4
    assert planes.equal(torch.arange(4.0)[:, None, None].expand_as(planes))


def test_per_site_repeats_green() -> None:
    assert bayer.per_site(torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 2.0, 3.0]


def test_counts_become_float32_and_floats_stay() -> None:
    assert bayer.as_float(torch.zeros(2, dtype=torch.uint16)).dtype is torch.float32
    double = torch.zeros(2, dtype=torch.float64)
    assert bayer.as_float(double) is double


@pytest.mark.parametrize("cfa", ["rggb", "RGBG", "", "XTRANS"])
def test_another_phase_is_refused_by_name(cfa: str) -> None:
    with pytest.raises(FrameError, match=r"expected one of RGGB, GRBG, GBRG, BGGR"):
        bayer.check_phase(cfa)
