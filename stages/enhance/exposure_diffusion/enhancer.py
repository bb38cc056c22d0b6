"""ExposureDiffusion as a model of `Enhance`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rawpipe import Noise, StageError
from rawpipe.stages.enhance.about import bundled
from rawpipe.stages.enhance.bands import in_bands
from rawpipe.stages.enhance.draws import keyed
from rawpipe.stages.enhance.enhancer import Given, Run
from rawpipe.stages.enhance.exposure_diffusion.load import NAME, Loaded, loaded
from rawpipe.stages.enhance.exposure_diffusion.model import LEAST_SHOT, Light
from rawpipe.stages.enhance.exposure_diffusion.process import mean_field, schedule
from rawpipe.stages.enhance.exposure_diffusion.windows import Network
from rawpipe.stages.enhance.limits import GUARD_RADIUS, believed, brightest_seen, check_guard
from rawpipe.stages.enhance.loading import check_precision, in_half
from rawpipe.stages.enhance.mirror import MIRROR_RADIUS, over_mirror_images

if TYPE_CHECKING:
    from rawpipe.export import Graph

_CPU = torch.device("cpu")
_DEFAULT, _DARK = "default", "dark"
_LIMIT = 0.05  # standard deviation of the noise at a tenth of saturation, from which on it is for the set "dark"
_DRAWING = 3  # steps: with one there is nothing to draw


@dataclass(frozen=True)
class ExposureDiffusion:
    """A dim mosaic exposed step by step: every step estimates the clean picture, and collects its photons.

    Args:
        steps: passes of the network, 1 to 16; None = as many as the weights learned. At a ratio of 1 there is nothing
            to collect, and one is run.
        weights: name of a set that comes with rawpipe, or the path of a file: .safetensors from `rawpipe train`, or a
            published checkpoint (.pt, .pth); None = "dark" where the noise at a tenth of saturation, behind the gain,
            is 0.05 of saturation or more, else "default".
        photons: "mean", as many as expected, or "drawn", Poisson numbers from the seed and the pixel's place.
        guard: standard deviations of noise by which the model may change the mean of 9x9 cells; a fourth as many for
            65x65 cells, three times as many for a single pixel; 0 = no guard.
        precision: of the network: "float32", "bfloat16", or "auto": the latter where the device has instructions
            for it.
        mirrored: whether to take the mean over the picture and its mirror images, at four times the cost; not with
            drawn photons.

    Raises:
        StageError: a parameter is out of range.
        FormatError: the weights can't be used; raised when they are first needed.

    References:
        Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement.
    """

    steps: int | None = None
    weights: str | None = None
    photons: str = "mean"
    guard: float = 4.0
    precision: str = "auto"
    mirrored: bool = False

    exposure = "auto"
    bounded = True
    trial = (512, 64)

    def __post_init__(self) -> None:
        if self.steps is not None and not (type(self.steps) is int and 1 <= self.steps <= 16):
            raise StageError(f"got steps {self.steps!r}; expected a whole number from 1 to 16, or None")
        if self.photons not in ("mean", "drawn"):
            raise StageError(f"got photons {self.photons!r}; expected mean or drawn")
        check_guard(self.guard)
        check_precision(self.precision)
        if type(self.mirrored) is not bool:
            raise StageError(f"got mirrored {self.mirrored!r}; expected True or False")
        if self.mirrored and self.photons == "drawn":
            raise StageError("got mirrored with drawn photons, which belong to places; expected photons 'mean'")
        if self.weights is not None:
            object.__setattr__(self, "weights", str(self.weights))  # a Path too

    def suited(self, noise: Noise) -> ExposureDiffusion:
        """The same with the set for this noise, where no weights are named.

        Args:
            noise: of the planes that the model gets, per site (4).
        """
        if self.weights is not None:
            return self
        deviation = float(noise.variance(torch.full_like(noise.shot, 0.1)).mean().sqrt())
        return replace(self, weights=_DARK if deviation >= _LIMIT else _DEFAULT)

    @property
    def passes(self) -> int:
        """Passes of the network: `steps`, or what the weights learned."""
        return self._loaded(_CPU).steps if self.steps is None else self.steps

    @property
    def halo(self) -> int:
        """What every step needs around a pixel, and the guard."""
        context = self.passes * self._network(_CPU).reach + (GUARD_RADIUS if self.guard else 0)
        return context + (MIRROR_RADIUS if self.mirrored else 0)

    @property
    def grid(self) -> int:
        """The network's stride, or the distance of its windows."""
        return self._network(_CPU).grid

    def weights_used(self) -> str:
        """Hash, name, licence and training data of the weights; of both sets where none is named."""
        sets = (_DEFAULT, _DARK) if self.weights is None else (self.weights,)
        return "; ".join(loaded(one, _CPU).said for one in sets)

    @property
    def working_bytes(self) -> int:
        """Of a pixel of the mosaic: planes of the first level at half size, and a few of its own; measured."""
        design = self._loaded(_CPU).design
        if design.pools:
            return 160 + 7 * design.first_level
        return 40 + round((3.5 if in_half(self.precision, _CPU) else 7) * design.first_level)

    @staticmethod
    def weight_sets() -> Mapping[str, Path]:
        """Files of the sets of weights that come with rawpipe, by name."""
        return bundled(NAME)

    def sampled(self) -> ExposureDiffusion:
        """The same with drawn photons and three steps or more: with other seeds it gives other pictures."""
        return replace(self, photons="drawn", mirrored=False, steps=max(self.passes, _DRAWING))

    def _network(self, device: torch.device) -> Network:
        return Network(self._loaded(device), in_half(self.precision, device))

    def _loaded(self, device: torch.device) -> Loaded:
        """The network; where no weights are named, that of "default", whose shape "dark" shares."""
        return loaded(self.weights or _DEFAULT, device)

    def graph(self) -> Graph:
        """The network and its steps with the photons that are expected, without the guard, for `rawpipe export`.

        Where no weights are named it is the network of "default".

        Raises:
            StageError: photons are drawn, or mirror images wanted.
        """
        if self.mirrored or self.photons == "drawn":
            raise StageError("got mirrored or drawn photons for a graph; expected neither: leave them out")
        from rawpipe.stages.enhance.exposure_diffusion.graph import graph_of

        return graph_of(self._loaded(_CPU), self.passes)

    def prepared(self, given: Given) -> Run:
        """The network on the noise's device, ready for this ratio."""
        if self.weights is None:
            return self.suited(given.noise).prepared(given)
        noise = given.noise
        network = self._network(noise.shot.device)
        shot = noise.shot.float()[:, None, None].clamp(min=LEAST_SHOT)
        read = (noise.read**2 + noise.row**2).sqrt().float()[:, None, None]
        light = Light(shot, read)
        multipliers = schedule(given.ratio, self.passes).tolist() if given.ratio > 1 else [1.0, 1.0]
        levels = [torch.full((), level, device=shot.device) for level in multipliers]
        top = brightest_seen(shot, read)

        def found(flat: Tensor, place: Tensor) -> Tensor:
            draw = mean_field if self.photons == "mean" else keyed(given.seed, place)
            return network.design.exposed(network, flat, light, levels, draw, in_bands, network.laid_out)

        def run(planes: Tensor, place: Tensor) -> Tensor:
            flat = planes.reshape(-1, *planes.shape[-3:]).float()
            clean = (over_mirror_images(found) if self.mirrored else found)(flat, place)
            clean = believed(flat, clean, noise, self.guard, top)
            return clean.to(planes.dtype).reshape(planes.shape)

        return run
