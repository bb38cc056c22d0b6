"""Stacks of simulated captures: their rows, and their temporary files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rawpipe import FormatError, Frame
from rawpipe.calibration.captures import scan
from rawpipe.calibration.stack import Stack


def test_a_stack_serves_every_row_as_it_was_taken(camera_of, tmp_path: Path):
    camera = camera_of(300, 201)
    frames = camera.darks(3)
    frames[0].write(tmp_path / "0.dng", matrix="generic")
    np.savez(tmp_path / "1.npz", data=np.stack([f.data for f in frames[1:]]), cfa="RGGB", iso=100, **camera.facts)
    captures = scan([tmp_path, camera_of(300, 201, seed=1).take(0.0)])
    assert len(captures.used) == 4
    folder = tmp_path / "temporary"
    folder.mkdir()
    seen: list[float] = []
    with Stack(captures.used[::-1], lambda done, name: seen.append(done), folder) as stack:
        assert stack.shape == (4, 300, 201) and stack.cfa == "RGGB"
        rows = np.concatenate([stack.rows(top, min(top + 7, 300)) for top in range(0, 300, 7)], axis=1)
        assert rows.dtype == np.uint16 and len(list(folder.iterdir())) == 1
        by_name = {one.name: rows[index] for index, one in enumerate(stack.captures)}
    assert not list(folder.iterdir()) and seen == [0.25, 0.5, 0.75, 1.0]
    for name, frame in zip(("0.dng", "1.npz #1", "1.npz #2"), frames, strict=True):
        assert np.array_equal(by_name[name], frame.data.numpy())
    with pytest.raises(FormatError, match="isn't open"):
        stack.rows(0, 1)


def test_a_stack_of_the_active_area_leaves_the_border_out(camera_of):
    camera = camera_of(300, 202)
    whole = [
        Frame.from_array(one.data, "RGGB", iso=100, active_area=(7, 21, 300, 202), **camera.facts)
        for one in camera.darks(2)
    ]
    captures = scan(whole)
    assert captures.used[0].cfa == "BGGR" and captures.used[0].size == (293, 181)
    with Stack(captures.used) as stack:
        assert np.array_equal(stack.rows(0, 5)[0], whole[0].data[7:12, 21:].numpy())


def test_a_stack_cleans_up_when_a_file_vanishes(camera_of, tmp_path: Path):
    camera = camera_of(128, 160)
    for index, frame in enumerate(camera.darks(2)):
        frame.write(tmp_path / f"{index}.dng", matrix="generic")
    captures = scan([tmp_path])
    (tmp_path / "1.dng").unlink()
    folder = tmp_path / "temporary"
    folder.mkdir()
    with pytest.raises(FormatError, match="1.dng"), Stack(captures.used, folder=folder):
        pass
    assert not list(folder.iterdir())


def test_fractional_counts_stay_as_they_are(camera_of):
    camera = camera_of(128, 160)
    shots = [replace(frame, data=frame.data.float() + 0.25) for frame in (*camera.darks(2), *camera.flats(0.4))]
    captures = scan(shots)
    assert [group.role for group in captures.groups] == ["dark", "flat"]
    with Stack(captures.used) as stack:
        assert stack.rows(3, 4).dtype == np.float32 and np.array_equal(stack.rows(3, 4)[0], shots[0].data[3:4].numpy())
