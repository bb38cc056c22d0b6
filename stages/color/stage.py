"""ColorTransform: camera RGB becomes linear RGB with named primaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rawpipe import Color, Frame, Space, StageError, kernels
from rawpipe.colorimetry import adaptation, rgb_space, xyz

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class ColorTransform:
    """Camera RGB through XYZ to a named RGB space, linear; the neutral in use becomes that space's white.

    The colour matrices of two illuminants are interpolated in 1/T at the white point that the neutral in use implies;
    the ForwardMatrix is used where the camera has one, else Bradford adaptation. White balance that has been applied
    is taken out of the matrix, so nothing is balanced twice, and an unbalanced frame comes out balanced.

    The noise of the result is an upper bound: demosaicing correlates the planes, which count as independent here.

    Takes: CAMERA. Gives: RGB, linear.

    Args:
        to: "srgb", "display_p3", "adobe_rgb", "rec2020", "prophoto" or "acescg".
        matrix: camera RGB as it came from the sensor to linear RGB, 3x3, if you have one of your own.

    Raises:
        StageError: no such space, or the frame has no colour matrix.

    References: DNG specification 1.7.1, chapter 6.
    """

    to: str = "srgb"
    matrix: Matrix | None = None
    _matrix: Tensor | None = field(
        default=None,
        repr=False,
        compare=False,
        metadata={"says": "camera RGB before any white balance to linear RGB of the result's space, row by row"},
    )

    takes = Space.CAMERA
    gives = Space.RGB
    halo = 0
    grid = 1
    sees_pixels = False

    def __post_init__(self) -> None:
        rgb_space(self.to)
        if self.matrix is not None and not (
            isinstance(self.matrix, tuple) and [_numbers(row) for row in self.matrix] == [3, 3, 3]
        ):
            raise StageError(f"got matrix {self.matrix!r}; expected three rows of three numbers, in tuples")

    def measure(self, frame: Frame, /) -> ColorTransform:
        """Solve for the white point and find the one matrix that does it all."""
        matrix = (
            sensor_to_rgb(frame, self.to) if self.matrix is None else torch.tensor(self.matrix, dtype=torch.float64)
        )
        a, b, c = ((row[0], row[1], row[2]) for row in matrix.tolist())
        return replace(self, matrix=(a, b, c), _matrix=matrix.to(frame.device))

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        return None if self._matrix is None else (kernels.Matrix(self._matrix / frame.wb),)

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if self._matrix is None:
            return self.measure(frame)(frame)
        matrix = (self._matrix / frame.wb).float()
        rows = matrix.to(frame.data.dtype)
        red, green, blue = frame.data.unbind(dim=-3)
        planes = [rows[i, 0] * red + rows[i, 1] * green + rows[i, 2] * blue for i in range(3)]
        signal = frame.neutral * frame.wb
        noise = frame.noise
        if noise is not None:
            squared = matrix.square()
            noise = noise.mixed(squared, torch.diag_embed(squared), signal, matrix @ signal)
        return replace(
            frame,
            data=torch.stack(planes, dim=-3),
            space=Space.RGB,
            color=Color(self.to),
            black=torch.zeros_like(frame.black),
            white=matrix @ (signal * (frame.white / signal).min()),
            noise=noise,
        )


def _numbers(row: object) -> int:
    """How many numbers a row of a matrix has, 0 if it is no row of numbers."""
    return len(row) if isinstance(row, tuple) and all(isinstance(value, int | float) for value in row) else 0


def sensor_to_rgb(frame: Frame, space: str) -> Tensor:
    """Camera RGB before any white balance to linear RGB of a named space, (3, 3), float64.

    Raises:
        StageError: the frame has no colour matrix.
    """
    color = frame.shot.color
    if color is None:
        raise StageError(
            "got a frame without a color matrix; give one when you read it: Frame.read(path, matrix=xyz_to_camera), "
            'or matrix="generic" for plausible colors'
        )
    neutral = frame.neutral.cpu().double()
    to_xyz = color.to_xyz_d50(neutral)
    target = rgb_space(space)
    white = to_xyz @ (neutral / neutral.max())
    to_rgb: Tensor = torch.linalg.inv(target.to_xyz()) @ adaptation(white, xyz(target.white))
    return to_rgb @ to_xyz
