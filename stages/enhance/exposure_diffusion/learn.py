"""How the model learns: from its own trajectory, without the clean picture inside the loop.

References:
    Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, sections 3.2 to 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from rawpipe import StageError
from rawpipe.metrics import psnr_db
from rawpipe.stages.enhance.exposure_diffusion.head import Estimate
from rawpipe.stages.enhance.exposure_diffusion.loss import StepWeights, exposure_loss, step_loss
from rawpipe.stages.enhance.exposure_diffusion.model import LEAST_SHOT, Design, Light
from rawpipe.stages.enhance.exposure_diffusion.process import Draw, expose, mean_field, next_state, sampled
from rawpipe.stages.enhance.training.batch import Batch
from rawpipe.stages.enhance.training.config import Config
from rawpipe.stages.enhance.training.data import Opened
from rawpipe.stages.enhance.training.look import developed, in_a_row
from rawpipe.stages.enhance.training.loop import Judged

_LOSSES = ("log", "log-plain", "l1")
_FLOOR = 1e-7  # of a mean squared error: 70 dB are good enough
_TYPICAL = (3.7e-3, 0.42)  # squared error of a fair estimate = first * (variance at a tenth of saturation) ** second
_SPREAD, _SALT = 0x9E3779B1, 0x7F4A7C15


@dataclass(frozen=True)
class Process:
    """What of the exposure process is learned.

    Args:
        steps: of a trajectory; 1 = a plain network.
        loss: "log", the mean logarithm of a patch's squared error, "log-plain", or "l1", the published one; see
            `log_error`.
        through: whether gradients run through whole trajectories, as published, with weights of the steps that are
            learned too; only for "l1". A batch then costs `steps` times as much as one of a plain network.

    Raises:
        StageError: the loss isn't known, or doesn't go with `through`.
    """

    steps: int = 3
    loss: str = "log"
    through: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 16:
            raise StageError(f"got steps {self.steps}; expected a whole number from 1 to 16")
        if self.loss not in _LOSSES:
            raise StageError(f"got loss {self.loss!r}; expected {' or '.join(_LOSSES)}")
        if self.through and self.loss != "l1":
            raise StageError(f"got through with loss {self.loss!r}; expected loss 'l1', the published one")


TABLES: Mapping[str, type] = {"model": Design, "process": Process}


def recipe(config: Config, opened: Opened) -> Exposing:
    """How the model of a configuration learns; one that pools over all it sees notes the size that it learns on.

    Raises:
        StageError: the data are no RAW.
    """
    if config.data.lol:
        raise StageError("got lol to learn from, which is display-referred; expected photographs, raw or pairs")
    design: Design = config.own["model"]
    process: Process = config.own["process"]
    if design.pools and design.window is None:
        design = replace(design, window=config.data.side)
    return Exposing(design, process, opened.held_out)


@dataclass(frozen=True)
class Exposing:
    """One step of a random trajectory is learned at a time; or, with `through`, all of them at once.

    Multipliers are drawn uniformly between 1 and the ratio. The steps before the one that is learned run without
    gradients: a step then costs 4/3 of a plain network's instead of 3. Half of the pictures collect Poisson photons,
    half their mean, so that one set of weights serves both ways of inference; with `through`, all collect Poisson
    photons, with the gradient of their mean.

    Args:
        design: the network.
        process: what of it is learned.
        held_out: batches to validate on, by name.
    """

    design: Design
    process: Process
    held_out: dict[str, Batch] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network, with fresh weights; with `through`, the weights of the steps are `beside` it."""
        network = self.design.build()
        if self.process.through:
            network.beside = StepWeights(self.process.steps)
        return network

    def loss(self, network: Callable[[Tensor], Tensor], batch: Batch, index: int) -> Tensor:
        """The loss of one step of the batch's trajectory; with `through`, of all."""
        batch = self._seen(batch)
        # A stream of its own: batches are drawn from generators that count from their seed on.
        generator = torch.Generator(batch.dim.device).manual_seed((index * _SPREAD + _SALT) % 2**32)
        steps = self.process.steps
        chosen = index % steps
        count = len(batch.dim)
        where = torch.rand(count, max(steps - 1, 1), generator=generator, device=batch.dim.device).sort(1).values
        multipliers = [torch.ones_like(batch.ratio)]
        multipliers += [1 + (batch.ratio - 1) * one[:, None, None, None] for one in where.unbind(1)]
        if self.process.through:
            estimates = self._exposed(network, batch, multipliers[:steps], sampled(generator))
            beside: Any = network
            return exposure_loss(estimates, batch.clean, beside.beside())
        drawn = (torch.rand(count, generator=generator, device=batch.dim.device) < 0.5)[:, None, None, None]

        def draw(mean: Tensor, _: int) -> Tensor:
            photons = torch.poisson(mean.nan_to_num(0.0), generator)  # which refuses NaN; the loop says it better
            return torch.where(drawn & mean.isfinite(), photons, mean)

        state = batch.dim
        with torch.no_grad():
            for i in range(chosen):
                clean = self.estimate(network, batch, state, multipliers[i]).clean
                here, follow = multipliers[i : i + 2]
                state = next_state(batch.dim, state, clean, batch.shot, here, follow, draw, i, self.design.markov)
        found = self.estimate(network, batch, state, multipliers[chosen])
        if self.process.loss == "l1":
            return step_loss(found, batch.clean)
        return log_error(found, batch, plain=self.process.loss == "log-plain")

    def estimate(
        self, network: Callable[[Tensor], Tensor], batch: Batch, state: Tensor, multiplier: Tensor
    ) -> Estimate:
        """The network's estimate from a state."""
        light = Light(batch.shot, batch.read)
        channels = self.design.channels(state, multiplier, batch.dim, light)
        return self.design.estimate(network(channels.contiguous(memory_format=torch.channels_last)), state)

    def judge(self, network: Callable[[Tensor], Tensor], device: torch.device) -> Judged:
        """PSNR of what was held out after one step and after all, in dB on packed RAW, saturation = 1."""
        figures, rows = {}, []
        for name, kept in self.held_out.items():
            batch = Batch(*(value.to(device) for value in kept))
            for steps in sorted({1, self.process.steps}):
                clean = torch.cat([self._clean(network, one, steps) for one in _singly(batch)])
                each = [psnr_db(one, truth) for one, truth in zip(clean, batch.clean, strict=True)]
                figures[f"{name}, {steps} step{'s' * (steps > 1)}"] = sum(each) / len(each)
            rows.append(torch.cat([in_a_row(developed(one)) for one in (batch.dim, clean, batch.clean)], 2))
        return Judged(figures, torch.cat(rows, 1))

    def _clean(self, network: Callable[[Tensor], Tensor], batch: Batch, steps: int) -> Tensor:
        batch = self._seen(batch)
        multipliers = [1 + (batch.ratio - 1) * (i / steps) for i in range(steps)]
        return self._exposed(network, batch, multipliers, mean_field)[-1].clean

    def _exposed(
        self, network: Callable[[Tensor], Tensor], batch: Batch, multipliers: Sequence[Tensor], draw: Draw
    ) -> list[Estimate]:
        return expose(
            lambda state, multiplier: self.estimate(network, batch, state, multiplier),
            batch.dim,
            batch.shot,
            [*multipliers, batch.ratio],
            draw,
            markov=self.design.markov,
        )

    def _seen(self, batch: Batch) -> Batch:
        batch = batch._replace(shot=batch.shot.clamp(min=LEAST_SHOT))
        return batch._replace(dim=batch.dim.clamp(0, 1)) if self.design.clipped else batch


def _singly(batch: Batch) -> list[Batch]:
    return [Batch(*(value[i : i + 1] for value in batch)) for i in range(len(batch.clean))]


def log_error(estimate: Estimate, batch: Batch, plain: bool = False) -> Tensor:
    """Mean over pictures of log10 of the squared error, before any clipping, and of what is typical at their noise.

    Pictures of all ratios then weigh alike, and so do the parts of one picture: without the typical error (`plain`),
    which is added before the logarithm, smooth parts would count as much as all others although they decide nothing
    of a picture's PSNR. The best estimate is the mean of what is possible, which keeps shadows as bright as they were;
    the L1 loss asks for the median, which darkens them. Half of the loss is that of the mixture, half that of its two
    parts where the mask trusts them, without which the head learns slowly.
    """
    clean, mask, direct, residual = batch.clean, estimate.mask, estimate.direct, estimate.raw_residual
    factor, power = _TYPICAL
    typical = _FLOOR if plain else factor * (0.1 * batch.shot + batch.read.square()).mean((1, 2, 3)) ** power

    def logarithm(errors: Tensor) -> Tensor:
        return (errors.mean((1, 2, 3)) + typical).log10().mean()

    if mask is None or direct is None or residual is None:
        return logarithm((estimate.clean - clean).square())
    mixed = mask * direct + (1 - mask) * residual
    parts = mask * (direct - clean).square() + (1 - mask) * (residual - clean).square()
    return (logarithm((mixed - clean).square()) + logarithm(parts)) / 2
