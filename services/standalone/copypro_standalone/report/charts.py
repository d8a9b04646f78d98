"""Charts as inline SVG without a word in it: labels are HTML beside it, so that they keep their size
on any screen. Nothing here needs a script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from html import escape

from msgspec import Struct

from copypro_standalone.report.text import MONTHS, plain

WIDTH, HEIGHT = 1000.0, 100.0
MOST_POINTS = 700
"""More than a screen shows; a long history is thinned, its ends and extremes kept."""
MOST_LABELS = 6
EDGE = 2.0
"""Percent of the width: a label so near an edge would hang over it."""


Place = tuple[float, float]
"""How far to the right, in whatever unit, and the value there."""
Under = Sequence[tuple[float, str]]
"""Labels below: percent of the width, and the text."""


class Line(Struct, frozen=True, kw_only=True):
    name: str
    style: str
    """A CSS class: its colour."""
    points: Sequence[Place]
    filled: bool = False


class Column(Struct, frozen=True, kw_only=True):
    label: str
    value: float
    told: str
    """Shown when it is pointed at."""


def by_day(points: Iterable[tuple[date, float]]) -> list[Place]:
    return [(float(day.toordinal()), value) for day, value in points]


def lines(
    title: str,
    drawn: Sequence[Line],
    unit: str = "",
    *,
    from_zero: bool = False,
    under: Callable[[float, float], Under] | None = None,
) -> str:
    """Through days, unless `under` labels what lies between the first and the last place."""
    across = sorted({x for line in drawn for x, _ in line.points})
    if len(across) < 2:
        return '<p class="empty">Too little history for a curve.</p>'
    values = [value for line in drawn for _, value in line.points]
    low, high = min(values), max(values)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    scale = Scale(low, high)
    first, last = across[0], across[-1]
    paths = "".join(
        _path(line, first, last, scale, from_zero=from_zero) for line in drawn if line.points
    )
    legend = ""
    if len(drawn) > 1:
        keys = "".join(f'<span class="key {d.style}">{escape(d.name)}</span>' for d in drawn)
        legend = f'<figcaption class="legend">{keys}</figcaption>'
    return _figure(title, scale, paths, (under or _days_under)(first, last), legend, unit)


def columns(
    title: str, drawn: Sequence[Column], *, every: int = 1, plain_style: bool = False
) -> str:
    """Up and down from zero; each `every`th is labelled. `plain_style`: up is not good, down not bad."""
    values = [column.value for column in drawn]
    scale = Scale(min([*values, 0.0]), max([*values, 0.0]))
    if not any(values):
        return '<p class="empty">Nothing yet.</p>'
    step = WIDTH / len(drawn)
    zero = scale.down(0.0)
    bars = []
    for at, column in enumerate(drawn):
        top = scale.down(column.value)
        kind = "plain" if plain_style else "up" if column.value >= 0 else "down"
        bars.append(
            f'<rect class="bar {kind}" x="{_n(at * step + step * 0.16)}" y="{_n(min(top, zero))}"'
            f' width="{_n(step * 0.68)}" height="{_n(max(abs(top - zero), 0.4 * bool(column.value)))}">'
            f"<title>{escape(column.told)}</title></rect>"
        )
    under = [
        (100 * (at + 0.5) / len(drawn), column.label)
        for at, column in enumerate(drawn)
        if at % every == 0
    ]
    return _figure(title, scale, "".join(bars), under, "", "", zero=zero)


class Scale:
    """From value to place, with round numbers at which to rule lines."""

    def __init__(self, low: float, high: float) -> None:
        if high - low < 1e-9:
            low, high = low - (abs(low) * 0.01 or 1.0), high + (abs(high) * 0.01 or 1.0)
        step = _step((high - low) / 4)
        first = math.floor(low / step + 1e-9)
        last = math.ceil(high / step - 1e-9)
        self.ticks = [round(at * step, 10) for at in range(first, last + 1)]
        self._low, self._high = self.ticks[0], self.ticks[-1]
        self.digits = max(0, -math.floor(math.log10(step)))

    def down(self, value: float) -> float:
        """From the top, of HEIGHT."""
        return (self._high - value) / (self._high - self._low) * HEIGHT


def _step(rough: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if rough <= factor * power * (1 + 1e-9):
            return factor * power
    return 10 * power


def numbers_under(first: float, last: float) -> Under:
    """Whole numbers, round ones where they fit."""
    step = max(1, int(_step((last - first) / MOST_LABELS)))
    begin = math.ceil(first / step) * step
    return [
        (100 * (at - first) / (last - first), f"{at:,}") for at in range(begin, int(last) + 1, step)
    ]


def _path(line: Line, first: float, last: float, scale: Scale, *, from_zero: bool) -> str:
    places = [
        ((x - first) / (last - first) * WIDTH, scale.down(value))
        for x, value in _thinned(line.points)
    ]
    steps = " ".join(f"{_n(x)},{_n(y)}" for x, y in places)
    drawn = f'<polyline class="line {line.style}" points="{steps}"/>'
    if not line.filled:
        return drawn
    base = scale.down(0.0) if from_zero else HEIGHT
    ends = f"{_n(places[0][0])},{_n(base)} {steps} {_n(places[-1][0])},{_n(base)}"
    return f'<polygon class="area {line.style}" points="{ends}"/>{drawn}'


def _thinned(points: Sequence[Place]) -> Sequence[Place]:
    """Of each stretch its lowest and highest point, in their order: no valley is lost."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept = [points[0]]
    for at in range(0, len(points), size):
        stretch = points[at : at + size]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept.extend(sorted(ends))
    return [*kept, points[-1]]


def _figure(
    title: str,
    scale: Scale,
    inside: str,
    under: Under,
    legend: str,
    unit: str,
    zero: float | None = None,
) -> str:
    rules = "".join(
        f'<line class="rule" x1="0" x2="1000" y1="{_n(scale.down(t))}" y2="{_n(scale.down(t))}"/>'
        for t in scale.ticks
    )
    if zero is not None:
        rules += f'<line class="zero" x1="0" x2="1000" y1="{_n(zero)}" y2="{_n(zero)}"/>'
    left = "".join(
        f'<span style="top:{_n(scale.down(t))}%">{plain(t, scale.digits)}{unit}</span>'
        for t in scale.ticks
    )
    below = "".join(_label(at, text) for at, text in under)
    return (
        f'<figure class="chart">{legend}<div class="plot"><div class="ys">{left}</div>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(title)}">{rules}{inside}</svg></div>'
        f'<div class="xs">{below}</div></figure>'
    )


def _label(at: float, text: str) -> str:
    """At an edge it stays inside."""
    kind = ' class="begin"' if at < EDGE else ' class="end"' if at > 100 - EDGE else ""
    return f'<span{kind} style="left:{_n(at)}%">{escape(text)}</span>'


def _days_under(start: float, end: float) -> Under:
    """Years, months or days, whichever are few enough to be read."""
    first, last = date.fromordinal(int(start)), date.fromordinal(int(end))
    span = (last - first).days
    months = [(y, m) for y in range(first.year, last.year + 1) for m in range(1, 13)]
    inside = [date(y, m, 1) for y, m in months if first <= date(y, m, 1) <= last]
    if len(inside) < 2:
        count = min(MOST_LABELS - 1, span)
        marks = [date.fromordinal(first.toordinal() + span * i // count) for i in range(count + 1)]
        return [_mark(day, first, span, f"{day.day} {MONTHS[day.month - 1]}") for day in marks]
    every = math.ceil(len(inside) / MOST_LABELS)
    every = every if every in (1, 2, 3, 4, 6) else 6 if every < 6 else 12 * math.ceil(every / 12)
    kept = [day for day in inside if (day.year * 12 + day.month - 1) % every == 0]
    return [
        _mark(
            day, first, span, f"{MONTHS[day.month - 1]} {day.year}" if every < 12 else str(day.year)
        )
        for day in kept
    ]


def _mark(day: date, first: date, span: int, text: str) -> tuple[float, str]:
    return 100 * (day - first).days / span, text


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
