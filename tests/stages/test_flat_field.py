"""FlatField from profiles whose response is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import CameraProfile, Frame, Noise, Pipeline, ProfileError, Space, StageError, bayer
from rawpipe._on_sensor import SiteMap
from rawpipe.calibration.shading import smooth_map
from rawpipe.calibration.simulation import SimulatedSensor
from rawpipe.stages import FlatField
from rawpipe.testing import NOISE_SIZE, check_stage, synthetic_frame

ProfileMaker = Callable[..., CameraProfile]
NOISE = Noise(torch.full((4,), 2e-4), torch.full((4,), 6e-3), torch.full((4,), 3e-3))


def response(profile: CameraProfile, frame: Frame) -> torch.Tensor:
    return SiteMap.of(torch.from_numpy(np.array(profile.maps["flat_field"])), frame).laid_on(frame)


def test_a_flat_that_was_shaded_gets_flat_again(profile_of: ProfileMaker) -> None:
    profile, frame = profile_of(), synthetic_frame(Space.MOSAIC, level=0.4)
    shaded = replace(frame, data=frame.data * response(profile, frame))
    result = FlatField(profile)(shaded)
    peak = float(response(profile, frame).max())
    torch.testing.assert_close(result.data, frame.data * peak)


@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_a_simulated_vignette_is_flat_up_to_the_corners(profile_of: ProfileMaker, cfa: str) -> None:
    size = (512, 768)
    sensor = SimulatedSensor(vignetting=0.5, prnu=0.0, cfa=cfa, size=size)
    points = smooth_map(sensor.response, np.ones(size, bool), cfa)
    profile = profile_of(size, cfa, stored={"flat_field": points / points.mean()})
    clean = synthetic_frame(Space.MOSAIC, *size, cfa, level=0.4)
    result = FlatField(profile)(replace(clean, data=clean.data * torch.from_numpy(sensor.response)))
    error = result.data / clean.data - 1
    assert float(error.abs().max()) < 0.04  # with the outermost points held: 0.16


def test_a_map_that_falls_to_nothing_in_the_corner_is_refused(profile_of: ProfileMaker) -> None:
    points = np.tile(np.array([1.0, 0.1], np.float32), (4, 1, 1))  # at columns 7.5 and 17.5 of 20: -0.03 at the edge
    with pytest.raises(ProfileError, match="lit to the corners"):
        FlatField(profile_of(stored={"flat_field": points}))(synthetic_frame(Space.MOSAIC))


def test_the_brightest_place_stays_and_saturated_pixels_do_not_fall_below_white(profile_of: ProfileMaker) -> None:
    frame = synthetic_frame(Space.MOSAIC)
    frame = replace(frame, data=torch.ones_like(frame.data))
    result = FlatField(profile_of())(frame)
    assert float(result.data.min()) >= 1 - 1e-6
    assert float(result.data.min()) < 1.02
    assert torch.equal(result.white, frame.white)


def test_noise_is_the_mean_over_the_picture(profile_of: ProfileMaker) -> None:
    size = (512, 768)
    profile = profile_of(size)
    clean = synthetic_frame(Space.MOSAIC, *size, level=0.3)
    shaded = clean.data * response(profile, clean)
    generator = torch.Generator().manual_seed(1)
    noisy = shaded + (2e-4 * shaded + 6e-3**2).sqrt() * torch.randn(size, generator=generator)
    frame = replace(clean, data=noisy, noise=replace(NOISE, row=torch.zeros(4)))
    result = FlatField(profile)(frame)
    truth = FlatField(profile)(replace(frame, data=shaded)).data
    assert result.noise is not None
    for site in range(4):
        got = float(bayer.view(result.data - truth, "RGGB", site).var())
        said = float(result.noise.variance(bayer.view(truth, "RGGB", site).mean().expand(4))[site])
        assert got == pytest.approx(said, rel=0.06)


def test_auto_finds_the_profile_and_the_history_repeats_it(profile_of: ProfileMaker, profiles: Path) -> None:
    profile_of().write(profiles / "mine.json")
    frame = synthetic_frame(Space.SENSOR)
    result = Pipeline(["black_level", "flat_field"])(frame)
    assert "Rawpipe Synthetic, map " in result.history[1].parameters["found"]
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)
    profile_of(stored={"flat_field": np.ones((4, 2, 2))}).write(profiles / "mine.json")
    with pytest.raises(StageError, match="changed since"):
        Pipeline.from_history(result.history)(frame)


def test_without_a_profile_auto_leaves_the_picture_and_says_so() -> None:
    frame = synthetic_frame(Space.MOSAIC)
    result = Pipeline(["flat_field"])(frame)
    assert torch.equal(result.data, frame.data)
    assert result.history[0].parameters["found"].startswith("nothing: there is no profile of")
    nameless = replace(frame, shot=replace(frame.shot, make="", model=""))
    assert FlatField().measure(nameless).found == "nothing: there is no profile of the camera"


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "no flat_field.*rawpipe calibrate"),
        ({"flat_field": np.array([1.0, 0.001] * 8).reshape(4, 2, 2)}, "lit to the corners"),
        ({"flat_field": -np.ones((4, 2, 2))}, "expected more than"),
        ({"flat_field": np.ones((2, 2))}, r"expected \(4, h, w\)"),
    ],
)
def test_maps_that_cannot_be_are_refused(profile_of: ProfileMaker, maps: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        FlatField(profile_of(stored=maps))(synthetic_frame(Space.MOSAIC))


@pytest.mark.filterwarnings("ignore:the profile isn't used")  # of the sizes that it isn't of
def test_laws_with_a_profile(profile_of: ProfileMaker, profiles: Path) -> None:
    profile_of().write(profiles / "mine.json")
    check_stage(FlatField())


def test_the_law_of_noise_with_a_profile(profile_of: ProfileMaker, noise_is_right: Callable[..., None]) -> None:
    noise_is_right(FlatField(profile_of(NOISE_SIZE, "GRBG")))


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG"])
def test_tiled_and_compiled_equal_untiled(profile_of: ProfileMaker, cfa: str) -> None:
    frame = replace(synthetic_frame(Space.MOSAIC, 61, 59, cfa, batch=(2,)), noise=NOISE)
    stages = [FlatField(profile_of((61, 59), cfa))]
    plain = Pipeline(stages)(frame)
    for pipeline in (Pipeline(stages, rows=8), Pipeline(stages, rows=8).compile(backend="eager")):
        assert torch.equal(pipeline(frame).data, plain.data)
