from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rawpipe import FormatError, Frame, Noise, Pipeline, PipelineError, ProfileError, Space, StageError, bayer
from rawpipe.stages import DefectPixels
from rawpipe.stages.defect_pixels import kernels
from rawpipe.testing import check_stage, synthetic_frame

SIGMA = 0.01  # of the noise without light
CORNER = (6, 38)  # of the synthetic picture in its sensor


def noise(shot: float = 1e-4) -> Noise:
    return Noise(torch.full((4,), shot), torch.full((4,), SIGMA), torch.zeros(4))


def flat(known: bool = True, level: float = 0.0, size: tuple[int, int] = (512, 768), seed: int = 0) -> Frame:
    """A noisy flat field that says how noisy it is, or doesn't."""
    frame = synthetic_frame(Space.MOSAIC, *size, "GRBG", level=level, noise=noise(), seed=seed)
    return frame if known else replace(frame, noise=None)


def scene(picture: Tensor, cfa: str = "RGGB") -> Frame:
    """A picture (H, W) of the neutral's colour without noise, whose frame knows how much there usually is."""
    frame = synthetic_frame(Space.MOSAIC, *picture.shape, cfa, noise=noise())
    return replace(frame, data=picture * bayer.spread(bayer.per_site(frame.neutral), cfa, *picture.shape))


def spoilt(frame: Frame, share: float, step: float, seed: int = 1) -> tuple[Frame, Tensor]:
    """Defects of one size, none close to another, and where they are."""
    at = torch.zeros(frame.data.shape, dtype=torch.bool)
    cells = at[4::8, 4::8]
    chosen = torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed)) < 64 * share
    odd = torch.arange(cells.shape[1]) % 2  # so that all sites have some
    at[4::8, 4::8] = chosen & (odd == 0)
    at[3::8, 5::8] = chosen & (odd == 1)
    return replace(frame, data=torch.where(at, frame.data + step, frame.data)), at


# Detection


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_clean_noise_loses_fewer_than_one_pixel_in_a_hundred_thousand(known: bool, level: float) -> None:
    changed = 0
    for seed in range(4):
        frame = flat(known, level, seed=seed)
        changed += int((DefectPixels()(frame).data != frame.data).sum())
    assert changed <= 1e-5 * 4 * 512 * 768


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("level", [0.0, 0.3])
@pytest.mark.parametrize(("deviations", "found"), [(10, 0.85), (15, 0.985), (100, 0.995), (-15, 0.985), (-100, 0.995)])
def test_single_defects_are_found(known: bool, level: float, deviations: int, found: float) -> None:
    sigma = (SIGMA**2 + 1e-4 * level) ** 0.5
    frame, at = spoilt(flat(known, level), 2e-3, deviations * sigma)
    changed = DefectPixels()(frame).data != frame.data
    assert float(changed[at].double().mean()) >= found
    assert int((changed & ~at).sum()) <= 4


def test_what_replaces_a_defect_is_the_median_of_its_site_around_it() -> None:
    frame = flat()
    frame.data[20, 30] = 3.0
    around = torch.stack([frame.data[20 + dy, 30 + dx] for dy in (-2, 0, 2) for dx in (-2, 0, 2) if dy or dx])
    expected = around.sort().values[3:5].mean()
    assert torch.equal(DefectPixels()(frame).data[20, 30], expected)


def test_nine_in_ten_of_the_defects_are_found_where_others_are_near() -> None:
    frame = flat()
    at = torch.rand(frame.data.shape, generator=torch.Generator().manual_seed(2)) < 4e-3
    hot = replace(frame, data=torch.where(at, frame.data + 0.5, frame.data))
    assert float((DefectPixels()(hot).data != hot.data)[at].double().mean()) > 0.9


def test_a_higher_threshold_finds_less() -> None:
    frame, at = spoilt(flat(), 2e-3, 12 * SIGMA)
    found = [int((DefectPixels(threshold=t)(frame).data != frame.data)[at].sum()) for t in (5.0, 8.0, 12.0)]
    assert found[0] > found[1] > found[2]


def test_noise_that_the_frame_knows_decides_where_the_spread_would_not() -> None:
    loud = replace(flat(), noise=noise().map(lambda values: 100 * values))
    frame, _ = spoilt(loud, 2e-3, 15 * SIGMA)
    assert torch.equal(DefectPixels()(frame).data, frame.data)
    assert not torch.equal(DefectPixels()(replace(frame, noise=None)).data, frame.data)


def test_counts_that_hardly_vary_are_left_alone() -> None:
    frame = synthetic_frame(Space.SENSOR, 64, 96, level=0.0)
    frame.data[10::7, 10::9] += 2
    frame = replace(frame, data=frame.data.to(torch.uint16))
    assert torch.equal(DefectPixels()(frame).data, frame.data.float())


def lines() -> dict[str, Tensor]:
    y, x = torch.arange(64.0)[:, None], torch.arange(96.0)
    return {
        "vertical": (x == 40).expand(64, 96),
        "horizontal": (y == 31).expand(64, 96),
        "diagonal": y == x - 10,
        "one in three": y == (x / 3 + 10).round(),
        "one in ten": y == (x / 10 + 20).round(),
        "three in two": (y / 1.5).round() == x - 20,
        "with ends": ((x == 40) & (y >= 20) & (y < 30)).expand(64, 96),
        "dots of two": ((x // 2 % 6 == 0) & (y % 11 == 5)).expand(64, 96),
    }


@pytest.mark.parametrize("name", lines())
@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_lines_one_pixel_wide_stay(name: str, cfa: str, bright: bool, known: bool) -> None:
    frame = scene(torch.where(lines()[name] == bright, 0.8, 0.2), cfa)
    frame = frame if known else replace(frame, noise=None)
    assert torch.equal(DefectPixels()(frame).data, frame.data)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 1.0, 2.7])
def test_edges_and_corners_stay(cfa: str, known: bool, slope: float) -> None:
    y, x = torch.arange(64.0)[:, None], torch.arange(96.0)
    frame = scene(torch.where((x > 40 + slope * (y - 30)) & (y > 9), 0.8, 0.1), cfa)
    frame = frame if known else replace(frame, noise=None)
    assert torch.equal(DefectPixels()(frame).data, frame.data)


def star(row: float, column: float, peak: float, width: float) -> Tensor:
    """A round star (33, 33), `width` pixels wide at half its height, integrated over the pixels."""
    edges = torch.arange(34.0) - 0.5
    rows, columns = (torch.erf((edges - at) * 1.665 / width).diff() for at in (row, column))
    spot = rows[:, None] * columns
    return peak * spot / spot.max()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("width", [1.5, 2.0, 4.0])
def test_stars_stay(known: bool, width: float) -> None:
    places = torch.rand(50, 2, generator=torch.Generator().manual_seed(3)) * 2 + 15
    for row, column in places.tolist():
        frame = scene(star(row, column, 0.9, width))
        frame = frame if known else replace(frame, noise=None)
        assert torch.equal(DefectPixels()(frame).data, frame.data)


@pytest.mark.parametrize("known", [True, False])
def test_texture_loses_fewer_than_one_pixel_in_ten_thousand(known: bool) -> None:
    down, across = torch.fft.fftfreq(512)[:, None], torch.fft.fftfreq(512)
    phases = torch.rand(512, 512, generator=torch.Generator().manual_seed(6)) * 2 * torch.pi
    spectrum = torch.polar(1 / (down**2 + across**2).sqrt().clamp(min=1 / 512), phases)
    picture = torch.fft.ifft2(spectrum).real
    frame = scene((0.4 + 0.15 * picture / picture.std()).clamp(0, 1))
    quiet = Noise(torch.full((4,), 1e-5), torch.full((4,), 1e-3), torch.zeros(4))
    changed = DefectPixels()(replace(frame, noise=quiet if known else None)).data != frame.data
    assert float(changed.double().mean()) < 1e-4


def test_a_defect_beside_an_edge_is_found() -> None:
    x = torch.arange(96.0)
    truth = scene(torch.where(x > 40, 0.8, 0.1).expand(64, 96))
    frame = replace(truth, data=truth.data.clone())
    frame.data[20, 38], frame.data[40, 45] = 1.0, 0.0
    torch.testing.assert_close(DefectPixels()(frame).data, truth.data)


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


# The stage


@pytest.mark.parametrize(
    "stage",
    [
        DefectPixels(),
        DefectPixels(pixels=((6, 38), (20, 50), (20, 52), (22, 52))),
        DefectPixels(detect=False, pixels=((6, 38), (20, 50), (20, 52), (22, 52))),
        DefectPixels(detect=False),
    ],
)
def test_laws(stage: DefectPixels) -> None:
    check_stage(stage)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float64])
@pytest.mark.parametrize("known", [True, False])
def test_compiled_in_strips_equals_plain(dtype: torch.dtype, known: bool) -> None:
    frame = synthetic_frame(Space.SENSOR, 65, 93, "GBRG", level=0.2, noise=noise(), dtype=dtype, batch=(2,))
    hot = torch.rand(frame.data.shape, generator=torch.Generator().manual_seed(4)) < 5e-3
    frame = replace(frame, data=torch.where(hot, 15000, frame.data), noise=frame.noise if known else None)
    stage = DefectPixels(pixels=tuple((y, 2 * y) for y in range(6, 60)))
    plain = stage(frame)
    assert not torch.equal(plain.data, frame.data.to(plain.data.dtype))
    for pipeline in (Pipeline([stage], rows=8), Pipeline([stage], rows=8).compile(backend="eager")):
        assert torch.equal(pipeline(frame).data, plain.data)


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan"), "5"])
def test_a_threshold_that_is_none_is_refused(threshold: Any) -> None:
    with pytest.raises(StageError, match="expected standard deviations, above 0"):
        DefectPixels(threshold=threshold)


def test_the_network_sorts() -> None:
    values = torch.rand(8, 5000, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.stack(kernels._sorted(list(values))), values.sort(dim=0).values)


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
