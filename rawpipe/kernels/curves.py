"""Transfer curves as polynomials: a power of 2**e m is 2**(power e) times a power of m, and each has its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rawpipe.colorimetry import Curve

_DEGREE = 5  # relative errors of 1.4e-6 and 8e-8: together a tenth of a 16-bit step at 1
_OCTAVES = 9  # whose powers a polynomial takes, to 6e-7 of 1
_SCALE_DEGREE = 7
_PICKED, _BIAS = 16, 127
_FULL = 65535.0
_TINY = 1e-30  # below, a curve without a straight part is taken for one

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


@cache
def numbers(curve: Curve) -> tuple[float, ...]:
    """What `lines.curved` needs: power, slope and end of the straight part, offset, two polynomials."""
    power, knee, mantissa = _parts(curve)
    fraction = _fitted(lambda f: 2.0**f, _nodes(-0.5, 0.5), _DEGREE)
    return power, 1 / (curve.c or 1.0), max(knee, _TINY), -curve.b / curve.a, *mantissa, *fraction


@cache
def code_numbers(curve: Curve, picks: bool) -> tuple[float, ...] | None:
    """What `lines.encoded` needs: slope and end of the straight part, offset, polynomial, powers of the powers of two.

    The latter as a table that the exponent's last bits are an index of, or as another polynomial. 1 becomes 65535, and
    half a code is added, for rounding. None for curves that are bent down to so near to black that there are too many.
    """
    power, knee, mantissa = _parts(curve)
    if knee < 2.0**-_OCTAVES or not curve.c:
        return None
    octaves = np.arange(np.floor(np.log2(knee)), 0.0)
    scale = np.zeros(_PICKED if picks else _SCALE_DEGREE + 1)
    if picks:
        scale[(octaves.astype(int) + _BIAS) % _PICKED] = 2.0 ** (power * octaves)
    else:
        degree = min(_SCALE_DEGREE, len(octaves) - 1)
        scale[: degree + 1] = _fitted(lambda e: 2.0 ** (power * e), octaves, degree, relative=False)
    slope = _FULL / curve.c
    return slope, knee, 0.5 - curve.b / curve.a * _FULL - slope * knee, *(mantissa * _FULL), *scale


def _parts(curve: Curve) -> tuple[float, float, Array]:
    """Its power, where its straight part ends, and the polynomial of the mantissa."""
    power = 1 / curve.gamma
    mantissa = _fitted(lambda m: m**power, _nodes(1.0, 2.0), _DEGREE) / curve.a
    return power, float(np.float32((curve.a * curve.d + curve.b) ** curve.gamma)), mantissa


def _nodes(start: float, stop: float) -> Array:
    """Chebyshev's points of an interval."""
    return (start + stop) / 2 + (stop - start) / 2 * np.cos((np.arange(200) + 0.5) * np.pi / 200)


def _fitted(function: Callable[[Array], Array], x: Array, degree: int, relative: bool = True) -> Array:
    """Coefficients, lowest first, with the least relative or absolute error at some points: least squares."""
    y = function(x)
    weights = 1 / y if relative else np.ones_like(x)
    return np.linalg.lstsq(np.vander(x, degree + 1, increasing=True) * weights[:, None], y * weights, rcond=None)[0]
