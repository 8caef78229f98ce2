from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.charts import (
    HEIGHT,
    POINTS,
    WIDTH,
    Estimate,
    Line,
    interval_bar,
    line_chart,
    nice_ticks,
)


def points(chart: str) -> list[np.ndarray]:
    return [
        np.array([list(map(float, point.split(","))) for point in found.split()])
        for found in re.findall(r'points="([^"]*)"', chart)
    ]


def test_a_line_runs_from_left_to_right_and_up() -> None:
    (drawn,) = points(line_chart([Line("a", np.arange(5.0), np.arange(5.0))], "time"))
    assert (np.diff(drawn[:, 0]) > 0).all()
    assert (np.diff(drawn[:, 1]) < 0).all()
    assert (drawn >= 0).all()
    assert (drawn <= [WIDTH, HEIGHT]).all()


def test_decades_are_equally_high_on_a_logarithmic_scale() -> None:
    (drawn,) = points(line_chart([Line("a", np.arange(4.0), 10.0 ** -np.arange(4.0))], "t", logarithmic=True))
    assert np.diff(drawn[:, 1]) == pytest.approx(np.diff(drawn[:, 1]).mean(), abs=0.11)


def test_what_cannot_be_drawn_is_left_out() -> None:
    x = np.arange(5.0)
    gaps = Line("a", x, np.array([np.nan, 1.0, np.inf, 3.0, 4.0]))
    assert len(points(line_chart([gaps], "t"))[0]) == 3
    zero = Line("a", x, np.array([0.0, -1.0, 2.0, 3.0, 4.0]))
    assert len(points(line_chart([zero], "t", logarithmic=True))[0]) == 3
    assert line_chart([Line("a", x, np.full(5, np.nan))], "t") == ""
    assert line_chart([], "t") == ""


def test_long_lines_are_thinned_by_averaging() -> None:
    x = np.arange(10_000.0)
    (drawn,) = points(line_chart([Line("a", x, np.tile([0.0, 1.0], 5000))], "t", y_range=(0.0, 1.0)))
    assert len(drawn) == POINTS
    assert np.ptp(drawn[:, 1]) < 0.1 * HEIGHT


@pytest.mark.parametrize("y", [[2.0, 2.0], [0.0, 0.0], [1e-9, 1e9]])
def test_any_range_makes_a_chart(y: list[float]) -> None:
    chart = line_chart([Line("a", np.array([0.0, 0.0]), np.array(y))], "t")
    assert np.isfinite(points(chart)[0]).all()


def test_names_are_escaped_and_it_is_well_formed() -> None:
    estimate = Estimate(1.0, 0.5, 0.25, 0.75)
    lines = [Line("<b>&", np.arange(2.0), np.arange(2.0)), Line("b", np.arange(2.0), np.arange(2.0))]
    chart = line_chart(lines, "t < 3", percent=True, estimate=estimate)
    assert "<b>" not in chart
    root = ElementTree.fromstring(f"<div>{chart}</div>")
    assert [key.text for key in root.iter("span")] == ["<b>&", "b"]
    ElementTree.fromstring(interval_bar(0.9, 0.8, 0.95))


def test_an_interval_lies_around_its_rate() -> None:
    bar = ElementTree.fromstring(interval_bar(0.5, 0.25, 1.0))
    (whisker,) = [line for line in bar.iter("line") if line.get("class") == "whisker"]
    (point,) = bar.iter("circle")
    left, middle, right = (float(x or "nan") for x in (whisker.get("x1"), point.get("cx"), whisker.get("x2")))
    assert (middle - left) * 2 == pytest.approx(right - middle)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_few_round_and_inside(low: float, span: float, count: int) -> None:
    high = low + span
    if not high > low:
        return
    ticks = nice_ticks(low, high, count)
    slack = 1e-6 * (abs(low) + span)
    assert len(ticks) <= count + 1
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_a_line_with_intervals_shows_each_point_with_its_own() -> None:
    x, y = np.arange(3.0), np.array([0.2, np.nan, 0.6])
    one = Line("loop", x, y, np.array([0.1, np.nan, 0.5]), np.array([0.3, np.nan, 0.7]))
    other = Line("control", x, y - 0.1, y - 0.2, y)
    chart = line_chart([one, other], "iteration", y_range=(0.0, 1.0), percent=True)
    root = ElementTree.fromstring(f"<div>{chart}</div>")
    whiskers = [mark for mark in root.iter("line") if mark.get("class") == "line c0"]
    dots = [mark for mark in root.iter("circle") if mark.get("class") == "dot c0"]
    assert len(whiskers) == len(dots) == 2
    for whisker, dot in zip(whiskers, dots, strict=True):
        assert whisker.get("x1") == whisker.get("x2") == dot.get("cx")
        assert float(whisker.get("y1", 0)) < float(dot.get("cy", 0)) < float(whisker.get("y2", 0))
        lengths = float(whisker.get("y2", 0)) - float(whisker.get("y1", 0))
        assert lengths == pytest.approx(0.2 * (HEIGHT - 46), abs=0.2)
    places = {mark.get("cx") for mark in root.iter("circle")}
    assert len(places) == 4  # the other line's stand beside them
