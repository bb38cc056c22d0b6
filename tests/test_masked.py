"""The masked border, on synthetic sensors of known truth and on a real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rawpipe import Frame, FrameError, bayer
from rawpipe._masked import MaskedBorder, border_areas, masked_border

BLACK = (512.3, 510.1, 515.7, 513.0)


def with_border(
    cfa: str = "RGGB",
    *,
    sigma: float = 6.0,
    row: float = 1.5,
    column: float = 2.0,
    hot: float = 0.0,
    area: tuple[int, int, int, int] = (24, 80, 624, 480),
    size: tuple[int, int] = (640, 500),
) -> Frame:
    """A frame whose whole sensor is dark; `cfa` is the phase of the picture's first pixel."""
    rng = np.random.default_rng(5)
    whole = bayer.rephase(cfa, -area[0], -area[1])
    level = bayer.spread(torch.tensor(BLACK, dtype=torch.float64), whole, *size).numpy()
    counts = level + sigma * rng.standard_normal(size)
    counts += row * rng.standard_normal((size[0], 1)) + column * rng.standard_normal((1, size[1]))
    counts[rng.random(size) < hot] += 3000
    sensor = torch.from_numpy(counts.round().clip(0, 16383).astype(np.uint16))
    top, left, bottom, right = area
    frame = Frame.from_array(
        sensor[top:bottom, left:right],
        cfa,
        black=512,
        white=16383,
        size=size,
        active_area=area,
        sensor=sensor,
    )
    return replace(frame, origin=torch.tensor([top, left, *size]))


def measured(frame: Frame) -> MaskedBorder:
    found = masked_border(frame)
    assert found is not None
    return found


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_black_is_found_per_site_in_every_phase(cfa: str) -> None:
    black = measured(with_border(cfa)).black_dn
    assert np.allclose(black.value, BLACK, atol=0.6)
    for truth, (low, high) in zip(BLACK, black.ci95, strict=True):  # type: ignore[arg-type]
        assert low < truth < high
    assert black.reliable


@pytest.mark.parametrize("hot", [0.0, 1e-3])
def test_rows_columns_and_defects_are_no_read_noise(hot: float) -> None:
    found = measured(with_border(hot=hot))
    assert np.allclose(found.read_sigma_dn.value, np.hypot(6, 12**-0.5), rtol=0.03)
    assert found.column_fpn_dn.reliable
    assert found.column_fpn_dn.value == pytest.approx(2.0, rel=0.3)
    assert not found.read_sigma_dn.reliable
    assert found.sigma_dn.value == pytest.approx(6.0, rel=0.03) or hot


@pytest.mark.parametrize("row", [0.0, 1.5])
def test_one_frame_gives_only_an_upper_bound_for_row_noise(row: float) -> None:
    found = measured(with_border(row=row)).row_sigma_dn
    assert found.value == pytest.approx(row, abs=0.35)
    assert found.ci95[0] == 0  # type: ignore[index]
    assert row <= found.ci95[1]  # type: ignore[index, operator]
    assert not found.reliable
    assert found.why is not None and found.why.startswith("upper bound")


def test_no_column_pattern_is_claimed_where_there_is_none() -> None:
    assert not measured(with_border(column=0.0)).column_fpn_dn.reliable


def test_a_crop_by_one_row_and_one_column_keeps_the_sites() -> None:
    frame = with_border("GRBG")
    whole = measured(frame)
    assert measured(frame.crop(1, 1, 200, 200)).black_dn == whole.black_dn
    shot, (top, left, bottom, right) = frame.shot, frame.shot.active_area
    assert shot.sensor is not None
    moved = replace(
        shot, sensor=shot.sensor[1:, 1:], size=(639, 499), active_area=(top - 1, left - 1, bottom - 1, right - 1)
    )
    shifted = replace(frame, shot=moved, origin=torch.tensor([top - 1, left - 1, 639, 499]))
    assert np.allclose(measured(shifted).black_dn.value, whole.black_dn.value, atol=0.3)


def test_named_areas_win_over_the_margin() -> None:
    frame = with_border()
    named = replace(frame, shot=replace(frame.shot, masked_areas=((30, 10, 600, 60), (0, 100, 20, 400))))
    assert border_areas(named) == [(30, 10, 600, 60), (0, 100, 20, 400)]
    assert measured(named).area == (30, 10, 600, 60)
    assert masked_border(frame, (100, 8, 300, 70)) is not None


def test_what_is_no_border_gives_nothing() -> None:
    frame = with_border()
    shot = frame.shot
    assert shot.sensor is not None
    assert masked_border(replace(frame, shot=replace(shot, sensor=None))) is None
    assert masked_border(with_border(area=(0, 0, 640, 500))) is None
    assert masked_border(with_border(sigma=0, row=0, column=0)) is None
    lit = replace(shot, sensor=(shot.sensor.int() + 2000).to(torch.uint16))
    assert masked_border(replace(frame, shot=lit)) is None
    with pytest.raises(FrameError, match="within the sensor"):
        masked_border(frame, (0, 0, 9999, 20))


@pytest.fixture
def canon(data: Path) -> Frame:
    return Frame.read(data / "raw" / "canon_550d_ml_colorchecker.dng")


def check_550d(found: MaskedBorder) -> None:
    assert np.allclose(found.black_dn.value, (2047.3, 2047.4, 2050.4, 2050.3), atol=0.2)
    assert found.sigma_dn.value == pytest.approx(16.9, abs=0.1)
    assert np.allclose(found.read_sigma_dn.value, 16.4, atol=0.6)  # three hot pixels make up the rest
    assert found.row_sigma_dn.value == pytest.approx(1.26, abs=0.15)
    assert found.row_sigma_dn.why is not None and "upper bound" in found.row_sigma_dn.why
    assert found.column_fpn_dn.reliable
    assert found.column_fpn_dn.value == pytest.approx(1.77, abs=0.2)


def test_the_550d_is_as_known(canon: Frame) -> None:
    found = measured(canon)
    assert found.area == (26, 8, 1182, 144)
    assert canon.shot.black.tolist() == [2056.0] * 4  # the tag, which is off
    check_550d(found)


def test_the_550d_without_a_row_and_a_column_is_as_known(canon: Frame, tmp_path: Path) -> None:
    shot, (top, left, bottom, right) = canon.shot, canon.shot.active_area
    assert shot.sensor is not None
    height, width = shot.size[0] - 1, shot.size[1] - 1
    cropped = replace(
        canon,
        shot=replace(
            shot,
            sensor=shot.sensor[1:, 1:].contiguous(),
            size=(height, width),
            active_area=(top - 1, left - 1, bottom - 1, right - 1),
        ),
        origin=torch.tensor([top - 1, left - 1, height, width]),
    )
    check_550d(measured(cropped))
    cropped.write(tmp_path / "cropped.dng")
    again = Frame.read(tmp_path / "cropped.dng")
    assert again.shot.sensor is not None
    check_550d(measured(again))
