"""Brighter pictures by the latent: which way they lie is measured on the picture itself."""

from __future__ import annotations

from collections.abc import Callable

from scipy.optimize import brentq
from torch import Tensor

from rawpipe.stages.enhance.llflow.domains import to_display, to_linear
from rawpipe.stages.enhance.llflow.encoder import Conditions
from rawpipe.stages.enhance.llflow.model import Network

_NUDGE = 1.25  # by which the likeliest picture is made brighter to see where its latent goes
_FARTHEST = 64.0  # in such nudges
_EXACT = 1 / 128  # of such a nudge


def direction(network: Network, conditions: Conditions) -> Tensor:
    """The mean way (1, 64 c, 1, 1) that the latent of the likeliest picture goes as the picture gets brighter."""
    light = to_linear(network.decode(network.design.mean(conditions.colors), conditions).value)
    own, brighter = (network.encode(to_display(gain * light), conditions).value for gain in (1.0, _NUDGE))
    found: Tensor = (brighter - own).mean((0, 2, 3), keepdim=True)
    return found


def offset(network: Network, dark: Tensor, ratio: float) -> Tensor:
    """What to add to the latent (1, 64 c, 1, 1) so that the picture's mean, in linear light, is `ratio` times as high.

    Where it can't get so bright, it gets as bright as it can.

    Args:
        network: the model.
        dark: its inputs for a small version of the picture (1, inputs, h, w); h and w multiples of 8.
        ratio: above 0.
    """
    conditions = network.conditions(dark)
    way, mean = direction(network, conditions), network.design.mean(conditions.colors)

    def brightness(far: float) -> float:
        return float(to_linear(network.decode(mean + far * way, conditions).value).mean())

    return way * _crossing(brightness, ratio)


def _crossing(value: Callable[[float], float], ratio: float) -> float:
    """Where a function has `ratio` times its value at 0: steps double as long as it goes there, then Brent's method."""
    level = value(0.0)
    wanted, sign = ratio * level, 1.0 if ratio >= 1 else -1.0
    near, far = 0.0, sign
    while abs(far) <= _FARTHEST:
        found = value(far)
        if not sign * found > sign * level:  # it turns back, or isn't a number: this is as far as it goes
            return near
        if sign * found >= sign * wanted:
            break
        near, level, far = far, found, 2 * far
    else:
        return near
    return float(brentq(lambda place: value(place) - wanted, near, far, xtol=_EXACT))
