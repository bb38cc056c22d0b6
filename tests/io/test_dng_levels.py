"""Levels of a DNG: which light its codes mean, where a frame isn't stored as it was taken."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import Frame, Noise, Pipeline, RawpipeWarning, Space
from rawpipe.io.dng_encode import Encoder, Layout, Levels
from rawpipe.io.ifd import SUB_IFDS, Directory, read_tree
from rawpipe.stages import BlackLevel, Demosaic, Exposure, WhiteBalance
from rawpipe.testing import synthetic_frame


def tree(path: Path) -> tuple[Directory, Directory]:
    (root,) = read_tree(path.read_bytes())
    return root, root.children[SUB_IFDS][0]


def linear(height: int = 34, width: int = 40, cfa: str = "RGGB", **options) -> Frame:
    return BlackLevel()(synthetic_frame(Space.SENSOR, height, width, cfa, **options))


def test_a_brighter_frame_keeps_its_highlights_up_to_the_headroom(tmp_path: Path):
    frame = Exposure(math.log2(100))(linear(200, 200, level=0.005))
    lamp = replace(frame, data=frame.data.clone())
    lamp.data[:50, :50] = 100.0
    with pytest.warns(RawpipeWarning, match="above white"):
        step = lamp.write(tmp_path / "x.dng")
    assert step.parameters["headroom"] == 4.0 and step.parameters["clipped_above"] == 2500
    back = Frame.read(tmp_path / "x.dng")
    assert back.shot.baseline_exposure == pytest.approx(2.0)
    assert back.white.tolist() == [65535.0] * 4
    patch = BlackLevel()(back).data[100:, 100:]
    expected = lamp.data[100:, 100:]
    assert float((patch * 4 - expected).abs().max()) < 1e-4
    assert float(BlackLevel()(back).data[:50, :50].min()) == pytest.approx(1.0, abs=1e-4)


def test_headroom_is_only_used_where_there_is_something_to_keep(tmp_path: Path):
    step = Exposure(3.0)(linear(100, 100, level=0.1)).write(tmp_path / "x.dng")
    assert step.parameters["headroom"] == 1.0 and step.parameters["baseline_exposure"] == 0.0


def test_a_darker_frame_keeps_its_brightness_in_baseline_exposure(tmp_path: Path):
    step = Exposure(-1.0)(linear(100, 100, level=0.5)).write(tmp_path / "x.dng")
    assert step.parameters["headroom"] == 0.5 and step.parameters["baseline_exposure"] == -1.0
    back = BlackLevel()(Frame.read(tmp_path / "x.dng"))
    assert float((back.data * 0.5 - Exposure(-1.0)(linear(100, 100, level=0.5)).data).abs().max()) < 1e-4


def test_the_pedestal_has_room_for_six_sigma_of_the_noise_that_is_left():
    noise = Noise(torch.full((4,), 1e-5), torch.full((4,), 2e-3), torch.full((4,), 1e-3))
    frame = Exposure(5.0)(linear(200, 200, level=0.0, noise=noise, dtype=torch.float64))
    levels = Levels.of(frame)
    sigma = 32 * math.hypot(2e-3, 1e-3)
    depth = float(levels.black[0]) / (65535 - float(levels.black[0])) * levels.headroom
    assert depth == pytest.approx(6 * sigma, rel=1e-3)
    encoder = Encoder(frame, levels, Layout.of(frame))
    encoder.rows(0, frame.height + 6)
    assert encoder.below == 0


def test_unknown_noise_makes_room_for_what_the_pixels_show():
    frame = Exposure(5.0)(linear(200, 200, dtype=torch.float64))
    assert frame.noise is None
    low = float(frame.data.min())
    levels = Levels.of(frame)
    assert float(levels.black[0]) / (65535 - float(levels.black[0])) * levels.headroom == pytest.approx(-low, rel=0.05)


def test_a_dark_border_around_a_stretched_frame_is_the_pedestal(tmp_path: Path):
    frame = Exposure(3.0)(linear(100, 100, level=0.05))
    frame.write(tmp_path / "x.dng")
    whole = Frame.read(tmp_path / "x.dng", area="sensor")
    top, left, _, _ = whole.shot.active_area
    assert (top, left) == frame.shot.active_area[:2]
    assert np.unique(whole.data[:top].numpy()).tolist() == [whole.black[0]]


def test_the_noise_profile_is_that_of_the_stored_range(tmp_path: Path):
    noise = Noise(torch.tensor([2e-4, 3e-4, 5e-4, 6e-4]), torch.full((4,), 3e-3), torch.zeros(4))
    frame = Exposure(2.0)(linear(100, 100, level=0.3, noise=noise, dtype=torch.float64))
    step = frame.write(tmp_path / "x.dng")
    h = step.parameters["headroom"]
    _, raw = tree(tmp_path / "x.dng")
    got = raw.tags[51041].numbers()
    assert got == pytest.approx(
        (4 * 2e-4 / h, (4 * 3e-3 / h) ** 2, 4 * 4e-4 / h, (4 * 3e-3 / h) ** 2, 4 * 6e-4 / h, (4 * 3e-3 / h) ** 2),
        rel=1e-4,
    )
    back = BlackLevel()(Frame.read(tmp_path / "x.dng"))
    assert back.noise is not None and float(back.noise.shot[0]) == pytest.approx(4 * 2e-4 / h, rel=1e-3)


def test_an_unknown_noise_leaves_the_profile_out(tmp_path: Path):
    linear().write(tmp_path / "x.dng")
    assert 51041 not in tree(tmp_path / "x.dng")[1].tags


def test_a_linear_dng_of_noise_warns_of_magenta_shadows(tmp_path: Path):
    noise = Noise(torch.full((4,), 1e-6), torch.full((4,), 1e-2), torch.zeros(4))
    frame = Demosaic()(linear(100, 100, level=0.005, noise=noise))
    with pytest.warns(RawpipeWarning, match="magenta.*CFA DNG"):
        step = frame.write(tmp_path / "x.dng")
    assert step.parameters["clipped_below"] > 0
    history = json.loads(_xmp(tmp_path / "x.dng", "History"))
    assert history["history"][-1]["parameters"]["clipped_below"] == step.parameters["clipped_below"]


def _xmp(path: Path, name: str) -> str:
    packet = tree(path)[0].tags[700].raw().decode()
    root = ET.fromstring(packet[packet.index("<x:xmpmeta") : packet.index("<?xpacket end")])
    (node,) = root.iter(f"{{https://rawpipe.dev/ns/1.0/}}{name}")
    return node.text or ""


def test_the_recipe_in_the_file_makes_the_same_pixels_again(tmp_path: Path):
    source = synthetic_frame(Space.SENSOR, 60, 70, level=0.4)
    frame = Pipeline([BlackLevel(), WhiteBalance("gray_world"), Demosaic("menon2007")])(source)
    frame.write(tmp_path / "x.dng")
    again = Pipeline.from_recipe(_xmp(tmp_path / "x.dng", "Recipe"))(source)
    assert torch.equal(again.data, frame.data)


def own(space: Space, white: float, black: float = 0.0, cfa: str | None = "RGGB", **options) -> Frame:
    """A ramp from black to half of white, as somebody else's program would hold it."""
    shape = (80, 90) if cfa else (3, 80, 90)
    ramp = torch.linspace(0, 0.5, 80 * 90 * (1 if cfa else 3), dtype=torch.float64).reshape(shape)
    data = black + ramp * (white - black)
    data = (data.round() if white >= 15 else data).to(options.pop("dtype", torch.float32))
    return Frame.from_array(data, cfa, space=space, white=white, black=black, neutral=(0.5, 1, 0.6), matrix="generic")


@pytest.mark.parametrize(
    ("frame", "scale"),
    [
        (own(Space.SENSOR, 1.0, 0.1), "stretched"),
        (own(Space.SENSOR, 15.0, dtype=torch.uint8), "stretched"),
        (own(Space.SENSOR, 255.0, 16.0, dtype=torch.uint8), "source"),
        (own(Space.SENSOR, 15520.0, 512.0), "source"),
        (own(Space.SENSOR, 65535.0), "source"),
        (own(Space.SENSOR, 2.0**20 - 1, 4000.0, dtype=torch.int32), "stretched"),
        (own(Space.MOSAIC, 1.0), "stretched"),
        (own(Space.MOSAIC, 3.0, 0.25), "stretched"),
        (own(Space.MOSAIC, 4095.0, 64.0), "source"),
        (own(Space.MOSAIC, 2.0**20, 64.0), "stretched"),
        (own(Space.CAMERA, 1.0, 0.1, None), "stretched"),
        (own(Space.CAMERA, 500.0, 20.0, None), "stretched"),
        (own(Space.MOSAIC, 3.0, 0.25).scaled(2.0), "stretched"),
    ],
)
@pytest.mark.parametrize("ev", [0.0, 0.5])
def test_any_levels_are_written_as_the_light_that_they_mean(tmp_path: Path, frame: Frame, scale: str, ev: float):
    counts = float(frame.shot.scale_dn)
    if ev:
        frame, scale = Exposure(ev)(BlackLevel()(frame) if frame.space is Space.SENSOR else frame), "stretched"
    step = frame.write(tmp_path / "x.dng")
    assert step.parameters["scale"] == scale and step.parameters["headroom"] == 1.0
    assert step.parameters["clipped_below"] == step.parameters["clipped_above"] == 0
    back = Frame.read(tmp_path / "x.dng")
    light = BlackLevel()(back).data if back.cfa is not None else back.data
    expected = torch.linspace(0, 0.5 * 2**ev, light.numel()).reshape(light.shape)
    rounding = 0.5 / float(back.shot.scale_dn) + (2**ev * 0.5 / counts if counts >= 15 else 0.0)
    assert float((light - expected).abs().max()) <= rounding + 1e-6


def test_half_precision_loses_nothing_on_the_way_to_the_file(tmp_path: Path):
    frame = linear(100, 120, level=0.5).as_type(torch.float16)
    frame.write(tmp_path / "half.dng")
    frame.as_type(torch.float32).write(tmp_path / "float.dng")
    half, full = (Frame.read(tmp_path / f"{name}.dng").data.numpy() for name in ("half", "float"))
    assert np.array_equal(half, full)
