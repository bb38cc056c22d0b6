"""Defects that are known: places given, in a file, or in the camera's profile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rawpipe import FormatError, Frame, Noise, Pipeline, PipelineError, ProfileError, Space, StageError
from rawpipe.stages import DefectPixels
from rawpipe.testing import synthetic_frame

SIGMA = 0.01  # of the noise without light
CORNER = (6, 38)  # of the synthetic picture in its sensor


def noise(shot: float = 1e-4) -> Noise:
    return Noise(torch.full((4,), shot), torch.full((4,), SIGMA), torch.zeros(4))


def flat(known: bool = True, level: float = 0.0, size: tuple[int, int] = (512, 768), seed: int = 0) -> Frame:
    """A noisy flat field that says how noisy it is, or doesn't."""
    frame = synthetic_frame(Space.MOSAIC, *size, "GRBG", level=level, noise=noise(), seed=seed)
    return frame if known else replace(frame, noise=None)


# The map


def on_sensor(*places: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((y + CORNER[0], x + CORNER[1]) for y, x in places)


def test_pixels_of_the_map_are_replaced_though_their_neighbours_are_defective_too() -> None:
    places = tuple((y, x) for y in range(10, 16) for x in range(20, 26))  # 3x3 pixels of every site
    frame = replace(flat(), noise=None)
    frame.data[10:16, 20:26] = 5.0
    result = DefectPixels(detect=False, pixels=on_sensor(*places))(frame).data
    assert float(result.abs().max()) < 6 * SIGMA
    outside = torch.ones_like(result, dtype=torch.bool)
    outside[10:16, 20:26] = False
    assert torch.equal(result[outside], frame.data[outside])


def test_a_defect_of_the_map_gets_the_median_of_the_good_ones() -> None:
    frame = flat()
    frame.data[10, 20] = frame.data[10, 22] = frame.data[12, 22] = torch.nan
    result = DefectPixels(detect=False, pixels=on_sensor((10, 20), (10, 22), (12, 22)))(frame).data
    good = [frame.data[10 + dy, 20 + dx] for dy, dx in ((-2, -2), (-2, 0), (-2, 2), (0, -2), (2, -2), (2, 0))]
    assert torch.equal(result[10, 20], torch.stack(good).sort().values[2:4].mean())


def test_defects_at_the_border_use_the_pixels_that_there_are() -> None:
    frame = replace(flat(size=(33, 47)), noise=None)
    corners = ((0, 0), (0, 46), (32, 0), (32, 46), (1, 0), (16, 46))
    frame.data[tuple(torch.tensor(corners).T)] = 7.0
    result = DefectPixels(detect=False, pixels=on_sensor(*corners))(frame).data
    assert float(result.abs().max()) < 5 * SIGMA
    assert torch.equal(result[0, 0], torch.stack([frame.data[y, x] for y, x in ((0, 2), (2, 0), (2, 2))]).median())


def test_the_map_lets_the_search_find_what_is_beside_it() -> None:
    frame = flat(size=(64, 96))
    frame.data[20, 30] = frame.data[20, 32] = 1.0
    assert torch.equal(DefectPixels()(frame).data[20], frame.data[20])  # two of a site side by side hide each other
    result = DefectPixels(pixels=on_sensor((20, 30)))(frame).data
    assert float(result[20].abs().max()) < 5 * SIGMA


def test_the_map_holds_in_a_crop_and_where_it_lies_outside() -> None:
    frame = flat(size=(64, 96))
    places = ((20, 30), (21, 31), (3, 3), (60, 90))
    frame.data[tuple(torch.tensor(places).T)] = 2.0
    stage = DefectPixels(pixels=(*on_sensor(*places), (0, 0)))
    inner = stage(frame.crop(3, 6, 50, 70)).crop(10, 10, 30, 50)
    assert torch.equal(inner.data, stage(frame).crop(13, 16, 30, 50).data)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.json", "[[20, 30], [5, 7], [20, 30]]"),
        ("map.txt", "# row column\n20 30  # hot\n\n5 7\n"),
        ("map.npy", np.array([[20, 30], [5, 7]], dtype=np.uint16)),
    ],
)
def test_a_file_gives_the_same_as_the_pixels_and_the_history_holds_them(
    name: str, content: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        np.save(path, content)
    frame = flat(size=(64, 96))
    result = Pipeline([DefectPixels(pixels=str(path))])(frame)
    given = Pipeline([DefectPixels(pixels=((20, 30), (5, 7)))])(frame)
    assert torch.equal(result.data, given.data)
    assert result.history[0].parameters["pixels"] == ((5, 7), (20, 30))
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)


def test_arrays_and_tensors_of_places_are_taken() -> None:
    wanted = DefectPixels(pixels=((5, 7), (20, 30)))
    places: list[Any] = [np.array([[20, 30], [5, 7]]), torch.tensor([[5, 7], [20, 30]]), [[5, 7], [20, 30]]]
    for pixels in places:
        assert DefectPixels(pixels=pixels) == wanted
    path: Any = Path("map.npy")
    assert DefectPixels(pixels=path).pixels == "map.npy"


@pytest.mark.parametrize("pixels", [((1, 2, 3),), ((1,),), (1, 2), ((1.0, 2.0),), ((-1, 2),), (("1", "2"),), 5, None])
def test_places_that_are_none_are_refused(pixels: Any) -> None:
    with pytest.raises(StageError, match=r"expected (its row and column|pairs of row and column)"):
        DefectPixels(pixels=pixels)


def test_a_map_of_another_camera_is_refused() -> None:
    with pytest.raises(PipelineError, match="defect_pixels.*row 4000, column 1; expected it on the sensor of 70x134"):
        raise_as_pipeline(((4000, 1),))
    with pytest.raises(PipelineError, match="another camera"):
        raise_as_pipeline(((1, 134),))


def raise_as_pipeline(pixels: tuple[tuple[int, int], ...]) -> None:
    try:
        Pipeline([DefectPixels(pixels=pixels)])(flat(size=(64, 96)))
    except StageError as error:
        raise PipelineError(str(error)) from error


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"1 2"), ("a.json", b"{"), ("a.txt", b"one two"), ("a.npy", b"\x93NUMPY"), ("a.txt", b"\xff\xfe")],
)
def test_a_file_that_is_no_map_is_an_error_that_names_it(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=r"a defect map that ends with|can't be read"):
        DefectPixels(pixels=str(tmp_path / name))(flat(size=(64, 96)))
    with pytest.raises(FormatError, match="can't be read"):
        DefectPixels(pixels=str(tmp_path / "none.txt"))(flat(size=(64, 96)))


def test_a_file_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"pixels": []}))
    with pytest.raises(StageError, match="expected pairs of row and column"):
        DefectPixels(pixels=str(tmp_path / "a.json"))(flat(size=(64, 96)))


# The camera's profile


def test_the_profile_of_the_camera_gives_its_defects(profile_of: Any, profiles: Path) -> None:
    frame = synthetic_frame(Space.SENSOR)
    places = on_sensor((3, 4), (10, 11), (10, 13))
    expected = DefectPixels(pixels=places, profile="none")(frame)
    assert torch.equal(DefectPixels(profile=profile_of())(frame).data, expected.data)
    profile_of().write(profiles / "mine.json")
    result = Pipeline(["defect_pixels"])(frame)
    assert torch.equal(result.data, expected.data)
    assert torch.equal(Pipeline.from_history(result.history)(frame).data, result.data)
    more = DefectPixels(pixels=((6, 38),), profile=profile_of()).measure(frame)
    assert more.pixels == ((6, 38),)
    everything = DefectPixels(pixels=((6, 38), *places), profile="none")
    assert torch.equal(more(frame).data, everything(frame).data) and more.halo == everything.halo


def test_the_history_names_the_map_and_a_replay_wants_the_same(profile_of: Any, profiles: Path) -> None:
    size = (300, 400)
    frame, path = synthetic_frame(Space.SENSOR, *size), profiles / "mine.json"
    places = np.argwhere(np.random.default_rng(0).random(size) < 0.2)
    profile_of(size, stored={"defects": places}).write(path)
    result = Pipeline(["defect_pixels"])(frame)
    step = result.history[0].parameters
    assert step["pixels"] == () and step["profile"] == str(path)
    assert step["found"].startswith(f"profile of Rawpipe Synthetic, {len(places)} defects, map ")
    assert len(repr(result.history)) < 1000
    again = Pipeline.from_recipe(Pipeline.from_history(result.history).recipe())
    assert torch.equal(again(frame).data, result.data)
    profile_of(size, stored={"defects": places[1:]}).write(path)
    with pytest.raises(StageError, match=r"the history says profile of Rawpipe Synthetic.*changed since"):
        again(frame)
    path.unlink()
    with pytest.raises(StageError, match=r"mine\.json.*can't be read"):
        again(frame)


@pytest.mark.parametrize("wrong", [np.array([[34, 0]]), np.array([[0, -1]]), np.array([1, 2])])
def test_defects_of_a_profile_that_cannot_be_are_refused(profile_of: Any, wrong: Any) -> None:
    with pytest.raises(ProfileError, match="expected .n, 2., rows and columns within 34x40.*rawpipe calibrate"):
        DefectPixels(profile=profile_of(stored={"defects": wrong}))(synthetic_frame(Space.SENSOR))


def test_a_profile_without_defects_is_an_error_only_when_it_is_named(profile_of: Any, profiles: Path) -> None:
    frame, bare = synthetic_frame(Space.SENSOR), profile_of(stored={})
    with pytest.raises(ProfileError, match="no map of defects.*rawpipe calibrate"):
        DefectPixels(profile=bare)(frame)
    bare.write(profiles / "mine.json")
    assert torch.equal(DefectPixels()(frame).data, DefectPixels(profile="none")(frame).data)
