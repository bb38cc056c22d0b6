"""Opcode lists as bytes: what is written is read, and damage is named."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, Space, StageError
from rawpipe.stages.opcodes import (
    Area,
    FixBadPixelsConstant,
    FixBadPixelsList,
    GainMap,
    Opcode,
    Opcodes,
    parse,
    serialize,
)
from rawpipe.testing import synthetic_frame

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


# The list and its bytes


def test_a_list_survives_the_way_to_bytes_and_back() -> None:
    opcodes = (*per_site_maps(), Opcode(1, b"12345", 3, 0x01040000), FixBadPixelsConstant(7, 2).opcode())
    assert parse(serialize(opcodes)) == opcodes
    assert parse(serialize([])) == ()


def test_contents_survive_the_way_to_bytes_and_back() -> None:
    found = FixBadPixelsList(((1, 2), (3, 4)), ((5, 6, 7, 8),), phase=3)
    assert FixBadPixelsList.of(found.opcode().parameters) == found
    assert FixBadPixelsConstant.of(FixBadPixelsConstant(65535, 1).opcode().parameters) == FixBadPixelsConstant(65535, 1)
    given = GainMap(torch.rand(2, 3, 4), (0.5, 0.25), (0.1, -0.2), Area(1, 2, 30, 40, 0, 3, 2, 1))
    back = GainMap.of(given.opcode(optional=True).parameters)
    assert torch.equal(back.gains, given.gains)
    assert (back.spacing, back.origin, back.area) == (given.spacing, given.origin, given.area)
    assert given.opcode(optional=True).optional
    assert not given.opcode().optional


def test_gains_without_planes_are_refused() -> None:
    with pytest.raises(StageError, match=r"got gains \(3, 4\); expected \(planes, rows, columns\)"):
        GainMap(torch.ones(3, 4))


def test_adobes_software_writes_the_same_bytes(tmp_path: Any) -> None:
    dngpy = pytest.importorskip("dngpy")
    native = pytest.importorskip("dngpy._native")
    synthetic_frame(Space.SENSOR, 64, 96).write(tmp_path / "without.dng")
    theirs = native.DngGainMap()
    theirs.data = (1 + torch.rand(5, 7, 1)).numpy()
    theirs.rows, theirs.cols, theirs.planes = 5, 7, 1
    theirs.spacing_v, theirs.spacing_h, theirs.origin_v, theirs.origin_h = 0.25, 0.125, 0.0, 0.0625
    dng = dngpy.Dng(str(tmp_path / "without.dng"))
    dng.set_gainmap(theirs)
    dng.save(str(tmp_path / "with.dng"))
    raw = Frame.read(tmp_path / "with.dng").shot.opcodes[1]
    (opcode,) = parse(raw)
    ours = GainMap.of(opcode.parameters)
    assert (ours.spacing, ours.origin) == ((0.25, 0.125), (0.0, 0.0625))
    assert torch.equal(ours.gains[0], torch.from_numpy(theirs.data.copy()[..., 0]))
    assert serialize([ours.opcode()]) == raw


# Damaged lists


def gain_map(**other: Any) -> bytes:
    """A list of one gain map, some of its numbers replaced."""
    numbers: dict[str, Any] = dict.fromkeys(("top", "left"), 0) | {"bottom": 33, "right": 47, "plane": 0, "planes": 1}
    numbers |= {"row_pitch": 1, "column_pitch": 1, "v": 2, "h": 2, "down": 1.0, "across": 1.0, "y": 0.0, "x": 0.0}
    numbers |= {"map_planes": 1, "gains": (1.0, 1.0, 1.0, 1.0)} | other
    gains = numbers.pop("gains")
    return serialize([Opcode(9, struct.pack(">4i4I2I4dI", *numbers.values()) + struct.pack(f">{len(gains)}f", *gains))])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\0\0", "got an opcode list that ends after 2 bytes; expected at least 4"),
        (b"\0\0\0\1", "expected at least 20"),
        (struct.pack(">5I", 1, 9, 0, 0, 2**32 - 1), "expected at least 4294967315"),
        (serialize([]) + b"\0\0", "got an opcode list of 6 bytes; expected 4"),
        (gain_map(v=3), "got a GainMap of 3x2 points in 1 planes in 92 bytes"),
        (gain_map(v=0), "0x2 points"),
        (gain_map(v=2**32 - 1, h=2**32 - 1, map_planes=2**32 - 1), "4294967295x4294967295 points"),
        (gain_map(row_pitch=0), "row_pitch=0"),
        (gain_map(bottom=0, row_pitch=2), "expected one with pixels"),
        (gain_map(down=0.0), "expected a positive spacing"),
        (gain_map(across=float("nan")), "expected a positive spacing"),
        (gain_map(x=float("inf")), "expected a positive spacing"),
        (gain_map(gains=(1.0, float("nan"), 1.0, 1.0)), "expected finite gains"),
        (serialize([Opcode(5, struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1))]), "got a FixBadPixelsList that ends"),
        (serialize([Opcode(5, b"")]), "got a FixBadPixelsList that ends after 0 bytes"),
    ],
)
def test_a_damaged_list_is_an_error_that_says_what_is_wrong(raw: bytes, message: str) -> None:
    frame = flat(2)
    frame = replace(frame, shot=replace(frame.shot, opcodes=(b"", raw, b"")))
    with pytest.raises(StageError) as error:
        Opcodes(2)(frame)
    assert message in str(error.value)
    assert "the file is damaged, leave the Opcodes stage out" in str(error.value)


@pytest.mark.filterwarnings("ignore::rawpipe.RawpipeWarning")
def test_no_damage_makes_more_than_a_stage_error() -> None:
    whole = serialize([*per_site_maps()[:2], FixBadPixelsList(((1, 2),), ((3, 4, 5, 6),)).opcode()])
    frame = flat(2)
    chance = random.Random(1)
    refused = 0
    for _ in range(400):
        raw = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(chance.randrange(4)):
            raw[chance.randrange(len(raw))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        try:
            result: Tensor = Opcodes(2)(replace(frame, shot=replace(frame.shot, opcodes=(b"", bytes(raw), b"")))).data
        except StageError:
            refused += 1
        else:
            assert result.shape == frame.data.shape
    assert refused > 200
