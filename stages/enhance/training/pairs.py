"""Pairs of a short and a long exposure, in the folders that See-in-the-Dark (SID) and ELD are published as.

References:
    Chen et al. (2018), Learning to see in the dark.
    Wei et al. (2021), Physics-based noise modeling for extreme low-light photography.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rawpipe import CameraProfile, FormatError, NoiseModel, ProfileError
from rawpipe._errors import unknown
from rawpipe.io.container import identify, mapped, raw_files, tree_of
from rawpipe.io.exif import Exif, directories, read_exif

SPLITS = {"train": "0", "test": "1", "val": "2"}
"""Splits of SID, and the digit that the names of their scenes begin with."""

SID_RATIOS = (100, 250, 300)
ELD_RATIOS = {100: (4, 9, 14), 200: (5, 10, 15)}
"""Ratios that ELD names, and the numbers of the pictures that have them."""

_SID_CAMERA = "SonyA7S2"
_SID_NAME = re.compile(r"(\d{5})_\d{2}_(\d+(?:\.\d+)?)s")
_MOST = 300.0  # cap of SID's ratios
_ELD_NAME = re.compile(r"IMG_?(\d+)", re.IGNORECASE)
_ELD_CLEAN = (1, 6, 11, 16)
_LEAST_ISO = 100.0  # at an "extended" ISO below it a sensor works as at 100


@dataclass(frozen=True)
class Pair:
    """Two pictures of one scene.

    Args:
        noisy: file of the short exposure.
        clean: file of the long one.
        ratio: exposure of the clean one over that of the noisy one, 1 or more.
        nominal: the ratio's name in tables: 100, 250 ...
        scene: name of the scene.
        iso: of the noisy one.
        camera: its name; that of the published noise where there is one: "SonyA7S2".

    Raises:
        FormatError: the ratio is below 1.
    """

    noisy: Path
    clean: Path
    ratio: float
    nominal: int
    scene: str
    iso: float
    camera: str

    def __post_init__(self) -> None:
        if not 1 <= self.ratio < float("inf"):
            raise FormatError(
                f"got {self.noisy} and {self.clean}, of which the second is exposed {self.ratio:.3g} times as much; "
                "expected 1 or more: the clean picture is the longer exposure"
            )


def sid_pairs(
    root: str | Path, split: str = "test", ratios: Sequence[float] | None = None, listed: str | Path | None = None
) -> list[Pair]:
    """The pairs of SID's Sony camera: `Sony/short/00001_00_0.1s.ARW` with `Sony/long/00001_00_10s.ARW`.

    Exposures are those of the names, their ratio is capped at 300. `Sony_test_list.txt` beside the folder `Sony` says
    what belongs together; without it every short exposure gets the longest one of its scene.

    Args:
        root: the folder with `Sony` in it.
        split: "train", "test" or "val".
        ratios: nominal ratios to keep; None = all.
        listed: a list of your own, with a short and a long file in each line.

    Raises:
        FormatError: the folder is laid out otherwise, a file is missing, or no pair is left.
    """
    root = Path(root)
    if split not in SPLITS:
        raise FormatError(unknown("split", split, SPLITS))
    short, long = (root / "Sony" / name for name in ("short", "long"))
    for folder in (short, long):
        if not folder.is_dir():
            raise FormatError(
                f"got {root} without Sony/{folder.name}; expected SID as published: name the folder that has Sony in it"
            )
    table = Path(listed) if listed is not None else root / f"Sony_{split}_list.txt"
    known = listed is not None or table.is_file()
    files = _listed(table, root) if known else _matched(short, long, SPLITS[split])
    pairs = [_sid_pair(*one) for one in files]
    return _of_ratios(pairs, ratios, f"{root}, split {split}")


def _listed(table: Path, root: Path) -> list[tuple[Path, Path, float | None]]:
    """Short file, long file, and ISO where it stands beside them."""
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"the list {table} can't be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2:
            raise FormatError(f"got {line!r} in line {number} of {table}; expected a short and a long file")
        files = []
        for word, kind in zip(words, ("short", "long"), strict=False):
            named = root / word
            files.append(named if named.is_file() else root / "Sony" / kind / named.name)
            if not files[-1].is_file():
                raise FormatError(f"line {number} of {table} names {word}, which isn't in {root}; fetch it again")
        iso = next((float(word[3:]) for word in words[2:] if re.fullmatch(r"ISO\d+", word)), None)
        found.append((files[0], files[1], iso))
    return found


def _matched(short: Path, long: Path, digit: str) -> list[tuple[Path, Path, float | None]]:
    longs: dict[str, list[Path]] = defaultdict(list)
    for path in raw_files(long):
        longs[_sid_name(path)[0]].append(path)
    found: list[tuple[Path, Path, float | None]] = []
    for path in raw_files(short):
        scene, _ = _sid_name(path)
        if scene.startswith(digit):
            if scene not in longs:
                raise FormatError(f"got {path} without a long exposure of scene {scene} in {long}; fetch it again")
            found.append((path, max(longs[scene], key=lambda one: _sid_name(one)[1]), None))
    return found


def _sid_name(path: Path) -> tuple[str, float]:
    """Scene and exposure in seconds."""
    match = _SID_NAME.fullmatch(path.stem)
    if match is None or not float(match[2]) > 0:
        raise FormatError(f"got {path}; expected a name such as 00001_00_0.1s.ARW: scene, number, exposure")
    return match[1], float(match[2])


def _sid_pair(noisy: Path, clean: Path, iso: float | None) -> Pair:
    scene, exposure_s = _sid_name(noisy)
    ratio = min(_sid_name(clean)[1] / exposure_s, _MOST)
    if iso is None:
        iso = _iso(noisy, exif_of(noisy))
    return Pair(noisy, clean, ratio, round(ratio), scene, iso, _SID_CAMERA)


def eld_pairs(root: str | Path, camera: str | None = None, ratios: Sequence[float] | None = None) -> list[Pair]:
    """The pairs of ELD: `SonyA7S2/scene-1/IMG0004.ARW` with `IMG0006.ARW`, the nearest of 1, 6, 11 and 16.

    The ratio is that of ISO times exposure time, both from the files.

    Args:
        root: the folder with one folder for each camera, or that of a camera.
        camera: name of a camera's folder; None = all.
        ratios: of 100 and 200; None = both.

    Raises:
        FormatError: the folder is laid out otherwise, a file is missing or doesn't say its exposure, or no pair is
            left.
    """
    root = Path(root)
    if not root.is_dir():
        raise FormatError(f"got {root}, which is no folder; expected ELD as published")
    if _scenes(root):
        cameras = [root]
    else:
        cameras = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and _scenes(folder)]
        if not cameras:
            raise FormatError(f"got {root} without a folder such as SonyA7S2/scene-1; expected ELD as published")
        if camera is not None:
            known = {folder.name: folder for folder in cameras}
            if camera not in known:
                raise FormatError(f"{root}: " + unknown("camera", camera, known))
            cameras = [known[camera]]
    pairs = [
        _eld_pair(scene, noisy, nominal)
        for folder in cameras
        for scene in _scenes(folder)
        for nominal, noisy in _numbered(scene)
        if ratios is None or nominal in ratios
    ]
    return _of_ratios(pairs, ratios, str(root))


def _scenes(folder: Path) -> list[Path]:
    found = [one for one in folder.glob("scene-*") if one.is_dir() and one.name[6:].isdigit()]
    return sorted(found, key=lambda one: int(one.name[6:]))


def _numbered(scene: Path) -> list[tuple[int, int]]:
    """Nominal ratios and numbers of the noisy pictures of a scene, in the order of the numbers."""
    if not raw_files(scene):
        raise FormatError(f"got {scene} without RAW files; fetch it again")
    return sorted(((nominal, one) for nominal, ids in ELD_RATIOS.items() for one in ids), key=lambda pair: pair[1])


def _eld_pair(scene: Path, number: int, nominal: int) -> Pair:
    files = {int(match[1]): path for path in raw_files(scene) if (match := _ELD_NAME.fullmatch(path.stem))}
    nearest = min(_ELD_CLEAN, key=lambda one: abs(one - number))
    for one in (number, nearest):
        if one not in files:
            raise FormatError(f"got {scene} without IMG{one:04}; fetch it again")
    noisy, clean = files[number], files[nearest]
    facts, exposures = [], []
    for path in (noisy, clean):
        exif = exif_of(path)
        if exif.exposure_s is None:
            raise FormatError(f"got {path}, which doesn't say its exposure time; ELD's ratio needs it")
        facts.append(_iso(path, exif))
        exposures.append(facts[-1] * exif.exposure_s)
    ratio = exposures[1] / exposures[0]
    return Pair(noisy, clean, ratio, nominal, scene.name, facts[0], scene.parent.name)


def _of_ratios(pairs: list[Pair], ratios: Sequence[float] | None, where: str) -> list[Pair]:
    kept = [pair for pair in pairs if ratios is None or pair.nominal in ratios]
    if not kept:
        there = ", ".join(str(one) for one in sorted({pair.nominal for pair in pairs})) or "none"
        wanted = "pairs" if ratios is None else f"ratios {', '.join(f'{one:g}' for one in ratios)}"
        raise FormatError(f"got {where} for {wanted}; it has {there}")
    return kept


def exif_of(path: Path) -> Exif:
    """What a file says of its exposure; its pixels aren't read.

    Raises:
        FormatError: it is missing or damaged.
    """
    with mapped(path) as data:
        kind = identify(path, data)
        return read_exif(path, directories(kind, data, tree_of(path, data) if kind == "tiff" else []))


def _iso(path: Path, exif: Exif) -> float:
    if exif.iso is None:
        raise FormatError(f"got {path}, which doesn't say its ISO; its noise depends on it")
    return exif.iso


def check_sizes(pair: Pair, noisy: Tensor, clean: Tensor) -> None:
    """Refuse pictures of a pair that aren't of one size.

    Raises:
        FormatError: they aren't.
    """
    if noisy.shape != clean.shape:
        raise FormatError(
            f"got {pair.noisy} and {pair.clean} of packed {tuple(noisy.shape)} and {tuple(clean.shape)}; expected one "
            "size: they are no pair"
        )


def noise_of(pair: Pair, noise: CameraProfile | NoiseModel | str | None = None) -> NoiseModel:
    """The noise of a pair's short exposure, in DN of its file.

    Args:
        pair: the pair.
        noise: a profile, which is asked for the pair's ISO; a model, taken as it is; the name of a published camera;
            None = that of the pair's camera.

    Raises:
        ProfileError: nothing is known of the camera at that ISO.
    """
    if isinstance(noise, NoiseModel):
        return noise
    if isinstance(noise, CameraProfile):
        return noise.at(pair.iso)
    try:
        return NoiseModel.virtual(noise or pair.camera, iso=max(pair.iso, _LEAST_ISO))
    except ProfileError as error:
        raise ProfileError(f"the noise of {pair.noisy}: {error}; or give a profile of the camera") from error
