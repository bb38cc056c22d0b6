from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from rawpipe import Cancelled, Pipeline, Space
from rawpipe.cli import main
from rawpipe.cli._overlap import overlapped
from rawpipe.io import tiff
from rawpipe.testing import synthetic_frame

FILES = 6


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    for index in range(FILES):
        frame = synthetic_frame(Space.SENSOR, 140 + 2 * index, 100, level=0.2, seed=index)
        frame.write(folder / f"{index}.dng")
    return folder


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [one for one in threading.enumerate() if one.name.startswith(("read", "write"))]


@pytest.mark.parametrize("to", ["tiff", "dng", "linear-dng"])
def test_a_folder_gives_the_same_bytes_as_its_files_one_by_one(shots: Path, tmp_path: Path, to: str):
    assert main(["develop", str(shots), "-o", str(tmp_path / "all"), "--to", to, "-q"]) == 0
    for source in shots.iterdir():
        assert main(["develop", str(source), "-o", str(tmp_path / "one"), "--to", to, "-q"]) == 0
    results = sorted((tmp_path / "all").iterdir())
    assert len(results) == FILES
    assert all(path.read_bytes() == (tmp_path / "one" / path.name).read_bytes() for path in results)


@pytest.mark.parametrize("ahead", [1, 3, 20])
def test_outcomes_come_in_order_whatever_fails_where(ahead: int):
    def fails(stage: str, item: str) -> None:
        time.sleep(0.01 * (item[-1] == stage[0]))
        if item.startswith(stage):
            raise ValueError(item)

    items = ["fine r", "read w", "write r", "fine w", "work", "write", "read", "fine"]
    outcomes = overlapped(
        items,
        read=lambda item: fails("read", item),
        work=lambda item, taken: fails("work", item),
        write=lambda item, made, progress: fails("write", item),
        ahead=ahead,
    )
    assert [str(error) if error else None for error in outcomes] == [
        None if item.startswith("fine") else item for item in items
    ]


def test_the_next_file_is_read_and_the_one_before_written_meanwhile():
    meet = threading.Barrier(3, timeout=20)  # breaks unless three items are in three stages at once

    def read(item: int) -> None:
        if item == 2:
            meet.wait()

    def work(item: int, _: None) -> None:
        if item == 1:
            meet.wait()

    def write(item: int, _: None, progress: object) -> None:
        if item == 0:
            meet.wait()

    assert list(overlapped(range(3), read, work, write)) == [None] * 3


@pytest.mark.parametrize("ahead", [1, 3])
def test_two_items_more_than_are_read_ahead_are_in_memory_at_most(ahead: int):
    lock, alive, most = threading.Lock(), 0, 0

    def count(change: int) -> None:
        nonlocal alive, most
        with lock:
            alive += change
            most = max(most, alive)

    def write(item: int, made: None, progress: object) -> None:
        time.sleep(0.01)
        count(-1)

    outcomes = overlapped(range(12), lambda item: count(1), lambda item, taken: None, write, ahead)
    assert list(outcomes) == [None] * 12
    assert most == ahead + 2


def test_closing_stops_a_write_and_waits_for_it():
    writing, stopped = threading.Event(), threading.Event()

    def write(item: int, made: object, progress) -> None:
        writing.set()
        try:
            while True:
                time.sleep(0.005)
                progress(0.5)
        except Cancelled:
            stopped.set()
            raise

    def work(item: int, taken: int) -> None:
        if item == 1:
            assert writing.wait(20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closing(overlapped(range(9), int, work, write)) as outcomes:
        list(outcomes)
    assert stopped.is_set()


def test_an_interrupt_while_a_file_is_written_leaves_no_part_of_it(shots: Path, tmp_path: Path, monkeypatch, capsys):
    encoding, runs, strips_of, encoded = threading.Event(), 0, Pipeline.strips, tiff._Strips.encoded

    def slow(strips, pixels):
        encoding.set()
        time.sleep(0.2)
        return encoded(strips, pixels)

    def interrupted(pipeline, frame):
        nonlocal runs
        runs += 1
        if runs == 3:
            assert encoding.wait(20)
            raise KeyboardInterrupt
        encoding.clear()
        return strips_of(pipeline, frame)

    monkeypatch.setattr(tiff._Strips, "encoded", slow)
    monkeypatch.setattr(Pipeline, "strips", interrupted)
    started = time.monotonic()
    assert main(["develop", str(shots), "-o", str(tmp_path / "out")]) == 130
    assert time.monotonic() - started < 20
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.tif"]
    said = capsys.readouterr()
    assert "stopped; no half-written file" in said.err and said.out.strip() == str(tmp_path / "out" / "0.tif")


def test_an_interrupt_while_a_file_is_awaited_ends_the_command(shots: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("rawpipe.cli._overlap.wait", lambda futures: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["develop", str(shots), "-o", str(tmp_path / "out"), "-q"]) == 130
    assert not (tmp_path / "out").exists()


def test_a_write_that_fails_is_said_in_its_place(shots: Path, tmp_path: Path, monkeypatch, capsys):
    write = tiff.write_tiff

    def full(strips, path, **options):
        if Path(path).stem == "2":
            raise OSError(28, "No space left on device")
        return write(strips, path, **options)

    monkeypatch.setattr(tiff, "write_tiff", full)
    assert main(["develop", str(shots), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "2.dng: OSError: [Errno 28] No space left on device" in said.err and "5 of 6 files developed" in said.err
    assert [Path(line).stem for line in said.out.splitlines()] == ["0", "1", "3", "4", "5"]
