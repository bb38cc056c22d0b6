"""Weights of learned models: a safetensors file that says what it is, what it learned from, and under which licence.

All that is known of them stands as JSON in the file's own header, so that a file that was moved still knows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from rawpipe.io.atomic import replacing
from rawpipe.stages.enhance.about import FACTS, FORMAT, KEY, described


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors of a network, and where they come from.

    Args:
        enhancer: name of the enhancer that they are for.
        name: of the set: "default", "research".
        model: what the network is built from.
        licence: under which the weights may be used.
        research_only: whether the pictures that they learned from forbid products.
        learned_from: the training data and their licences, a sentence.
        training: configuration, hash of the data, and figures of the training.
        tensors: the state dict.
        sha256: of the file; empty for weights that were never in one.
    """

    enhancer: str
    name: str
    model: Mapping[str, Any]
    licence: str
    research_only: bool
    learned_from: str
    training: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    sha256: str = ""

    def write(self, path: Path) -> None:
        """Write the file, tensors as float16.

        Raises:
            FormatError: it can't be written.
        """
        about = {"format": FORMAT, **{key: getattr(self, key) for key in FACTS}}
        half = {name: value.detach().cpu().half().contiguous() for name, value in self.tensors.items()}
        with replacing(path) as temporary:
            temporary.write_bytes(save(half, {KEY: json.dumps(about, sort_keys=True)}))

    @property
    def said(self) -> str:
        """Hash, name, licence and training data, in one line."""
        return f"{self.sha256[:12]} {self.name}, {self.licence}, learned from {self.learned_from}"

    @classmethod
    def read(cls, path: Path) -> Weights:
        """The weights in a file that `write` made, tensors as float32.

        Raises:
            FormatError: there is no such file, or it is something else, damaged, or of a later format.
        """
        facts, content = described(path)
        floats = {name: value.to(torch.float32) for name, value in load(content).items()}
        return cls(**facts, tensors=floats)
