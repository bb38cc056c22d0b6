from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rawpipe import Pipeline, PipelineError, Space
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Crop,
    Demosaic,
    Exposure,
    Identity,
    Linearize,
    Orient,
    ToneCurve,
    WhiteBalance,
)

EVERYTHING = Pipeline(
    [
        Linearize(),
        BlackLevel("masked", black=(512.0, 513.5, 514.0, 511.25), area=(0, 8, 100, 140)),
        WhiteBalance(gains=(1.9, 1.0, 1.0 / 3.0)),
        WhiteBalance("gray_world"),
        ClipHighlights(),
        Demosaic("menon2007"),
        ColorTransform("acescg", matrix=((1.5, -0.25, 0.0), (0.0, 1e-17, 0.1), (0.0, 0.0, 1.0))),
        Exposure(-1.5),
        Exposure("auto"),
        ToneCurve("rec2020"),
        Crop((1, 2, 30, 31)),
        Crop(),
        Orient(6),
        Orient(),
        Identity(),
    ]
)


def test_a_recipe_holds_every_parameter_both_ways() -> None:
    again = Pipeline.from_recipe(EVERYTHING.recipe())
    assert again == EVERYTHING
    assert again.recipe() == EVERYTHING.recipe()


def test_a_recipe_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    EVERYTHING.save(path)
    assert Pipeline.load(path) == EVERYTHING
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.toml"]


def test_a_recipe_reads_as_a_person_would_write_it() -> None:
    assert Pipeline([Demosaic(), Exposure(1.5)]).recipe() == (
        "schema = 1\n"
        "\n"
        "[[stage]]\n"
        'name = "demosaic"\n'
        'method = "malvar2004"\n'
        'backend = "torch"\n'
        "\n"
        "[[stage]]\n"
        'name = "exposure"\n'
        "ev = 1.5\n"
    )


def test_parameters_that_are_left_out_get_their_defaults() -> None:
    assert Pipeline.from_recipe('schema = 1\n[[stage]]\nname = "demosaic"').stages == (Demosaic(),)
    assert Pipeline.from_recipe("schema = 1").stages == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is no TOML", "the recipe isn't TOML"),
        ("", "got a recipe with schema = None; expected schema = 1 as its first line"),
        ("schema = 2", "got a recipe with schema = 2; expected schema = 1"),
        ("schema = 1\nrows = 64", r"got rows in the recipe; expected only \[\[stage\]\] tables"),
        ("schema = 1\nstage = 3", "got a stage without a name"),
        ("schema = 1\n[stage]\nname = 'demosaic'", "got a stage without a name; expected .* tables"),
        ("schema = 1\n[[stage]]\nmethod = 'x'", "got a stage without a name"),
        ("schema = 1\n[[stage]]\nname = 3", "got stage 3; expected one of"),
        ("schema = 1\n[[stage]]\nname = 'demosaik'", "did you mean 'demosaic'"),
        ("schema = 1\n[[stage]]\nname = 'demosaic'\nmetod = 'x'", "did you mean 'method'"),
        ("schema = 1\n[[stage]]\nname = 'identity'\nx = 1", "'identity': got parameter 'x'; expected one of none"),
        ("schema = 1\n[[stage]]\nname = 'demosaic'\nmethod = 'malvar'", "did you mean 'malvar2004'"),
        ("schema = 1\n[[stage]]\nname = 'demosaic'\nmethod = 4", "got method 4; expected one of bilinear"),
        ("schema = 1\n[[stage]]\nname = 'demosaic'\n_noise_weights = 4", "got parameter '_noise_weights'"),
        ("schema = 1\n[[stage]]\nname = 'exposure'\nev = 'bright'", "got ev='bright'; expected a number of stops"),
        ("schema = 1\n[[stage]]\nname = 'exposure'\nev = [1, 2]", "got ev=.1, 2.; expected a number of stops"),
        ("schema = 1\n[[stage]]\nname = 'exposure'\nev = true", r"stage 'exposure': got ev=True; expected a number"),
        ("schema = 1\n[[stage]]\nname = 'exposure'\nev = 99", r"stage 'exposure': got ev=99"),
        ("schema = 1\n[[stage]]\nname = 'crop'\nbox = [0, 0, 4.5, 8]", "stage 'crop': got box .0, 0, 4.5, 8."),
        ("schema = 1\n[[stage]]\nname = 'crop'\nbox = [0, 0, true, 8]", "stage 'crop': got box .*; expected tuple"),
        ("schema = 1\n[[stage]]\nname = 'opcodes'\nnumber = 2.0", "stage 'opcodes': got opcode list 2.0"),
        ("schema = 1\n[[stage]]\nname = 'orient'\norientation = 6.0", "stage 'orient': got orientation"),
        ("schema = 1\n[[stage]]\nname = 'black_level'\nblack = true", "stage 'black_level': got black"),
        ("schema = 1\n[[stage]]\nname = 'white_balance'\ngains = 2.0", "got gains 2.0; expected three positive"),
        ("schema = 1\n[[stage]]\nname = 'white_balance'\ngains = ['a', 'b', 'c']", "expected three positive"),
        ("schema = 1\n[[stage]]\nname = 'color_transform'\nmatrix = [1, 2, 3]", "expected three rows of three numbers"),
        ("schema = 1\n[[stage]]\nname = 'crop'\nbox = 3", "got box 3; expected top, left, bottom, right"),
        ("schema = 1\n[[stage]]\nname = 'black_level'\nblack = 'dark'", "got black 'dark'; expected one number"),
        ("schema = 1\n[[stage]]\nname = 'black_level'\narea = 3", "got area 3; expected top, left, bottom, right"),
        ("schema = 1\n[[stage]]\nname = 'orient'\norientation = 9", "got orientation 9; expected an EXIF orientation"),
        ("schema = 1\n[[stage]]\nname = 'orient'\norientation = [1]", "expected an EXIF orientation"),
        ("schema = 1\n[[stage]]\nname = 'tone_curve'\ncurve = ['srgb']", "got curve"),
    ],
)  # fmt: skip
def test_a_damaged_recipe_is_refused_with_the_reason(text: str, message: str) -> None:
    from rawpipe import RawpipeError

    with pytest.raises(RawpipeError, match=message):
        Pipeline.from_recipe(text)


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"the recipe .*nowhere.toml can't be read"):
        Pipeline.load(tmp_path / "nowhere.toml")
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(PipelineError, match=r"picture.toml can't be read"):
        Pipeline.load(tmp_path / "picture.toml")


def test_a_stages_own_object_is_refused_by_a_recipe() -> None:
    @dataclass(frozen=True)
    class Custom:
        model: object = field(default_factory=object)

        takes = Space.RGB
        gives = None
        halo = 0
        grid = 1

        def __call__(self, frame, /):  # type: ignore[no-untyped-def]
            return frame

    with pytest.raises(PipelineError, match=r"got model = .*; expected numbers, text, or tuples of them"):
        Pipeline([Custom()]).recipe()
