"""Simulated captures whose counts a camera, a converter or a program has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from rawpipe import Frame, Space
from rawpipe.calibration.captures import scan
from rawpipe.testing import synthetic_frame


def stepped(frame: Frame, step: int) -> Frame:
    """The frame from a converter with codes `step` apart."""
    return replace(frame, data=torch.from_numpy(frame.data.numpy() // np.uint16(step) * np.uint16(step)))


def arrays(camera: Any, change: Any, **facts: Any) -> list[Frame]:
    """Two darks and two flats with changed counts."""
    shots = [*camera.darks(2), *camera.flats(0.4)]
    facts = {**camera.facts, **facts}
    return [Frame.from_array(change(one.data.numpy()), "RGGB", iso=100, exposure_s=0.01, **facts) for one in shots]


def test_8_bits_are_for_hot_pixels_only(camera_of, reasons):
    camera = camera_of(bits=8, black=2.0, white=255.0)
    darks = [np.clip(camera.random.normal(0.0, 1.5, camera.size), 0, 255).astype(np.uint8) for _ in range(3)]
    flats = [np.clip(camera.random.normal(120, 3, camera.size), 0, 255).astype(np.uint8) for _ in range(2)]
    captures = scan([Frame.from_array(one, "RGGB", iso=100, **camera.facts) for one in (*darks, *flats)])
    (group,) = captures.groups
    assert group.role == "dark" and len(group) == 3
    assert group.doubt is not None and "8-bit and" in group.doubt and "clipped" in group.doubt
    assert reasons(captures).count("8 bits") == 2
    assert any("read noise" in one for one in captures.advice)


def test_companded_flats_are_refused(camera_of, reasons):
    camera = camera_of()
    coarse = [stepped(frame, 32) for frame in camera.flats(0.4, gain=0.2)]
    captures = scan([*camera.darks(2), *coarse, *camera.flats(0.2)])
    assert reasons(captures).count("companded") == 2 and len(captures.at(100, "flat")) == 1


def test_a_12_bit_comb_in_14_bits_is_no_companding(camera_of):
    camera = camera_of()
    shots = [stepped(frame, 4) for frame in (*camera.darks(2), *camera.flats(0.4))]
    assert not scan(shots).refused


def test_black_is_found_in_the_darks_where_nobody_states_it(camera_of, reasons):
    camera = camera_of(black=0)
    captures = scan([*camera.darks(2), *camera.flats(0.1, 0.4)])
    assert [group.role for group in captures.groups] == ["dark", "flat", "flat"]
    assert captures.black(100) == pytest.approx(np.full(4, camera_of.black), abs=0.7)
    assert any("states no black" in note for note in captures.notes)
    alone = scan(camera.flats(0.4))
    assert not alone.groups and "its black is unknown" in reasons(alone)


def test_a_wrong_black_tag_does_not_turn_darks_into_flats(camera_of):
    camera = camera_of(black=camera_of.black + 8)
    assert [group.role for group in scan(camera.darks(3)).groups] == ["dark"]


def test_frames_that_are_no_counts_are_refused(reasons):
    frame = synthetic_frame(Space.MOSAIC, 128, 128, level=0.2)
    assert "expected counts" in reasons(scan([frame]))
    tiny = Frame.from_array(torch.zeros(32, 32), "RGGB", bits=14)
    assert "at least 64 x 64" in reasons(scan([tiny]))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_counts_without_their_black_are_no_counts_clipped_at_zero(camera_of, dtype: Any):
    shots = arrays(
        camera_of(),
        lambda counts: counts.astype(dtype) - dtype(camera_of.black),
        black=0,
        white=camera_of.white - camera_of.black,
    )
    captures = scan(shots, black=0)
    dark, flat = captures.groups
    assert (dark.role, flat.role) == ("dark", "flat") and dark.doubt is None
    assert dark.zero == flat.zero == -np.inf


def test_the_count_at_which_a_converter_clips_is_found(camera_of):
    camera = camera_of()
    for change, black, zero in (
        (lambda counts: counts, camera_of.black, -np.inf),
        (lambda counts: np.maximum(counts, 508), camera_of.black, 508),
        (lambda counts: np.maximum(counts - 512.0, 0), 0.0, 0),
        (lambda counts: np.maximum(counts - 511.75, -2), 0.25, -2),
    ):
        groups = scan(arrays(camera, change, black=black), black=black).groups
        assert groups[0].role == "dark" and groups[0].zero == pytest.approx(zero, abs=0.2)


def test_fractions_and_few_codes_are_refused_with_what_to_do(camera_of, reasons):
    camera = camera_of()
    scaled = arrays(camera, lambda counts: (counts - np.float32(512)) / np.float32(15871), black=0, white=1)
    assert reasons(scan(scaled, black=0)).count("1 DN from black to white") == 4
    unsaid = arrays(camera, lambda counts: counts / np.float32(16383))
    captures = scan(unsaid)
    assert not captures.groups and reasons(captures).count("fractions from 0 to 1 where white is 16383") == 4
    assert "multiply by 2**bits - 1" in reasons(captures)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(camera_of, reasons, bad: float):
    def spoilt(counts: Any) -> Any:
        out = counts.astype(np.float32)
        out[3, 5:7] = bad
        return out

    captures = scan(arrays(camera_of(), spoilt))
    assert not captures.groups and reasons(captures).count("2 pixels that are NaN or infinite") == 4


def test_darks_that_the_camera_filtered_are_doubted(camera_of):
    camera = camera_of(512, 640)
    filtered = []
    for frame in camera.darks(3):
        counts = frame.data.numpy().astype(np.float32)
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            plane = counts[y::2, x::2]
            counts[y::2, x::2] = 0.6 * plane + 0.4 * uniform_filter(plane, 3)
        filtered.append(replace(frame, data=torch.from_numpy(np.rint(counts).astype(np.uint16))))
    (group,) = scan(filtered).groups
    assert group.doubt is not None and "neighbouring pixels is alike" in group.doubt and "hot pixels" in group.doubt
    assert scan(camera.darks(3)).groups[0].doubt is None


def test_a_pattern_that_stays_is_noticed_and_no_doubt(camera_of):
    camera = camera_of(512, 640)
    coarse = np.kron(camera.random.normal(0, 6, (64, 80)), np.ones((8, 8)))
    shots = [
        replace(frame, data=torch.from_numpy(np.rint(frame.data.numpy() + coarse).astype(np.uint16)))
        for frame in camera.darks(3)
    ]
    captures = scan(shots)
    assert captures.groups[0].doubt is None and any("coarse pattern" in note for note in captures.notes)


def test_flea3_darks_show_hot_pixels_only(data: Path):
    captures = scan([data / "flea3" / "dark_frames"], cfa="GBRG", black=0, iso=100)
    (group,) = captures.groups
    assert group.role == "dark" and len(group) == 14 and not captures.refused
    assert group.doubt is not None and "8-bit" in group.doubt and "clipped" in group.doubt
