"""The plotter and the words: texts that don't touch, values in their places, numbers as people write them."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from rawpipe import Quantity
from rawpipe.calibration.report.plot import Axis, Plot, key, number
from rawpipe.calibration.report.words import CORE, cells, digits, judge, mean, with_interval


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_ticks_are_two_or_more_and_their_texts_never_touch(log: bool, across: bool) -> None:
    draw = np.random.default_rng(3)
    for _ in range(400):
        low = 10 ** draw.uniform(-5, 5) * (1 if log else draw.choice([-1, 1]))
        high = low * 10 ** draw.uniform(0.18, 6) if log else low + abs(low) * 10 ** draw.uniform(-4, 3)
        ticks = Axis(low, high, "x", log).ticks(440.0 if across else 270.0, across)
        assert len(ticks) >= 2, (low, high)
        for (a, first), (b, second) in pairwise(ticks):
            room = (b - a) * (440.0 if across else 270.0)
            assert room >= ((len(first) + len(second)) / 2 * 6 if across else 14)


def test_marks_are_thinned_until_they_fit() -> None:
    isos = [100 * 2 ** (i / 3) for i in range(28)]
    ticks = Axis.around(isos, "ISO", True, marks=isos).ticks(440, across=True)
    assert 4 <= len(ticks) < 28


@pytest.mark.parametrize("values", [[], [math.nan], [5.0], [0.0, 0.0], [-1.0, 3.0], [math.inf, 2.0]])
@pytest.mark.parametrize("log", [False, True])
def test_an_axis_can_be_made_around_anything(values: list[float], log: bool) -> None:
    axis = Axis.around(values, "x", log)
    assert axis.low < axis.high and (axis.low > 0 or not log)
    assert np.isfinite(axis.at(np.array([-1e9, 0.0, 1.0, 1e9]))).all()


def test_points_lie_where_the_axes_say() -> None:
    plot = Plot(Axis(1, 100, "x", True), Axis(0, 10, "y"), "a test", width=280, height=252)  # 200 x 200 inside
    plot.points([10.0], [2.5], "r", ([2.0], [5.0]), ["<b>"])
    svg = plot.svg()
    assert "m100,150" in svg
    assert 'd="M100,160V100"' in svg
    assert "<title>&lt;b&gt;</title>" in svg


def test_points_without_a_place_are_left_out() -> None:
    plot = Plot(Axis(1, 100, "x", True), Axis(0, 10, "y"), "a test")
    plot.points([10.0, math.nan, 5.0], [2.5, 1.0, math.nan], "all", ([math.nan] * 3, [math.nan] * 3))
    plot.line([1.0, math.nan, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], "fit")
    svg = plot.svg()
    assert svg.count('class="point all"') == 1
    assert "nan" not in svg
    assert re.search(r'class="line fit" d="M[^"]*M[^"]*L', svg)


def test_legends_show_a_point_a_line_or_an_area() -> None:
    assert 'class="point gb"' in key("gb", "Gb")
    assert 'class="line shot"' in key("shot", "a & b") and "a &amp; b" in key("shot", "a & b")
    assert 'class="band noise"' in key("band noise", "noise")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (100, "100"), (0.001, "0.001"), (1e-5, "10⁻⁵"), (2e6, "2·10⁶"), (-3.0, "−3"), (0.30000000001, "0.3")],
)
def test_tick_texts(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "ci95", "text"),
    [
        (0.19974, (0.19911, 0.20037), "0.1997 ± 0.0006"),
        (1.2123, (1.2107, 1.2139), "1.2123 ± 0.0016"),
        (79460.0, (79208.0, 79712.0), "79\u202f460 ± 250"),
        (0.3, (0.21, 0.35), "0.30 [0.21, 0.35]"),
        (12.0, (10.0, math.inf), "12 [10, ∞]"),
        (-0.0521, (-0.0541, -0.0501), "−0.0521 ± 0.0020"),
        (15871.0, None, "15\u202f871"),
        (49.0, None, "49"),
        (49.0, (math.nan, math.nan), "49"),
        (0.0, (0.0, 0.0), "0"),
    ],
)
def test_numbers_have_the_digits_that_their_interval_allows(
    value: float, ci95: tuple[float, float] | None, text: str
) -> None:
    assert with_interval(value, ci95) == text


def test_an_upper_bound_is_written_as_one() -> None:
    bound = Quantity(0.02, (0.0, 0.0368), 5, False, "upper bound: nothing stands out")
    assert cells(bound) == ["≤ 0.0368"]
    assert cells(Quantity.missing("no darks")) == []
    assert cells(Quantity((1.0, 2.0, 3.0, 4.0))) == ["1", "2", "3", "4"]


def test_the_mean_of_the_sites_has_the_interval_of_one() -> None:
    four = Quantity((1.0, 2.0, 3.0, 4.0), ((0.9, 1.1), (1.9, 2.1), (2.9, 3.1), (3.9, 4.1)))
    value, ends = mean(four)
    assert value == 2.5 and ends == pytest.approx((2.4, 2.6))
    assert math.isnan(mean(None)[0])


def test_verdicts() -> None:
    good = {name: Quantity((1.0,) * 4) for name in CORE}
    bound = Quantity(0.1, (0.0, 0.2), 1, False, "upper bound: none stands out")
    assert judge(good | {"row_sigma_dn": bound}).state == "good"
    assert judge(good | {"row_sigma_dn": bound}).limits == ()
    rough = Quantity((1.0,) * 4, None, 1, False, "known to no better than 1 %: add flats")
    verdict = judge(good | {"gain_dn_per_e": rough})
    assert verdict.state == "bad" and verdict.headline == "not reliable, because"
    assert verdict.reasons == ("gain K: known to no better than 1 %: add flats",)
    assert judge(good | {"read_sigma_dn": rough}).state == "part"
    assert judge({}).state == "bad"
    both = judge(good | {"saturation_dn": rough, "saturation_e": rough})
    assert both.state == "good" and len(both.limits) == 1


def test_digits() -> None:
    assert [digits(v) for v in (0, 1 / 3, 1e-7, 123456.7, math.nan)] == [
        "0", "0.3333", "0.0000001", "123\u202f457", "unknown",
    ]  # fmt: skip
