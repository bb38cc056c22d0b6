from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rawpipe import CameraProfile, Frame
from rawpipe.calibration.simulation import SimulatedSensor
from rawpipe.cli import main

LEVELS = (600.0, 2500.0, 7000.0, 12000.0)


class Camera:
    """A simulated camera that writes its captures into a folder."""

    def __init__(self, folder: Path, size: tuple[int, int] = (256, 320), model: str = "One", **sensor: Any) -> None:
        self.folder, self.model = folder, model
        self.sensor = SimulatedSensor(size=size, gain_dn_per_e=2.0, read_sigma_dn=4.0, vignetting=0.2, **sensor)
        folder.mkdir(exist_ok=True)

    def write(self, counts: Any, iso: float | None = 200, exposure_s: float = 0.01) -> Path:
        frame = Frame.from_array(
            counts.astype(np.uint16),
            self.sensor.cfa,
            black=self.sensor.black_dn,
            bits=14,
            iso=iso,
            exposure_s=exposure_s,
            make="Acme",
            model=self.model,
        )
        path = self.folder / f"IMG_{len(list(self.folder.iterdir())):04}.dng"
        frame.write(path, matrix="generic")
        return path

    def darks(self, count: int, **facts: Any) -> None:
        for _ in range(count):
            self.write(self.sensor.dark(), **facts)

    def flats(self, *levels: float, count: int = 2, **facts: Any) -> None:
        for level in levels:
            for _ in range(count):
                self.write(self.sensor.flat(level), **facts)


def run(folder: Path, *options: str) -> int:
    return main(["calibrate", str(folder / "shots"), "-o", str(folder / "out" / "acme.json"), *options])


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path / "shots")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")
def test_a_folder_becomes_a_profile_and_a_report(camera: Camera, tmp_path: Path, capsys):
    camera.darks(6)
    camera.flats(*LEVELS, 40000.0)
    Image.new("RGB", (64, 64)).save(camera.folder / "preview.jpg")
    assert run(tmp_path, "--report", str(tmp_path / "out" / "acme.html")) == 0
    profile = CameraProfile.read(tmp_path / "out" / "acme.json")
    model = profile.at(200)
    np.testing.assert_allclose(model.gain_dn_per_e, 2.0, rtol=0.04)
    np.testing.assert_allclose(model.read_sigma_dn, 4.0, rtol=0.03)
    assert profile.noise["200"]["saturation_dn"].reliable  # seen in the overexposed pair
    roles = [file["role"] for file in profile.provenance["files"]]
    assert (roles.count("dark"), roles.count("flat"), roles.count("saturated")) == (6, 8, 2)
    assert all(len(file["sha256"]) == 64 and file["exposure_s"] == 0.01 for file in profile.provenance["files"])
    page = (tmp_path / "out" / "acme.html").read_text()
    assert "preview.jpg" in page and "Acme One" in page
    said = capsys.readouterr()
    assert "Acme One: 16 captures used, 1 left out" in said.out
    for words in ("ISO  darks", "200  6", "preview.jpg: is a JPEG", "to add:", "acme.json", "acme.html"):
        assert words in said.out, words
    assert not said.err


def test_quiet_says_nothing(camera: Camera, tmp_path: Path, capsys):
    camera.darks(2)
    camera.flats(*LEVELS)
    assert run(tmp_path, "-q") == 0
    said = capsys.readouterr()
    assert not said.out and not said.err


def test_several_isos_in_one_folder(camera: Camera, tmp_path: Path, capsys):
    camera.darks(3)
    camera.darks(3, iso=400)
    camera.flats(*LEVELS, iso=400)
    assert run(tmp_path) == 0
    noise = CameraProfile.read(tmp_path / "out" / "acme.json").noise
    assert noise["200"]["gain_dn_per_e"].value is None and noise["400"]["gain_dn_per_e"].value is not None
    assert "ISO 200: no flats" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")
def test_arrays_with_their_facts_on_the_command_line(camera: Camera, tmp_path: Path):
    np.save(camera.folder / "a.npy", np.stack([camera.sensor.dark() for _ in range(3)]).astype(np.uint16))
    for index, level in enumerate(LEVELS):
        np.save(camera.folder / f"{index}.npy", np.stack([camera.sensor.flat(level)] * 1 + [camera.sensor.flat(level)]))
    facts = ["--cfa", "RGGB", "--bits", "14", "--black", "512", "--iso", "100", "--make", "Acme", "--model", "Two"]
    assert run(tmp_path, "-q", *facts) == 0
    profile = CameraProfile.read(tmp_path / "out" / "acme.json")
    assert profile.name == "Acme Two" and list(profile.noise) == ["100"]
    np.testing.assert_allclose(profile.at(100).gain_dn_per_e, 2.0, rtol=0.04)


def no_darks(camera: Camera) -> None:
    camera.flats(*LEVELS)


def one_flat(camera: Camera) -> None:
    camera.flats(3000.0, count=1)


def saturated(camera: Camera) -> None:
    camera.flats(40000.0, 60000.0)


def jpegs(camera: Camera) -> None:
    for index in range(5):
        Image.new("RGB", (64, 64)).save(camera.folder / f"{index}.jpg")


def empty(camera: Camera) -> None:
    pass


def pictures(camera: Camera) -> None:
    light = np.kron(np.random.default_rng(0).uniform(0, 8000, (32, 40)), np.ones((8, 8)))
    camera.write((512 + light).astype(np.uint16))


def no_iso(camera: Camera) -> None:
    camera.darks(2, iso=None)


@pytest.mark.parametrize(
    ("shots", "words"),
    [
        (one_flat, ["IMG_0000.dng: no second capture of the same light", "got no dark frame and no pair of flats"]),
        (saturated, ["all captures are saturated; expose flats from 5 % to 80 %"]),
        (jpegs, ["0.jpg, 1.jpg, 2.jpg and 2 more: is a JPEG", "got no dark frame"]),
        (empty, ["without captures"]),
        (pictures, ["textured", "1 are pictures: --blind"]),
        (no_iso, ["no capture says its ISO", "--iso"]),
    ],
)
def test_what_cannot_become_a_profile_says_why_and_leaves_nothing(
    camera: Camera, tmp_path: Path, capsys, shots: Callable[[Camera], None], words: list[str]
):
    shots(camera)
    assert run(tmp_path, "--report", str(tmp_path / "out" / "acme.html")) == 1
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said and not files(tmp_path / "out")


def test_no_darks_still_gives_a_profile_that_says_so(camera: Camera, tmp_path: Path, capsys):
    no_darks(camera)
    assert run(tmp_path) == 0
    assert "ISO 200: no darks" in capsys.readouterr().out
    assert not CameraProfile.read(tmp_path / "out" / "acme.json").noise["200"]["read_sigma_dn"].reliable


def test_mixed_cameras_and_sizes_are_left_out_by_name(camera: Camera, tmp_path: Path, capsys):
    camera.darks(3)
    camera.flats(*LEVELS)
    Camera(camera.folder, model="Other", seed=1).darks(1)
    Camera(camera.folder, size=(128, 160), seed=2).darks(1)
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert "IMG_0011.dng: from Acme Other; the captures that are used: from Acme One" in out
    assert "IMG_0012.dng: 160 x 128 pixels" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["{}/none", "-o", "{}/p.json"], "No such file"),
        (["{}/shots", "-o", "{}/p.txt"], "ends in .json"),
        (["{}/shots", "-o", "{}"], "ends in .json"),
        (["{}/shots", "-o", "{}/p.json", "--report", "{}/r.pdf"], "ends in .html"),
        (["{}/shots", "-o", "{}/p.json", "--serial", "9"], "got serial number 9; the captures say none"),
        (["{}/shots", "-o", "{}/p.json", "--blind", "--report", "{}/r.html"], "expected one of them"),
        (["{}/none", "-o", "{}/p.json", "--blind"], "No such file"),
    ],
)
def test_bad_options_are_refused_before_the_work(
    camera: Camera, tmp_path: Path, capsys, options: list[str], words: str
):
    camera.darks(1)
    assert main(["calibrate", *(option.format(tmp_path) for option in options)]) == 1
    assert words in capsys.readouterr().err
    assert files(tmp_path) == ["IMG_0000.dng"]


def test_an_interrupt_leaves_no_files_behind(camera: Camera, tmp_path: Path, monkeypatch, capsys):
    camera.darks(2)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def interrupted(*_: object) -> None:
        assert list(temporary.iterdir())  # the captures are decoded by now
        raise KeyboardInterrupt

    monkeypatch.setattr("rawpipe.calibration.calibrate.measure_iso", interrupted)
    assert run(tmp_path) == 130
    assert not list(temporary.iterdir()) and not files(tmp_path / "out")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which no file can be made")
@pytest.mark.parametrize("target", ["-o", "--report"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(
    camera: Camera, tmp_path: Path, capsys, target: str
):
    camera.darks(2)
    kind = {"-o": "json", "--report": "html"}[target]
    assert run(tmp_path, target, f"/proc/acme.{kind}") == 1
    assert "the folder /proc can't be written to" in capsys.readouterr().err
    assert not files(tmp_path / "out")


def test_an_old_profile_survives_a_run_that_fails(camera: Camera, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "acme.json").write_text("old")
    one_flat(camera)
    assert run(tmp_path) == 1
    assert (tmp_path / "out" / "acme.json").read_text() == "old"


def test_a_profile_among_the_captures_is_no_capture(camera: Camera, tmp_path: Path, capsys):
    camera.darks(2)
    target = str(camera.folder / "acme.json")
    for _ in range(2):
        assert main(["calibrate", str(camera.folder), "-o", target]) == 0
    assert "2 captures used, 0 left out" in capsys.readouterr().out
    assert json.loads((camera.folder / "acme.json").read_text())["maps"] is not None


@pytest.mark.filterwarnings("ignore:.*not reliable:rawpipe.RawpipeWarning")
def test_blind_writes_an_estimate_and_names_what_it_left_out(camera: Camera, tmp_path: Path, capsys):
    camera.flats(3000.0)
    Image.new("RGB", (64, 64)).save(camera.folder / "preview.jpg")
    assert run(tmp_path, "--blind") == 0
    profile = CameraProfile.read(tmp_path / "out" / "acme.json")
    assert profile.provenance["kind"] == "blind"
    assert "blind" in profile.at(200).source
    said = capsys.readouterr()
    assert "preview.jpg" in said.err and "JPEG" in said.err
    assert "estimated from photographs, not measured" in said.out


def test_flea3_darks_give_hot_pixels_and_no_read_noise(data: Path, tmp_path: Path, capsys):
    facts = ["--cfa", "GBRG", "--black", "0", "--iso", "100", "--make", "Point Grey", "--model", "Flea3"]
    folder = str(data / "flea3" / "dark_frames")
    assert main(["calibrate", folder, "-o", str(tmp_path / "flea3.json"), *facts]) == 0
    noise = CameraProfile.read(tmp_path / "flea3.json").noise["100"]
    assert not noise["read_sigma_dn"].reliable and "8-bit" in str(noise["read_sigma_dn"].why)
    assert "clipped" in str(noise["read_sigma_dn"].why)
    counts = np.stack([np.asarray(Image.open(file)) for file in sorted(Path(folder).iterdir())])
    hot = np.argwhere(np.sort(counts, axis=0)[-2] > 20)  # in both of the longest exposures
    defects = {tuple(place) for place in CameraProfile.read(tmp_path / "flea3.json").maps["defects"]}
    assert len(hot) > 5 and {tuple(place) for place in hot} <= defects
