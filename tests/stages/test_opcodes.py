from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from rawpipe import Frame, Noise, Pipeline, RawpipeWarning, Space, StageError, bayer, testing
from rawpipe.stages import Demosaic
from rawpipe.stages.opcodes import (
    Area,
    FixBadPixelsConstant,
    FixBadPixelsList,
    GainMap,
    Opcode,
    Opcodes,
    serialize,
)
from rawpipe.testing import check_stage, synthetic_frame

SPACES = {1: Space.SENSOR, 2: Space.MOSAIC, 3: Space.CAMERA}


def listed(frame: Frame, number: int, opcodes: Iterable[Opcode]) -> Frame:
    """The frame with an opcode list."""
    raw = serialize(opcodes)
    lists = (raw if number == 1 else b"", raw if number == 2 else b"", raw if number == 3 else b"")
    return replace(frame, shot=replace(frame.shot, opcodes=lists))


def flat(number: int, *opcodes: Opcode, height: int = 33, width: int = 47, **options: Any) -> Frame:
    """A frame of ones with an opcode list."""
    frame = synthetic_frame(SPACES[number], height, width, **options)
    return listed(replace(frame, data=torch.ones_like(frame.data)), number, opcodes)


def per_site_maps(height: int = 33, width: int = 47, base: float = 1.1, spread: float = 1.0) -> list[Opcode]:
    """What phones write: a map for each site, gains from `base` to `base + spread`."""
    generator = torch.Generator().manual_seed(5)
    return [
        GainMap(
            base + spread * torch.rand(1, 5, 7, generator=generator),
            (1 / 4, 1 / 6),
            area=Area(y, x, height, width, row_pitch=2, column_pitch=2),
        ).opcode()
        for y in (0, 1)
        for x in (0, 1)
    ]


def by_the_specification(opcode: GainMap, row: int, column: int, plane: int, height: int, width: int) -> float:
    """Gain of one pixel of an image, straight from the text."""
    area = opcode.area or Area(0, 0, height, width, *opcode.area[4:])
    inside = area.top <= row < area.bottom and area.left <= column < area.right
    met = (row - area.top) % area.row_pitch == 0 and (column - area.left) % area.column_pitch == 0
    if not (inside and met and area.plane <= plane < area.plane + area.planes):
        return 1.0
    gains = opcode.gains[min(plane, len(opcode.gains) - 1)].tolist()
    places = []
    for at, extent, axis in ((row, height, 0), (column, width, 1)):
        points = opcode.gains.shape[1 + axis]
        place = ((at + 0.5) / extent - opcode.origin[axis]) / opcode.spacing[axis]
        place = min(max(place, 0.0), points - 1.0)
        low = min(int(place), points - 1)
        places.append((low, min(low + 1, points - 1), place - low))
    (top, bottom, v), (left, right, h) = places
    upper = gains[top][left] * (1 - h) + gains[top][right] * h
    lower = gains[bottom][left] * (1 - h) + gains[bottom][right] * h
    return float(upper * (1 - v) + lower * v)


# Gain maps


def test_gains_are_those_of_adobes_software() -> None:
    gains = torch.tensor([[[1.0, 1.5, 2.0], [1.25, 1.0, 3.0]]])
    frame = flat(2, GainMap(gains, (0.5, 0.3), (0.2, 0.1)).opcode(), height=6, width=8)
    sdk = {  # dng_gain_map::Interpolate of the DNG SDK 1.7.1
        0: [1.0, 1.145833, 1.354167, 1.5625, 1.770833, 1.979167, 2.0, 2.0],
        2: [1.108333, 1.159375, 1.232292, 1.427083, 1.90625, 2.385417, 2.433333, 2.433333],
        5: [1.25, 1.177083, 1.072917, 1.25, 2.083333, 2.916667, 3.0, 3.0],
    }
    for row, values in sdk.items():
        torch.testing.assert_close(Opcodes(2)(frame).data[row], torch.tensor(values), atol=1e-6, rtol=0)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize(
    ("number", "area", "planes"),
    [
        (1, Area(), 1),
        (1, Area(3, 4, 30, 41, row_pitch=2, column_pitch=2), 1),
        (2, Area(), 1),
        (2, Area(1, 0, 33, 47, row_pitch=2, column_pitch=2), 1),
        (2, Area(5, 6, 20, 30, row_pitch=1, column_pitch=3), 1),
        (2, Area(0, 0, 33, 47, plane=1), 1),
        (3, Area(0, 0, 33, 47, planes=3), 3),
        (3, Area(0, 0, 33, 47, planes=3), 2),
        (3, Area(2, 3, 20, 1000, plane=1, planes=9, row_pitch=2), 1),
    ],
)
def test_gains_are_those_of_the_specification(cfa: str, number: int, area: Area, planes: int) -> None:
    opcode = GainMap(1 + torch.rand(planes, 4, 3), (0.3, 0.4), (0.1, 0.05), area)
    frame = flat(number, opcode.opcode(), cfa=cfa if number < 3 else "RGGB")
    (height, width), top, left = (frame.shot.size, 6, 38) if number == 1 else ((33, 47), 0, 0)
    expected = torch.tensor(
        [
            [[by_the_specification(opcode, top + y, left + x, p, height, width) for x in range(47)] for y in range(33)]
            for p in range(3 if number == 3 else 1)
        ]
    )
    torch.testing.assert_close(Opcodes(number)(frame).data, expected if number == 3 else expected[0])


def test_maps_of_four_sites_each_keep_to_their_site() -> None:
    maps = [
        GainMap(torch.full((1, 1, 1), gain), area=Area(y, x, 33, 47, row_pitch=2, column_pitch=2)).opcode()
        for gain, (y, x) in zip((2.0, 3.0, 4.0, 5.0), ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
    ]
    result = Opcodes(2)(flat(2, *maps)).data
    assert result[:2, :2].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert torch.equal(result, torch.tensor([[2.0, 3.0], [4.0, 5.0]]).repeat(17, 24)[:33, :47])


def test_maps_that_overlap_multiply() -> None:
    twice = [GainMap(torch.full((1, 1, 1), 3.0)).opcode()] * 2
    assert torch.equal(Opcodes(2)(flat(2, *twice)).data, torch.full((33, 47), 9.0))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_crop_gets_the_gains_of_its_place(number: int) -> None:
    frame = flat(number, *per_site_maps(), GainMap(torch.rand(3, 2, 2), area=Area(planes=3)).opcode())
    cropped = Opcodes(number)(frame.crop(3, 6, 21, 30))
    assert torch.equal(cropped.data, Opcodes(number)(frame).crop(3, 6, 21, 30).data)


def test_noise_grows_by_the_mean_gain_of_its_site_and_white_stays() -> None:
    noise = Noise(torch.full((4,), 1e-4), torch.full((4,), 1e-3), torch.full((4,), 1e-3))
    frame = flat(2, *per_site_maps(), cfa="GBRG", noise=noise)
    result = Opcodes(2)(frame)
    means = torch.stack([bayer.view(result.data, "GBRG", site).mean() for site in range(4)])
    assert result.noise is not None
    torch.testing.assert_close(result.noise.read, 1e-3 * means)
    torch.testing.assert_close(result.noise.shot, 1e-4 * means)
    assert torch.equal(result.white, frame.white)


# Bad pixels


def ramp(number: int = 2, **options: Any) -> Frame:
    """A frame of which every site is a plane, that a mean of symmetric neighbours gives back exactly."""
    frame = synthetic_frame(SPACES[number], 32, 48, **options)
    y, x = torch.arange(32.0)[:, None], torch.arange(48.0)
    return replace(frame, data=1000 + 4 * y + 8 * x + 500 * (y % 2) + 200 * (x % 2))


def test_single_bad_pixels_get_the_mean_of_their_site_around_them() -> None:
    truth = ramp()
    points = ((10, 12), (11, 13), (20, 31), (2, 45))
    spoilt = truth.data.clone()
    spoilt[tuple(torch.tensor(points).T)] = 1e6
    frame = listed(replace(truth, data=spoilt), 2, [FixBadPixelsList(points).opcode()])
    assert torch.equal(Opcodes(2)(frame).data, truth.data)


@pytest.mark.parametrize(
    "place", [(slice(None), slice(20, 21)), (slice(7, 8), slice(None)), (slice(9, 11), slice(4, 6))]
)
def test_bad_rows_columns_and_blocks_are_filled_from_beside(place: tuple[slice, slice]) -> None:
    truth = ramp()
    spoilt = truth.data.clone()
    spoilt[place] = torch.nan
    rows, columns = (range(length)[part] for part, length in zip(place, truth.data.shape, strict=True))
    rectangle = (rows.start, columns.start, rows.stop, columns.stop)
    result = Opcodes(2)(listed(replace(truth, data=spoilt), 2, [FixBadPixelsList((), (rectangle,)).opcode()]))
    torch.testing.assert_close(result.data, truth.data, atol=8.0, rtol=0)  # at the ends the mirror bends the ramp


def test_the_middle_of_a_cluster_is_filled_last_and_bad_pixels_are_never_used() -> None:
    truth = replace(ramp(), data=torch.full((32, 48), 0.25))
    spoilt = truth.data.clone()
    spoilt[4:16, 8:20] = 1e6
    frame = listed(replace(truth, data=spoilt), 2, [FixBadPixelsList((), ((4, 8, 16, 20),)).opcode()])
    assert torch.equal(Opcodes(2)(frame).data, truth.data)


def test_places_of_list_1_count_from_the_sensor_and_those_of_list_2_from_the_picture() -> None:
    for number, corner in ((1, (6, 38)), (2, (0, 0))):
        truth = replace(ramp(number), data=torch.full((32, 48), 600.0))
        spoilt = truth.data.clone()
        spoilt[0, 0] = spoilt[5, 9] = 9.0
        points = ((corner[0], corner[1]), (corner[0] + 5, corner[1] + 9), (4000, 5))
        frame = listed(replace(truth, data=spoilt), number, [FixBadPixelsList(points).opcode()])
        assert torch.equal(Opcodes(number)(frame).data, truth.data)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float64])
def test_pixels_marked_by_a_constant_are_filled(dtype: torch.dtype) -> None:
    truth = ramp(1)
    spoilt = truth.data.clone()
    spoilt[10, 12] = spoilt[20, 31] = 0
    frame = listed(replace(truth, data=spoilt.to(dtype)), 1, [FixBadPixelsConstant(0).opcode()])
    result = Opcodes(1)(frame).data
    assert result.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert torch.equal(result.float(), truth.data)


def test_a_mark_is_looked_up_where_the_codes_have_been() -> None:
    truth = ramp(1)
    spoilt = truth.data.clone()
    spoilt[10, 12] = 31.0
    shot = replace(truth.shot, linearization=torch.tensor([31.0, 33.0]))
    frame = replace(truth, data=spoilt, shot=shot, applied=("linearization",))
    frame = listed(frame, 1, [FixBadPixelsConstant(0).opcode()])
    assert torch.equal(Opcodes(1)(frame).data, truth.data)


# The stage


def everything(number: int, frame: Frame, spread: float) -> Frame:
    """The frame with all that its list may hold; the gains near 1, for the noise is known at their mean."""
    height, width = frame.shot.size
    lists = {
        1: [
            *per_site_maps(height, width, 1.02, spread),
            FixBadPixelsConstant(513).opcode(),
            FixBadPixelsList(((6, 38), (15, 50), (15, 52)), ((20, 60, 24, 64),)).opcode(),
        ],
        2: [
            *per_site_maps(height - 6, width - 38, 1.3, spread),
            FixBadPixelsList(((0, 0), (15, 20), (15, 22)), ((18, 22, 24, 26),)).opcode(),
            GainMap(1.5 + spread * torch.rand(1, 3, 3), (0.5, 0.5)).opcode(),
        ],
        3: [GainMap(torch.tensor([1.3, 0.9, 2.0])[:, None, None].expand(3, 2, 2), area=Area(planes=3)).opcode()],
    }
    return listed(frame, number, lists[number])


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("with_list", [False, True])
def test_laws(number: int, with_list: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = testing.synthetic_frame
    if with_list:
        monkeypatch.setattr(
            testing, "synthetic_frame", lambda *given, **more: everything(number, made(*given, **more), 1e-3)
        )
    check_stage(Opcodes(number))


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("cfa", bayer.PHASES)
def test_compiled_in_strips_equals_plain(number: int, cfa: str) -> None:
    frame = everything(number, synthetic_frame(SPACES[number], 33, 47, cfa if number < 3 else "RGGB"), 0.5)
    plain = Opcodes(number)(frame)
    compiled = Pipeline([Opcodes(number)], rows=4).compile(backend="eager")(frame)
    assert torch.equal(compiled.data, plain.data)
    assert not torch.equal(plain.data, frame.data.to(plain.data.dtype))
    assert compiled.applied == plain.applied == (f"opcodes{number}",)


def test_one_compilation_serves_photos_with_other_gains() -> None:
    compilations = []

    def backend(graph: Any, _: Any) -> Any:
        compilations.append(1)
        return graph.forward

    pipeline = Pipeline([Opcodes(2)], rows=8).compile(backend=backend)
    for gain in (1.5, 2.5, 3.5):
        frame = flat(2, GainMap(torch.full((1, 2, 2), gain)).opcode(), FixBadPixelsList(((4, 5),)).opcode())
        assert float(pipeline(frame).data.max()) == gain
    assert len(compilations) == 1


def test_gains_alone_need_no_context() -> None:
    assert Opcodes(2).measure(flat(2, *per_site_maps())).halo == 0
    assert Opcodes(2).measure(flat(2, FixBadPixelsList().opcode())).halo == Opcodes(2).halo > 0


def test_a_frame_without_the_list_and_one_that_had_it_pass_unchanged() -> None:
    frame = flat(2)
    bare = replace(frame, shot=replace(frame.shot, opcodes=(b"", b"", b"")))
    assert Opcodes(2)(bare) is bare
    assert Opcodes(2)(frame) is frame  # a list of no opcodes
    once = Opcodes(2)(flat(2, *per_site_maps()))
    assert Opcodes(2)(once) is once


def test_other_opcodes_are_named_and_leave_the_list_to_be_applied() -> None:
    frame = flat(3, Opcode(1, b""), Opcode(3, b"", flags=1), Opcode(77, b"", flags=1))
    with pytest.warns(RawpipeWarning) as said:
        result = Opcodes(3)(frame)
    assert [str(one.message) for one in said] == [
        "OpcodeList3 has opcodes that are not applied: WarpRectilinear (1), mandatory; "
        "FixVignetteRadial (3), optional; unknown opcode (77), optional"
    ]
    assert result is frame
    assert result.applied == ()


@pytest.mark.parametrize(
    ("number", "opcode"), [(2, FixBadPixelsConstant()), (3, FixBadPixelsConstant()), (3, FixBadPixelsList())]
)
def test_bad_pixels_that_a_list_cannot_tell_any_more_are_warned_about(
    number: int, opcode: FixBadPixelsConstant | FixBadPixelsList
) -> None:
    with pytest.warns(RawpipeWarning, match="FixBadPixels.* mandatory"):
        Opcodes(number)(flat(number, opcode.opcode()))


def test_a_picture_of_another_size_than_the_sensor_is_refused() -> None:
    frame = listed(synthetic_frame(Space.MOSAIC, 32, 48), 3, per_site_maps())
    with pytest.raises(StageError, match=r"got a frame of \[19, 43\] pixels from a sensor of \[38, 86\]"):
        Opcodes(3)(Demosaic("superpixel")(frame))


@pytest.mark.parametrize("number", [0, 4, "2", 2.0, True])
def test_other_lists_are_refused(number: Any) -> None:
    with pytest.raises(StageError, match="expected 1, 2 or 3"):
        Opcodes(number)
