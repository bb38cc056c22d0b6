"""The report: one HTML file that says how far to trust a profile, and shows why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from os import PathLike

import numpy as np

from rawpipe._profile import camera_name
from rawpipe.calibration.calibrate import Calibration
from rawpipe.calibration.one_iso import IsoResult
from rawpipe.calibration.report import of_darks, of_flats, over_isos, tables
from rawpipe.calibration.report.heat import site_maps
from rawpipe.calibration.report.of_flats import Picture
from rawpipe.calibration.report.words import digits
from rawpipe.io.atomic import replacing

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(
    calibration: Calibration,
    path: str | PathLike[str],
    captures_notes: Sequence[str] = (),
    advice: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the report of a calibration: verdicts, numbers with intervals, pictures, provenance, in one HTML file.

    The file needs nothing else: no network, no script. It follows the reader's light or dark setting, and prints.

    Args:
        calibration: what to report.
        path: file to write; what was there is replaced only when all is well.
        captures_notes: what was noticed about the captures, one sentence each.
        advice: which captures are missing, one sentence each.
        left_out: files that weren't used, and why.

    Raises:
        FormatError: the file can't be written.
    """
    text = html(calibration, captures_notes, advice, left_out)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def html(
    calibration: Calibration,
    captures_notes: Sequence[str] = (),
    advice: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
) -> str:
    """The report's text; see `write_report`."""
    profile = calibration.profile
    style = (files("rawpipe.calibration.report") / "style.css").read_text(encoding="utf-8")
    across = over_isos.pictures(calibration)
    parts = [
        _head(calibration),
        tables.verdicts(calibration.isos),
        _sentences("What to add", advice, "Captures that would make the profile better:"),
        "<h2>Numbers</h2>",
        tables.overview(calibration.isos),
        tables.quantities(profile.sensor, "The sensor, whatever the ISO"),
    ]
    if across:
        parts += ["<h2>Across ISOs</h2>", _pictures(across), tables.regressions(profile.across_iso)]
    parts += [_sensor_maps(calibration)]
    parts += [_section(one, profile.size) for one in calibration.isos]
    parts += [
        "<h2>Captures</h2>",
        _sentences("", captures_notes),
        tables.left_out(left_out),
        tables.provenance(calibration.profile),
    ]
    name = escape(profile.name)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Noise of {name}</title><style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def _head(calibration: Calibration) -> str:
    profile = calibration.profile
    height, width = profile.size
    facts = [
        f"serial number {profile.serial}" if profile.serial else "",
        f"{width} × {height} pixels, {profile.cfa}, {profile.bits} bits",
        f"{profile.provenance.get('kind', '')} {profile.provenance.get('date', '')}".strip(),
        f"rawpipe {profile.provenance['rawpipe']}" if "rawpipe" in profile.provenance else "",
    ]
    links = "".join(f'<a href="#iso{one.iso:g}">ISO {one.iso:g}</a>' for one in calibration.isos)
    return (
        f"<header><h1>Noise of {escape(camera_name(profile.make, profile.model))}</h1>"
        f'<p class="facts">{escape(" · ".join(fact for fact in facts if fact))}</p><nav>{links}</nav></header>'
    )


def _sentences(title: str, sentences: Iterable[str], lead: str = "") -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    if not items:
        return ""
    return f"{f'<h2>{title}</h2>' if title else ''}{f'<p>{lead}</p>' if lead else ''}<ul>{items}</ul>"


def _figure(picture: Picture) -> str:
    keys = f'<div class="keys">{picture.keys}</div>' if picture.keys else ""
    return (
        f"<figure{' class=wide' if picture.wide else ''}><h3>{escape(picture.title)}</h3>{keys}{picture.body}"
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _pictures(pictures: Sequence[Picture]) -> str:
    return f'<div class="pictures">{"".join(_figure(one) for one in pictures)}</div>' if pictures else ""


def _sensor_maps(calibration: Calibration) -> str:
    """Maps of the profile that no single ISO shows."""
    profile = calibration.profile
    flat = profile.maps.get("flat_field")
    if flat is None:
        return ""
    says = "response relative to the mean of its site"
    picture = Picture(
        "Flat field",
        site_maps(np.asarray(flat, np.float32), profile.size, None, says),
        "",
        "Falloff of lens and light source together, smooth part only, from the brightest flats that don't clip.",
        wide=True,
    )
    return f"<h2>Response</h2>{_pictures([picture])}"


def _section(result: IsoResult, size: tuple[int, int]) -> str:
    shown = _pictures(of_flats.pictures(result))
    usable = sum(any(len(means) for means in level.mean_dn) for level in result.levels)
    counts = ["one light level" if usable == 1 else f"{usable} light levels" if usable else "no usable flats"]
    if saturated := len(result.levels) - usable:
        counts.append(f"{saturated} more saturated or too dark")
    if result.darks is None:
        counts.append("no dark frames")
    else:
        shown += _pictures(of_darks.pictures(result.darks, size))
        counts.append(of_darks.frames(result.darks))
    counts += [f"{of_darks.frames(one)} of {digits(time)} s" for time, one in sorted(result.long_darks.items())]
    return (
        f'<section class="iso" id="iso{result.iso:g}"><h2>ISO {result.iso:g}</h2>'
        f'<p class="soft">{escape(", ".join(counts))}</p>{shown}'
        f"{tables.quantities(result.numbers, f'All quantities of ISO {result.iso:g}')}</section>"
    )
