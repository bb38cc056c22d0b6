"""Simulated captures whose role, light and faults are known."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import uniform_filter

from rawpipe import FormatError, Frame, Space
from rawpipe.calibration.captures import Captures, scan
from rawpipe.calibration.measure import measure_captures
from rawpipe.calibration.stack import Stack
from rawpipe.testing import synthetic_frame

BLACK, WHITE = 512.0, 16383.0
COLOR = np.array([0.55, 1.0, 0.98, 0.7])  # R, Gr, Gb, B under the lamp


class Camera:
    """A simulated camera: every capture with its own noise, and the light field fixed."""

    def __init__(self, height: int = 256, width: int = 320, cfa: str = "RGGB", seed: int = 0, **facts: Any) -> None:
        self.size, self.cfa = (height, width), cfa
        self.random = np.random.default_rng(seed)
        self.y, self.x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        self.response = 1 + 0.005 * self.random.standard_normal(self.size)
        self.field = (1 - 0.3 * (self.x**2 + self.y**2) / 2) * (1 + 0.1 * self.x)
        sites = np.array([[0, 1], [2, 3]]) if cfa == "RGGB" else np.array([[2, 3], [0, 1]])  # else GBRG
        self.color = COLOR[sites[np.arange(height)[:, None] % 2, np.arange(width) % 2]]
        hot = self.random.integers(0, height * width, height * width // 2000)
        self.warm = np.zeros(self.size)
        self.warm.flat[hot] = self.random.exponential(1000, len(hot))
        self.facts = {"black": BLACK, "white": WHITE, "bits": 14, "make": "Maker", "model": "Model", **facts}

    def counts(self, level: float, light: Any = 1.0, gain: float = 2.0, read: float = 4.0, row: float = 1.0) -> Any:
        """Counts with the green sites at `level` of the range in the middle."""
        signal = np.maximum(level * (WHITE - BLACK) * self.field * self.color * self.response * light, 0)
        dn = BLACK + gain * self.random.poisson(signal / gain) + read * self.random.standard_normal(self.size)
        dn += row * self.random.standard_normal((self.size[0], 1)) + self.random.uniform(0, 0.5)
        return np.clip(np.rint(dn + self.warm), 0, WHITE).astype(np.uint16)

    def take(self, level: float, iso: float | None = 100, exposure_s: float | None = 0.02, **how: Any) -> Frame:
        """A frame in memory."""
        return Frame.from_array(self.counts(level, **how), self.cfa, iso=iso, exposure_s=exposure_s, **self.facts)

    def darks(self, count: int, **how: Any) -> list[Frame]:
        return [self.take(0.0, exposure_s=0.001, **how) for _ in range(count)]

    def flats(self, *levels: float, count: int = 2, **how: Any) -> list[Frame]:
        return [self.take(level, **how) for level in levels for _ in range(count)]


def stepped(frame: Frame, step: int) -> Frame:
    """The frame from a converter with codes `step` apart."""
    return replace(frame, data=torch.from_numpy(frame.data.numpy() // np.uint16(step) * np.uint16(step)))


def reasons(captures: Captures) -> str:
    return "\n".join(f"{one.name}: {one.reason}" for one in captures.refused)


LEVELS = (0.05, 0.2, 0.45, 0.8)


def test_darks_and_flats_are_told_apart_and_grouped_by_iso_exposure_and_light():
    camera = Camera()
    frames = [*camera.darks(3), *camera.flats(*LEVELS), *camera.flats(0.3, iso=800), *camera.darks(2, iso=800)]
    order = np.random.default_rng(1).permutation(len(frames))
    captures = scan([frames[i] for i in order])
    assert captures.isos == [100, 800] and not captures.refused and not captures.others
    assert [len(group) for group in captures.at(100, "dark")] == [3]
    levels = [group.level for group in captures.at(100, "flat")]
    assert levels == pytest.approx([level * 0.81 * 0.9 for level in LEVELS], rel=0.02)  # colour and vignetting
    assert [len(group) for group in captures.groups] == [3, 2, 2, 2, 2, 2, 2]
    assert captures.at(800, "flat")[0].exposure_s == 0.02
    assert np.allclose(captures.black(100), BLACK) and np.allclose(captures.white(800), WHITE)


@pytest.mark.parametrize("cfa", ["RGGB", "GRBG", "GBRG", "BGGR"])
@pytest.mark.parametrize("space", [(256, 320), (257, 319)])
def test_all_phases_and_odd_sizes(cfa: str, space: tuple[int, int]):
    shots = [
        Frame.from_array(synthetic_frame(Space.SENSOR, *space, cfa, level=0.3, seed=1).data.numpy(), cfa, bits=14)
        for _ in range(2)
    ]
    assert scan(shots).refused[0].reason == "the same picture as frame 1"
    camera = Camera(*space)
    frames = [replace(frame, cfa=cfa) for frame in (*camera.darks(2), *camera.flats(0.4))]
    captures = scan(frames)
    assert [(group.role, len(group)) for group in captures.groups] == [("dark", 2), ("flat", 2)]
    assert captures.used[0].cfa == cfa and captures.used[0].size == space


def test_textured_pictures_are_others_at_any_light():
    camera = Camera()
    pattern = 1 + 0.5 * np.sin(40 * camera.x) * np.sin(31 * camera.y)
    pictures = [camera.take(level, light=pattern) for level in (0.02, 0.2, 0.7)]
    lamp = np.exp(-(camera.x**2 + camera.y**2) / 0.01)
    pictures.append(camera.take(0.3, light=lamp))
    captures = scan([*camera.darks(2), *camera.flats(0.4), *pictures])
    assert len(captures.others) == 4 and len(captures.groups) == 2
    assert all("textured" in one.why or "with light in it" in one.why for one in captures.others)


def test_dust_and_vignetting_are_no_texture():
    camera = Camera(512, 640)
    dust = 1 - sum(
        0.1 * np.exp(-((camera.x - x) ** 2 + (camera.y - y) ** 2) / 0.0004)
        for x, y in camera.random.uniform(-1, 1, (12, 2))
    )
    captures = scan([camera.take(0.5, light=dust) for _ in range(2)] + camera.darks(2))
    assert [group.role for group in captures.groups] == ["dark", "flat"]


def test_a_light_leak_is_no_dark():
    camera = Camera()
    leak = np.exp(-((camera.x - 1) ** 2 + camera.y**2) / 0.05)
    captures = scan([*camera.darks(4), camera.take(0.02, light=leak), camera.take(0.0015)])
    assert [len(group) for group in captures.groups] == [4]
    assert reasons(captures).count("light") == 2


def test_dark_current_lifts_long_darks_only():
    camera = Camera()
    warm = [
        Frame.from_array(camera.counts(0.0) + np.uint16(200), "RGGB", iso=100, exposure_s=time, **camera.facts)
        for time in (30.0, 30.0, 0.01)
    ]
    captures = scan([*camera.darks(2), *warm])
    assert [(group.exposure_s, len(group)) for group in captures.at(100, "dark")] == [(0.001, 2), (30.0, 2)]
    assert "no second capture" in reasons(captures)  # the short one counts as a dim flat


def test_clipped_flats_are_refused_and_saturated_ones_kept_apart():
    camera = Camera()
    captures = scan([*camera.darks(2), *camera.flats(0.4), *camera.flats(1.9), *camera.flats(9.0)])
    assert [(group.role, len(group)) for group in captures.groups] == [("dark", 2), ("flat", 2), ("saturated", 2)]
    assert "clipped: at least" in reasons(captures)


def test_a_flat_with_clipped_greens_serves_red_and_blue():
    camera = Camera()
    captures = scan([*camera.darks(2), *camera.flats(1.15)])
    assert captures.at(100, "flat")[0].sites == (True, False, False, True)
    assert any("Gr, Gb clipped" in note for note in captures.notes)


def test_flicker_drift_and_movement_between_captures_are_found():
    camera = Camera(512, 320)
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


def test_one_bad_frame_of_a_burst_does_not_spoil_the_rest():
    camera = Camera(512, 320)
    burst = camera.flats(0.3, count=6)
    burst[1] = camera.take(0.3, light=1 + 0.02 * np.sin(9 * camera.y))
    captures = scan([*camera.darks(2), *burst])
    assert len(captures.at(100, "flat")[0]) == 4 and len(captures.refused) == 2


def test_noise_alone_is_never_called_flicker_or_movement():
    for seed in range(12):
        random = np.random.default_rng(seed)
        camera = Camera(256, 320, seed=seed)
        how = {"gain": 10 ** random.uniform(-1, 1.4), "read": random.uniform(0.5, 20), "row": random.uniform(0, 3)}
        captures = scan([*camera.darks(3, **how), *camera.flats(*LEVELS, **how)])
        assert [len(group) for group in captures.groups] == [3, 2, 2, 2, 2], (seed, how, reasons(captures))


def test_the_majority_of_cameras_sizes_and_phases_stays():
    camera, other = Camera(), Camera(model="Other", seed=1)
    small, turned = Camera(128, 160), Camera(cfa="GBRG", seed=2)
    shots = [*camera.darks(2), *camera.flats(0.4), *other.darks(1), *small.darks(1), *turned.darks(1)]
    captures = scan(shots)
    assert len(captures.used) == 4 and len(captures.refused) == 3
    said = reasons(captures)
    assert "from Maker Other" in said and "160 x 128" in said and "GBRG" in said


def test_bodies_are_told_apart_by_serial_number_and_can_be_chosen():
    shots = [*Camera(serial="1").darks(3), *Camera(serial="2", seed=1).darks(2), *Camera(seed=2).darks(2)]
    captures = scan(shots)
    assert {one.serial for one in captures.used} == {"1"} and len(captures.refused) == 4
    assert {one.serial for one in scan(shots, serial="2").used} == {"2"}
    assert {one.serial for one in scan([*shots[:3], *shots[5:]]).used} == {"1"}  # the one body has a number
    with pytest.raises(FormatError, match="serial number 3; the captures say 1, 2, none"):
        scan(shots, serial="3")


def test_8_bits_are_for_hot_pixels_only():
    camera = Camera(bits=8, black=2.0, white=255.0)
    darks = [np.clip(camera.random.normal(0.0, 1.5, camera.size), 0, 255).astype(np.uint8) for _ in range(3)]
    flats = [np.clip(camera.random.normal(120, 3, camera.size), 0, 255).astype(np.uint8) for _ in range(2)]
    captures = scan([Frame.from_array(one, "RGGB", iso=100, **camera.facts) for one in (*darks, *flats)])
    (group,) = captures.groups
    assert group.role == "dark" and len(group) == 3
    assert group.doubt is not None and "8-bit and" in group.doubt and "clipped" in group.doubt
    assert reasons(captures).count("8 bits") == 2
    assert any("read noise" in one for one in captures.advice)


def test_companded_flats_are_refused():
    camera = Camera()
    coarse = [stepped(frame, 32) for frame in camera.flats(0.4, gain=0.2)]
    captures = scan([*camera.darks(2), *coarse, *camera.flats(0.2)])
    assert reasons(captures).count("companded") == 2 and len(captures.at(100, "flat")) == 1


def test_a_12_bit_comb_in_14_bits_is_no_companding():
    camera = Camera()
    shots = [stepped(frame, 4) for frame in (*camera.darks(2), *camera.flats(0.4))]
    assert not scan(shots).refused


def test_black_is_found_in_the_darks_where_nobody_states_it():
    camera = Camera(black=0)
    captures = scan([*camera.darks(2), *camera.flats(0.1, 0.4)])
    assert [group.role for group in captures.groups] == ["dark", "flat", "flat"]
    assert captures.black(100) == pytest.approx(np.full(4, BLACK), abs=0.7)
    assert any("states no black" in note for note in captures.notes)
    alone = scan(camera.flats(0.4))
    assert not alone.groups and "its black is unknown" in reasons(alone)


def test_a_wrong_black_tag_does_not_turn_darks_into_flats():
    camera = Camera(black=BLACK + 8)
    assert [group.role for group in scan(camera.darks(3)).groups] == ["dark"]


def test_the_same_file_and_the_same_picture_count_once(tmp_path: Path):
    camera = Camera()
    frame = camera.take(0.0)
    frame.write(tmp_path / "a.dng", matrix="generic")
    (tmp_path / "b.dng").write_bytes((tmp_path / "a.dng").read_bytes())
    np.savez(tmp_path / "c.npz", data=frame.data.numpy(), cfa="RGGB", iso=100, **camera.facts)
    captures = scan([tmp_path])
    assert [one.name for one in captures.used] == ["a.dng"]
    assert reasons(captures) == "b.dng: the same file as a.dng\nc.npz: the same picture as a.dng"


def test_an_unknown_iso_is_a_group_of_its_own_and_can_be_stated():
    camera = Camera()
    shots = [*camera.darks(2, iso=None), *camera.flats(0.4, iso=None)]
    captures = scan(shots)
    assert captures.isos == [None] and any("--iso" in note for note in captures.notes)
    assert scan(shots, iso=400).isos == [400]


def test_raw_files_arrays_bursts_and_pictures_in_one_folder(tmp_path: Path):
    camera = Camera()
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


def test_arrays_need_a_phase_and_a_white_level(tmp_path: Path):
    np.save(tmp_path / "a.npy", Camera().counts(0.0))
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


def test_frames_that_are_no_counts_are_refused():
    frame = synthetic_frame(Space.MOSAIC, 128, 128, level=0.2)
    assert "expected counts" in reasons(scan([frame]))
    tiny = Frame.from_array(torch.zeros(32, 32), "RGGB", bits=14)
    assert "at least 64 x 64" in reasons(scan([tiny]))


def arrays(camera: Camera, change: Any, **facts: Any) -> list[Frame]:
    """Two darks and two flats with changed counts."""
    shots = [*camera.darks(2), *camera.flats(0.4)]
    facts = {**camera.facts, **facts}
    return [Frame.from_array(change(one.data.numpy()), "RGGB", iso=100, exposure_s=0.01, **facts) for one in shots]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_counts_without_their_black_are_no_counts_clipped_at_zero(dtype: Any):
    shots = arrays(Camera(), lambda counts: counts.astype(dtype) - dtype(BLACK), black=0, white=WHITE - BLACK)
    captures = scan(shots, black=0)
    dark, flat = captures.groups
    assert (dark.role, flat.role) == ("dark", "flat") and dark.doubt is None
    assert dark.zero == flat.zero == -np.inf


def test_the_count_at_which_a_converter_clips_is_found():
    camera = Camera()
    for change, black, zero in (
        (lambda counts: counts, BLACK, -np.inf),
        (lambda counts: np.maximum(counts, 508), BLACK, 508),
        (lambda counts: np.maximum(counts - 512.0, 0), 0.0, 0),
        (lambda counts: np.maximum(counts - 511.75, -2), 0.25, -2),
    ):
        groups = scan(arrays(camera, change, black=black), black=black).groups
        assert groups[0].role == "dark" and groups[0].zero == pytest.approx(zero, abs=0.2)


def test_fractions_and_few_codes_are_refused_with_what_to_do():
    camera = Camera()
    scaled = arrays(camera, lambda counts: (counts - np.float32(512)) / np.float32(15871), black=0, white=1)
    assert reasons(scan(scaled, black=0)).count("1 DN from black to white") == 4
    unsaid = arrays(camera, lambda counts: counts / np.float32(16383))
    captures = scan(unsaid)
    assert not captures.groups and reasons(captures).count("fractions from 0 to 1 where white is 16383") == 4
    assert "multiply by 2**bits - 1" in reasons(captures)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(bad: float):
    def spoilt(counts: Any) -> Any:
        out = counts.astype(np.float32)
        out[3, 5:7] = bad
        return out

    captures = scan(arrays(Camera(), spoilt))
    assert not captures.groups and reasons(captures).count("2 pixels that are NaN or infinite") == 4


def test_a_black_of_zero_in_an_npz_is_known(tmp_path: Path):
    camera = Camera()
    facts = {"cfa": "RGGB", "white": 15871.0, "bits": 14, "iso": 100, "camera": "One"}
    for index in range(2):
        counts = camera.counts(0.4).astype(np.float32) - np.float32(BLACK)
        np.savez(tmp_path / f"{index}.npz", data=counts, black=0, **facts)
    captures = scan([tmp_path])
    assert [group.role for group in captures.groups] == ["flat"] and captures.used[0].black_known
    assert not any("states no black" in note for note in captures.notes)


def test_darks_that_the_camera_filtered_are_doubted():
    camera = Camera(512, 640)
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


def test_a_pattern_that_stays_is_noticed_and_no_doubt():
    camera = Camera(512, 640)
    coarse = np.kron(camera.random.normal(0, 6, (64, 80)), np.ones((8, 8)))
    shots = [
        replace(frame, data=torch.from_numpy(np.rint(frame.data.numpy() + coarse).astype(np.uint16)))
        for frame in camera.darks(3)
    ]
    captures = scan(shots)
    assert captures.groups[0].doubt is None and any("coarse pattern" in note for note in captures.notes)


def test_folders_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch):
    for name in ("good", "locked"):
        (tmp_path / name).mkdir()
        Camera().take(0.0).write(tmp_path / name / "a.dng", matrix="generic")
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


def test_a_damaged_archive_is_refused_and_closed(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing more")
    np.save(tmp_path / "b.npy", np.zeros((4, 4)))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    assert reasons(scan([tmp_path], cfa="RGGB", bits=14)).count("can't be read: File is not a zip file") == 2


def test_frames_too_small_for_photon_transfer_are_refused_as_such():
    camera = Camera(72, 96)
    assert reasons(scan(camera.flats(0.4))).count("got 72 x 96 pixels; expected at least 8 blocks") == 2


def test_progress_moves_while_strips_are_read(monkeypatch):
    monkeypatch.setattr("rawpipe.calibration.mosaics._STRIP_VALUES", 160 * 128)
    told: list[float] = []
    camera = Camera(128, 160)
    measure_captures(scan([*camera.darks(4), *camera.flats(*LEVELS)]), lambda done, name: told.append(done))
    assert told == sorted(told) and told[-1] == pytest.approx(1.0)
    assert np.diff([0.0, *told]).max() < 0.13 and len(told) > 50


@pytest.mark.parametrize(
    ("darks", "flats", "words"),
    [
        (0, LEVELS, ["no darks"]),
        (1, LEVELS, ["one dark: row noise gets an upper bound only"]),
        (4, LEVELS, ["4 darks: 8 would"]),
        (16, LEVELS[1:3], ["flats of 2 levels", "the darkest flats lie at", "the brightest flats lie at"]),
        (2, (), ["no flats"]),
    ],
)
def test_what_is_missing_is_said(darks: int, flats: tuple[float, ...], words: list[str]):
    camera = Camera(128, 160)
    advice = "\n".join(scan([*camera.darks(darks), *camera.flats(*flats)]).advice)
    assert all(f"ISO 100: {word}" in advice for word in words), advice


def test_a_complete_series_asks_for_nothing():
    camera = Camera(128, 160)
    flats = [*camera.flats(0.05, 0.2, 0.95, 9.0), *camera.flats(0.6, count=16)]
    long = [camera.take(0.0, exposure_s=10.0) for _ in range(2)]
    assert scan([*camera.darks(16), *long, *flats]).advice == ()


def test_gaps_between_isos_are_named():
    camera = Camera(128, 160)
    captures = scan([*camera.darks(2), *camera.darks(2, iso=3200)])
    assert any("nothing between ISO 100 and 3200" in one for one in captures.advice)


def test_a_stack_serves_every_row_as_it_was_taken(tmp_path: Path):
    camera = Camera(300, 201)
    frames = camera.darks(3)
    frames[0].write(tmp_path / "0.dng", matrix="generic")
    np.savez(tmp_path / "1.npz", data=np.stack([f.data for f in frames[1:]]), cfa="RGGB", iso=100, **camera.facts)
    captures = scan([tmp_path, Camera(300, 201, seed=1).take(0.0)])
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


def test_a_stack_of_the_active_area_leaves_the_border_out():
    camera = Camera(300, 202)
    whole = [
        Frame.from_array(one.data, "RGGB", iso=100, active_area=(7, 21, 300, 202), **camera.facts)
        for one in camera.darks(2)
    ]
    captures = scan(whole)
    assert captures.used[0].cfa == "BGGR" and captures.used[0].size == (293, 181)
    with Stack(captures.used) as stack:
        assert np.array_equal(stack.rows(0, 5)[0], whole[0].data[7:12, 21:].numpy())


def test_a_stack_cleans_up_when_a_file_vanishes(tmp_path: Path):
    camera = Camera(128, 160)
    for index, frame in enumerate(camera.darks(2)):
        frame.write(tmp_path / f"{index}.dng", matrix="generic")
    captures = scan([tmp_path])
    (tmp_path / "1.dng").unlink()
    folder = tmp_path / "temporary"
    folder.mkdir()
    with pytest.raises(FormatError, match="1.dng"), Stack(captures.used, folder=folder):
        pass
    assert not list(folder.iterdir())


def test_fractional_counts_stay_as_they_are():
    camera = Camera(128, 160)
    shots = [replace(frame, data=frame.data.float() + 0.25) for frame in (*camera.darks(2), *camera.flats(0.4))]
    captures = scan(shots)
    assert [group.role for group in captures.groups] == ["dark", "flat"]
    with Stack(captures.used) as stack:
        assert stack.rows(3, 4).dtype == np.float32 and np.array_equal(stack.rows(3, 4)[0], shots[0].data[3:4].numpy())


def test_flea3_darks_show_hot_pixels_only(data: Path):
    captures = scan([data / "flea3" / "dark_frames"], cfa="GBRG", black=0, iso=100)
    (group,) = captures.groups
    assert group.role == "dark" and len(group) == 14 and not captures.refused
    assert group.doubt is not None and "8-bit" in group.doubt and "clipped" in group.doubt


def test_ordinary_photographs_are_others(data: Path):
    captures = scan([data / "raw"])
    assert len(captures.others) == 4 and not captures.groups
    assert reasons(captures).count("textured") == 4
