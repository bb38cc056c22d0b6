"""Weights from the room, from `rawpipe train`, or from a published checkpoint of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rawpipe import FormatError
from rawpipe.stages.enhance.llflow.model import Design, Network
from rawpipe.stages.enhance.loading import designed, fitted, kept, located, opened, published, said_of

NAME = "llflow"
_FIRST = "RRDB.conv_first.weight"
_WIDTHS = {32: "small", 64: "large"}
_WITHOUT_EFFECT = ("RRDB.downconv3.", "RRDB.HRconv.", "RRDB.conv_last.", "RRDB.awb_para.", "flowUpsamplerNet.f.")
"""Beginnings of keys in published checkpoints that nothing is computed with."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network ready to run, and the sentence that says what it is."""

    module: Network
    said: str

    @property
    def design(self) -> Design:
        """The network's."""
        return self.module.design


def loaded(weights: str, device: torch.device) -> Loaded:
    """The network with these weights on a device: the name of a set, or the path of a file.

    Raises:
        FormatError: there is no such set or file, or it isn't one for this model.
    """
    return kept(_read, located(weights, NAME), device)


def _read(path: Path, device: torch.device) -> Loaded:
    if path.suffix == ".safetensors":
        weights = opened(path, NAME)
        design, tensors, said = designed(weights, Design, path), weights.tensors, weights.said
    else:
        tensors = published(path, (_FIRST,), "LLFlow")
        design, said = design_of(tensors, path), said_of(path)
        tensors = {key: value for key, value in tensors.items() if not key.startswith(_WITHOUT_EFFECT)}
    module = fitted(design.build(), tensors, path, f"{design.size} LLFlow")
    return Loaded(module.to(device, memory_format=torch.channels_last), said)  # type: ignore[call-overload]


def design_of(tensors: Mapping[str, Tensor], path: Path) -> Design:
    """Which published network has this state dict, from the shape of its first layer."""
    shape = tuple(tensors[_FIRST].shape)
    width, inputs = shape[:2] if len(shape) == 4 else (0, 0)
    if width not in _WIDTHS or inputs != 12:
        raise FormatError(
            f"got {path}, an LLFlow of width {width} with {inputs} channels in; expected 32 or 64, and 12"
        )
    return Design("rgb", _WIDTHS[width])
