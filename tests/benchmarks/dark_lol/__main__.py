"""What models and simple curves make of display-referred pictures in the dark, as a Markdown table.

    python tests/benchmarks/dark_lol <lol> --weights likelihood=FILE.safetensors L1=FILE --one-pass FILE --lpips FILE
    python tests/benchmarks/dark_lol <lol> --weights likelihood=FILE --temperature 0.8 --samples 8
    python tests/benchmarks/dark_lol <lol> --learn-one-pass FOLDER --from <lol to learn from> --steps 4000

Whole pictures in 8 bits, laid out as LOL. Each method stands there twice: as it is, and with the mean brightness of the
truth, which nobody has who lacks the truth.

- none: the dark picture. equalised: its histograms.
- gamma: the power that comes nearest to the truth, found by looking at it.
- one pass: a U-Net that sees what LLFlow sees, learned by mean absolute distance.
- LLFlow by its weights, NAME=FILE: the likeliest picture, or the mean of samples by --temperature and --samples.

--without names pictures that a second table leaves out, by what their names begin with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from one_pass import learned, picture_by

from rawpipe.lpips import Lpips
from rawpipe.stages.enhance import LLFlow
from rawpipe.stages.enhance.evaluation.display import OF_TRUTH, DisplayScore
from rawpipe.stages.enhance.evaluation.display_methods import DISPLAY_METHODS, Blind, DisplayMethod, enhanced
from rawpipe.stages.enhance.evaluation.display_table import DisplayRow, DisplayTable, evaluate_display, lol_pairs
from rawpipe.stages.enhance.evaluation.protocols import AS_IS


def mean(rows: list[DisplayRow], alignment: str) -> DisplayScore:
    return DisplayTable((alignment,), {}, tuple(rows), True).means[alignment]


def cells(rows: list[DisplayRow], lpips: bool) -> str:
    found = [mean(rows, alignment) for alignment in (AS_IS, OF_TRUTH)]
    return " | ".join(
        f"{one.psnr_db:.2f} | {one.ssim_gray:.3f} | {one.ssim_rgb:.3f}" + (f" | {one.lpips:.3f}" if lpips else "")
        for one in found
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="pairs, laid out as LOL")
    parser.add_argument("--weights", nargs="*", default=[], help="NAME=FILE of LLFlow")
    parser.add_argument("--temperature", type=float, default=0.0, help="of LLFlow's samples; 0 = the likeliest picture")
    parser.add_argument("--samples", type=int, default=1, help="of LLFlow, whose mean is scored")
    parser.add_argument("--one-pass", type=Path, help="weights of the U-Net")
    parser.add_argument("--lpips", type=Path, help="weights of LPIPS; without, there are no figures of it")
    parser.add_argument("--without", nargs="*", default=[], help="pictures to leave out of a second table")
    parser.add_argument("--learn-one-pass", type=Path, metavar="FOLDER", help="train the U-Net, and stop")
    parser.add_argument("--from", dest="pairs", type=Path, help="pairs to learn from")
    parser.add_argument("--steps", type=int, default=4000)
    options = parser.parse_args()
    if options.learn_one_pass:
        print(learned(options.pairs, options.learn_one_pass, options.steps))
        return
    methods: dict[str, DisplayMethod] = dict(DISPLAY_METHODS)
    if options.one_pass:
        methods["one pass, L1"] = Blind(picture_by(options.one_pass), "one pass")
    for one in options.weights:
        name, _, file = one.partition("=")
        methods[name] = enhanced(LLFlow("rgb", options.temperature, options.samples, file), name)
    lpips = Lpips.read(options.lpips) if options.lpips else None
    pairs = lol_pairs(options.folder)
    rows = {name: list(evaluate_display(pairs, method, lpips=lpips).rows) for name, method in methods.items()}
    heads = ["PSNR, dB", "SSIM gray", "SSIM RGB", *(["LPIPS"] if lpips else [])]
    names = [*heads, *(f"{head} *" for head in heads)]
    tables: list[tuple[str, ...]] = [(), tuple(options.without)] if options.without else [()]
    for left_out in tables:
        chosen = {
            name: [row for row in every if not row.files.name.startswith(left_out)] for name, every in rows.items()
        }
        print(f"\n| {len(chosen['none'])} pictures | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
        for name, some in chosen.items():
            print(f"| {name} | {cells(some, lpips is not None)} |")
    print("\n*: with the brightness of the truth.")


if __name__ == "__main__":
    main()
