"""DarkShading from profiles whose maps are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import CameraProfile, Frame, Pipeline, PipelineError, ProfileError, RawpipeWarning, Space, StageError
from rawpipe._on_sensor import SiteMap
from rawpipe.stages import BlackLevel, DarkShading, WhiteBalance
from rawpipe.testing import NOISE_SIZE, check_stage, synthetic_frame

ProfileMaker = Callable[..., CameraProfile]


def shading_of(profile: CameraProfile, frame: Frame, iso: float = 800) -> torch.Tensor:
    points = profile.maps["dark_shading_k"] * iso + profile.maps["dark_shading_b"]
    return SiteMap.of(torch.from_numpy(points), frame).laid_on(frame)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint16])
def test_what_the_map_holds_at_the_iso_is_subtracted(profile_of: ProfileMaker, dtype: torch.dtype) -> None:
    profile, frame = profile_of(), synthetic_frame(Space.SENSOR, dtype=dtype)
    for iso in (800, 1234.0):
        result = DarkShading(profile, iso=iso)(frame)
        torch.testing.assert_close(frame.data.float() - result.data, shading_of(profile, frame, iso), atol=2e-3, rtol=0)
    assert torch.equal(DarkShading(profile)(frame).data, DarkShading(profile, iso=800)(frame).data)


def test_behind_black_level_and_white_balance_the_same_counts_are_subtracted(profile_of: ProfileMaker) -> None:
    profile, frame = profile_of(), synthetic_frame(Space.SENSOR)
    tail = [BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5))]
    before, after = Pipeline([DarkShading(profile), *tail])(frame), Pipeline([*tail, DarkShading(profile)])(frame)
    torch.testing.assert_close(after.data, before.data, atol=1e-6, rtol=0)


def test_auto_finds_the_profile_of_the_camera_and_the_history_repeats_it(
    profile_of: ProfileMaker, profiles: Path
) -> None:
    profile_of().write(profiles / "mine.json")
    frame = synthetic_frame(Space.SENSOR)
    result = Pipeline(["dark_shading", "black_level"])(frame)
    step = result.history[0].parameters
    assert step["profile"] == str(profiles / "mine.json") and step["iso"] == 800
    assert "Rawpipe Synthetic, ISO 800, maps" in step["found"]
    assert torch.equal(result.data, Pipeline([DarkShading(profile_of()), BlackLevel()])(frame).data)
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)
    again = Pipeline.from_recipe(Pipeline.from_history(result.history).recipe())
    assert torch.equal(again(frame).data, result.data)


def test_a_replay_with_a_profile_that_has_changed_is_an_error(profile_of: ProfileMaker, profiles: Path) -> None:
    path, frame = profiles / "mine.json", synthetic_frame(Space.SENSOR)
    profile_of().write(path)
    result = Pipeline(["dark_shading"])(frame)
    maps: Any = dict(profile_of().maps)
    profile_of(stored=maps | {"dark_shading_b": maps["dark_shading_b"] + 1}).write(path)
    with pytest.raises(StageError, match=r"the history says profile of Rawpipe Synthetic.*changed since"):
        Pipeline.from_history(result.history)(frame)


def test_without_a_profile_auto_leaves_the_picture_and_says_so(profile_of: ProfileMaker, profiles: Path) -> None:
    frame = synthetic_frame(Space.SENSOR)
    result = Pipeline(["dark_shading"])(frame)
    assert torch.equal(result.data, frame.data)
    assert result.history[0].parameters["found"] == "nothing: there is no profile of Rawpipe Synthetic"
    profile_of().write(profiles / "mine.json")  # made later: a replay must not find it
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, frame.data)


def test_a_profile_without_these_maps_is_told_from_one_that_does_not_fit(
    profile_of: ProfileMaker, profiles: Path
) -> None:
    frame = synthetic_frame(Space.SENSOR)
    profile_of(stored={}).write(profiles / "mine.json")
    assert "no dark_shading_k" in Pipeline(["dark_shading"])(frame).history[0].parameters["found"]
    profile_of(size=(100, 100)).write(profiles / "mine.json")
    with pytest.warns(RawpipeWarning, match="34x40 pixels"):
        assert torch.equal(DarkShading()(frame).data, frame.data)
    with pytest.raises(ProfileError, match=r"34x40 pixels.*rawpipe calibrate"):
        DarkShading(str(profiles / "mine.json"))(frame)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stored": {}}, "no dark_shading_k.*rawpipe calibrate"),
        ({"cfa": "BGGR"}, "phase RGGB"),
        ({"noise": {}}, None),
    ],
)
def test_a_profile_that_is_named_has_to_fit(profile_of: ProfileMaker, given: dict[str, Any], message: str) -> None:
    frame = synthetic_frame(Space.SENSOR)
    if message is None:  # without numbers per ISO any ISO is taken
        assert DarkShading(profile_of(**given), iso=51200)(frame).data.isfinite().all()
        return
    with pytest.raises(ProfileError, match=message):
        DarkShading(profile_of(**given))(frame)


@pytest.mark.parametrize("known", [True, False])
def test_counts_of_another_bit_depth_are_refused(profile_of: ProfileMaker, known: bool) -> None:
    frame = synthetic_frame(Space.SENSOR)
    shot = replace(frame.shot, black=frame.black / 4, white=frame.white / 4, bits=12)
    frame = replace(frame, data=frame.data / 4, black=shot.black, white=shot.white, pedestal=shot.black, shot=shot)
    with pytest.raises(ProfileError, match=r"another bit depth.*rawpipe calibrate"):
        DarkShading(profile_of() if known else profile_of(noise={}))(frame)


def test_an_iso_that_is_unknown_or_was_not_measured_is_an_error(profile_of: ProfileMaker, tmp_path: Path) -> None:
    frame = synthetic_frame(Space.SENSOR)
    with pytest.raises(ProfileError, match=r"ISO 3200.*holds 400 to 1600.*rawpipe calibrate"):
        DarkShading(profile_of(), iso=3200)(frame)
    with pytest.raises(ProfileError, match="doesn't say its ISO"):
        DarkShading(profile_of())(replace(frame, shot=replace(frame.shot, iso=None)))
    with pytest.raises(ProfileError, match="can't be read"):
        DarkShading(tmp_path / "none.json")(frame)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"profile": 5}, {"profile": ""}, {"profile": None}, {"iso": 0}, {"iso": "800"}])
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        DarkShading(**wrong)


def test_edited_numbers_are_refused(profile_of: ProfileMaker, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    profile_of().write(path)
    content = json.loads(path.read_text())
    content["bits"] = 12
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="edited after calibration"):
        DarkShading(str(path))(synthetic_frame(Space.SENSOR))
    with pytest.raises(PipelineError, match="profile"):
        Pipeline([DarkShading(profile_of())]).recipe()


@pytest.mark.filterwarnings("ignore:the profile isn't used")  # of the sizes that it isn't of
def test_laws_with_a_profile(profile_of: ProfileMaker, profiles: Path) -> None:
    profile_of().write(profiles / "mine.json")
    check_stage(DarkShading())


def test_the_law_of_noise_with_a_profile(profile_of: ProfileMaker, noise_is_right: Callable[..., None]) -> None:
    noise_is_right(DarkShading(profile_of(NOISE_SIZE, "GRBG")))


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG"])
def test_tiled_and_compiled_equal_untiled(profile_of: ProfileMaker, cfa: str) -> None:
    frame = synthetic_frame(Space.SENSOR, 61, 59, cfa, batch=(2,))
    stages = [DarkShading(profile_of((61, 59), cfa)), BlackLevel()]
    plain = Pipeline(stages)(frame)
    for pipeline in (Pipeline(stages, rows=8), Pipeline(stages, rows=8).compile(backend="eager")):
        assert torch.equal(pipeline(frame).data, plain.data)
