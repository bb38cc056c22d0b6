"""Freely licensed photographs that come in packages of Debian, as pictures to learn from.

`python -m rawpipe.stages.enhance.training.free_photographs UNPACKED free_photographs`, where `UNPACKED` is the folder
that these were unpacked in, with `apt-get download NAME` and `dpkg-deb -x FILE UNPACKED`:

- endless-sky-high-dpi (0.11.0): landscapes; CC BY-SA, CC BY, CC0 or public domain, picture by picture;
- budgie-backgrounds (4.2): CC0;
- lomiri-wallpapers-16.04 (20.04.0): CC BY-SA, CC BY or CC0, picture by picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import imagecodecs
from PIL import Image
from tqdm import tqdm

from rawpipe import FormatError, RawpipeError

PACKAGES = {
    "endless-sky-high-dpi": "land/*@2x.jpg",
    "budgie-backgrounds": "budgie/*.jxl",
    "lomiri-wallpapers-16.04": "backgrounds/*.jpg",
}
"""Where the photographs of each package lie."""

DRAWN = {
    *("abstract-spiral", "ocean-waves", "saturnian-profile", "valley-midnight", "waves-midnight"),
    *("analogpattern_by_Peter_Nerlich", "umang_by_Abhishek_Mudgal"),
}
"""Pictures among them that are no photographs."""

_LONGEST, _PIECE = 1920, 640


def write_photographs(unpacked: Path, out: Path) -> int:
    """Write them to a new folder, scaled down so that no trace of JPEG is learned, and the large ones in pieces.

    Returns: how many pictures were written, all of them lossless WebP.

    Raises:
        FormatError: a package's photographs aren't there, or the folder is, or a picture can't be read.
    """
    if out.exists():
        raise FormatError(f"got {out}, which exists; expected a new folder")
    found = {name: sorted(unpacked.rglob(place)) for name, place in PACKAGES.items()}
    if missing := [name for name, paths in found.items() if not paths]:
        raise FormatError(f"got {unpacked} without photographs of {', '.join(missing)}; expected it unpacked there")
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}-") as beside:
        made = Path(beside) / out.name
        made.mkdir()
        photographs = [path for paths in found.values() for path in paths if path.stem not in DRAWN]
        for path in tqdm(photographs, unit="photograph", delay=2, disable=None):
            for i, picture in enumerate(_clean(_read(path), small=path.stem.endswith("@2x"))):
                picture.save(made / f"{path.stem.removesuffix('@2x')}_{i}.webp", lossless=True, quality=0)
        made.rename(out)
    return len(list(out.iterdir()))


def _read(path: Path) -> Image.Image:
    try:
        if path.suffix == ".jxl":
            return Image.fromarray(imagecodecs.jpegxl_decode(path.read_bytes())[..., :3])
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, imagecodecs.JpegxlError) as error:
        raise FormatError(f"got {path}, which is no picture that can be read ({error}); unpack it again") from error


def _clean(picture: Image.Image, small: bool) -> list[Image.Image]:
    if small:
        return [picture.resize((picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS)]
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    columns, rows = -(-picture.width // _PIECE), -(-picture.height // _PIECE)
    width, height = picture.width // columns, picture.height // rows
    corners = [(x * width, y * height) for y in range(rows) for x in range(columns)]
    return [picture.crop((x, y, x + width, y + height)) for x, y in corners]


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("unpacked", type=Path)
    words.add_argument("out", type=Path, help="a new folder")
    try:
        tqdm.write(f"{write_photographs(**vars(words.parse_args()))} pictures")
    except RawpipeError as error:
        sys.exit(f"error: {error}")
