"""RowNoise on synthetic sensors whose row offsets are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, Noise, Pipeline, Space, StageError, bayer
from rawpipe.stages import BlackLevel, RowNoise, WhiteBalance
from rawpipe.stages.row_noise import masked
from rawpipe.testing import synthetic_frame

READ, SHOT, ROW = 15.0, 1.5, 12.0  # DN
SCALE = 15000.0  # DN of the synthetic sensor from black to saturation


def noise(row: float = ROW) -> Noise:
    return Noise(torch.full((4,), SHOT), torch.full((4,), READ), torch.full((4,), row))


def sensor(
    picture: Tensor | None = None,
    size: tuple[int, int] = (384, 768),
    *,
    columns: int = 160,
    row: float = ROW,
    cfa: str = "GRBG",
    seed: int = 0,
) -> tuple[Frame, Tensor]:
    """A frame in counts whose border shares the rows' offsets, and these offsets in DN (H)."""
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    clean = torch.full(size, 400.0) if picture is None else picture
    offsets = row * torch.randn(height, generator=generator)
    black = torch.tensor([512.0, 516.0, 520.0, 508.0])
    pixels = clean + (SHOT * clean + READ**2).sqrt() * torch.randn(size, generator=generator)
    border = READ * torch.randn(height, columns, generator=generator)
    whole = torch.cat([border, pixels], dim=1) + offsets[:, None]
    first = bayer.rephase(cfa, 0, -columns)
    whole = (whole + bayer.spread(black, first, *whole.shape)).round().clamp(0, 16383)
    frame = Frame.from_array(whole, first, black=black, white=15520, bits=14, iso=3200)
    shot = replace(frame.shot, active_area=(0, columns, height, columns + width), sensor=whole.to(torch.uint16))
    return replace(frame, shot=shot).crop(0, columns, height, width), offsets


def removed(before: Frame, after: Frame) -> Tensor:
    return (before.data - after.data)[..., 0]


def scene(size: tuple[int, int] = (384, 768)) -> Tensor:
    """Dark, with slanted edges and a bright horizon across the whole width."""
    y, x = torch.arange(float(size[0]))[:, None], torch.arange(float(size[1]))
    return 100 + 400 * ((y + 0.3 * x) % 150 < 75) + 2000 * (y > 200) + 0.0 * x


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_the_masked_border_gives_the_offsets_with_the_error_that_is_expected(cfa: str) -> None:
    frame, offsets = sensor(scene(), cfa=cfa)
    result = RowNoise("masked")(replace(frame, noise=noise()))
    left = float((removed(frame, result) - offsets).std())
    expected = READ / (160 - 2 * 8) ** 0.5
    assert left == pytest.approx(expected, rel=0.12)
    assert result.noise is not None
    assert result.noise.row.tolist() == pytest.approx([left] * 4, rel=0.12)


@pytest.mark.parametrize("row", [4.0, 12.0, 40.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_the_picture_leaves_is_what_the_frame_says(row: float, seed: int) -> None:
    frame, offsets = sensor(row=row, seed=seed)
    result = RowNoise("picture")(replace(frame, noise=noise(row)))
    left = float((removed(frame, result) - offsets).std())
    assert left < 0.55 * row
    assert result.noise is not None
    assert result.noise.row.tolist() == pytest.approx([left] * 4, rel=0.2)


@pytest.mark.parametrize("source", ["masked", "picture"])
@pytest.mark.parametrize("row", [4.0, 12.0, 40.0])
def test_all_that_is_left_over_many_rows_is_what_the_frame_says(source: str, row: float) -> None:
    """Row offsets and whole pixels, in a frame that is tall enough to tell an error of a tenth."""
    size, signal = (6144, 192), 400.0
    frame, offsets = sensor(size=size, row=row, columns=48)
    result = RowNoise(source)(replace(frame, noise=noise(row)))
    assert result.noise is not None
    off = result.data.double() - bayer.spread(frame.black + signal, "GRBG", *size)
    left = float((removed(frame, result) - offsets).var())
    assert left == pytest.approx(float(result.noise.row[0]) ** 2, rel=0.12)
    assert left < 0.5 * row**2
    for site in range(4):
        said = float(result.noise.variance(torch.full((4,), signal))[site])
        assert float(bayer.view(off, "GRBG", site).var()) == pytest.approx(said, rel=0.03)


def test_the_law_of_noise_for_rows_in_noise(noise_is_right: Callable[..., None]) -> None:
    levels = [torch.full((4,), value) for value in (2e-4, 2e-3, 4e-3)]
    noise_is_right(RowNoise("picture"), 0.03, (Noise(*levels),))


def test_auto_takes_the_border_where_it_is_wide_enough_and_else_the_picture() -> None:
    assert RowNoise().measure(sensor()[0]).source == "masked"
    assert RowNoise().measure(sensor(columns=0)[0]).source == "picture"
    assert RowNoise().measure(sensor(columns=32)[0]).source == "masked"
    assert RowNoise().measure(sensor(columns=32, row=2.0)[0]).source == "picture"


def test_the_border_tells_how_large_the_row_noise_is() -> None:
    for row in (4.0, 12.0):
        found = RowNoise().measure(sensor(scene(), row=row)[0]).row_dn
        assert found == pytest.approx(row, rel=0.1)


def test_hot_pixels_and_column_patterns_in_the_border_do_not_matter() -> None:
    frame, offsets = sensor()
    border = frame.shot.sensor
    assert border is not None
    spoilt = border.to(torch.int32)
    spoilt[:, :160] += torch.randint(0, 30, (160,), generator=torch.Generator().manual_seed(5))
    spoilt[::7, 40] = 16383
    frame = replace(frame, shot=replace(frame.shot, sensor=spoilt.to(torch.uint16)))
    left = (removed(frame, RowNoise("masked")(frame)) - offsets).std()
    assert float(left) == pytest.approx(READ / 12, rel=0.15)


def test_the_picture_tells_how_large_the_row_noise_is_where_nothing_else_does() -> None:
    for row in (0.0, 6.0, 12.0):
        found = RowNoise("picture").measure(sensor(row=row)[0]).row_dn
        assert found == pytest.approx(row, rel=0.12, abs=0.6)


def test_a_horizon_and_edges_stay_though_the_rows_are_corrected() -> None:
    frame, offsets = sensor(scene())
    result = RowNoise("picture", row_dn=ROW)(frame)
    error = removed(frame, result) - offsets
    assert float(error.abs().max()) < 4 * ROW
    assert float(error.std()) < 0.8 * ROW
    near = removed(frame, result)[197:206]
    assert float(near.abs().max()) < 4 * ROW  # the horizon itself is a step of 2000


def test_a_picture_without_row_noise_keeps_its_pixels() -> None:
    frame, _ = sensor(row=0.0)
    assert float(removed(frame, RowNoise("picture")(frame)).abs().max()) < 0.05 * READ


def test_noise_that_the_frame_knows_is_believed() -> None:
    frame = replace(sensor()[0], noise=noise(7.0))
    assert RowNoise("picture").measure(frame).row_dn == pytest.approx(7.0)
    assert RowNoise("picture", row_dn=5.0).measure(frame).row_dn == 5.0


@pytest.mark.parametrize("source", ["masked", "picture"])
def test_the_same_offsets_are_found_behind_black_level_and_white_balance(source: str) -> None:
    frame, _ = sensor()
    counts = RowNoise(source, row_dn=ROW)(frame)
    tail = [BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5))]
    after = Pipeline([*tail, RowNoise(source, row_dn=ROW)])(frame)
    torch.testing.assert_close(
        after.data, Pipeline(tail)(counts).data, atol=2e-4 if source == "picture" else 1e-5, rtol=0
    )


@pytest.mark.parametrize("source", ["masked", "picture"])
def test_replaying_the_history_gives_the_same_bits(source: str) -> None:
    frame, _ = sensor(scene())
    result = Pipeline([RowNoise(source), BlackLevel()])(frame)
    parameters = result.history[0].parameters
    assert parameters["source"] == source and parameters["row_dn"] > 0
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)


def test_offsets_of_the_border_belong_to_their_rows_in_a_crop() -> None:
    frame, _ = sensor()
    stage = RowNoise("masked").measure(frame)
    inner = stage(frame.crop(33, 15, 100, 200))
    assert torch.equal(inner.data, stage(frame).crop(33, 15, 100, 200).data)


def test_each_picture_of_a_burst_has_offsets_of_its_own() -> None:
    one, two = (sensor(seed=seed)[0] for seed in (1, 2))
    stage = RowNoise("picture", row_dn=ROW)
    both = stage(replace(one, data=torch.stack([one.data, two.data])))
    assert torch.equal(both.data[1], stage(two).data)


def test_a_border_that_says_nothing_is_an_error_when_it_is_asked_for() -> None:
    narrow, _ = sensor(columns=20)
    with pytest.raises(StageError, match=r"16 columns or more.*area="):
        RowNoise("masked")(narrow)
    assert RowNoise("masked", area=(0, 0, 384, 20))(narrow).data.isfinite().all()
    constant = synthetic_frame(Space.SENSOR, 64, 96)
    with pytest.raises(StageError, match="that vary"):
        RowNoise("masked")(constant)


def test_a_frame_of_the_whole_sensor_is_its_own_border() -> None:
    frame, offsets = sensor()
    assert frame.shot.sensor is not None
    first = bayer.rephase("GRBG", 0, -160)
    whole = Frame.from_array(frame.shot.sensor, first, black=frame.black, white=15520, bits=14)
    result = Pipeline([RowNoise("masked", area=(0, 8, 384, 152))])(whole)
    assert float((removed(whole, result) - offsets).std()) == pytest.approx(READ / 12, rel=0.12)


def test_a_border_that_is_lit_is_none() -> None:
    frame, _ = sensor()
    assert frame.shot.sensor is not None
    lit = frame.shot.sensor.to(torch.int32) + 2000
    assert masked.measured(replace(frame, shot=replace(frame.shot, sensor=lit))) is None


def test_a_burst_has_no_border_of_one_picture() -> None:
    frame, _ = sensor()
    both = replace(frame, data=torch.stack([frame.data, frame.data]))
    assert RowNoise().measure(both).source == "picture"
    with pytest.raises(StageError, match="of one picture"):
        RowNoise("masked")(both)


def test_masked_areas_of_the_file_are_used_on_both_sides() -> None:
    frame, _ = sensor()
    shot = replace(frame.shot, masked_areas=((0, 0, 384, 40), (0, 100, 384, 140), (0, 50, 20, 60)))
    assert masked.columns_of(shot, None) == [(0, 40), (100, 140)]


@pytest.mark.parametrize("wrong", [{"source": "border"}, {"row_dn": -1.0}, {"row_dn": "2"}, {"area": (1, 2)}])
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        RowNoise(**wrong)


def test_compiled_equals_plain() -> None:
    frame, _ = sensor()
    plain = Pipeline([RowNoise("masked"), BlackLevel()])(frame)
    compiled = Pipeline([RowNoise("masked"), BlackLevel()], rows=32).compile(backend="eager")(frame)
    assert torch.equal(plain.data, compiled.data)


def test_the_border_of_the_550d(data: Any) -> None:
    frame = Frame.read(data / "raw" / "canon_550d_ml_colorchecker.dng")
    border = masked.measured(frame)
    assert border is not None
    assert border.row_dn == pytest.approx(1.26, abs=0.15)
    assert border.error_dn * (144 - 8) ** 0.5 == pytest.approx(16.9, abs=2.0)
    assert RowNoise()(frame).data.isfinite().all()
