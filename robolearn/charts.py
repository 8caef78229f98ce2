"""Small charts as SVG for reports. Their colours are the page's: classes and CSS variables, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

POINTS = 300
"""A line is thinned to this many points: more than there are pixels to tell them apart."""

WIDTH, HEIGHT = 540, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 34

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A named curve: x and y of shape (k,); points that are not finite are left out.

    Attributes:
        low, high: the intervals in which the values lie, (k,); such a line has few points, and shows each.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Estimate:
    """A measured value at `x` with the interval that it lies in."""

    x: float
    value: float
    low: float
    high: float


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    *,
    logarithmic: bool = False,
    y_range: tuple[float, float] | None = None,
    percent: bool = False,
    estimate: Estimate | None = None,
) -> str:
    """Curves over one axis, the legend beside them; "" when there is nothing to draw.

    Args:
        lines: the curves; y must be positive where `logarithmic`.
        x_label: what x is, with its unit.
        logarithmic: whether y is drawn to a logarithmic scale.
        y_range: lowest and highest y; None takes it from the curves.
        percent: whether y is a share, written in percent.
        estimate: a point with its interval, drawn over the curves.
    """
    kept = [line for line in map(lambda line: _usable(line, logarithmic), lines) if len(line.x)]
    if not kept:
        return ""
    xs = np.concatenate([line.x for line in kept] + ([np.array([estimate.x])] if estimate else []))
    x_low, x_high = 0.0, float(xs.max()) or 1.0
    ys = np.concatenate([line.y for line in kept])
    low, high = y_range or (float(ys.min()), float(ys.max()))
    if logarithmic:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high) + 1e-9)
        ticks = [10.0**k for k in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    else:
        if high <= low:
            high = low + 1.0
        ticks = nice_ticks(low, high, 5)

    def to_x(x: float) -> float:
        return _LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT)

    def to_y(y: float) -> float:
        share = math.log(y / low) / math.log(high / low) if logarithmic else (y - low) / (high - low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for tick in ticks:
        y = to_y(tick)
        text = f"{100 * tick:.0f} %" if percent else f"{tick:g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for tick in nice_ticks(x_low, x_high, 6):
        text, y = f"{tick:g}", HEIGHT - _BOTTOM + 16
        parts.append(f'<text class="tick" x="{to_x(tick):.1f}" y="{y}" text-anchor="middle">{text}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x_label)}</text>'
    )
    for index, line in enumerate(kept):
        points = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
        title = f"<title>{escape(line.name)}</title>"
        parts.append(f'<polyline class="line c{index % 5}" points="{points}">{title}</polyline>')
        if line.low is not None and line.high is not None:
            # side by side, so that two lines' intervals at one place can both be seen
            aside = 3.0 * (index - (len(kept) - 1) / 2)
            for x, y, low_end, high_end in zip(line.x, line.y, line.low, line.high, strict=True):
                at, ends = to_x(x) + aside, f'y1="{to_y(high_end):.1f}" y2="{to_y(low_end):.1f}"'
                parts.append(f'<line class="line c{index % 5}" x1="{at:.1f}" x2="{at:.1f}" {ends}/>')
                dot = f'cx="{at:.1f}" cy="{to_y(y):.1f}" r="3.5"'
                parts.append(f'<circle class="dot c{index % 5}" {dot}/>')
    if estimate is not None:
        x, top, bottom = to_x(estimate.x), to_y(estimate.high), to_y(estimate.low)
        parts.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        parts.append(f'<circle class="point" cx="{x:.1f}" cy="{to_y(estimate.value):.1f}" r="4.5"/>')
    parts.append("</svg>")
    if len(kept) > 1:
        names = [f'<span class="key c{i % 5}">{escape(line.name)}</span>' for i, line in enumerate(kept)]
        parts.append(f'<div class="legend">{"".join(names)}</div>')
    return "".join(parts)


def interval_bar(rate: float, low: float, high: float) -> str:
    """A success rate and its interval on a scale from 0 to 1."""
    width, height, edge = 320, 26, 6
    span = width - 2 * edge

    def to_x(share: float) -> str:
        return f"{edge + span * share:.1f}"

    marks = "".join(
        f'<line class="grid" x1="{to_x(k / 4)}" x2="{to_x(k / 4)}" y1="4" y2="{height - 4}"/>'
        for k in range(5)
    )
    middle = height / 2
    return (
        f'<svg class="interval" viewBox="0 0 {width} {height}" role="img">{marks}'
        f'<line class="track" x1="{to_x(0)}" x2="{to_x(1)}" y1="{middle}" y2="{middle}"/>'
        f'<line class="whisker" x1="{to_x(low)}" x2="{to_x(high)}" y1="{middle}" y2="{middle}"/>'
        f'<circle class="point" cx="{to_x(rate)}" cy="{middle}" r="5"/></svg>'
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers between `low` and `high`."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= count:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _usable(line: Line, logarithmic: bool) -> Line:
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    good = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not logarithmic))
    x, y = x[good], y[good]
    if line.low is not None and line.high is not None:
        return Line(line.name, x, y, np.asarray(line.low, float)[good], np.asarray(line.high, float)[good])
    if len(x) > POINTS:
        groups = np.array_split(np.arange(len(x)), POINTS)
        x, y = (np.array([values[group].mean() for group in groups]) for values in (x, y))
    return Line(line.name, x, y)
