"""Sixteen floats at once do what NumPy does, and processors without wide registers come to the same codes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
from numba import njit  # needs Numba

from rawpipe.kernels import vectors as v

N = v.LANES
_f = np.float32
_two = _f(2)


@njit
def _arithmetic(a, b, out):  # type: ignore[no-untyped-def]
    x, y = v.load(a, 1), v.load(b, 0)
    v.store(out[0], 0, (x + y) * _two - x / y)
    v.store(out[1], 0, v.fused(x, _two, y))
    v.store(out[2], 0, v.least(x, y))
    v.store(out[3], 0, v.most(x, y))
    v.store(out[4], 0, v.where_less(x, y, _f(1), v.size_of(x)))
    v.store(out[5], 0, v.signed(v.size_of(y), x))
    v.store(out[6], 0, v.exponent(v.size_of(x)))
    v.store(out[7], 0, v.mantissa(v.size_of(x)))
    v.store(out[8], 0, v.shifted(_two * y, y * _f(0) + _f(1.5 * 2**23 + 3)))
    v.store(out[9], 0, v.picked(b, 1, v.size_of(x)))


def test_operations_are_those_of_numpy() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=N + 1).astype(np.float32) for _ in range(2))
    out = np.zeros((10, N), np.float32)
    _arithmetic(a, b, out)
    x, y = a[1:], b[:N]
    m, e = np.frexp(abs(x))
    expected = [
        (x + y) * _two - x / y,
        (x.astype(float) * 2 + y).astype(np.float32),
        np.minimum(x, y),
        np.maximum(x, y),
        np.where(x < y, _f(1), abs(x)),
        np.copysign(y, x),
        e - 1,
        m * 2,
        y * 16,
        b[1:][(e - 1 + 127) % N],
    ]
    for found, one in zip(out, expected, strict=True):
        assert np.array_equal(found, one)


@njit
def _compared(a, level, out):  # type: ignore[no-untyped-def]
    v.store(out[0], 0, v.least(level, v.load(a, 0)))
    v.store(out[1], 0, v.most(v.load(a, 0), level))


def test_what_is_no_number_is_never_less_or_more() -> None:
    a, out = np.full(N, np.nan, np.float32), np.zeros((2, N), np.float32)
    _compared(a, _f(1), out)
    assert np.isnan(out[0]).all() and (out[1] == 1).all()


@njit
def _pairs(a, floats, codes):  # type: ignore[no-untyped-def]
    even, odd = v.load_pairs(a, 1)
    v.store_pairs(floats, 1, even, odd)
    v.store_pairs(codes, 1, even, odd)


def test_pairs_are_taken_apart_and_put_together() -> None:
    a = np.linspace(0, 65535.9, 2 * N + 1).astype(np.float32)
    floats, codes = np.zeros(2 * N + 2, np.float32), np.zeros(2 * N + 2, np.uint16)
    _pairs(a, floats, codes)
    assert np.array_equal(floats[1:-1], a[1:]) and np.array_equal(codes[1:-1], a[1:].astype(np.uint16))
    assert floats[0] == floats[-1] == codes[0] == codes[-1] == 0


_CODES = """
import sys, numpy as np, torch
from rawpipe.colorimetry import CURVES
from rawpipe.kernels import Encode, Quantize
from rawpipe.kernels.compiled import Program
from rawpipe.kernels.vectors import PICKS
assert not PICKS
line = torch.linspace(-0.1, 1.3, 3 * 7000).reshape(3, 70, 100)
np.save(sys.argv[1], np.stack([Program([Encode(CURVES[name]), Quantize()], False)(line, None).numpy()
                               for name in sys.argv[2:]]))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names a processor of x86")
def test_older_processors_come_to_the_same_codes(tmp_path: Path) -> None:
    import torch

    from rawpipe.colorimetry import CURVES

    names = ("srgb", "rec2020", "prophoto")
    environment = {**os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", _CODES, str(tmp_path / "codes.npy"), *names]
    subprocess.run(command, check=True, env=environment)
    line = torch.linspace(-0.1, 1.3, 3 * 7000).reshape(3, 70, 100).double()
    for name, codes in zip(names, np.load(tmp_path / "codes.npy"), strict=True):
        truth = CURVES[name].encode(line).clamp(0, 1).numpy() * 65535
        assert np.abs(codes - truth).max() <= 0.5 + 0.25
