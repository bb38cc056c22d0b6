"""The table and the picture of a training's figures."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

from rawpipe.stages.enhance.training import curve


def test_a_resumed_table_is_that_of_a_training_in_one_go(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        curve.append(tmp_path, step, 1 / step, {"x4, 1 step": 30 + step / 10, "x100": 20.0})
    whole = (tmp_path / curve.TABLE).read_bytes()
    curve.cut(tmp_path, 20)
    assert curve.last(tmp_path) == {"step": 20, "loss": 0.05, "x4, 1 step": 32.0, "x100": 20.0}
    curve.append(tmp_path, 30, 1 / 30, {"x4, 1 step": 33.0, "x100": 20.0})
    assert (tmp_path / curve.TABLE).read_bytes() == whole


def test_without_a_table_there_is_nothing_to_cut_or_to_say(tmp_path: Path) -> None:
    (folder := tmp_path / "run").mkdir()
    curve.cut(folder, 0)
    assert curve.last(folder) == {} and not list(folder.iterdir())


def test_the_picture_names_every_line_and_no_two_names_overlap() -> None:
    lines = {"a < b": [20.0, 30.0], "c": [20.0, 30.01], "d": [math.nan, 29.99], "lost": [math.nan, math.nan]}
    root = ElementTree.fromstring(curve.svg([100.0, 200.0], lines))
    texts = [one for one in root.iter() if one.tag.endswith("text")]
    named = {str(one.text): float(one.attrib["y"]) for one in texts if ": " in str(one.text)}
    assert set(named) == {"a < b: 30.00", "c: 30.01", "d: 29.99"}
    heights = sorted(named.values())
    assert all(b - a >= 15 for a, b in pairwise(heights))


def test_a_picture_of_one_validation_or_none_is_still_one() -> None:
    for steps, lines in (([5.0], {"a": [30.0]}), ([], {})):
        ElementTree.fromstring(curve.svg(steps, lines))
