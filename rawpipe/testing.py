"""The laws that every stage keeps, ours and yours: `check_stage(MyStage())` in a test of your own.

And the frames they are checked on: `synthetic_frame`, a small sensor whose truth is known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import product

import torch
from torch import Tensor

from rawpipe import Color, Frame, Noise, Pipeline, Space, Stage, bayer
from rawpipe._recipe import make
from rawpipe._registry import installed
from rawpipe._stage import Measured, name_of, parameters_of
from rawpipe._tiles import Tiling, run_tiled

SIZES = ((34, 40), (33, 47), (40, 33), (61, 59))
NOISE_SIZE = (4096, 64)
"""Height and width of the pictures that noise is tried on: many rows, for row noise."""
_BORDER = (6, 38)  # masked rows above and columns left of the synthetic picture
_MATRIX = ((0.646, -0.116, -0.086), (-0.383, 1.160, 0.253), (-0.042, 0.154, 0.604))
_NEUTRAL = (0.45, 1.0, 0.62)


def synthetic_frame(
    space: Space = Space.SENSOR,
    height: int = 34,
    width: int = 40,
    cfa: str = "RGGB",
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    batch: tuple[int, ...] = (),
    level: float | None = None,
    noise: Noise | None = None,
    seed: int = 0,
) -> Frame:
    """A frame from a sensor with masked borders, different blacks per site, a colour matrix and an as-shot neutral.

    Args:
        space: space of the frame.
        height: rows of the picture.
        width: columns of the picture.
        cfa: phase of the picture's first pixel.
        dtype: floating type of the pixels; SENSOR frames are rounded to whole counts.
        device: device of the pixels.
        batch: leading dimensions.
        level: a flat neutral field at this share of saturation; None for noise-like texture from -0.05 to 1.1.
        noise: in the unit of a linear frame (black 0, saturation 1); the pixels get noise of that size.
        seed: of the texture and the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    planes = 4 if space.is_mosaic else 3
    shape = (*batch, height, width) if space.is_mosaic else (*batch, 3, height, width)
    neutral = torch.tensor(_NEUTRAL)
    if level is None:
        data = torch.rand(shape, generator=generator, dtype=torch.float64) * 1.15 - 0.05
    else:
        color = torch.ones(3) if space is Space.RGB else neutral
        flat = level * (
            bayer.spread(bayer.per_site(color), cfa, height, width) if space.is_mosaic else color[:, None, None]
        )
        data = flat.double().expand(shape).clone()
    black, white, bits = torch.tensor([512.0, 516.0, 520.0, 508.0]), torch.full((4,), 15520.0), 14
    scale = (white - black).min()
    if noise is not None:
        data = _with_noise(data, noise, cfa if space.is_mosaic else None, generator)
    if space is Space.SENSOR:
        data = (data * scale + bayer.spread(black, cfa, height, width)).round().clamp(0, 2**bits - 1)
        noise = None if noise is None else noise.scaled(scale)
    frame = Frame.from_array(
        data.to(dtype),
        cfa if space.is_mosaic else None,
        space=space,
        black=black if space is Space.SENSOR else 0,
        white=white if space is Space.SENSOR else 1,
        bits=bits,
        neutral=neutral,
        matrix=_MATRIX,
        noise=noise,
        color=Color("srgb") if space is Space.RGB else None,
        iso=800,
        make="Rawpipe",
        model="Rawpipe Synthetic",
        orientation=6,
    )
    top, left = _BORDER
    size, area = (height + top, width + left), (top, left, top + height, left + width)
    border = bayer.spread(black, bayer.rephase(cfa, -top, -left), *size).round().to(torch.uint16)
    shot = replace(
        frame.shot,
        black=black,
        white=white,
        size=size,
        active_area=area,
        default_crop=(4, 4, height - 4, width - 4),
        sensor=border,
    )
    origin = torch.tensor([top, left, *size])
    wb = 1 / neutral if space is Space.RGB else torch.ones(planes if planes == 3 else 3)
    levels = black if space.is_mosaic else black[[0, 1, 3]]
    return replace(frame, shot=shot, pedestal=levels, origin=origin, wb=wb).to(device)


def _with_noise(data: Tensor, noise: Noise, cfa: str | None, generator: torch.Generator) -> Tensor:
    height, width = data.shape[-2:]

    def lay(values: Tensor) -> Tensor:
        values = values.double()
        return bayer.spread(values, cfa, height, width) if cfa is not None else values[:, None, None]

    pixel = torch.randn(data.shape, generator=generator, dtype=torch.float64)
    row = torch.randn((*data.shape[:-1], 1), generator=generator, dtype=torch.float64)
    return data + pixel * (lay(noise.shot) * data.clamp(min=0) + lay(noise.read) ** 2).sqrt() + row * lay(noise.row)


def check_stage(
    stage: Stage,
    *,
    tile_tolerance: float = 0.0,
    noise_tolerance: float = 0.06,
    differentiable: bool = True,
    noise: Noise | None = None,
) -> None:
    """Hold a stage to the laws, over its spaces, four phases, odd sizes, dtypes, batches and devices at hand.

    Args:
        stage: the stage, with the parameters to check it with.
        tile_tolerance: largest difference between the tiled and the untiled result, and between a batch and its frames;
            0 = equal bits.
        noise_tolerance: largest relative error of the noise that the frame claims to have, see `check_noise`.
        differentiable: whether gradients must reach the input.
        noise: what all frames get, per site, in the unit of a linear mosaic, for a stage that needs to know it.

    Raises:
        AssertionError: the stage breaks a law; the message names it.
    """
    _check_form(stage)
    for frame in _frames(stage, noise):
        ready = stage.measure(frame) if isinstance(stage, Measured) else stage
        before = {f.name: value.clone() for f in fields(frame) if isinstance(value := getattr(frame, f.name), Tensor)}
        result = ready(frame)
        where = (
            f"{name_of(stage)} on {frame.space.label} {frame.cfa or ''} {tuple(frame.data.shape)} {frame.data.dtype}"
        )
        for name, value in before.items():
            _law(torch.equal(value, getattr(frame, name)), where, "the input stays untouched", f"{name} changed")
        expected = stage.gives or frame.space
        _law(result.space is expected, where, "the space is as declared", f"got {result.space}, expected {expected}")
        _law(result.data.isfinite().all(), where, "finite in, finite out", "got nan or infinity")
        dtypes = (frame.data.dtype, bayer.as_float(frame.data).dtype)
        kept = result.space is Space.CODES or result.data.dtype in dtypes  # of codes the frame itself sees to it
        _law(kept, where, "the dtype is kept, or counts become float32", f"got {result.data.dtype}")
        _law(result.data.device == frame.device, where, "the device is kept", f"got {result.device}")
        _law(torch.equal(ready(frame).data, result.data), where, "deterministic", "a second run differs")
        if ready.halo is not None:
            _check_tiles(ready, frame, result, where, tile_tolerance)
        if frame.data.ndim > (2 if frame.space.is_mosaic else 3):
            for index in range(len(frame.data)):
                gap = float((result.data[index].double() - ready(frame[index]).data.double()).abs().max())
                _law(gap <= tile_tolerance, where, "a batch is its frames", f"number {index} differs by {gap:.2g}")
        if differentiable and frame.data.is_floating_point():
            asked = replace(frame, data=frame.data.clone().requires_grad_())
            _law(ready(asked).data.requires_grad, where, "differentiable", "the result has no gradient")
    check_noise(stage, noise_tolerance)


def _check_form(stage: Stage) -> None:
    kind, name = type(stage), name_of(stage)
    frozen = getattr(getattr(stage, "__dataclass_params__", None), "frozen", False)
    _law(frozen, name, "a stage is a frozen dataclass", f"got {kind}")
    again = eval(repr(stage), vars(sys.modules[kind.__module__]) | {kind.__name__: kind})
    _law(again == stage, name, "repr round-trips", f"got {again!r}, expected {stage!r}")
    if name in installed() and installed()[name].load() is kind:
        _law(
            make(name, parameters_of(stage)) == stage,
            name,
            "the recipe round-trips",
            repr(make(name, parameters_of(stage))),
        )
        _law(
            Pipeline.from_recipe(Pipeline([stage]).recipe()).stages == (stage,), name, "TOML round-trips", "it differs"
        )


def _frames(stage: Stage, noise: Noise | None) -> Iterator[Frame]:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for space, (height, width), device in product(stage.takes, SIZES, devices):
        known = noise if noise is None or space.is_mosaic else noise.map(lambda sites: sites[[0, 1, 3]])
        made = partial(synthetic_frame, space, height, width, device=device, noise=known)
        for cfa in bayer.PHASES if space.is_mosaic else ("RGGB",):
            yield made(cfa)
        yield made("GBRG", dtype=torch.float64)
        yield made("BGGR", batch=(2,))
        if space is Space.SENSOR:
            yield made("GRBG", dtype=torch.uint16)


def _check_tiles(stage: Stage, frame: Frame, whole: Frame, where: str, tolerance: float) -> None:
    grid = stage.grid if not frame.space.is_mosaic or stage.grid % 2 == 0 else 2 * stage.grid
    for rows, columns in ((grid, 10**6), (3 * grid, 5 * grid)):
        tiled = run_tiled(stage, frame, Tiling(rows, columns, stage.halo or 0, grid), lambda share: None)
        law = f"tiled equals untiled with halo {stage.halo} and grid {stage.grid}"
        _law(tiled.data.shape == whole.data.shape, where, law, f"got {tiled.data.shape}, expected {whole.data.shape}")
        gap = float((tiled.data.double() - whole.data.double()).abs().max())
        _law(gap <= tolerance, where, law, f"got a difference of {gap:.2g} in windows of {rows}x{columns}")
        for name in ("black", "white", "wb", "exposure_gain", "neutral", "origin"):
            same = torch.equal(getattr(tiled, name), getattr(whole, name))
            _law(same, where, law, f"{name} differs: {getattr(tiled, name)}, expected {getattr(whole, name)}")


def check_noise(stage: Stage, tolerance: float = 0.06, *, noises: Sequence[Noise] = ()) -> None:
    """Hold what the result's `noise` says against the noise that is in the result, on flat neutral fields.

    What differs from the result without noise, in standard deviations that the frame claims at each pixel, has to have
    variance 1 at every site or plane. A stage that knows places needs numbers for pictures of `NOISE_SIZE`, GRBG.

    Args:
        stage: the stage, with the parameters to check it with.
        tolerance: largest relative error of the variance; 2.5 times that with row noise, of which there are few draws.
        noises: what to put in, per site R, Gr, Gb, B, in the unit of a linear mosaic; if not given, noise of pixels
            and noise of rows, each alone.

    Raises:
        AssertionError: the stage breaks a law; the message names it.
    """
    for space in stage.takes:
        count = 4 if space.is_mosaic else 3
        none = torch.zeros(count)
        pixel = Noise(torch.linspace(2e-4, 4e-4, count), torch.linspace(6e-3, 4e-3, count), none)
        row = Noise(none + 1e-12, none + 1e-7, none + 5e-3)
        for noise in noises or (pixel, row):
            here = noise if len(noise.row) == count else noise.map(lambda sites: sites[[0, 1, 3]])
            _check_noise(stage, space, here, tolerance * (2.5 if bool(here.row.any()) else 1))


def _check_noise(stage: Stage, space: Space, noise: Noise, tolerance: float) -> None:
    made = partial(synthetic_frame, space, *NOISE_SIZE, "GRBG", level=0.2, dtype=torch.float64)
    frame = made(noise=noise)
    ready = stage.measure(frame) if isinstance(stage, Measured) else stage
    result, clean = ready(frame), ready(replace(made(), noise=frame.noise))
    if result.noise is None or min(result.height, result.width) < 32:
        return
    window = 12, 12, result.height - 24, result.width - 24
    kept, truth = result.crop(*window), clean.crop(*window)
    got, said = [], []
    for index, (plane, true) in enumerate(zip(_planes(kept), _planes(truth), strict=True)):
        of = result.noise.map(lambda values, index=index: values[index].double())  # type: ignore[misc]
        claimed = of.variance(true - result.black[index])
        got.append(float(((plane - true) / claimed.sqrt()).var()))
        said.append(float(claimed.mean()))
    message = f"got a variance of {got} times what the frame says, {said}"
    worst = max(abs(one - 1) for one in got)
    _law(worst <= tolerance, f"{name_of(stage)} on {space.label}", "noise is propagated", message)


def _planes(frame: Frame) -> Sequence[Tensor]:
    if frame.cfa is None:
        return frame.data.unbind(-3)
    return [bayer.view(frame.data, frame.cfa, site) for site in range(4)]


def _law(kept: object, where: str, law: str, message: str) -> None:
    if not kept:
        raise AssertionError(f"{where} breaks the law '{law}': {message}")
