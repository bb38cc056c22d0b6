"""Simulated captures whose role, light and faults are known: told apart, grouped, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rawpipe import FormatError, Frame, Space
from rawpipe.calibration.captures import scan
from rawpipe.calibration.measure import measure_captures
from rawpipe.testing import synthetic_frame

LEVELS = (0.05, 0.2, 0.45, 0.8)


def test_darks_and_flats_are_told_apart_and_grouped_by_iso_exposure_and_light(camera_of):
    camera = camera_of()
    frames = [*camera.darks(3), *camera.flats(*LEVELS), *camera.flats(0.3, iso=800), *camera.darks(2, iso=800)]
    order = np.random.default_rng(1).permutation(len(frames))
    captures = scan([frames[i] for i in order])
    assert captures.isos == [100, 800] and not captures.refused and not captures.others
    assert [len(group) for group in captures.at(100, "dark")] == [3]
    levels = [group.level for group in captures.at(100, "flat")]
    assert levels == pytest.approx([level * 0.81 * 0.9 for level in LEVELS], rel=0.02)  # colour and vignetting
    assert [len(group) for group in captures.groups] == [3, 2, 2, 2, 2, 2, 2]
    assert captures.at(800, "flat")[0].exposure_s == 0.02
    assert np.allclose(captures.black(100), camera_of.black) and np.allclose(captures.white(800), camera_of.white)


@pytest.mark.parametrize("cfa", ["RGGB", "GRBG", "GBRG", "BGGR"])
@pytest.mark.parametrize("space", [(256, 320), (257, 319)])
def test_all_phases_and_odd_sizes(camera_of, cfa: str, space: tuple[int, int]):
    shots = [
        Frame.from_array(synthetic_frame(Space.SENSOR, *space, cfa, level=0.3, seed=1).data.numpy(), cfa, bits=14)
        for _ in range(2)
    ]
    assert scan(shots).refused[0].reason == "the same picture as frame 1"
    camera = camera_of(*space)
    frames = [replace(frame, cfa=cfa) for frame in (*camera.darks(2), *camera.flats(0.4))]
    captures = scan(frames)
    assert [(group.role, len(group)) for group in captures.groups] == [("dark", 2), ("flat", 2)]
    assert captures.used[0].cfa == cfa and captures.used[0].size == space


def test_textured_pictures_are_others_at_any_light(camera_of):
    camera = camera_of()
    pattern = 1 + 0.5 * np.sin(40 * camera.x) * np.sin(31 * camera.y)
    pictures = [camera.take(level, light=pattern) for level in (0.02, 0.2, 0.7)]
    lamp = np.exp(-(camera.x**2 + camera.y**2) / 0.01)
    pictures.append(camera.take(0.3, light=lamp))
    captures = scan([*camera.darks(2), *camera.flats(0.4), *pictures])
    assert len(captures.others) == 4 and len(captures.groups) == 2
    assert all("textured" in one.why or "with light in it" in one.why for one in captures.others)


def test_dust_and_vignetting_are_no_texture(camera_of):
    camera = camera_of(512, 640)
    dust = 1 - sum(
        0.1 * np.exp(-((camera.x - x) ** 2 + (camera.y - y) ** 2) / 0.0004)
        for x, y in camera.random.uniform(-1, 1, (12, 2))
    )
    captures = scan([camera.take(0.5, light=dust) for _ in range(2)] + camera.darks(2))
    assert [group.role for group in captures.groups] == ["dark", "flat"]


def test_a_light_leak_is_no_dark(camera_of, reasons):
    camera = camera_of()
    leak = np.exp(-((camera.x - 1) ** 2 + camera.y**2) / 0.05)
    captures = scan([*camera.darks(4), camera.take(0.02, light=leak), camera.take(0.0015)])
    assert [len(group) for group in captures.groups] == [4]
    assert reasons(captures).count("light") == 2


def test_dark_current_lifts_long_darks_only(camera_of, reasons):
    camera = camera_of()
    warm = [
        Frame.from_array(camera.counts(0.0) + np.uint16(200), "RGGB", iso=100, exposure_s=time, **camera.facts)
        for time in (30.0, 30.0, 0.01)
    ]
    captures = scan([*camera.darks(2), *warm])
    assert [(group.exposure_s, len(group)) for group in captures.at(100, "dark")] == [(0.001, 2), (30.0, 2)]
    assert "no second capture" in reasons(captures)  # the short one counts as a dim flat


def test_clipped_flats_are_refused_and_saturated_ones_kept_apart(camera_of, reasons):
    camera = camera_of()
    captures = scan([*camera.darks(2), *camera.flats(0.4), *camera.flats(1.9), *camera.flats(9.0)])
    assert [(group.role, len(group)) for group in captures.groups] == [("dark", 2), ("flat", 2), ("saturated", 2)]
    assert "clipped: at least" in reasons(captures)


def test_a_flat_with_clipped_greens_serves_red_and_blue(camera_of):
    camera = camera_of()
    captures = scan([*camera.darks(2), *camera.flats(1.15)])
    assert captures.at(100, "flat")[0].sites == (True, False, False, True)
    assert any("Gr, Gb clipped" in note for note in captures.notes)


def test_flicker_drift_and_movement_between_captures_are_found(camera_of, reasons):
    camera = camera_of(512, 320)
    bands = [1 + 0.02 * np.sin(9 * camera.y + phase) for phase in (0, 2)]
    flickering = [camera.take(0.3, light=light) for light in bands]
    moved = [camera.take(0.5, light=1 + 0.02 * np.sin(70 * (camera.x + camera.y) + phase)) for phase in (0, 1)]
    drifting = [camera.take(0.7, light=light) for light in (1, 1.05)]
    steady = [camera.take(0.1, light=light) for light in (1, 1.008)]
    captures = scan([*camera.darks(2), *flickering, *moved, *drifting, *steady])
    assert [group.level for group in captures.at(100, "flat")] == pytest.approx([0.074], abs=0.002)
    said = reasons(captures)
    assert said.count("flickers") == 2 and said.count("moved") == 2 and said.count("the light drifted by") == 2
    assert any("drifts by" in note for note in captures.notes)


def test_one_bad_frame_of_a_burst_does_not_spoil_the_rest(camera_of):
    camera = camera_of(512, 320)
    burst = camera.flats(0.3, count=6)
    burst[1] = camera.take(0.3, light=1 + 0.02 * np.sin(9 * camera.y))
    captures = scan([*camera.darks(2), *burst])
    assert len(captures.at(100, "flat")[0]) == 4 and len(captures.refused) == 2


def test_noise_alone_is_never_called_flicker_or_movement(camera_of, reasons):
    for seed in range(12):
        random = np.random.default_rng(seed)
        camera = camera_of(256, 320, seed=seed)
        how = {"gain": 10 ** random.uniform(-1, 1.4), "read": random.uniform(0.5, 20), "row": random.uniform(0, 3)}
        captures = scan([*camera.darks(3, **how), *camera.flats(*LEVELS, **how)])
        assert [len(group) for group in captures.groups] == [3, 2, 2, 2, 2], (seed, how, reasons(captures))


def test_the_majority_of_cameras_sizes_and_phases_stays(camera_of, reasons):
    camera, other = camera_of(), camera_of(model="Other", seed=1)
    small, turned = camera_of(128, 160), camera_of(cfa="GBRG", seed=2)
    shots = [*camera.darks(2), *camera.flats(0.4), *other.darks(1), *small.darks(1), *turned.darks(1)]
    captures = scan(shots)
    assert len(captures.used) == 4 and len(captures.refused) == 3
    said = reasons(captures)
    assert "from Maker Other" in said and "160 x 128" in said and "GBRG" in said


def test_bodies_are_told_apart_by_serial_number_and_can_be_chosen(camera_of):
    shots = [*camera_of(serial="1").darks(3), *camera_of(serial="2", seed=1).darks(2), *camera_of(seed=2).darks(2)]
    captures = scan(shots)
    assert {one.serial for one in captures.used} == {"1"} and len(captures.refused) == 4
    assert {one.serial for one in scan(shots, serial="2").used} == {"2"}
    assert {one.serial for one in scan([*shots[:3], *shots[5:]]).used} == {"1"}  # the one body has a number
    with pytest.raises(FormatError, match="serial number 3; the captures say 1, 2, none"):
        scan(shots, serial="3")


def test_an_unknown_iso_is_a_group_of_its_own_and_can_be_stated(camera_of):
    camera = camera_of()
    shots = [*camera.darks(2, iso=None), *camera.flats(0.4, iso=None)]
    captures = scan(shots)
    assert captures.isos == [None] and any("--iso" in note for note in captures.notes)
    assert scan(shots, iso=400).isos == [400]


def test_frames_too_small_for_photon_transfer_are_refused_as_such(camera_of, reasons):
    camera = camera_of(72, 96)
    assert reasons(scan(camera.flats(0.4))).count("got 72 x 96 pixels; expected at least 8 blocks") == 2


def test_progress_moves_while_strips_are_read(camera_of, monkeypatch):
    monkeypatch.setattr("rawpipe.calibration.mosaics._STRIP_VALUES", 160 * 128)
    told: list[float] = []
    camera = camera_of(128, 160)
    measure_captures(scan([*camera.darks(4), *camera.flats(*LEVELS)]), lambda done, name: told.append(done))
    assert told == sorted(told) and told[-1] == pytest.approx(1.0)
    assert np.diff([0.0, *told]).max() < 0.13 and len(told) > 50


def test_ordinary_photographs_are_others(reasons, data: Path):
    captures = scan([data / "raw"])
    assert len(captures.others) == 4 and not captures.groups
    assert reasons(captures).count("textured") == 4
