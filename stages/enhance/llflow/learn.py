"""How the model learns: by the likelihood of well-exposed pictures, or for comparison by their distance.

References:
    Wang et al. (2022), Low-light image enhancement with normalizing flow, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from rawpipe import StageError
from rawpipe.metrics import psnr_db
from rawpipe.stages.enhance.evaluation.display import OF_TRUTH, psnr_in_8_bits
from rawpipe.stages.enhance.llflow.domains import shown_raw, to_display, to_linear
from rawpipe.stages.enhance.llflow.flow import STRIDE
from rawpipe.stages.enhance.llflow.inputs import color_map, logarithm
from rawpipe.stages.enhance.llflow.model import Design, bits_per_pixel
from rawpipe.stages.enhance.training.batch import Batch
from rawpipe.stages.enhance.training.config import Config
from rawpipe.stages.enhance.training.data import Opened
from rawpipe.stages.enhance.training.lol import Lit, LolPatches, middles
from rawpipe.stages.enhance.training.look import developed, in_a_row
from rawpipe.stages.enhance.training.loop import Judged

_LOSSES = ("nll", "l1")
_MEASURED, _WIDE = 48, 256  # pictures on which the light is, and their longest side
_SPREAD, _SALT = 0x9E3779B1, 0x3C6EF372


@dataclass(frozen=True)
class Objective:
    """What is learned.

    Args:
        loss: "nll", the likelihood of the well-exposed pictures, or "l1", the distance of the likeliest one to them.
        true_colors: how often the latent's mean is the colour map of the well-exposed picture itself, from which
            the encoder's learns what it should be.
        noise: width of the uniform noise that the pictures get for "nll", so that no level of 8 bits is a spike that
            the flow could chase; 0 = none, as published.

    Raises:
        StageError: the loss isn't known, or a number is out of range.
    """

    loss: str = "nll"
    true_colors: float = 0.2
    noise: float = 1 / 255

    def __post_init__(self) -> None:
        if self.loss not in _LOSSES:
            raise StageError(f"got loss {self.loss!r}; expected {' or '.join(_LOSSES)}")
        for name in ("true_colors", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise StageError(f"got {name} {getattr(self, name)}; expected a number from 0 to 1")


TABLES: Mapping[str, type] = {"model": Design, "objective": Objective}


def recipe(config: Config, opened: Opened) -> Flowing:
    """How the model of a configuration learns.

    Raises:
        StageError: the data are not of the network's domain.
    """
    design: Design = config.own["model"]
    domain = "rgb" if config.data.lol else "raw"
    if design.domain != domain:
        source = "lol" if config.data.lol else "photographs, RAW files or pairs of exposures"
        raise StageError(
            f"got domain {design.domain!r} to learn from {source}; expected {domain!r}: set model.domain, or name "
            "other data"
        )
    return Flowing(design, config.own["objective"], opened.batches, opened.held_out)


@dataclass(frozen=True)
class Flowing:
    """The likelihood of whole batches; which of them have the true colours for a mean is drawn.

    Args:
        design: the network.
        objective: what is learned.
        batches: what is learned from; the normalisations follow the first one at the start.
        held_out: batches to validate on, by name.
    """

    design: Design
    objective: Objective
    batches: Dataset[Any]
    held_out: dict[str, Batch | Lit] = field(default_factory=dict)

    calls = ("estimate",)

    def build(self) -> nn.Module:
        """The network, its normalisations fitted to the first batch."""
        network = self.design.build()
        network.initialise(*pair(self.batches[0]))
        return network

    def loss(self, network: Any, batch: Batch | Lit, index: int) -> Tensor:
        """Bits per pixel, or the mean distance."""
        dark, bright = pair(batch)
        if self.objective.loss == "l1":
            distance: Tensor = (network.estimate(dark) - bright).abs().mean()
            return distance
        generator = torch.Generator(bright.device).manual_seed((index * _SPREAD + _SALT) % 2**32)
        true_colors = bool(torch.rand((), generator=generator, device=bright.device) < self.objective.true_colors)
        noise = torch.rand(bright.shape, generator=generator, device=bright.device) - 0.5
        latent, log_det, colors = network(dark, bright + self.objective.noise * noise)
        mean = self.design.mean(color_map(bright) if true_colors else colors)
        return bits_per_pixel(latent, log_det, mean, bright.shape[-2] * bright.shape[-1]).mean()

    def settled(self, tensors: Mapping[str, Tensor]) -> Design:
        """The design that goes with learned weights: on RGB with the light that their likeliest pictures lack.

        The middle of the latent isn't the middle of the light: likeliest pictures are darker than true ones. How much
        is seen on whole pictures, not on patches, whose borders are brighter.
        """
        if not isinstance(self.batches, LolPatches):  # elsewhere the light is known
            return self.design
        network = self.design.build()
        network.load_state_dict(tensors)
        found = wanted = 0.0
        with torch.inference_mode():
            for shots in self.batches.pairs[:: -(-len(self.batches.pairs) // _MEASURED)]:
                dark, bright = pair(middles([shots], min(_WIDE, *shots.low.shape[1:]) // STRIDE * STRIDE))
                found += float(to_linear(network.estimate(dark)).mean())
                wanted += float(to_linear(bright).mean())
        return replace(self.design, light=wanted / found) if found > 0 and wanted > 0 else self.design

    def judge(self, network: Any, device: torch.device) -> Judged:
        """PSNR of the likeliest picture of what was held out, in dB on packed RAW, saturation = 1.

        For display-referred pictures on RGB in 8 bits: as it is, and with the brightness of the truth, as published.
        """
        figures, rows = {}, []
        for name, kept in self.held_out.items():
            batch = type(kept)(*(value.to(device) for value in kept))
            found = network.estimate(pair(batch)[0])
            if isinstance(batch, Lit):
                figures[name] = _mean(psnr_in_8_bits, found, batch.high)
                figures[f"{name}, {OF_TRUTH}"] = _mean(partial(psnr_in_8_bits, alignment=OF_TRUTH), found, batch.high)
                pictures = (batch.low, found.clamp(0, 1), batch.high)
            else:
                clean = to_linear(found)
                figures[name] = _mean(psnr_db, clean, batch.clean)
                pictures = (developed(batch.dim), developed(clean), developed(batch.clean))
            rows.append(torch.cat([in_a_row(one) for one in pictures], 2))
        return Judged(figures, torch.cat(rows, 1))


def _mean(measure: Callable[[Tensor, Tensor], float], results: Tensor, truths: Tensor) -> float:
    return sum(map(measure, results, truths)) / len(results)


def pair(batch: Batch | Lit) -> tuple[Tensor, Tensor]:
    """What the network is shown of a batch, and the picture that it should find."""
    if isinstance(batch, Lit):
        return torch.cat([logarithm(batch.low), batch.equal], 1), batch.high
    return shown_raw(batch.dim, batch.shot, batch.read, batch.ratio), to_display(batch.clean)
