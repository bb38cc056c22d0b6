"""CameraColor: what a camera's colour matrices say, for one or two illuminants.

References: DNG specification 1.7.1, chapter 6 "Mapping Camera Color Space to CIE XYZ Space".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rawpipe._errors import FrameError
from rawpipe._matrices import D65_CODE, Matrices, Numbers, checked
from rawpipe.colorimetry import D50, adaptation, temperature_k, xy, xyz

# A plain silicon sensor under D65: the rounded mean of many published camera matrices. Colours come out plausible
# and no more, which is why it has to be asked for by name.
GENERIC = ((0.70, -0.18, -0.07), (-0.47, 1.26, 0.24), (-0.08, 0.19, 0.60))


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraColor(Matrices[Tensor]):
    """Colour matrices of a camera, float64.

    Args:
        color1: XYZ to camera RGB under illuminant 1, (3, 3).
        illuminant1: EXIF LightSource code of illuminant 1, 21 = D65.
        color2: the same under illuminant 2, or None.
        illuminant2: EXIF LightSource code of illuminant 2.
        forward1: white-balanced camera RGB to XYZ D50 under illuminant 1, or None.
        forward2: the same under illuminant 2, or None.
        calibration1: reference camera to this camera under illuminant 1, (3, 3).
        calibration2: the same under illuminant 2.
        analog_balance: gains that the camera applied before it digitised, (3).
        source: where the numbers come from: "dng", "libraw", "flashraw", "user" or "generic".
    """

    @classmethod
    def of(
        cls,
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
    ) -> CameraColor:
        """Check and convert matrices given as nested sequences, arrays or tensors (row-major, 3 x 3).

        Raises:
            FrameError: a matrix isn't 3 x 3, isn't finite, can't be inverted, or makes no sense of daylight.
        """
        return cls.adopt(
            checked(
                color1,
                illuminant1,
                color2,
                illuminant2,
                forward1=forward1,
                forward2=forward2,
                calibration1=calibration1,
                calibration2=calibration2,
                analog_balance=analog_balance,
                source=source,
            )
        )

    @classmethod
    def adopt(cls, plain: Matrices[Numbers]) -> CameraColor:
        """The same in tensors."""
        values: dict[str, Any] = {field.name: getattr(plain, field.name) for field in fields(plain)}
        arrays = {name: torch.from_numpy(value) for name, value in values.items() if isinstance(value, np.ndarray)}
        return cls(**(values | arrays))

    @classmethod
    def generic(cls) -> CameraColor:
        """A typical sensor's matrix, for files without one: plausible colours, not this camera's."""
        return cls.of(GENERIC, source="generic")

    @classmethod
    def given(cls, matrix: object, own: CameraColor | None = None) -> CameraColor | None:
        """What a `matrix=` argument means: a CameraColor, a 3x3 matrix under D65, "generic", or None.

        The first two override the camera's `own`; "generic" only stands in where there is none.

        Raises:
            FrameError: none of these.
        """
        if matrix is None:
            return own
        if isinstance(matrix, CameraColor):
            return matrix
        if isinstance(matrix, str):
            if matrix != "generic":
                raise FrameError(f'got matrix={matrix!r}; expected "generic", a 3x3 matrix, or a CameraColor')
            return own or cls.generic()
        return cls.of(matrix)

    def under(self, neutral: Tensor) -> CameraColor:
        """These matrices where `neutral` (3) is the camera RGB in use of a neutral object.

        The camera's own stay as they are. The generic ones know no light, so `neutral` is taken for that of D65.
        """
        if self.source != "generic":
            return self
        plain = replace(self, analog_balance=torch.ones(3, dtype=torch.float64))
        return replace(self, analog_balance=neutral.to("cpu", torch.float64) / plain.neutral_of())

    def white_of(self, neutral: Tensor) -> tuple[float, float]:
        """The white point (xy) under which a neutral object has the camera RGB `neutral` (3).

        Solved by fixed-point iteration, since the matrix depends on the white it finds; the last two steps are
        averaged where the iteration swings between them, as the DNG SDK does.
        """
        neutral = neutral.to("cpu", torch.float64)
        guess, before = (1 / 3, 1 / 3), (0.0, 0.0)
        for _ in range(200):
            found = xy(torch.linalg.solve(self.xyz_to_camera(guess), neutral))
            if abs(found[0] - guess[0]) + abs(found[1] - guess[1]) < 1e-13:
                return found
            before, guess = guess, found
        return (before[0] + guess[0]) / 2, (before[1] + guess[1]) / 2

    def to_xyz_d50(self, neutral: Tensor) -> Tensor:
        """Camera RGB, not white-balanced, to XYZ relative to D50 (3, 3), with `neutral` (3) taken to white.

        A neutral pixel whose largest channel is 1 gets Y = 1.
        """
        if self.source == "generic":
            return replace(self.under(neutral), source="user").to_xyz_d50(neutral)
        neutral = neutral.to("cpu", torch.float64)
        neutral = neutral / neutral.max()
        white = self.white_of(neutral)
        if self.forward1 is None:
            to_xyz: Tensor = adaptation(xyz(white), xyz(D50)) @ torch.linalg.inv(self.xyz_to_camera(white))
        else:
            kelvin = temperature_k(white)
            calibration = self.analog_balance[:, None] * self._between(self.calibration1, self.calibration2, kelvin)
            reference = torch.linalg.inv(calibration)
            forward = self._between(self.forward1, self.forward2, kelvin)
            to_xyz = forward @ ((1 / (reference @ neutral))[:, None] * reference)
        return to_xyz / (to_xyz @ neutral)[1]
