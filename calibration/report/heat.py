"""Maps of the sensor as embedded PNG pictures, with their colour bar."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rawpipe.calibration.report.plot import CLASSES, SITES
from rawpipe.calibration.report.words import digits

# Blue - neutral - orange: equal steps are seen as equal, by colour-blind readers too.
_DIVERGING = ("#1b3f7f", "#3f74b8", "#8db4dc", "#dfe7ee", "#f4e9dc", "#efb478", "#cf7428", "#7d3a0c")
_SEQUENTIAL = ("#1a1a3a", "#36428a", "#3b79a8", "#54aaa0", "#9fd07c", "#f2ec9b")


def site_maps(maps: NDArray[np.float32], size: tuple[int, int], centre: float | None, says: str) -> str:
    """Four maps in a row with one colour bar.

    Args:
        maps: (4, h, w) per site R, Gr, Gb, B; their points lie at the centres of blocks, bilinear in between.
        size: height and width of the sensor in pixels, whose shape the pictures have.
        centre: value of the neutral colour; None for a scale from lowest to highest.
        says: what is shown, and its unit.
    """
    low, high = float(maps.min()), float(maps.max())
    if centre is not None:
        reach = max(abs(low - centre), abs(high - centre), 1e-12)
        low, high = centre - reach, centre + reach
    stops = _SEQUENTIAL if centre is None else _DIVERGING
    wide = 240
    shape = (wide, max(round(wide * size[0] / size[1]), 24))
    pictures = []
    for name, css, values in zip(SITES, CLASSES, maps, strict=True):
        smooth = Image.fromarray(np.asarray(values, np.float32)).resize(shape, Image.Resampling.BILINEAR)
        source = _png(np.asarray(smooth), low, high, stops)
        text = f"{says}, site {name}: {digits(float(values.min()), 3)} to {digits(float(values.max()), 3)}"
        pictures.append(
            f'<figure class="map"><img src="{source}" alt="{escape(text)}" title="{escape(text)}">'
            f'<figcaption class="{css}">{name}</figcaption></figure>'
        )
    bar = _png(np.linspace(low, high, 256, dtype=np.float32)[None], low, high, stops)
    ends = "".join(f"<span>{digits(v, 3)}</span>" for v in (low, (low + high) / 2, high))
    return (
        f'<div class="maps">{"".join(pictures)}</div>'
        f'<div class="bar"><img src="{bar}" alt=""><div>{ends}</div><p>{escape(says)}</p></div>'
    )


def _png(values: NDArray[np.float32], low: float, high: float, stops: tuple[str, ...]) -> str:
    """A picture as the source of an <img>; 256 colours keep it small."""
    table = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], np.float64)
    place = np.linspace(0, len(stops) - 1, 256)
    colours = np.stack([np.interp(place, np.arange(len(stops)), channel) for channel in table.T], axis=1)
    index = np.clip((values - low) / max(high - low, 1e-30) * 255, 0, 255)
    picture = Image.fromarray(np.rint(index).astype(np.uint8))
    picture.putpalette(np.rint(colours).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
