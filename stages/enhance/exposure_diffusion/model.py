"""The model: a backbone, what it is shown beside the picture, and the step it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rawpipe import StageError
from rawpipe.stages.enhance.exposure_diffusion.head import Estimate, adaptive, plain
from rawpipe.stages.enhance.exposure_diffusion.nafnet import NAFNet
from rawpipe.stages.enhance.exposure_diffusion.process import PHOTON_UNIT, Draw, expose, mean_field
from rawpipe.stages.enhance.exposure_diffusion.unet import UNet
from rawpipe.stages.enhance.limits import brightest_seen

_BACKBONES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "unet": UNet,
    "nafnet-1": NAFNet,
    "nafnet-2": lambda inputs, outputs, width: NAFNet(inputs, outputs, width, (2, 2, 4, 4), 12, (2, 2, 2, 2)),
}
_WIDTHS = {"unet": 32, "nafnet-1": 16, "nafnet-2": 16}
LEAST_SHOT = 1e-6
"""What counts as a picture without shot noise: a million electrons at saturation."""


class Light(NamedTuple):
    """How the input was exposed, at the reference brightness, at which 1 is saturation.

    Args:
        shot: variance of the input per signal, r K / S: the reciprocal of its electrons at 1 (n, 4 or 1, 1, 1);
            LEAST_SHOT or more.
        read: standard deviation of the input without light, rows included (n, 4 or 1, 1, 1).
    """

    shot: Tensor
    read: Tensor


def _at_once(function: Callable[..., Tensor], *planes: Tensor) -> Tensor:
    return function(*planes)


def _as_it_is(channels: Tensor) -> Tensor:
    return channels


@dataclass(frozen=True)
class Design:
    """Which network, and what it sees.

    Args:
        backbone: "unet", "nafnet-1" or "nafnet-2".
        width: channels of the first level; None = the published 32 or 16.
        photons: whether it sees how many photons the picture holds.
        origin: whether it sees the input at every step.
        sigma: whether it sees the noise of the picture: ours.
        head: whether it predicts a picture and a residual, and mixes them.
        markov: whether a step starts from the last state, as in the paper's text, or from the input, as in its code.
        clipped: whether the input is cut to 0..1, as the published networks learned; ours see noise below zero.
        window: packed pixels that a network which pools over all it sees is run on: the side of its training patches.
    """

    backbone: str = "unet"
    width: int | None = None
    photons: bool = True
    origin: bool = True
    sigma: bool = True
    head: bool = True
    markov: bool = False
    clipped: bool = False
    window: int | None = None

    def __post_init__(self) -> None:
        if self.backbone not in _BACKBONES:
            raise StageError(f"got backbone {self.backbone!r}; expected {', '.join(_BACKBONES)}")
        for name in ("width", "window"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and 1 <= value <= 4096):
                raise StageError(f"got {name} {value!r}; expected a whole number from 1 to 4096, or nothing")

    @property
    def pools(self) -> bool:
        """Whether a result depends on the size of what the network sees."""
        return self.backbone != "unet"

    @property
    def inputs(self) -> int:
        """Channels that the network takes."""
        return 4 * (1 + self.photons + self.origin + self.sigma)

    @property
    def first_level(self) -> int:
        """Channels of the first level."""
        return _WIDTHS[self.backbone] if self.width is None else self.width

    def build(self) -> nn.Module:
        """The network, with fresh weights."""
        return _BACKBONES[self.backbone](self.inputs, 9 if self.head else 4, self.first_level)

    def channels(self, state: Tensor, multiplier: Tensor, dim: Tensor, light: Light) -> Tensor:
        """What the network is shown (n, inputs, h, w) of a state at `multiplier` times the input's exposure.

        Photons as in the published code, x lambda S / (r K) in units of 15583. Sigma: the noise of a picture with
        that many photons and one read-out, sqrt(shot x lambda + read**2) / lambda; in mean field, where the photons
        that were added are no noisier than their estimate, it says too much of later states, in training too.
        """
        shown = [state]
        if self.photons:
            shown.append(state * (multiplier / light.shot / PHOTON_UNIT))
        if self.origin:
            shown.append(dim)
        if self.sigma:
            variance = light.shot * multiplier * state.clamp(min=0) + light.read.square()
            shown.append(variance.sqrt() / multiplier)
        return torch.cat(shown, 1)

    def estimate(self, output: Tensor, state: Tensor) -> Estimate:
        """The clean picture, from the network's output."""
        return adaptive(output, state) if self.head else plain(output)

    def exposed(
        self,
        network: Callable[[Tensor], Tensor],
        planes: Tensor,
        light: Light,
        levels: Sequence[Tensor],
        draw: Draw = mean_field,
        run: Callable[..., Tensor] = _at_once,
        laid_out: Callable[[Tensor], Tensor] = _as_it_is,
    ) -> Tensor:
        """The clean picture (n, 4, h, w) that a network makes of packed planes step by step.

        Args:
            network: of channels.
            planes: at the reference brightness, not clipped (n, 4, h, w).
            light: how they were exposed.
            levels: multipliers, as `expose` has them.
            draw: photons.
            run: functions of every pixel by itself on planes: at once, or as `in_bands`.
            laid_out: channels as the network likes them best.
        """
        top = brightest_seen(*light)
        dim = run(lambda one: one.clamp(0, 1) if self.clipped else torch.minimum(one, top), planes)

        def estimated(output: Tensor, state: Tensor) -> Tensor:
            return self.estimate(output, state).clean.contiguous()  # plane by plane, as the guard goes through it

        def estimate(state: Tensor, level: Tensor) -> Estimate:
            channels = run(lambda state, dim: laid_out(self.channels(state, level, dim, light)), state, dim)
            output = network(channels)
            return Estimate(run(lambda output, state: estimated(output.to(state), state), output, state))

        return expose(estimate, dim, light.shot, levels, draw, markov=self.markov, keep=False)[-1].clean
