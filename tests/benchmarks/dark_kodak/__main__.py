"""What denoisers make of Kodak24 in the dark, as Markdown tables.

    python tests/benchmarks/dark_kodak <folder of kodim*.png> --out <folder> --tune <folder> <folder> --lpips <file>
    python tests/benchmarks/dark_kodak <folder> --out <folder> --methods --weights NAME=FILE.safetensors:3
    python tests/benchmarks/dark_kodak <folder> --out <folder> --methods noisy nlm wavelet NAME --table

A picture is unprocessed to the RAW of the mean of four cameras, sampled as RGGB, and exposed by each of ELD's five
cameras (Tukey-lambda read noise, row noise, quantisation) at ISO 800 and 3200, 1 to 300 times too short. Every method
gets the same planes, brought back to the reference brightness and not clipped, and knows the camera, the ISO and the
ratio. Results are clipped to 0..1.

- noisy: the input.
- nlm: rows removed, stabilised, non-local means, the unbiased inverse.
- wavelet: the same around BayesShrink of undecimated wavelets, principal planes.
- learned models by their weights, NAME=FILE, without a guard; what more can be switched stands behind a colon, with
  commas: `3` for three steps, `photons=drawn`, `clipped`, `mirrored`, `precision=bfloat16`, `guard=4`, `strength=0.8`,
  and for LLFlow `temperature=0.5`, `samples=8`.

The strength of a classical method is tuned for each column on eight other pictures, 256x256 of each, named by --tune.
BM3D is left out: the package `bm3d` is licensed for non-commercial use only.

PSNR and SSIM (7x7 windows) are those of the packed planes, saturation = 1; ΔE2000 and LPIPS those after white balance,
malvar2004, the matrix to sRGB and its curve, without the eight outermost pixels. Figures are added to <out>, one file
of JSON lines per method; what is there with the same settings or weights isn't computed again.

Needs scikit-image and PyWavelets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import torch
from classical import METHODS, Tuning, cleaned
from columns import Column, Exposed, columns, expose, read_clean, tuning_pictures
from learned import Learned
from score import METRICS, Truth
from tables import tables
from torch import Tensor

from rawpipe.lpips import Lpips


class Method(NamedTuple):
    """How a picture is cleaned, what tells these settings from others, and passes of a network."""

    run: Callable[[Exposed], Tensor]
    version: Callable[[Column], str]
    passes: Callable[[Column], int] = lambda _: 0


def classical(name: str, tuning: Tuning) -> Method:
    return Method(
        lambda dim: cleaned(name, dim, tuning.settings(name, dim.column)),
        lambda column: json.dumps(tuning.settings(name, column)),
    )


def learned(model: Learned) -> Method:
    return Method(lambda dim: model(dim.batch), lambda _: model.version, lambda column: model.passes(column.ratio))


def methods_of(names: Iterable[str], weights: Iterable[str], tuning: Tuning) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for name in names:
        if name == "noisy":
            found[name] = Method(lambda dim: dim.batch.dim.clamp(0, 1), lambda _: "")
        elif name in METHODS:
            found[name] = classical(name, tuning)
        else:
            sys.exit(f"got method {name!r}; expected noisy, {', '.join(METHODS)}, or --weights {name}=FILE")
    for one in weights:
        name, _, file = one.partition("=")
        found[name] = learned(Learned.read(file))
    return found


def stored(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What was computed, by column and picture; a line that was cut off doesn't count."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["column"], row["picture"]] = row
    return found


def computed(
    methods: dict[str, Method], chosen: list[Column], images: list[Path], out: Path, network: Lpips | None
) -> None:
    known = {name: stored(out / f"{name}.jsonl") for name in methods}
    truths: dict[str, Truth] = {}
    for number, column in enumerate(chosen):
        versions = {name: method.version(column) for name, method in methods.items()}
        for path in images:
            missing = [
                name
                for name in methods
                if (row := known[name].get((column.name, path.stem))) is None
                or row["version"] != versions[name]
                or (network is not None and "lpips" not in row)
            ]
            if not missing:
                continue
            if path.stem not in truths:
                truths[path.stem] = Truth(read_clean(path), network)
            truth = truths[path.stem]
            dim = expose(path.stem, truth.clean, column)
            for name in missing:
                start = time.process_time()
                result = methods[name].run(dim)
                seconds = time.process_time() - start
                row = {"column": column.name, "picture": path.stem, "version": versions[name]}
                row |= truth.scores(result) | {"seconds": seconds, "passes": methods[name].passes(column)}
                with (out / f"{name}.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
        print(f"{number + 1} of {len(chosen)}: {column.name}", file=sys.stderr, flush=True)


def printed(names: list[str], chosen: list[Column], images: list[Path], out: Path) -> None:
    by_name, wanted = {column.name: column for column in chosen}, {path.stem for path in images}
    results: dict[str, dict[Column, dict[str, dict[str, float]]]] = {}
    for name in names:
        results[name] = {}
        for (column, picture), row in stored(out / f"{name}.jsonl").items():
            if column in by_name and picture in wanted:
                figures = {metric: row[metric] for metric in METRICS if metric in row}
                results[name].setdefault(by_name[column], {})[picture] = figures
    print(tables(results, chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of kodim*.png")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is computed")
    parser.add_argument("--methods", nargs="*", default=["noisy", *METHODS])
    parser.add_argument("--weights", nargs="*", default=[], help="NAME=FILE[:switches]")
    parser.add_argument("--columns", nargs="*", default=["*"], help='"*x100", "SonyA7S2*", ...')
    parser.add_argument("--images", type=int, default=24, help="how many, evenly spaced")
    parser.add_argument("--tune", type=Path, nargs="*", default=[], help="folders of pictures to tune strengths on")
    parser.add_argument("--lpips", type=Path, help="weights of LPIPS; without, there are no figures of it")
    parser.add_argument(
        "--table", action="store_true", help="print what was computed, names of learned models included"
    )
    given = parser.parse_args()
    found = sorted(given.folder.glob("kodim*.png"))
    images = found[:: max(len(found) // given.images, 1)][: given.images]
    chosen = [column for column in columns() if any(fnmatch(column.name, pattern) for pattern in given.columns)]
    if not images or not chosen:
        sys.exit(f"got {len(images)} kodim*.png in {given.folder} and {len(chosen)} columns; expected some of both")
    if given.table:
        printed(given.methods, chosen, images, given.out)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    tuning = Tuning(given.out / "tuned.jsonl", tuning_pictures(given.tune) if given.tune else {})
    methods = methods_of(given.methods, given.weights, tuning)
    with torch.inference_mode():
        computed(methods, chosen, images, given.out, Lpips.read(given.lpips) if given.lpips else None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
