"""Transfer curves as polynomials: a power of 2**e m is 2**(power e) times a power of m, and each has its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rawpipe.colorimetry import Curve

_DEGREE = 5  # relative errors of 1.4e-6 and 8e-8: together a tenth of a 16-bit step at 1
_TINY = 1e-30  # below, a curve without a straight part is taken for one

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


@cache
def numbers(curve: Curve, full: float = 1.0) -> tuple[float, ...]:
    """What `lines.curve` needs: power, slope and end of the straight part, offset, two polynomials.

    With `full` what `lines.store_encoded` needs: 1 becomes that code, and half a code is added, for rounding.
    """
    power = 1 / curve.gamma
    knee = max((curve.a * curve.d + curve.b) ** curve.gamma, _TINY)
    mantissa = _fitted(lambda m: m**power, 1.0, 2.0) * full / curve.a
    fraction = _fitted(lambda f: 2.0**f, -0.5, 0.5)
    offset = -curve.b / curve.a * full + (0.5 if full != 1.0 else 0.0)
    return power, full / (curve.c or 1.0), knee, offset, *mantissa, *fraction


def _fitted(function: Callable[[Array], Array], start: float, stop: float) -> Array:
    """Coefficients, lowest first, with the least relative error: least squares at Chebyshev's points."""
    x = (start + stop) / 2 + (stop - start) / 2 * np.cos((np.arange(200) + 0.5) * np.pi / 200)
    powers = np.vander(x, _DEGREE + 1, increasing=True) / function(x)[:, None]
    return np.linalg.lstsq(powers, np.ones(len(x)), rcond=None)[0]
