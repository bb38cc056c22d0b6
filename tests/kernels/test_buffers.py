"""Memory is reused when nobody holds it, and only then."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
import torch

from rawpipe.kernels import buffers

SHAPE = (3, 700, 500)


@pytest.fixture(autouse=True)
def empty_store() -> Iterator[None]:
    gc.collect()
    buffers.drop()
    yield
    buffers.drop()


def place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_memory_that_nobody_holds_is_used_again() -> None:
    first = buffers.empty(SHAPE, torch.float32)
    at = place(first)
    del first
    assert place(buffers.empty(SHAPE, torch.float32)) == at


@pytest.mark.parametrize(
    "hold",
    [lambda t: t, lambda t: t[1, 3:5], lambda t: t.view(torch.int32), lambda t: t.numpy(), lambda t: t[0].T.detach()],
    ids=["tensor", "view", "other dtype", "array", "view of a view"],
)
def test_memory_that_somebody_holds_is_left_alone(hold) -> None:  # type: ignore[no-untyped-def]
    first = buffers.empty(SHAPE, torch.float32).fill_(1)
    at, held = place(first), hold(first)
    del first
    second = buffers.empty(SHAPE, torch.float32).fill_(2)
    assert place(second) != at
    assert (torch.as_tensor(held).contiguous().view(torch.float32) == 1).all()


def test_a_graph_of_gradients_holds_what_it_needs() -> None:
    leaf = torch.ones(SHAPE, requires_grad=True)
    factor = buffers.empty(SHAPE, torch.float32).fill_(3)
    result = (leaf * factor).sum()
    del factor
    buffers.empty(SHAPE, torch.float32).fill_(5)
    result.backward()
    assert leaf.grad is not None and (leaf.grad == 3).all()


def test_much_smaller_results_do_not_take_large_memory() -> None:
    first = buffers.empty(SHAPE, torch.float32)
    at = place(first)
    del first
    assert place(buffers.empty((2, 700, 500), torch.float32)) != at
    assert place(buffers.empty((3, 690, 500), torch.float32)) == at


def test_the_store_is_bounded_and_can_be_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "LIMIT", 10_000_000)
    several = [buffers.empty(SHAPE, torch.float32) for _ in range(4)]
    several.clear()
    assert 0 < buffers.kept() <= 10_000_000
    buffers.drop()
    assert buffers.kept() == 0


def test_small_results_are_the_allocators() -> None:
    assert buffers.empty((3, 4, 5), torch.float32).shape == (3, 4, 5)
    assert buffers.kept() == 0


def test_threads_never_share_memory() -> None:
    failed: list[int] = []

    def work(mark: int) -> None:
        for _ in range(200):
            mine = buffers.empty((600, 500), torch.float32).fill_(mark)
            if not (mine == mark).all():
                failed.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
