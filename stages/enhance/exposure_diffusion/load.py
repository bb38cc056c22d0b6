"""Weights from the room, from `rawpipe train`, or from a published checkpoint of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rawpipe import FormatError
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.loading import designed, fitted, kept, located, opened, published, said_of

NAME = "exposure_diffusion"
_PUBLISHED_STEPS = 3
_PUBLISHED_SIDE = 512  # of the packed patches that the published networks learned on


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network ready to run, the sentence that says what it is, and the steps of the trajectories that it learned."""

    design: Design
    module: nn.Module
    said: str
    steps: int


def loaded(weights: str, device: torch.device) -> Loaded:
    """The network with these weights on a device: the name of a set, or the path of a file.

    Raises:
        FormatError: there is no such set or file, or it isn't one for this model.
    """
    return kept(_read, located(weights, NAME), device)


def _read(path: Path, device: torch.device) -> Loaded:
    if path.suffix == ".safetensors":
        weights = opened(path, NAME)
        design = designed(weights, Design, path)
        module, said = built(design, weights.tensors, path), weights.said
        steps = int(weights.training.get("config", {}).get("process", {}).get("steps", _PUBLISHED_STEPS))
    else:
        tensors = network_in(path)
        design = design_of(tensors, path)
        module, said, steps = built(design, reordered(tensors), path), said_of(path), _PUBLISHED_STEPS
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Loaded(design, module, said, steps)


def network_in(path: Path) -> dict[str, Tensor]:
    """The state dict of the UNet or NAFNet in a published checkpoint.

    Raises:
        FormatError: there is none that can be read safely.
    """
    return published(path, ("conv10_1.weight", "intro.weight"), "UNet or NAFNet")


def built(design: Design, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network with the tensors of a file, to run and not to train.

    Raises:
        FormatError: they don't fit it, or aren't finite.
    """
    return fitted(design.build(), tensors, path, f"{design.backbone} of width {design.width}")


def design_of(tensors: Mapping[str, Tensor], path: Path) -> Design:
    """What the published network with this state dict is shown, from the shape of its first and last layer."""
    first, last = _ends(tensors)
    unet = first == "conv1_1"
    blocks = len({key.split(".")[1] for key in tensors if key.startswith("middle_blks.")})
    backbone = "unet" if unet else {1: "nafnet-1", 12: "nafnet-2"}.get(blocks)
    if backbone is None:
        raise FormatError(f"got {path}, a NAFNet with {blocks} blocks in its middle; expected 1 or 12")
    shapes = {key: tuple(tensors[key].shape) for key in (f"{first}.weight", f"{last}.weight") if key in tensors}
    if len(shapes) < 2 or not all(len(shape) == 4 for shape in shapes.values()) or f"{last}.bias" not in tensors:
        raise FormatError(
            f"got {path}, whose first or last layer is missing or of another shape; expected {first} and {last}, with "
            "weights of four dimensions and biases"
        )
    (width, inputs, _, _), (outputs, *_) = shapes.values()
    if inputs not in (4, 8, 12) or outputs not in (4, 9):
        raise FormatError(
            f"got {path}, a network of {inputs} channels in and {outputs} out; expected 4, 8 or 12, and 4 or 9"
        )
    window = None if unet else _PUBLISHED_SIDE
    return Design(backbone, width, inputs > 4, inputs > 8, sigma=False, head=outputs == 9, clipped=True, window=window)


def reordered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict for planes R, Gr, Gb, B: the published order is R, Gr, B, Gb.

    The first layer takes groups of four planes; the last one gives M, X and R, or one group of planes.
    """
    first, last = _ends(tensors)
    planes = torch.tensor([0, 1, 3, 2])
    into = torch.arange(tensors[f"{first}.weight"].shape[1]).reshape(-1, 4)[:, planes].flatten()
    outputs = len(tensors[f"{last}.weight"])
    mask = outputs % 4
    out = torch.cat([torch.arange(mask), torch.arange(mask, outputs).reshape(-1, 4)[:, planes].flatten()])
    moved = {f"{first}.weight": tensors[f"{first}.weight"][:, into]}
    moved |= {key: tensors[key][out] for key in (f"{last}.weight", f"{last}.bias")}
    return {**tensors, **moved}


def _ends(tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """Names of the first and the last layer."""
    return ("conv1_1", "conv10_1") if "conv10_1.weight" in tensors else ("intro", "ending")
