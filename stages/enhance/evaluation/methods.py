"""What is scored: a model in rawpipe's pipeline, no model, or a published checkpoint in its published process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rawpipe import CameraProfile, Frame, Pipeline, ProfileError, Stage
from rawpipe._published import ELD, gain_at
from rawpipe._recipe import make
from rawpipe.stages.enhance.enhancer import Enhancer
from rawpipe.stages.enhance.stage import Enhance
from rawpipe.stages.enhance.training.pairs import Pair, check_sizes, noise_of
from rawpipe.stages.enhance.training.planes import centre, linear, packed_cells, published_planes, read_cells, spare


class Compared(NamedTuple):
    """Two pictures as packed planes (4, h, w) in 0..1, at the brightness of the clean one."""

    result: Tensor
    truth: Tensor


class Method(Protocol):
    """What makes a clean picture of a noisy one."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What a table must say of it: model, steps, weights, noise, preprocessing."""

    def __call__(self, pair: Pair, side: int | None) -> Compared:
        """The result for a pair, and the truth, both prepared alike; of the middle `side` packed pixels if given."""


@dataclass(frozen=True, eq=False)
class Enhanced:
    """A model of `Enhance` behind NoiseCalibration and BlackLevel; or without one, the picture brightened.

    Args:
        model: the model; None = none.
        name: under which it is given.
        noise: a camera's profile, the name of a published camera, or None for the published noise of the pair's camera.
        device: where it runs.
    """

    model: Enhancer | None = None
    name: str = "none"
    noise: CameraProfile | str | None = None
    device: str = "cpu"

    @property
    def facts(self) -> dict[str, str]:
        """See `Method`."""
        used = getattr(self.model, "weights_used", None)
        of = f"profile of {self.noise.name}" if isinstance(self.noise, CameraProfile) else "published noise"
        camera = "" if isinstance(self.noise, CameraProfile) else f" of {self.noise or 'each camera'}"
        return {
            "model": self.name,
            "steps": str(getattr(self.model, "steps", "-")),
            "weights": "-" if used is None else used(),
            "noise": "-" if self.model is None else f"{of}{camera}, at each picture's ISO",
            "preprocessing": "rawpipe's: black and saturation of each file, nothing cut before the ratio",
        }

    def __call__(self, pair: Pair, side: int | None) -> Compared:
        """See `Method`."""
        noisy, clean = (_cropped(path, side).to(self.device) for path in (pair.noisy, pair.clean))
        stages: list[Stage] = [make("black_level", {})]
        if self.model is not None:
            stages.insert(0, make("noise_calibration", {"profile": noise_of(pair, self.noise)}))
            stages.append(Enhance(self.model, exposure=pair.ratio))
        result = Pipeline(stages)(noisy)
        missing = pair.ratio / result.exposure_gain  # of the ratio: all of it without a model
        return _compared(packed_cells(result.scaled(missing)), packed_cells(linear(clean)), pair)


def _cropped(path: Path, side: int | None) -> Frame:
    """The counts of a file, or of the middle of it."""
    frame = read_cells(path)
    if side is None:
        return frame
    top, left = (beyond // 2 * 2 for beyond in spare((frame.height // 2, frame.width // 2), side, path))
    return frame.crop(top, left, 2 * side, 2 * side)


def _compared(result: Tensor, truth: Tensor, pair: Pair) -> Compared:
    check_sizes(pair, result, truth)
    return Compared(result.clamp(0, 1).cpu(), truth.clamp(0, 1).cpu())


Process = Callable[[Tensor, Tensor, float, float], Tensor]
"""Planes R, G1, B, G2 (4, h, w) in 0..1 at the clean picture's brightness, the clean ones, the ratio, and the gain in
DN per electron in; the result out."""


@dataclass(frozen=True, eq=False)
class Published:
    """The published preprocessing and process, which is shown the clean picture at every step: to reproduce figures.

    Args:
        process: of a published checkpoint.
        name: under which it is given.
        steps: of the process.
        weights: which they are, in a line.
        camera: whose published gain the process uses; None = the pair's.
    """

    process: Process
    name: str
    steps: int
    weights: str
    camera: str | None = None

    @property
    def facts(self) -> dict[str, str]:
        """See `Method`."""
        return {
            "model": f"{self.name}, as published: every step's estimate is scaled by the clean picture",
            "steps": str(self.steps),
            "weights": self.weights,
            "noise": f"published gain of {self.camera or 'each camera'}, at each picture's ISO",
            "preprocessing": "published: white 16383, cut to 0..1 before and behind the ratio",
        }

    def __call__(self, pair: Pair, side: int | None) -> Compared:
        """See `Method`."""
        noisy, clean = (
            planes if side is None else centre(planes, side, path)
            for path in (pair.noisy, pair.clean)
            for planes in (published_planes(path),)
        )
        check_sizes(pair, noisy, clean)
        dim = (noisy * pair.ratio).clamp(0, 1)
        with torch.inference_mode():
            result = self.process(dim, clean, pair.ratio, _gain(self.camera or pair.camera, pair.iso))
        return _compared(result, clean, pair)


def _gain(camera: str, iso: float) -> float:
    try:
        return gain_at(camera, iso)
    except KeyError as error:
        raise ProfileError(
            f"got camera {camera}, whose gain isn't published as a line; expected {', '.join(ELD)}"
        ) from error
