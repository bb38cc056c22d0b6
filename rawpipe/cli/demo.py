"""`rawpipe demo`: the main job on a scene whose truth is known, with a picture of every stage."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from rawpipe.cli._folder import make_folder
from rawpipe.cli._say import one_line_warnings, progress_bar

FILES = {
    "raw.dng": "as the camera took it, four stops under",
    "bright.dng": "the mosaic four stops up; the lamp is clipped, two stops above white",
    "linear.dng": "demosaiced; noise below black is clipped, as it must be in a LinearRaw DNG",
    "developed.tif": "sRGB, 16 bits",
    "recipe.toml": "the stages, to run again",
    "stages.png": "a picture behind every stage",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files; made if it isn't there")
    parser.add_argument("--device", default="cpu", help="cpu, cuda ...; default cpu")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no warnings, no table")


def run(options: argparse.Namespace) -> int:
    """Photograph the scene, develop it, write files of all kinds and a contact sheet, and measure the colors."""
    from rawpipe import Frame, Pipeline, RawpipeWarning
    from rawpipe._recipe import make
    from rawpipe._stage import name_of
    from rawpipe.cli._contact import contact_sheet
    from rawpipe.cli._scene import checker_linear, checker_means, scene, take
    from rawpipe.cli.develop import device_of
    from rawpipe.metrics import delta_e_2000, lab
    from rawpipe.stages.default import default_stages

    folder: Path = options.output
    make_folder(folder)
    truth = scene()
    with one_line_warnings(options.quiet), progress_bar(1, "demo", "%", options.quiet) as bar:
        frame = take(truth).to(device_of(options.device))
        frame.write(folder / "raw.dng")
        raw = Frame.read(folder / "raw.dng", device=options.device)
        stages = [stage for stage in default_stages() if name_of(stage) != "opcodes"]
        pipeline = Pipeline(stages).replace("exposure", make("exposure", {"ev": 4.0}))
        result, kept = pipeline.run(raw, keep=pipeline.names, progress=lambda done, _: bar.update(0.6 * done - bar.n))
        pipeline.save(folder / "recipe.toml")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RawpipeWarning)  # what is clipped is said below
            Pipeline([make("exposure", {"ev": 4.0})])(kept["black_level"]).write(folder / "bright.dng")
            kept["demosaic"].write(folder / "linear.dng")
        result.write(folder / "developed.tif")
        contact_sheet({"take": raw} | kept, result.history, folder / "stages.png")
        bar.update(1 - bar.n)
    if not options.quiet:
        errors = delta_e_2000(lab(checker_means(kept["exposure"].data.cpu())), lab(checker_linear()))
        print(f"ColorChecker against the truth: mean ΔE2000 {errors.mean():.2f}, worst {errors.max():.2f}")
        for name, text in FILES.items():
            print(f"{folder / name}  {text}")
    return 0
