"""LLFlow behind `Enhance`: the likeliest well-exposed picture, or samples of all that are likely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from rawpipe import FormatError, Space, StageError, bayer
from rawpipe.stages.enhance.about import bundled
from rawpipe.stages.enhance.draws import normal
from rawpipe.stages.enhance.enhancer import Given, Run, Shown
from rawpipe.stages.enhance.equalise import equalisation, in_8_bits
from rawpipe.stages.enhance.limits import GUARD_RADIUS, believed, brightest_seen, check_guard
from rawpipe.stages.enhance.llflow.brightness import offset
from rawpipe.stages.enhance.llflow.domains import shown_raw, shown_rgb, to_display, to_linear
from rawpipe.stages.enhance.llflow.flow import STRIDE
from rawpipe.stages.enhance.llflow.load import NAME, Loaded, loaded
from rawpipe.stages.enhance.llflow.model import Network
from rawpipe.stages.enhance.loading import check_precision, in_half

if TYPE_CHECKING:
    from rawpipe.export import Graph

_CPU = torch.device("cpu")
_SETS = {"raw": "default", "rgb": "lol"}
_DRAWING = 0.7  # temperature of samples where none is named
_HALO = 64
_SMALL = 192  # longest side of the picture that brightness is measured on


@dataclass(frozen=True)
class LLFlow:
    """A dim mosaic as one of the well-exposed pictures that it may come from, by their likelihood.

    Args:
        domain: "raw", mosaics; or "rgb", display-referred RGB as in the paper.
        temperature: 0 = the likeliest picture, the same every time; above, samples whose latent deviates so much from
            its mean: 1 = as the model believes.
        samples: how many are averaged, in linear light; only with a temperature above 0.
        weights: name of a set that comes with rawpipe, or the path of a file: .safetensors from `rawpipe train`; None =
            the domain's own set.
        guard: standard deviations of noise by which the model may change the mean of 9x9 cells; a fourth as many for
            65x65 cells, three times as many for a single pixel; 0 = no guard.
        precision: of the networks: "float32"; "bfloat16", with which tiles agree to 0.003 only; or "auto": the latter
            where the device has instructions for it. The flow itself stays in float32.

    Raises:
        StageError: a parameter is out of range.
        FormatError: the weights can't be used; raised when they are first needed.

    References:
        Wang et al. (2022), Low-light image enhancement with normalizing flow.
    """

    domain: str = "raw"
    temperature: float = 0.0
    samples: int = 1
    weights: str | None = None
    guard: float = 4.0
    precision: str = "float32"

    exposure = "auto"
    bounded = True
    trial = (512, 64)
    grid = STRIDE

    def __post_init__(self) -> None:
        if self.domain not in _SETS:
            raise StageError(f"got domain {self.domain!r}; expected {' or '.join(_SETS)}")
        if not (isinstance(self.temperature, int | float) and 0 <= self.temperature <= 1):
            raise StageError(f"got temperature {self.temperature!r}; expected a number from 0 to 1")
        if not (type(self.samples) is int and self.samples >= 1):
            raise StageError(f"got samples {self.samples!r}; expected a whole number, 1 or more")
        if self.samples > 1 and not self.temperature:
            raise StageError(
                f"got {self.samples} samples at temperature 0, which are all the same; expected a temperature"
            )
        check_guard(self.guard)
        check_precision(self.precision)
        if self.weights is not None:
            object.__setattr__(self, "weights", str(self.weights))  # a Path too

    @property
    def takes(self) -> Space:
        """MOSAIC or RGB."""
        return Space.MOSAIC if self.domain == "raw" else Space.RGB

    @property
    def halo(self) -> int:
        """What is seen of an estimate's surroundings, and the guard."""
        return _HALO + (GUARD_RADIUS if self.guard and self.domain == "raw" else 0)

    @property
    def working_bytes(self) -> int:
        """Of a pixel of the frame; a mosaic has a quarter as many cells."""
        small = self._loaded(_CPU).design.size == "small"
        return (260 if small else 550) * (1 if self.domain == "raw" else 4)

    @staticmethod
    def weight_sets() -> Mapping[str, Path]:
        """Files of the sets of weights that come with rawpipe, by name."""
        return bundled(NAME)

    def weights_used(self) -> str:
        """Hash, name, licence and training data of the weights."""
        return self._loaded(_CPU).said

    def sampled(self) -> LLFlow:
        """The same with one sample: with other seeds it gives other pictures."""
        return replace(self, temperature=self.temperature or _DRAWING, samples=1)

    def _loaded(self, device: torch.device) -> Loaded:
        found = loaded(self.weights or _SETS[self.domain], device)
        if found.design.domain != self.domain:
            raise FormatError(
                f"got weights {self.weights}, which are for {found.design.domain}; expected {self.domain}: "
                f"LLFlow(domain={found.design.domain!r})"
            )
        return found

    def graph(self) -> Graph:
        """The network at temperature 0, without the guard, for `rawpipe export`.

        Raises:
            StageError: samples are wanted.
        """
        if self.temperature:
            raise StageError(f"got temperature {self.temperature} for a graph; expected 0: leave it out")
        from rawpipe.stages.enhance.llflow.graph import graph_of

        return graph_of(self._loaded(_CPU))

    def prepared(self, given: Given) -> Run:
        """The network on the noise's device, ready for this ratio."""
        noise = given.noise
        network = self._loaded(noise.shot.device).module
        shot = noise.shot.float()[:, None, None]
        read = (noise.read**2 + noise.row**2).sqrt().float()[:, None, None]
        ratio = torch.tensor(given.ratio, device=shot.device)
        top = brightest_seen(shot, read)

        def run(planes: Tensor, place: Tensor) -> Tensor:
            flat = planes.reshape(-1, *planes.shape[-3:]).float()
            dark = shown_raw(flat, shot, read, ratio)
            clean = self._found(network, dark, place, given.seed)
            clean = torch.where(clean.isfinite(), clean, flat.clamp(0, 1))
            clean = believed(flat, clean, noise, self.guard, top)
            return clean.to(planes.dtype).reshape(planes.shape)

        return run

    def shown(self, shown: Shown) -> Run:
        """The network on the picture's device, with the equalisation of all of it."""
        network, picture = self._loaded(shown.picture.device).module, shown.picture.float()
        tables = equalisation(in_8_bits(picture))
        off: Tensor | float = 0.0
        ratio = shown.brightness * network.design.light
        if ratio != 1:
            shrink = min(1.0, _SMALL / max(picture.shape[-2:]))
            height, width = (max(STRIDE, round(shrink * length / STRIDE) * STRIDE) for length in picture.shape[-2:])
            small = F.adaptive_avg_pool2d(picture[None], (height, width))
            with torch.no_grad():
                off = offset(network, shown_rgb(small, tables), ratio)

        def run(picture: Tensor, place: Tensor) -> Tensor:
            dark = shown_rgb(picture[None].float(), tables)
            result = to_display(self._found(network, dark, place, shown.seed, off)[0]).to(picture.dtype)
            return torch.where(result.isfinite(), result, picture.clamp(0, 1))

        return run

    def _found(self, network: Network, dark: Tensor, place: Tensor, seed: int, off: Tensor | float = 0.0) -> Tensor:
        """The likeliest picture or the mean of samples around it, linear in 0..1, of inputs of any size.

        Args:
            network: the model.
            dark: its inputs.
            place: of the first pixel in the whole frame.
            seed: of samples.
            off: added to the mean of the latent.
        """
        height, width = dark.shape[-2:]
        padded = bayer.extended(bayer.extended(dark, 0, -height % STRIDE, -2), 0, -width % STRIDE, -1)
        padded = padded.contiguous(memory_format=torch.channels_last)
        with torch.autocast(dark.device.type, torch.bfloat16, enabled=in_half(self.precision, dark.device)):
            conditions = network.conditions(padded)
            mean = network.design.mean(conditions.colors) + off
            if not self.temperature:
                return to_linear(network.decode(mean, conditions).value)[..., :height, :width]
            total = torch.zeros_like(conditions.colors)
            for number in range(self.samples):
                drawn = normal(mean.shape, place // STRIDE, seed, number).to(mean)
                total += to_linear(network.decode(mean + self.temperature * drawn, conditions).value)
        return total[..., :height, :width] / self.samples
