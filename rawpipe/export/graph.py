"""Graph: tensors in, tensors out; what a host program needs to know of a model or a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Port:
    """An input or output: float32.

    Args:
        name: as hosts spell it.
        shape: sizes; "h" and "w" stand for those that a host chooses, in multiples of the graph's.
        says: meaning, unit, order, and what must have been done to it, in one sentence.
        low: the least number that is usual; the graph is tried on numbers between.
        high: the greatest.
    """

    name: str
    shape: tuple[int | str, ...]
    says: str
    low: float = 0.0
    high: float = 1.0

    def tried(self, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Usual numbers at a size."""
        sizes = {"h": height, "w": width}
        shape = [sizes[size] if isinstance(size, str) else size for size in self.shape]
        return self.low + (self.high - self.low) * torch.rand(shape, generator=generator)


@dataclass(frozen=True, eq=False)
class Graph:
    """A module of plain torch, and what is to be said about it.

    Args:
        module: its `forward` takes the inputs in order, and gives one tensor for one output, else a tuple.
        inputs: of the module.
        outputs: likewise.
        title: what it is, in one sentence.
        multiple: what h and w are multiples of.
        tolerance: by how much a result may differ from torch's.
        says: facts for the file: weights, licence, parameters.
    """

    module: nn.Module
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    title: str
    multiple: int = 1
    tolerance: float = 1e-4
    says: Mapping[str, str] = field(default_factory=dict)

    def tried(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Usual inputs, the same every time, of about that size."""
        height, width = (-(-size // self.multiple) * self.multiple for size in (height, width))
        generator = torch.Generator().manual_seed(0)
        return tuple(port.tried(height, width, generator) for port in self.inputs)
