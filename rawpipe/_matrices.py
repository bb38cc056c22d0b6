"""Colour matrices of a camera in arrays of NumPy, before torch is imported, or of torch, in a frame.

References: DNG specification 1.7.1, chapter 6 "Mapping Camera Color Space to CIE XYZ Space".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np

from rawpipe._errors import FrameError
from rawpipe._whites import D65, temperature_k

if TYPE_CHECKING:
    from torch import Tensor

# EXIF LightSource codes to kelvin, as the DNG SDK reads them.
ILLUMINANTS_K = {
    1: 5500, 2: 4150, 3: 2850, 4: 5500, 9: 5500, 10: 6500, 11: 7500, 12: 6400, 13: 5050, 14: 4150, 15: 3525,
    16: 2925, 17: 2850, 18: 5500, 19: 6500, 20: 5500, 21: 6500, 22: 7500, 23: 5000, 24: 3200,
}  # fmt: skip
D65_CODE = 21

Numbers: TypeAlias = "np.ndarray[Any, Any]"
Array = TypeVar("Array", "np.ndarray[Any, Any]", "Tensor")


@dataclass(frozen=True, eq=False, kw_only=True)
class Matrices(Generic[Array]):
    """Colour matrices of a camera, float64; see `CameraColor`, which is this in tensors."""

    color1: Array
    illuminant1: int = D65_CODE
    color2: Array | None = None
    illuminant2: int = 0
    forward1: Array | None = None
    forward2: Array | None = None
    calibration1: Array
    calibration2: Array
    analog_balance: Array
    source: str = "user"

    def xyz_to_camera(self, white: tuple[float, float]) -> Array:
        """XYZ to camera RGB (3, 3) for a scene white `white` (xy)."""
        kelvin = temperature_k(white)
        color = self._between(self.color1, self.color2, kelvin)
        calibration = self._between(self.calibration1, self.calibration2, kelvin)
        both: Array = self.analog_balance[:, None] * (calibration @ color)
        return both

    def neutral_of(self, white: tuple[float, float] = D65) -> Array:
        """Camera RGB (3) of a neutral object under the white `white` (xy), green = 1."""
        seen = self.white_seen(white)
        neutral: Array = seen / seen[1]
        return neutral

    def white_seen(self, white: tuple[float, float]) -> Array:
        """Camera RGB (3) of the white `white` (xy) with Y = 1."""
        (x, y), columns = white, self.xyz_to_camera(white)
        seen: Array = columns[:, 0] * (x / y) + columns[:, 1] + columns[:, 2] * ((1 - x - y) / y)
        return seen

    def _between(self, one: Array, two: Array | None, kelvin: float) -> Array:
        """The matrix for a temperature, interpolated in 1/T between the two illuminants and held outside."""
        first, second = (ILLUMINANTS_K.get(code, 0) for code in (self.illuminant1, self.illuminant2))
        if two is None or not first or not second or first == second:
            return one
        share = (1 / kelvin - 1 / second) / (1 / first - 1 / second)
        share = min(max(share, 0.0), 1.0)
        return share * one + (1 - share) * two


def checked(
    color1: object,
    illuminant1: int = D65_CODE,
    color2: object = None,
    illuminant2: int = 0,
    *,
    forward1: object = None,
    forward2: object = None,
    calibration1: object = None,
    calibration2: object = None,
    analog_balance: object = None,
    source: str = "user",
) -> Matrices[Numbers]:
    """Matrices given as nested sequences, arrays or tensors (row-major, 3 x 3).

    Raises:
        FrameError: a matrix isn't 3 x 3, isn't finite, can't be inverted, or makes no sense of daylight.
    """
    first = _matrix(color1, "color1")
    if first is None:
        raise FrameError("got no color matrix; expected a 3x3 matrix from XYZ to camera RGB")
    one, two = _matrix(calibration1, "calibration1"), _matrix(calibration2, "calibration2")
    balance = np.ones(3) if analog_balance is None else _double(analog_balance)
    if balance is None or balance.shape != (3,) or not (balance > 0).all():
        raise FrameError(f"got analog balance {_shown(analog_balance)}; expected three positive numbers")
    made = Matrices(
        color1=first,
        illuminant1=illuminant1,
        color2=_matrix(color2, "color2"),
        illuminant2=illuminant2,
        forward1=_matrix(forward1, "forward1"),
        forward2=_matrix(forward2, "forward2"),
        calibration1=np.eye(3) if one is None else one,
        calibration2=np.eye(3) if two is None else two,
        analog_balance=balance,
        source=source,
    )
    if not ((seen := made.white_seen(D65)) > 0).all():
        raise FrameError(
            f"got a color matrix under which daylight is camera RGB {seen.tolist()}; expected positive numbers: "
            "the matrix from XYZ to camera RGB, row by row"
        )
    return made


def _double(values: Any) -> Numbers | None:
    """Numbers in float64, None if they are none."""
    try:
        plain = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
        return np.array(plain, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None


def _shown(values: Any) -> object:
    return values.tolist() if hasattr(values, "tolist") else values


def _matrix(values: object, name: str) -> Numbers | None:
    if values is None:
        return None
    matrix = _double(values)
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise FrameError(f"got {name} {_shown(values)}; expected an invertible 3x3 matrix, row by row")
    return matrix
