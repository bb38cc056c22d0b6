"""What is said of series that lack something."""

from __future__ import annotations

import pytest

from rawpipe.calibration.captures import scan

LEVELS = (0.05, 0.2, 0.45, 0.8)


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
def test_what_is_missing_is_said(camera_of, darks: int, flats: tuple[float, ...], words: list[str]):
    camera = camera_of(128, 160)
    advice = "\n".join(scan([*camera.darks(darks), *camera.flats(*flats)]).advice)
    assert all(f"ISO 100: {word}" in advice for word in words), advice


def test_a_complete_series_asks_for_nothing(camera_of):
    camera = camera_of(128, 160)
    flats = [*camera.flats(0.05, 0.2, 0.95, 9.0), *camera.flats(0.6, count=16)]
    long = [camera.take(0.0, exposure_s=10.0) for _ in range(2)]
    assert scan([*camera.darks(16), *long, *flats]).advice == ()


def test_gaps_between_isos_are_named(camera_of):
    camera = camera_of(128, 160)
    captures = scan([*camera.darks(2), *camera.darks(2, iso=3200)])
    assert any("nothing between ISO 100 and 3200" in one for one in captures.advice)
