"""Colours of real files beside LibRaw's: the same bilinear demosaicing, linear light, the same clipping.

LibRaw clips at black before it demosaics, and whatever leaves sRGB afterwards; so do these tests with our numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import colour
import numpy as np
import pytest
import rawpy
import torch

from rawpipe import Frame, Pipeline, RawpipeWarning, Space, StageError
from rawpipe.stages import BlackLevel, ClipHighlights, ColorTransform, Demosaic, WhiteBalance

CANON, NIKON = "canon_550d_ml_colorchecker.dng", "nikon_d1_berlin.nef"
BORDER = 8  # LibRaw's borders are made otherwise

Picture = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ClipBlack:
    """What LibRaw does to noise below black."""

    takes = Space.MOSAIC
    gives = None
    halo = 0
    grid = 1

    def __call__(self, frame: Frame, /) -> Frame:
        return replace(frame, data=frame.data.clamp(min=0))


@pytest.fixture(scope="module")
def opened(data: Path) -> Callable[[str], Path]:
    def path(name: str) -> Path:
        found = data / "raw" / name
        if not found.exists():
            pytest.skip(f"needs {name} in the folder of real files")
        return found

    return path


@pytest.fixture(scope="module")
def frame_of(opened: Callable[[str], Path]) -> Callable[[str], Frame]:
    @cache
    def read(name: str) -> Frame:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RawpipeWarning
            )  # the D1 records a white balance of ones, and the reader says so
            return Frame.read(opened(name))

    return read


@pytest.fixture(scope="module")
def libraw(opened: Callable[[str], Path]) -> Callable[..., Picture]:
    @cache
    def develop(name: str, gains: tuple[float, float, float] | None = None) -> Picture:
        balance: dict[str, Any] = {"use_camera_wb": True}
        if gains is not None:
            balance = {"user_wb": [gains[0], gains[1], gains[2], gains[1]]}
        with rawpy.imread(str(opened(name))) as raw:
            counts = raw.postprocess(
                demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
                gamma=(1, 1),
                no_auto_bright=True,
                adjust_maximum_thr=0,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=16,
                user_flip=0,
                highlight_mode=rawpy.HighlightMode.Clip,
                **balance,
            )
        return counts.astype(np.float64) / 65535

    return develop


def ours(frame: Frame, balance: WhiteBalance) -> Picture:
    return seen(ColorTransform()(balanced(frame, balance)))


def balanced(frame: Frame, balance: WhiteBalance) -> Frame:
    return Pipeline([BlackLevel(), balance, ClipHighlights(), ClipBlack(), Demosaic("bilinear")])(frame)


def seen(frame: Frame) -> Picture:
    return frame.data.clamp(0, 1).movedim(0, -1).double().numpy()


def means(picture: Picture) -> Picture:
    return picture[BORDER:-BORDER, BORDER:-BORDER].mean(axis=(0, 1))


def daylight_gains(frame: Frame) -> tuple[float, float, float]:
    neutral = frame.shot.daylight_neutral()
    assert neutral is not None
    red, green, blue = (1 / neutral).tolist()
    return red, green, blue


@pytest.mark.parametrize("name", [CANON, NIKON])
def test_under_the_matrixs_own_light_every_channel_is_libraws(
    frame_of: Callable[[str], Frame], libraw: Callable[..., Picture], name: str
) -> None:
    frame = frame_of(name)
    theirs = libraw(name, daylight_gains(frame))
    picture = ours(frame, WhiteBalance("daylight"))
    np.testing.assert_allclose(means(picture), means(theirs), rtol=2e-3)
    # And not on the average only: within a few steps of LibRaw's 16 bits everywhere.
    inner = np.abs(picture - theirs)[BORDER:-BORDER, BORDER:-BORDER]
    assert inner.max() < 2e-4


def test_without_the_matrix_the_channels_are_far_from_libraws(
    frame_of: Callable[[str], Frame], libraw: Callable[..., Picture]
) -> None:
    """The comparison above would notice a matrix that is missing, transposed, or inverted."""
    frame = frame_of(CANON)
    theirs = means(libraw(CANON, daylight_gains(frame)))
    camera = balanced(frame, WhiteBalance("daylight"))
    matrix = torch.tensor(ColorTransform().measure(camera).matrix) / camera.wb
    for wrong in (torch.eye(3), matrix.T, torch.linalg.inv(matrix)):
        one, two, three = ((row[0], row[1], row[2]) for row in (wrong * camera.wb).tolist())
        picture = seen(ColorTransform(matrix=(one, two, three))(camera))
        assert np.abs(means(picture) / theirs - 1).max() > 0.1


def test_as_shot_every_channel_is_near_libraws(
    frame_of: Callable[[str], Frame], libraw: Callable[..., Picture]
) -> None:
    """LibRaw balances in the camera's own RGB; we find the light and adapt from it by Bradford: a few per cent."""
    theirs = means(libraw(CANON))
    np.testing.assert_allclose(means(ours(frame_of(CANON), WhiteBalance())), theirs, rtol=0.04)


def test_counts_that_the_camera_balanced_are_not_balanced_again(
    frame_of: Callable[[str], Frame], libraw: Callable[..., Picture]
) -> None:
    theirs = means(libraw(NIKON))
    np.testing.assert_allclose(means(ours(frame_of(NIKON), WhiteBalance())), theirs, rtol=2e-3)


def test_a_file_without_a_matrix_says_so(frame_of: Callable[[str], Frame]) -> None:
    frame = frame_of("raspberrypi_pidng_640x480.dng")
    with pytest.raises(StageError, match="got a frame without a color matrix"):
        Pipeline([BlackLevel(), Demosaic(), ColorTransform()])(frame)


# The ColorChecker Passport in the Canon's picture: row and column of the centres of its four corner patches.
CORNERS = np.array([[[624, 716], [614, 1251]], [[930, 703], [921, 1259]]], dtype=float)
HALF = 22  # pixels, well inside a patch
CHECKER = colour.CCS_COLOURCHECKERS["ColorChecker24 - Before November 2014"]  # as old as the picture
NEUTRALS = slice(18, 24)


def patches(picture: Picture) -> Picture:
    """Means of the 24 patches, row by row (24, 3)."""
    down, across = np.linspace(0, 1, 4)[:, None, None], np.linspace(0, 1, 6)[:, None]
    upper = CORNERS[0, 0] * (1 - across) + CORNERS[0, 1] * across
    lower = CORNERS[1, 0] * (1 - across) + CORNERS[1, 1] * across
    centers = (upper * (1 - down) + lower * down).reshape(24, 2).astype(int)
    return np.stack([picture[y - HALF : y + HALF, x - HALF : x + HALF].mean(axis=(0, 1)) for y, x in centers])


def delta_e_2000(linear_srgb: Picture) -> Picture:
    """CIEDE2000 of the 24 patches, exposure scaled on the neutral row."""
    reference = colour.xyY_to_XYZ(list(CHECKER.data.values()))
    space = colour.RGB_COLOURSPACES["sRGB"]
    found = colour.chromatic_adaptation(
        linear_srgb @ space.matrix_RGB_to_XYZ.T,
        colour.xy_to_XYZ(space.whitepoint),
        colour.xy_to_XYZ(CHECKER.illuminant),
        method="Von Kries",
        transform="Bradford",
    )
    found = found * reference[NEUTRALS, 1].sum() / found[NEUTRALS, 1].sum()
    labs = (colour.XYZ_to_Lab(value, CHECKER.illuminant) for value in (found, reference))
    return np.asarray(colour.delta_E(*labs, method="CIE 2000"))


# Balance, the bounds of our mean and maximum, and how much worse than LibRaw's mean and maximum ours may be.
@pytest.mark.parametrize(
    ("balance", "bounds", "margin"),
    [("gray patches", (4.0, 8.0), 0.0), ("as shot", (17.0, 26.0), 0.5)],
)
def test_the_color_checker_is_as_near_the_truth_as_libraws(
    frame_of: Callable[[str], Frame],
    libraw: Callable[..., Picture],
    balance: str,
    bounds: tuple[float, float],
    margin: float,
) -> None:
    """The scene is lit by something warmer than the file's white balance says: as shot, both are far off."""
    frame = frame_of(CANON)
    gains, stage = None, WhiteBalance()
    if balance == "gray patches":
        camera = Pipeline([BlackLevel(), Demosaic("bilinear")])(frame).data.movedim(0, -1).double().numpy()
        grey = patches(camera)[18:23].sum(axis=0)
        red, green, blue = (grey.max() / grey).tolist()
        gains = red, green, blue
        stage = WhiteBalance(gains=gains)
    mine, theirs = (delta_e_2000(patches(one)) for one in (ours(frame, stage), libraw(CANON, gains)))
    for name, error in (("ours", mine), ("LibRaw", theirs)):
        print(f"{name}, {balance}: mean {error.mean():.2f}, max {error.max():.2f}")
    assert mine.mean() <= min(bounds[0], theirs.mean() + margin)
    assert mine.max() <= min(bounds[1], theirs.max() + margin)
