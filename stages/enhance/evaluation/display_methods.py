"""What is scored on display-referred RGB: a model, nothing, or what needs no learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from rawpipe import Color, Frame, Pipeline, Space
from rawpipe.stages.enhance.enhancer import Enhancer
from rawpipe.stages.enhance.equalise import equalisation, equalised, in_8_bits
from rawpipe.stages.enhance.stage import Enhance

_LEAST, _MOST = 1 / 64, 8.0  # of a gamma

Picture = Callable[[Tensor], Tensor]
"""A dark picture, display-referred RGB (3, H, W) in 0..1 in; a well-lit one of the same shape out."""


class DisplayMethod(Protocol):
    """What makes a well-lit picture of a dark one."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What a table must say of it: model, weights."""

    def __call__(self, dark: Tensor, truth: Tensor) -> Tensor:
        """The result for a dark picture (3, H, W) in 0..1; only an oracle looks at the truth."""


@dataclass(frozen=True, eq=False)
class Blind:
    """A method that sees the dark picture alone.

    Args:
        picture: the function.
        name: under which it is given, and what one must know of it.
        weights: which they are, in a line.
    """

    picture: Picture
    name: str
    weights: str = "-"

    @property
    def facts(self) -> dict[str, str]:
        """See `DisplayMethod`."""
        return {"model": self.name, "weights": self.weights}

    def __call__(self, dark: Tensor, truth: Tensor) -> Tensor:
        """See `DisplayMethod`."""
        return self.picture(dark)


@dataclass(frozen=True)
class FittedGamma:
    """The power of the dark picture that is nearest to the truth, by least squares over RGB: the highest PSNR that one
    curve could have as it is, if somebody knew which.
    """

    facts = {"model": "gamma, fitted to the truth of each picture: an oracle", "weights": "-"}  # noqa: RUF012

    def __call__(self, dark: Tensor, truth: Tensor) -> Tensor:
        """See `DisplayMethod`."""
        dark, wanted = dark.double().clamp(0, 1), truth.double()

        def error(log_gamma: float) -> float:
            return float((dark ** math.exp(log_gamma) - wanted).square().mean())

        found = minimize_scalar(error, bounds=(math.log(_LEAST), math.log(_MOST)), method="bounded")
        return dark ** math.exp(found.x)


def with_equal_histograms(dark: Tensor) -> Tensor:
    """A picture (3, H, W) whose channels have equal histograms each."""
    picture = in_8_bits(dark)
    return equalised(picture, equalisation(picture))


def enhanced(model: Enhancer, name: str, device: str = "cpu") -> Blind:
    """A model of `Enhance` for display-referred RGB, as a pipeline runs it.

    Args:
        model: whose `takes` is RGB.
        name: under which it is given.
        device: where it runs.
    """
    pipeline, used = Pipeline([Enhance(model)]), getattr(model, "weights_used", None)

    def picture(dark: Tensor) -> Tensor:
        frame = Frame.from_array(dark.to(device), space=Space.RGB, color=Color("srgb", "srgb"))
        return pipeline(frame).data.cpu()

    return Blind(picture, name, "-" if used is None else used())


DISPLAY_METHODS: Mapping[str, DisplayMethod] = {
    "none": Blind(torch.clone, "none: the dark picture"),
    "gamma": FittedGamma(),
    "equalised": Blind(with_equal_histograms, "equalised: equal histograms of the channels"),
}
"""Those that need no weights."""
