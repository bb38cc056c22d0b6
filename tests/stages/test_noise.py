"""NoiseCalibration: where the numbers come from, and in what unit they arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import (
    CameraProfile,
    Frame,
    Noise,
    NoiseModel,
    Pipeline,
    ProfileError,
    RawpipeWarning,
    Space,
    StageError,
    bayer,
)
from rawpipe.stages import BlackLevel, Exposure, NoiseCalibration, WhiteBalance
from rawpipe.stages.noise import sources
from rawpipe.testing import synthetic_frame

ProfileMaker = Callable[..., CameraProfile]
TAG = (2e-4, 1e-6)


@pytest.fixture(autouse=True)
def no_blind_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(frame: Frame) -> NoiseModel:
        raise StageError("the picture is too small")

    monkeypatch.setattr(sources, "from_picture", none)


def tagged(frame: Frame) -> Frame:
    return replace(frame, shot=replace(frame.shot, noise_profile=TAG))


def test_the_numbers_of_the_profile_arrive_in_counts(profile_of: ProfileMaker) -> None:
    noise = NoiseCalibration(profile_of())(synthetic_frame(Space.SENSOR)).noise
    assert noise is not None
    assert noise.shot.tolist() == pytest.approx([1.0, 1.1, 1.2, 1.3])
    assert noise.read.tolist() == pytest.approx([(read**2 + 1 / 12) ** 0.5 for read in (3.0, 3.1, 3.2, 3.3)])
    assert noise.row.tolist() == pytest.approx([0.5] * 4)


def test_gains_already_applied_are_accounted_for(profile_of: ProfileMaker) -> None:
    frame, calibration = synthetic_frame(Space.SENSOR), NoiseCalibration(profile_of())
    tail = [BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5)), Exposure(1.0)]
    first = Pipeline([calibration, *tail])(frame).noise
    for at in range(1, 4):
        other = Pipeline([*tail[:at], calibration, *tail[at:]])(frame).noise
        assert first is not None and other is not None
        for name in ("shot", "read", "row"):
            torch.testing.assert_close(getattr(other, name), getattr(first, name), rtol=1e-5, atol=0)


def test_what_it_says_is_the_noise_that_is_there() -> None:
    model = NoiseModel(gain_dn_per_e=2.0, read_sigma_dn=(4.0, 5.0, 6.0, 7.0), quantisation_step_dn=1.0)
    clean = synthetic_frame(Space.SENSOR, 512, 768, "GRBG", level=0.05)
    black = bayer.spread(clean.black, "GRBG", 512, 768)
    signal = clean.data - black
    noisy = replace(clean, data=model.sample(signal, "GRBG", torch.Generator().manual_seed(0)) + black)
    result = Pipeline([NoiseCalibration(model), BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5))])(noisy)
    truth = Pipeline([BlackLevel(), WhiteBalance(gains=(2.0, 1.0, 1.5))])(clean)
    assert result.noise is not None
    for site in range(4):
        got = float(bayer.view(result.data - truth.data, "GRBG", site).var())
        said = float(result.noise.variance(bayer.view(truth.data, "GRBG", site).mean().expand(4))[site])
        assert got == pytest.approx(said, rel=0.03)


@pytest.mark.parametrize("row", [0.0, 2e-3])
def test_the_law_of_noise_for_a_model(row: float, noise_is_right: Callable[..., None]) -> None:
    noise = Noise(
        torch.tensor([2e-4, 3e-4, 3.5e-4, 4e-4]), torch.tensor([6e-3, 5e-3, 4e-3, 3e-3]), torch.full((4,), row)
    )
    scale = float(synthetic_frame().shot.scale_dn)
    model = NoiseModel(
        gain_dn_per_e=noise.shot * scale,
        read_sigma_dn=noise.read * scale,
        row_sigma_dn=row * scale,
        quantisation_step_dn=1.0,
    )
    noise_is_right(NoiseCalibration(model), 0.03, (noise,))


def test_auto_takes_the_profile_then_the_tag_then_the_picture(
    profile_of: ProfileMaker, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = synthetic_frame(Space.SENSOR)
    profile_of().write(profiles / "mine.json")

    def used(frame: Frame) -> str:
        return str(Pipeline(["noise_calibration"])(frame).history[0].parameters["source"])

    assert used(tagged(frame)) == "measured profile of Rawpipe Synthetic, ISO 800"
    (profiles / "mine.json").unlink()
    assert used(tagged(frame)) == "NoiseProfile tag of the DNG"
    nothing = used(frame)
    assert nothing.startswith("nothing: there is no profile of Rawpipe") and nothing.endswith("picture is too small")
    blind = NoiseModel(gain_dn_per_e=2.0, read_sigma_dn=4.0, source="blind estimate of one picture")
    monkeypatch.setattr(sources, "from_picture", lambda frame: blind)
    assert used(frame) == "blind estimate of one picture"


def test_the_tag_means_the_same_as_for_the_reader() -> None:
    frame = tagged(synthetic_frame(Space.SENSOR))
    noise = NoiseCalibration("tag")(frame).noise
    scale = float(frame.shot.scale_dn)
    assert noise is not None
    assert noise.shot.tolist() == pytest.approx([TAG[0] * scale] * 4)
    assert noise.read.tolist() == pytest.approx([TAG[1] ** 0.5 * scale] * 4)
    three = replace(frame, shot=replace(frame.shot, noise_profile=(1e-4, 1e-6, 2e-4, 4e-6, 3e-4, 9e-6)))
    noise = NoiseCalibration("tag")(three).noise
    assert noise is not None
    assert (noise.shot / scale).tolist() == pytest.approx([1e-4, 2e-4, 2e-4, 3e-4])
    with pytest.raises(StageError, match="without a NoiseProfile"):
        NoiseCalibration("tag")(synthetic_frame(Space.SENSOR))


def test_an_iso_between_measured_ones_is_interpolated_and_the_history_says_so(profile_of: ProfileMaker) -> None:
    step = Pipeline([NoiseCalibration(profile_of(), iso=1131.0)])(synthetic_frame()).history[0].parameters
    assert "interpolated between 800 and 1600" in step["source"]
    assert step["shot_dn"][0] == pytest.approx(2**0.5, rel=1e-3)


def test_an_iso_that_was_not_measured_is_an_error_unless_another_source_will_do(
    profile_of: ProfileMaker, profiles: Path
) -> None:
    path, frame = profiles / "mine.json", tagged(synthetic_frame())
    profile_of().write(path)
    with pytest.raises(ProfileError, match=r"ISO 6400.*rawpipe calibrate"):
        NoiseCalibration(str(path), iso=6400)(frame)
    with pytest.warns(RawpipeWarning, match="ISO 6400"):
        assert NoiseCalibration(iso=6400).measure(frame).source == "NoiseProfile tag of the DNG"
    nameless = replace(frame, shot=replace(frame.shot, iso=None))
    with pytest.raises(ProfileError, match="doesn't say its ISO"):
        NoiseCalibration(str(path))(nameless)
    with pytest.raises(ProfileError, match="can't be read"):
        NoiseCalibration(str(profiles / "other.json"))(frame)


def test_a_replay_needs_no_profile(profile_of: ProfileMaker, profiles: Path) -> None:
    profile_of().write(profiles / "mine.json")
    frame = synthetic_frame(Space.SENSOR)
    result = Pipeline(["noise_calibration", "black_level"])(frame)
    (profiles / "mine.json").unlink()
    for again in (
        Pipeline.from_history(result.history),
        Pipeline.from_recipe(Pipeline.from_history(result.history).recipe()),
    ):
        noise = again(frame).noise
        assert noise is not None and result.noise is not None
        for name in ("shot", "read", "row"):
            assert torch.equal(getattr(noise, name), getattr(result.noise, name))


def test_nothing_found_stays_nothing_in_a_replay(profile_of: ProfileMaker, profiles: Path) -> None:
    frame = synthetic_frame(Space.SENSOR)
    result = Pipeline(["noise_calibration"])(frame)
    assert result.noise is None
    profile_of().write(profiles / "mine.json")
    again = Pipeline.from_history(result.history)(frame)
    assert again.noise is None and again.history[0].parameters == result.history[0].parameters


def test_counts_of_another_bit_depth_are_refused(profile_of: ProfileMaker) -> None:
    frame = Frame.from_array(torch.rand(34, 40) * 4095, "RGGB", bits=12, make="Rawpipe", model="Synthetic", iso=800)
    with pytest.raises(ProfileError, match=r"4095 DN.*15000 DN.*another bit depth"):
        NoiseCalibration(profile_of())(frame)
    with pytest.raises(ProfileError, match="another bit depth"):
        NoiseCalibration(NoiseModel.virtual("SonyA7S2", iso=800))(frame)


def test_a_batch_of_models_is_refused() -> None:
    models = NoiseModel.random(3, torch.Generator().manual_seed(0))
    with pytest.raises(StageError, match=r"of \(3,\) sensors"):
        NoiseCalibration(models)(synthetic_frame())


def test_your_own_numbers_win() -> None:
    noise = NoiseCalibration(shot_dn=1.5, read_dn=(2.0, 2.1, 2.2, 2.3), row_dn=0.5)(synthetic_frame()).noise
    assert noise is not None
    assert noise.shot.tolist() == [1.5] * 4 and noise.read.tolist() == pytest.approx([2.0, 2.1, 2.2, 2.3])


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": 5},
        {"profile": ""},
        {"iso": -1},
        {"shot_dn": 1.0},
        {"shot_dn": (1.0, 2.0), "read_dn": 1.0},
        {"shot_dn": 1.0, "read_dn": -1.0},
        {"row_dn": -1.0},
    ],
)
def test_parameters_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="expected"):
        NoiseCalibration(**wrong)


def test_compiled_equals_plain(profile_of: ProfileMaker) -> None:
    frame = synthetic_frame(Space.SENSOR)
    stages = [NoiseCalibration(profile_of()), BlackLevel()]
    plain, compiled = Pipeline(stages)(frame), Pipeline(stages).compile(backend="eager")(frame)
    assert plain.noise is not None and compiled.noise is not None
    assert torch.equal(plain.noise.read, compiled.noise.read) and torch.equal(plain.data, compiled.data)


def test_the_blind_estimate_of_a_smooth_picture_is_near_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("RAWPIPE_PROFILES", "")
    y, x = torch.meshgrid(torch.linspace(0, 6, 512), torch.linspace(0, 9, 768), indexing="ij")
    signal = 1500 + 1400 * torch.sin(y) * torch.cos(x)
    model = NoiseModel(gain_dn_per_e=4.0, read_sigma_dn=8.0, quantisation_step_dn=1.0)
    counts = model.sample(signal, "RGGB", torch.Generator().manual_seed(0)) + 512
    frame = Frame.from_array(counts, "RGGB", black=512, white=15520, bits=14)
    for stages in ([NoiseCalibration()], [BlackLevel(), NoiseCalibration("blind")]):
        result = Pipeline(stages)(frame)
        step = result.history[-1].parameters
        assert step["source"].startswith("blind estimate")
        assert step["shot_dn"][0] == pytest.approx(4.0, rel=0.1)
        again = Pipeline.from_history(result.history)(frame)
        assert result.noise is not None and again.noise is not None
        assert torch.equal(again.noise.read, result.noise.read)
