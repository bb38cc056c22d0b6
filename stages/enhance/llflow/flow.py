"""The flow: an invertible map between well-exposed pictures and normal numbers, conditioned on the dark one.

Both ways run in the precision of what they are given, in single precision at least: only the networks inside the
affine layers follow autocast. Key names are those of published checkpoints.

References:
    Kingma and Dhariwal (2018), Glow: generative flow with invertible 1x1 convolutions.
    Lugmayr et al. (2020), SRFlow: learning the super-resolution space with normalizing flow, section 3.2.
    Wang et al. (2022), Low-light image enhancement with normalizing flow, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 3
STRIDE = 2**LEVELS
_UNCOUPLED = 2  # steps at the start of each level
_HIDDEN = 64
_LEAST_SCALE = 1e-4
_LEAST_DEVIATION = 1e-6


class Mapped(NamedTuple):
    """What a layer makes of a tensor.

    Args:
        value: (n, c, h, w).
        log_det: natural logarithm of the absolute determinant of the map's derivative (n).
    """

    value: Tensor
    log_det: Tensor


class ActNorm(nn.Module):
    """(z + bias) exp(logs), for each channel.

    Args:
        channels: of z.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.follows_data = False

    def forward(self, z: Tensor) -> Tensor:
        """Run."""
        if self.follows_data:
            self._follow(z)
        result: Tensor = (z + self.bias) * self.logs.exp()
        return result

    def inverse(self, z: Tensor) -> Tensor:
        """Run backwards."""
        result: Tensor = z * (-self.logs).exp() - self.bias
        return result

    @torch.no_grad()
    def _follow(self, z: Tensor) -> None:
        mean = z.mean((0, 2, 3), keepdim=True)
        deviation = (z - mean).square().mean((0, 2, 3), keepdim=True).sqrt()
        self.bias.copy_(-mean)
        self.logs.copy_(-(deviation + _LEAST_DEVIATION).log())


@contextmanager
def following_data(module: nn.Module) -> Iterator[None]:
    """Meanwhile, every `ActNorm` in it that runs first takes what makes its result of mean 0 and deviation 1."""
    found = [one for one in module.modules() if isinstance(one, ActNorm)]
    for one in found:
        one.follows_data = True
    try:
        yield
    finally:
        for one in found:
            one.follows_data = False


class Mixing(nn.Module):
    """An invertible 1x1 convolution, at first a random rotation.

    Args:
        channels: of z.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])

    def forward(self, z: Tensor) -> Tensor:
        """Run."""
        return self._mixed(z, self.weight)

    def inverse(self, z: Tensor) -> Tensor:
        """Run backwards; the matrix is inverted in double precision."""
        return self._mixed(z, torch.linalg.inv(self.weight.cpu().double()).to(z))

    @staticmethod
    def _mixed(z: Tensor, matrix: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return torch.einsum("oc,nchw->nohw", matrix, z)  # convolutions may round to TF32

    @property
    def log_det(self) -> Tensor:
        """Of one pixel."""
        found: Tensor = torch.linalg.slogdet(self.weight.cpu().double())[1].to(self.weight)
        return found


class _Normed(nn.Conv2d):
    """A convolution without bias, and ActNorm."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__(inputs, _HIDDEN, size, padding=size // 2, bias=False)
        nn.init.normal_(self.weight, 0.0, 0.05)
        self.actnorm = ActNorm(_HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.actnorm(super().forward(x))
        return result


class _Zero(nn.Conv2d):
    """A convolution that gives 0 at first, and learns its scale as a logarithm."""

    def __init__(self, outputs: int) -> None:
        super().__init__(_HIDDEN, outputs, 3, padding=1)
        for one in self.parameters():
            nn.init.zeros_(one)
        self.logs = nn.Parameter(torch.zeros(outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (3 * self.logs).exp()


def _subnet(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_Normed(inputs, 3), nn.ReLU(), _Normed(_HIDDEN, 1), nn.ReLU(), _Zero(outputs))


class Affine(nn.Module):
    """Scale and shift of all channels by the condition; then of the second half by the first half, too.

    Args:
        channels: of z.
        condition: channels of the condition.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.fAffine = _subnet(channels // 2 + condition, channels // 2 * 2)
        self.fFeatures = _subnet(condition, channels * 2)

    def forward(self, z: Tensor, condition: Tensor) -> Mapped:
        """Run."""
        scale, shift = _scale_and_shift(self.fFeatures, condition, z)
        z, log_det = (z + shift) * scale, _summed_log(scale)
        first, second = z.chunk(2, 1)
        scale, shift = _scale_and_shift(self.fAffine, torch.cat([first, condition.to(z.dtype)], 1), z)
        return Mapped(torch.cat([first, (second + shift) * scale], 1), log_det + _summed_log(scale))

    def inverse(self, z: Tensor, condition: Tensor) -> Mapped:
        """Run backwards."""
        first, second = z.chunk(2, 1)
        scale, shift = _scale_and_shift(self.fAffine, torch.cat([first, condition.to(z.dtype)], 1), z)
        z, log_det = torch.cat([first, second / scale - shift], 1), -_summed_log(scale)
        scale, shift = _scale_and_shift(self.fFeatures, condition, z)
        return Mapped(z / scale - shift, log_det - _summed_log(scale))


def _scale_and_shift(subnet: nn.Module, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    raw = subnet(x).to(like.dtype)
    return (raw[:, 1::2] + 2).sigmoid() + _LEAST_SCALE, raw[:, ::2]


def _summed_log(scale: Tensor) -> Tensor:
    return scale.log().sum((1, 2, 3))


class Step(nn.Module):
    """ActNorm, mixing, and with a condition the affine layers.

    Args:
        channels: of z.
        condition: channels of the condition; None = none is looked at.
    """

    def __init__(self, channels: int, condition: int | None) -> None:
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.invconv = Mixing(channels)
        self.affine = None if condition is None else Affine(channels, condition)

    def forward(self, z: Tensor, condition: Tensor) -> Mapped:
        """Run."""
        z = self.invconv(self.actnorm(z))
        log_det = self._log_det(z)
        if self.affine is None:
            return Mapped(z, log_det)
        z, more = self.affine(z, condition)
        return Mapped(z, log_det + more)

    def inverse(self, z: Tensor, condition: Tensor) -> Mapped:
        """Run backwards."""
        log_det = -self._log_det(z)
        if self.affine is not None:
            z, more = self.affine.inverse(z, condition)
            log_det = log_det + more
        return Mapped(self.actnorm.inverse(self.invconv.inverse(z)), log_det)

    def _log_det(self, z: Tensor) -> Tensor:
        of_pixel = self.actnorm.logs.sum() + self.invconv.log_det
        return (z.shape[-2] * z.shape[-1] * of_pixel).expand(len(z))


class Squeeze(nn.Module):
    """Cells of 2x2 pixels become channels: (n, 4 c, h / 2, w / 2), channel 4 c + 2 y + x."""

    def forward(self, z: Tensor, _: Tensor) -> Mapped:
        """Run."""
        return Mapped(F.pixel_unshuffle(z, 2), z.new_zeros(len(z)))

    def inverse(self, z: Tensor, _: Tensor) -> Mapped:
        """Run backwards."""
        return Mapped(F.pixel_shuffle(z, 2), z.new_zeros(len(z)))


class Flow(nn.Module):
    """Three levels, each of half the size, none of which is split off.

    Args:
        channels: of the picture.
        conditions: channels of the conditions of every level.
        steps: conditional steps of each level.
    """

    def __init__(self, channels: int, conditions: int, steps: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(LEVELS):
            channels *= 4
            layers.append(Squeeze())
            layers += [Step(channels, None) for _ in range(_UNCOUPLED)]
            layers += [Step(channels, conditions) for _ in range(steps)]
        self.layers = nn.ModuleList(layers)

    def forward(self, picture: Tensor, conditions: Sequence[Tensor]) -> Mapped:
        """The latent (n, 64 c, h / 8, w / 8) of a picture (n, c, h, w); h and w multiples of 8."""
        return self._through(picture, conditions, self.layers, "forward")

    def inverse(self, latent: Tensor, conditions: Sequence[Tensor]) -> Mapped:
        """The picture of a latent, and the logarithm of this direction's determinant."""
        return self._through(latent, conditions, reversed(self.layers), "inverse")

    def _through(self, z: Tensor, conditions: Sequence[Tensor], layers: Iterable[nn.Module], way: str) -> Mapped:
        per_level = len(self.layers) // LEVELS
        level = {id(layer): conditions[i // per_level] for i, layer in enumerate(self.layers)}
        log_det = z.new_zeros(len(z))
        for layer in layers:
            z, more = getattr(layer, way)(z, level[id(layer)])
            log_det = log_det + more
        return Mapped(z, log_det)
