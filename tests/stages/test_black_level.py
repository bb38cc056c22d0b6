from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import (
    CameraProfile,
    Frame,
    Noise,
    Pipeline,
    ProfileError,
    Quantity,
    RawpipeWarning,
    Space,
    StageError,
    bayer,
)
from rawpipe.stages import BlackLevel, Identity
from rawpipe.testing import check_noise, synthetic_frame

phases = pytest.mark.parametrize("cfa", bayer.PHASES)

BLACK = torch.tensor([500.0, 510.0, 520.0, 490.0])


def sensor_frame(cfa: str, *, sigma_dn: float = 0.0, seed: int = 0) -> Frame:
    """A picture of 40 x 50 in a sensor with a masked border of 10 rows and 60 columns, black differing per site."""
    generator = torch.Generator().manual_seed(seed)
    first = bayer.rephase(cfa, -10, -60)
    sensor = bayer.spread(BLACK, first, 50, 110) + sigma_dn * torch.randn(50, 110, generator=generator)
    sensor[10:, 60:] += 3000
    frame = synthetic_frame(Space.SENSOR, 40, 50, cfa)
    return replace(
        frame,
        data=sensor[10:, 60:],
        origin=torch.tensor([10, 60, 50, 110]),
        shot=replace(frame.shot, sensor=sensor, size=(50, 110), active_area=(10, 60, 50, 110)),
    )


@phases
@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float64])
def test_black_becomes_zero_and_saturation_one(cfa: str, dtype: torch.dtype) -> None:
    frame = synthetic_frame(Space.SENSOR, 7, 9, cfa, dtype=dtype)
    black = bayer.spread(frame.black, cfa, 7, 9)
    white = bayer.spread(frame.white, cfa, 7, 9)
    dark, bright = (BlackLevel()(replace(frame, data=level.to(dtype))) for level in (black, white))
    assert dark.data.abs().max() < 1e-7
    assert dark.space is Space.MOSAIC
    # One scale for all sites, that of the site that saturates first: the others end a little above.
    assert bright.data.min() == pytest.approx(1, abs=1e-6)
    assert 1 < bright.data.max() < 1.001
    torch.testing.assert_close(bright.white.max(), bright.data.max().float())
    assert bright.black.abs().max() < 1e-6


def test_nothing_is_clipped() -> None:
    frame = synthetic_frame(Space.SENSOR, 4, 4)
    result = BlackLevel()(replace(frame, data=torch.tensor([0.0, 20000.0]).repeat(8).reshape(4, 4)))
    assert result.data.min() < -0.03
    assert result.data.max() > 1.2


@phases
@pytest.mark.parametrize("window", [(1, 0, 20, 20), (0, 1, 20, 20), (3, 5, 21, 23)])
@pytest.mark.parametrize("source", ["tag", "masked"])
def test_a_crop_by_one_row_finds_the_same_black(cfa: str, window: tuple[int, int, int, int], source: str) -> None:
    frame = sensor_frame(cfa)
    stage = BlackLevel(source, area=(0, 4, 50, 56)) if source == "masked" else BlackLevel()
    top, left, height, width = window
    whole = stage(frame).crop(*window)
    part = stage(frame.crop(top, left, height, width))
    assert part.data.equal(whole.data)
    assert part.cfa == whole.cfa


@phases
@pytest.mark.parametrize("area", [(0, 4, 50, 56), (1, 3, 10, 110), (10, 5, 49, 52)])
def test_the_masked_border_gives_black_per_site_wherever_it_starts(cfa: str, area: tuple[int, int, int, int]) -> None:
    frame = sensor_frame(cfa, sigma_dn=8)
    stage = BlackLevel("masked", area=area).measure(frame)
    count = (area[2] - area[0]) * (area[3] - area[1]) / 4
    assert isinstance(stage.black, tuple)
    assert (torch.tensor(stage.black) - BLACK).abs().max() < 4 * 8 / count**0.5
    result = stage(frame)
    assert float(result.data.mean()) == pytest.approx(3000 / float((frame.white - BLACK).min()), rel=2e-3)


@phases
def test_areas_that_the_file_names_are_taken_together(cfa: str) -> None:
    frame = sensor_frame(cfa)
    frame = replace(frame, shot=replace(frame.shot, masked_areas=((0, 0, 10, 110), (11, 1, 50, 60))))
    assert BlackLevel("masked").measure(frame).black == tuple(BLACK.tolist())


def test_a_file_that_names_no_area_is_warned_about() -> None:
    with pytest.warns(RawpipeWarning, match="the file names no masked area; columns 8 to 52 are taken for it"):
        stage = BlackLevel("masked").measure(sensor_frame("GRBG"))
    assert stage.black == tuple(BLACK.tolist())


@phases
def test_an_array_of_the_whole_sensor_holds_its_own_masked_border(cfa: str) -> None:
    array = synthetic_frame(Space.SENSOR, 60, 80, cfa, level=0.4).data.clone()
    array[:, :30] = bayer.spread(torch.tensor([510.0, 514.0, 518.0, 506.0]), cfa, 60, 30)
    for batch in (array, torch.stack([array, array])):
        frame = Frame.from_array(batch, cfa, white=15520, black=600, masked_areas=((0, 1, 60, 29),))
        expected = BlackLevel(black=(510.0, 514.0, 518.0, 506.0))(frame)
        assert Pipeline([Identity(), BlackLevel("masked")])(frame).data.equal(expected.data)
        assert BlackLevel("masked", area=(3, 2, 50, 21))(frame).data.equal(expected.data)


def test_a_hot_pixel_in_the_masked_border_does_not_move_black() -> None:
    frame = sensor_frame("RGGB", sigma_dn=5)
    assert frame.shot.sensor is not None
    hot = frame.shot.sensor.clone()
    hot[3:40:9, 7:50:11] += 8000
    area = (0, 4, 50, 56)
    clean, with_hot = (
        BlackLevel("masked", area=area).measure(replace(frame, shot=replace(frame.shot, sensor=sensor))).black
        for sensor in (frame.shot.sensor, hot)
    )
    assert (torch.tensor(clean) - torch.tensor(with_hot)).abs().max() < 0.5


def test_a_level_of_your_own_wins() -> None:
    frame = sensor_frame("BGGR")
    assert BlackLevel("masked", black=100.0).measure(frame).black == (100.0,) * 4
    sites = BlackLevel(black=(500.0, 510.0, 520.0, 490.0))(frame)
    torch.testing.assert_close(sites.data, torch.full_like(sites.data, 3000 / 15000))


@phases
def test_black_that_single_rows_and_columns_add_is_subtracted_in_any_crop(cfa: str) -> None:
    rows, columns = torch.arange(40.0), torch.arange(50.0) / 4
    frame = sensor_frame(cfa)
    frame = replace(
        frame,
        data=frame.data + rows[:, None] + columns,
        black=BLACK,
        shot=replace(frame.shot, black_rows=rows, black_columns=columns),
    )
    for part in (frame, frame.crop(1, 3, 20, 21), frame.crop(17, 0, 23, 50)):
        result = BlackLevel()(part)
        torch.testing.assert_close(result.data, torch.full_like(result.data, 3000 / (15520 - 520)))
    tiled = Pipeline([BlackLevel()], rows=4)(frame)
    assert tiled.data.equal(BlackLevel()(frame).data)


def test_one_addition_alone_is_enough() -> None:
    frame = replace(sensor_frame("RGGB"), black=BLACK)
    columns = torch.arange(50.0)
    frame = replace(frame, data=frame.data + columns, shot=replace(frame.shot, black_columns=columns))
    result = BlackLevel()(frame).data
    torch.testing.assert_close(result, torch.full_like(result, 0.2))


def test_noise_goes_into_the_unit_of_the_picture() -> None:
    noise = Noise(torch.full((4,), 0.5), torch.full((4,), 3.0), torch.full((4,), 1.0))
    frame = replace(synthetic_frame(), noise=noise)
    result = BlackLevel()(frame).noise
    scale = float((frame.white - frame.black).min())
    assert result is not None
    torch.testing.assert_close(result.shot, noise.shot / scale)
    torch.testing.assert_close(result.read, noise.read / scale)
    torch.testing.assert_close(result.row, noise.row / scale)


def test_measured_black_is_in_the_history_and_replays() -> None:
    frame = sensor_frame("GBRG", sigma_dn=7)
    once = Pipeline([BlackLevel("masked", area=(0, 4, 50, 56))])(frame)
    step = once.history[0]
    assert len(step.parameters["black"]) == 4
    blind = replace(frame, shot=replace(frame.shot, sensor=None))
    assert Pipeline.from_history([step])(blind).data.equal(once.data)


def without_sensor(frame: Frame) -> Frame:
    return replace(frame, shot=replace(frame.shot, sensor=None))


def without_border(frame: Frame) -> Frame:
    return replace(frame, shot=replace(frame.shot, active_area=(0, 0, 50, 110)))


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        (BlackLevel("masked"), without_sensor, "got a frame without its masked border; read it from a camera file"),
        (BlackLevel("masked"), without_border, "got a sensor with 0 columns left of the picture .*area="),
        (BlackLevel("masked", area=(50, 0, 60, 10)), Frame.cpu, "got a masked area without pixels"),
        (BlackLevel(black=20000.0), Frame.cpu, r"got black .* above white .*; give BlackLevel\(black=...\)"),
    ],
)
def test_what_cannot_be_found_is_said(stage: BlackLevel, change: Any, message: str) -> None:
    with pytest.raises(StageError, match=message):
        stage(change(sensor_frame("RGGB")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "optical"}, "got source 'optical'; expected one of tag, masked, profile"),
        ({"black": (1.0, 2.0)}, r"got black \(1.0, 2.0\); expected one number, or a tuple of four"),
        ({"black": "dark"}, "got black 'dark'"),
        ({"area": (1, 2)}, r"got area \(1, 2\); expected top, left, bottom, right"),
    ],
)
def test_wrong_parameters_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        BlackLevel(**arguments)


@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_the_550ds_masked_border_is_darker_than_its_tag(data: Path) -> None:
    frame = Frame.read(data / "raw" / "canon_550d_ml_colorchecker.dng")
    black = BlackLevel("masked").measure(frame).black
    assert isinstance(black, tuple)
    assert frame.black.tolist() == [2056] * 4
    assert sum(black) / 4 == pytest.approx(2048.9, abs=0.3)


# The camera's profile


def with_black(profile_of: Any, **given: Quantity) -> CameraProfile:
    """Black by ISO, "at_800" -> "800"."""
    profile: CameraProfile = profile_of()
    noise = {
        iso: {**numbers, **({"black_dn": q} if (q := given.get(f"at_{iso}")) else {})}
        for iso, numbers in profile.noise.items()
    }
    return replace(profile, noise=noise)


def tagged(black: float = 2056.0, true: float = 2047.3, iso: float = 800) -> Frame:
    """A dark frame of a sensor whose tag states another black than it has."""
    frame = synthetic_frame(Space.SENSOR)
    level = torch.full((4,), black)
    data = true + 3 * torch.randn(frame.data.shape, generator=torch.Generator().manual_seed(0))
    shot = replace(frame.shot, black=level, iso=iso, sensor=None)
    return replace(frame, data=data.round(), black=level, pedestal=level, shot=shot)


TRUE = Quantity((2047.3, 2047.4, 2047.2, 2047.3), None, 1000)


def test_the_black_of_the_profile_is_the_sensors_where_the_tag_is_not(profile_of: Any) -> None:
    frame, profile = tagged(), with_black(profile_of, at_800=TRUE)
    scale = float(frame.white[0]) - 2047.3
    assert abs(float(BlackLevel("profile", profile=profile)(frame).data.mean()) * scale) < 0.4
    assert float(BlackLevel()(frame).data.mean()) * scale == pytest.approx(-8.7, abs=0.4)
    assert BlackLevel("profile", profile=profile).measure(frame).black == pytest.approx(TRUE.value)


def test_black_between_measured_isos_is_interpolated_along_log_iso(profile_of: Any) -> None:
    profile = with_black(profile_of, at_800=Quantity(2047.0, None, 9), at_1600=Quantity(2051.0, None, 9))
    stage = BlackLevel("profile", profile=profile).measure(tagged(iso=800 * 2**0.25))
    assert stage.black == pytest.approx((2048.0,) * 4)
    assert stage.found == "profile of Rawpipe Synthetic, ISO 951.366 interpolated between 800 and 1600".replace(
        "951.366", f"{800 * 2**0.25:g}"
    )


def test_the_profiles_black_is_in_the_history_and_replays_without_the_profile(profile_of: Any, profiles: Path) -> None:
    frame, path = tagged(), profiles / "mine.json"
    with_black(profile_of, at_800=TRUE).write(path)
    once = Pipeline([BlackLevel("profile")])(frame)
    assert once.history[0].parameters["found"] == "profile of Rawpipe Synthetic, ISO 800"
    path.unlink()
    for again in (
        Pipeline.from_history(once.history),
        Pipeline.from_recipe(Pipeline.from_history(once.history).recipe()),
    ):
        assert again(frame).data.equal(once.data)
    given = Pipeline([BlackLevel("profile", profile=with_black(profile_of, at_800=TRUE))])(frame)
    again = Pipeline.from_recipe(Pipeline.from_history(given.history).recipe())
    assert again(frame).data.equal(given.data)


def test_a_black_that_no_profile_measured_is_an_error_that_names_the_command(profile_of: Any) -> None:
    with pytest.raises(ProfileError, match="rawpipe calibrate"):
        BlackLevel("profile")(tagged())
    stated = Quantity((2056.0,) * 4, None, 0, False, "as the files state it: no darks")
    for profile, message in (
        (profile_of(), r"no measured black at ISO 800: it wasn't measured.*rawpipe calibrate"),
        (
            with_black(profile_of, at_800=stated),
            r"no measured black at ISO 800: as the files state it.*rawpipe calibrate",
        ),
        (replace(profile_of(), noise={}), r"got ISO 800.*holds none.*rawpipe calibrate"),
        ("none", "rawpipe calibrate"),
    ):
        with pytest.raises(ProfileError, match=message):
            BlackLevel("profile", profile=profile)(tagged())
    measured = with_black(profile_of, at_800=TRUE)
    frame = tagged()
    with pytest.raises(ProfileError, match="does not say its ISO"):
        BlackLevel("profile", profile=measured)(replace(frame, shot=replace(frame.shot, iso=None)))
    with pytest.raises(ProfileError, match=r"ISO 6400.*holds 400, 800, 1600"):
        BlackLevel("profile", profile=measured)(tagged(iso=6400))
    with pytest.raises(ProfileError, match="another bit depth"):
        BlackLevel("profile", profile=measured)(replace(frame, shot=replace(frame.shot, white=frame.white / 4 + 2000)))


def test_a_black_of_one_dark_frame_is_warned_about(profile_of: Any) -> None:
    profile = with_black(profile_of, at_800=Quantity((2047.0,) * 4, None, 100, False, "one dark frame"))
    with pytest.warns(RawpipeWarning, match="black at ISO 800 of the profile of Rawpipe Synthetic: one dark frame"):
        BlackLevel("profile", profile=profile)(tagged())


def test_laws_with_a_profile(profile_of: Any) -> None:
    black = Quantity((512.5, 516.5, 520.5, 508.5), None, 100)
    profile = with_black(profile_of, at_800=black)
    check_noise(BlackLevel("profile", profile=profile))
