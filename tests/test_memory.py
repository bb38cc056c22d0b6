"""How much memory a run takes by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from rawpipe import _memory
from rawpipe._memory import at_hand

GB = 10**9
CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 64 GB, whose system tells nothing more until files are written."""
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": 64 * 10**6}.__getitem__)
    monkeypatch.setattr(_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_memory, "_GROUP", tmp_path / "memory.max")
    return tmp_path


def test_a_quarter_of_the_machine(machine: Path) -> None:
    assert at_hand(CPU) == 16 * GB
    (machine / "meminfo").write_text("MemTotal: 62500000 kB\nMemAvailable: 50000000 kB\n")
    (machine / "memory.max").write_text("max\n")
    assert at_hand(CPU) == 16 * GB


def test_half_of_what_is_free_where_that_is_less(machine: Path) -> None:
    (machine / "meminfo").write_text("MemTotal: 62500000 kB\nMemAvailable: 1000000 kB\n")
    assert at_hand(CPU) == 512 * 10**6


def test_a_quarter_of_the_container(machine: Path) -> None:
    (machine / "memory.max").write_text("4000000000\n")
    assert at_hand(CPU) == GB


def test_a_gibibyte_where_the_system_says_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert at_hand(CPU) == 2**30


def test_on_a_gpu_its_own_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * GB, 80 * GB))
    assert at_hand(torch.device("cuda")) == 5 * GB
