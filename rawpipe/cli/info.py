"""`rawpipe info`: what a RAW file holds, which weights are installed, and what runs the kernels."""

from __future__ import annotations

import argparse
from pathlib import Path

from rawpipe._errors import FormatError
from rawpipe.cli._say import one_line_warnings
from rawpipe.io.container import check_container


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a RAW file")
    parser.add_argument(
        "--weights", action="store_true", help="list the weights of learned models, with their licences"
    )
    parser.add_argument("--backends", action="store_true", help="what runs the kernels on this machine, and why")
    parser.add_argument("-q", "--quiet", action="store_true", help="no warnings")


def run(options: argparse.Namespace) -> int:
    """Print one fact a line."""
    if options.weights + options.backends + (options.file is not None) != 1:
        raise FormatError(
            "got none of a file, --weights and --backends, or several; expected one of them: rawpipe info photo.nef"
        )
    if options.weights:
        _print_weights()
        return 0
    if options.backends:
        from rawpipe.kernels import backends

        for device, reason in backends().items():
            print(f"{device:18} {reason}")
        return 0
    check_container(options.file)  # a bad file is refused before decoders are imported
    from rawpipe.io.recorded import judge, recorded

    with one_line_warnings(options.quiet):
        found = recorded(options.file)
        judge(options.file, found.is_dark, found.taken)
    shot, color = found.taken, found.taken.color
    top, left, bottom, right = shot.active_area
    facts = {
        "camera": f"{shot.make} {shot.model}".strip() or "unknown",
        "serial": shot.serial,
        "lens": shot.lens,
        "taken": shot.taken,
        "iso": shot.iso,
        "exposure": f"{shot.exposure_s:.6g} s" if shot.exposure_s else "",
        "aperture": f"f/{shot.f_number:g}" if shot.f_number else "",
        "focal length": f"{shot.focal_mm:g} mm" if shot.focal_mm else "",
        "pixels": f"{bottom - top} x {right - left} of {shot.size[0]} x {shot.size[1]} on the sensor",
        "mosaic": found.cfa or "none, camera RGB",
        "bits": shot.bits,
        "black": _numbers(shot.black.tolist()),
        "white": _numbers(shot.white.tolist()),
        "as-shot neutral": "none" if shot.neutral is None else _numbers(shot.neutral.tolist()),
        "color matrix": "none" if color is None else f"from {color.source}, illuminants {_illuminants(color)}",
        "forward matrix": "yes" if color is not None and color.forward1 is not None else "",
        "orientation": shot.orientation,
        "default crop": shot.default_crop,
        "masked areas": shot.masked_areas,
        "opcode lists": ", ".join(f"{i}: {len(one)} bytes" for i, one in enumerate(shot.opcodes, 1) if one),
        "noise profile": _numbers(shot.noise_profile),
        "baseline exposure": f"{shot.baseline_exposure:+.2f} EV" if shot.baseline_exposure else "",
    }
    for name, value in facts.items():
        if value not in ("", None, ()):
            print(f"{name:18} {value}")
    return 0


def _print_weights() -> None:
    """All sets of all installed enhancers."""
    from rawpipe import _registry
    from rawpipe.stages.enhance.about import bundled, described

    for name, point in _registry.installed(_registry.ENHANCERS).items():
        if point.module == "rawpipe.stages.enhance":  # whose sets are found without importing torch
            sets = bundled(name)
        else:
            sets = getattr(_registry.load(name, _registry.ENHANCERS), "weight_sets", dict)()
        for set_name, path in sets.items():
            about, content = described(path)
            facts = {
                "weights": f"{name} {set_name}, {len(content) / 1e6:.1f} MB",
                "sha256": about["sha256"],
                "licence": about["licence"] + (" (research only)" if about["research_only"] else ""),
                "learned from": about["learned_from"],
            }
            for fact, value in facts.items():
                print(f"{fact:18} {value}")


def _numbers(values: object) -> str:
    return " ".join(f"{value:.6g}" for value in values)  # type: ignore[attr-defined]


def _illuminants(color: object) -> str:
    return " and ".join(str(code) for code in (color.illuminant1, color.illuminant2) if code)  # type: ignore[attr-defined]
