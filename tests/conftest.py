"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Small tensors: threads cost more than they bring, most of all where other work is going on.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files: RAWPIPE_DATA, else shared/data beside the repository; the test skips without it."""
    folder = os.environ.get("RAWPIPE_DATA")
    path = Path(folder) if folder else Path(__file__).parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the folder of real files: set RAWPIPE_DATA to it")
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference outputs: RAWPIPE_GOLDEN, else shared/golden beside the repository; skips without it."""
    folder = os.environ.get("RAWPIPE_GOLDEN")
    path = Path(folder) if folder else Path(__file__).parents[2] / "shared" / "golden"
    if not path.is_dir():
        pytest.skip("needs the folder of reference outputs: set RAWPIPE_GOLDEN to it")
    return path
