"""The compiled demosaicing gives the reference's bits, and leaves to the reference what it can't do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rawpipe import bayer, kernels
from rawpipe.kernels import dispatch
from rawpipe.stages.demosaic.stage import METHODS

pytest.importorskip("numba")
SIZES = ((2, 2), (3, 2), (2, 5), (7, 4), (34, 40), (33, 47), (40, 33), (61, 59), (9, 63), (10, 64), (9, 65))
methods = pytest.mark.parametrize("method", dispatch.METHODS)
phases = pytest.mark.parametrize("cfa", bayer.PHASES)


def mosaic(size: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
    pixels = torch.rand(size, generator=torch.Generator().manual_seed(seed)) * 1.15 - 0.05
    return pixels if dtype is torch.float32 else (pixels.clamp(0, 1) * 65535).to(dtype)


def never(mosaic: Tensor, cfa: str) -> Tensor:
    raise AssertionError("the reference was taken")


def compiled(method: str, pixels: Tensor, cfa: str) -> Tensor:
    return kernels.demosaic(method, pixels, cfa, never)


def reference(method: str, pixels: Tensor, cfa: str) -> Tensor:
    return METHODS[method](bayer.as_float(pixels), cfa)


@methods
@phases
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint16])
@pytest.mark.parametrize("size", SIZES)
def test_it_gives_the_bits_of_the_reference(method: str, cfa: str, dtype: torch.dtype, size: tuple[int, int]) -> None:
    pixels = mosaic(size, dtype)
    assert torch.equal(compiled(method, pixels, cfa), reference(method, pixels, cfa))


@methods
@phases
def test_bands_on_several_threads_give_the_same_bits(method: str, cfa: str) -> None:
    pixels = mosaic((611, 403), torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(compiled(method, pixels, cfa), reference(method, pixels, cfa))
    finally:
        torch.set_num_threads(before)


@methods
@pytest.mark.parametrize(
    "view",
    [
        lambda pixels: pixels[3:40, 5:44],
        lambda pixels: pixels[:, ::2],
        lambda pixels: pixels.T,
        lambda pixels: pixels.flip(0),
        lambda pixels: pixels[:1].expand(20, -1),
        lambda pixels: pixels.unflatten(0, (2, 1, -1)),
        lambda pixels: pixels.unflatten(0, (2, -1))[:, 1:, 1:],
    ],
    ids=["crop", "columns", "transposed", "flipped", "expanded", "stack", "cropped stack"],
)
def test_views_give_what_their_copies_give(method: str, view: Callable[[Tensor], Tensor]) -> None:
    pixels = view(mosaic((60, 62), torch.float32))
    before = pixels.clone()
    assert torch.equal(compiled(method, pixels, "GBRG"), reference(method, pixels.contiguous(), "GBRG"))
    assert torch.equal(pixels, before)


@methods
def test_nan_and_infinity_reach_the_pixels_that_they_reach_in_the_reference(method: str) -> None:
    pixels = mosaic((20, 22), torch.float32)
    pixels[4, 7], pixels[11, 12], pixels[12, 3] = torch.nan, torch.inf, -torch.inf
    got, expected = compiled(method, pixels, "RGGB"), reference(method, pixels, "RGGB")
    torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "pixels",
    [
        mosaic((8, 8), torch.float32).double(),
        mosaic((8, 8), torch.float32).half(),
        mosaic((8, 8), torch.float32).requires_grad_(),
        mosaic((8, 8), torch.float32).to("meta"),
        torch.nn.Parameter(mosaic((8, 8), torch.float32), requires_grad=False),
    ],
    ids=["float64", "float16", "gradient", "no CPU", "subclass"],
)
def test_other_pixels_go_to_the_reference(pixels: Tensor) -> None:
    assert not kernels.usable(pixels)
    called = []
    kernels.demosaic("malvar2004", pixels, "RGGB", lambda mosaic, cfa: called.append(cfa) or mosaic)
    assert called == ["RGGB"]


def test_without_gradients_a_leaf_may_be_taken() -> None:
    pixels = mosaic((8, 8), torch.float32).requires_grad_()
    with torch.no_grad():
        assert torch.equal(compiled("malvar2004", pixels, "RGGB"), reference("malvar2004", pixels, "RGGB"))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, on the first jvp
def test_transforms_of_torch_see_through_to_the_reference() -> None:
    pixels = mosaic((6, 8), torch.float32)

    def total(pixels: Tensor) -> Tensor:
        return kernels.demosaic("malvar2004", pixels, "RGGB", METHODS["malvar2004"]).sum()

    leaf = pixels.clone().requires_grad_()
    total(leaf).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(torch.func.grad(total)(pixels), leaf.grad)
    _, slope = torch.func.jvp(total, (pixels,), (torch.ones_like(pixels),))
    torch.testing.assert_close(slope, leaf.grad.sum())


def test_without_numba_the_reference_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "missing", lambda: "No module named 'numba'")
    pixels = mosaic((8, 8), torch.float32)
    assert not kernels.usable(pixels)
    got = kernels.demosaic("malvar2004", pixels, "RGGB", METHODS["malvar2004"])
    assert torch.equal(got, reference("malvar2004", pixels, "RGGB"))
    assert kernels.backends()["cpu"].startswith("torch, since No module")
