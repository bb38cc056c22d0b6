"""Captures from files: RAW files, arrays, bursts, archives, folders, and what is no capture."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rawpipe import FormatError
from rawpipe.calibration.captures import scan


def test_the_same_file_and_the_same_picture_count_once(camera_of, reasons, tmp_path: Path):
    camera = camera_of()
    frame = camera.take(0.0)
    frame.write(tmp_path / "a.dng", matrix="generic")
    (tmp_path / "b.dng").write_bytes((tmp_path / "a.dng").read_bytes())
    np.savez(tmp_path / "c.npz", data=frame.data.numpy(), cfa="RGGB", iso=100, **camera.facts)
    captures = scan([tmp_path])
    assert [one.name for one in captures.used] == ["a.dng"]
    assert reasons(captures) == "b.dng: the same file as a.dng\nc.npz: the same picture as a.dng"


def test_raw_files_arrays_bursts_and_pictures_in_one_folder(camera_of, tmp_path: Path):
    camera = camera_of()
    for index, frame in enumerate(camera.darks(2)):
        frame.write(tmp_path / f"flat_{index}.dng", matrix="generic")  # names lie
    (tmp_path / "sub").mkdir()
    np.savez(tmp_path / "sub" / "burst.npz", data=np.stack([f.data for f in camera.flats(0.4, count=3)]), iso=100)
    np.save(tmp_path / "sub" / "dark.npy", np.stack([f.data for f in camera.flats(0.2)]))
    (tmp_path / "captures.toml").write_text(
        'cfa = "RGGB"\nblack = 512\nwhite = 16383\nmake = "Maker"\nmodel = "Model"\nbits = 14\n'
        '[files."dark.*"]\niso = 100\nexposure_s = 0.01\n'
    )
    Image.new("RGB", (64, 64)).save(tmp_path / "flat_0.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "x.tif")
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    (tmp_path / "broken.dng").write_bytes((tmp_path / "flat_0.dng").read_bytes()[:20000])
    (tmp_path / "cut.npy").write_bytes((tmp_path / "sub" / "dark.npy").read_bytes()[:20000])
    (tmp_path / "notes.txt").write_text("nothing")
    np.save(tmp_path / "names.npy", np.array(["a"]))
    seen: list[float] = []
    captures = scan([tmp_path], lambda done, name: seen.append(done))
    assert seen == sorted(seen) and seen[-1] == 1.0
    groups = [(group.role, group.exposure_s, len(group)) for group in captures.groups]
    assert groups == [("dark", 0.001, 2), ("flat", None, 3), ("flat", 0.01, 2)]
    said = {one.name: one.reason for one in captures.refused}
    assert set(said) == {"flat_0.jpg", "x.tif", "x.png", "broken.dng", "cut.npy", "names.npy"}
    assert said["flat_0.jpg"].startswith("is a JPEG") and said["x.tif"].startswith("is a rendered TIFF")
    assert said["x.png"].startswith("is a PNG") and "truncated" in said["broken.dng"] and "truncated" in said["cut.npy"]
    assert captures.used[2].name == str(Path("sub") / "burst.npz") + " #1"


def test_arrays_need_a_phase_and_a_white_level(camera_of, reasons, tmp_path: Path):
    np.save(tmp_path / "a.npy", camera_of().counts(0.0))
    assert "--cfa" in reasons(scan([tmp_path]))
    assert "--white" in reasons(scan([tmp_path], cfa="RGGB"))
    assert scan([tmp_path], cfa="RGGB", white=16383, black=512).groups[0].role == "dark"
    (tmp_path / "captures.toml").write_text("blakc = 3")
    assert "got blakc in" in reasons(scan([tmp_path]))


def test_bad_paths_are_errors(tmp_path: Path):
    for path, said in ((tmp_path / "none", "doesn't exist"), (tmp_path, "without captures")):
        with pytest.raises(FormatError, match=said):
            scan([path])
    with pytest.raises(FormatError, match="got no captures"):
        scan([])


def test_a_black_of_zero_in_an_npz_is_known(camera_of, tmp_path: Path):
    camera = camera_of()
    facts = {"cfa": "RGGB", "white": 15871.0, "bits": 14, "iso": 100, "camera": "One"}
    for index in range(2):
        counts = camera.counts(0.4).astype(np.float32) - np.float32(camera_of.black)
        np.savez(tmp_path / f"{index}.npz", data=counts, black=0, **facts)
    captures = scan([tmp_path])
    assert [group.role for group in captures.groups] == ["flat"] and captures.used[0].black_known
    assert not any("states no black" in note for note in captures.notes)


def test_folders_that_cannot_be_read_are_named(camera_of, reasons, tmp_path: Path, monkeypatch):
    for name in ("good", "locked"):
        (tmp_path / name).mkdir()
        camera_of().take(0.0).write(tmp_path / name / "a.dng", matrix="generic")
    look = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return look(path)

    monkeypatch.setattr("os.scandir", refuse)
    captures = scan([tmp_path])
    assert len(captures.used) == 1 and reasons(captures) == "locked/: can't be read: Permission denied"
    with pytest.raises(FormatError, match="locked can't be read: Permission denied"):
        scan([tmp_path / "locked"])


def test_a_damaged_archive_is_refused_and_closed(reasons, tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing more")
    np.save(tmp_path / "b.npy", np.zeros((4, 4)))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    assert reasons(scan([tmp_path], cfa="RGGB", bits=14)).count("can't be read: File is not a zip file") == 2
