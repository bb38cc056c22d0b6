from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from rawpipe import FormatError, Space
from rawpipe.io import parallel
from rawpipe.io.parallel import encoded
from rawpipe.testing import synthetic_frame


def test_parts_come_in_order_and_two_batches_at_most_are_drawn():
    drawn, most, came = 0, 0, []

    def batches():
        nonlocal drawn
        for start in range(0, 40, 4):
            drawn += 4
            yield range(start, start + 4)

    for part in encoded(lambda part: bytes([part]), batches()):
        most = max(most, drawn - len(came))
        came.append(part[0])
    assert came == list(range(40)) and most == 8


def test_all_cores_encode_at_once(monkeypatch):
    monkeypatch.setattr(parallel, "CORES", 3)
    meet = threading.Barrier(3, timeout=20)  # breaks unless three are at work
    assert list(encoded(lambda _: bytes([meet.wait() >= 0]), [range(3), range(3)])) == [b"\1"] * 6


def test_what_goes_wrong_in_a_thread_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(encoded(lambda part: bytes(1 // part), [[1, 1], [0]]))


@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
@pytest.mark.parametrize("space", [Space.SENSOR, Space.CAMERA])
@pytest.mark.parametrize("name", ["x.dng", "x.tif"])
def test_one_core_and_many_write_the_same_bytes(tmp_path: Path, monkeypatch, space: Space, name: str):
    frame = synthetic_frame(space, 600, 570)
    for cores in (1, 5):
        monkeypatch.setattr(parallel, "CORES", cores)
        frame.write(tmp_path / f"{cores}{name}", **({"compression": "zstd"} if name == "x.tif" else {}))
    assert (tmp_path / f"1{name}").read_bytes() == (tmp_path / f"5{name}").read_bytes()


@pytest.mark.parametrize("name", ["x.dng", "x.tif"])
def test_a_nan_far_down_leaves_no_file_and_no_thread(tmp_path: Path, name: str):
    frame = synthetic_frame(Space.CAMERA, 700, 570)
    frame.data[0, -1, -1] = torch.nan
    before = threading.active_count()
    with pytest.raises(FormatError, match="nan"):
        frame.write(tmp_path / name)
    assert list(tmp_path.iterdir()) == [] and threading.active_count() == before
