"""Master and slave on one scale: growth in percent from one day on, deposits and withdrawals left out.

Growth is that of `statistics`: the product of end to start of the pieces between balance operations.
What is open counts when it closes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from msgspec import Struct

from copypro.statistics.facts import Absent, Figure

Curve = Sequence[tuple[date, Decimal]]
"""At the end of a day: how many times the money of the beginning; in order."""
HUNDRED = Decimal(100)


class Point(Struct, frozen=True):
    """At the end of a day, in percent."""

    day: date
    master: Figure
    slave: Figure


def side_by_side(master: Curve, slave: Curve, since: date) -> list[Point]:
    """A point for the evening before `since`, where both are 0, and for each day on which one moved."""
    before = since - timedelta(days=1)
    days = {day for curve in (master, slave) for day, _ in curve if day >= since}
    return [
        Point(day, _grown(master, before, day), _grown(slave, before, day))
        for day in sorted({before, *days})
    ]


def _grown(curve: Curve, before: date, day: date) -> Figure:
    start, end = _at(curve, before), _at(curve, day)
    if start <= 0:
        return Absent("the account had lost everything before: nothing grows from there")
    return (end / start - 1) * HUNDRED


def _at(curve: Curve, day: date) -> Decimal:
    """As it was on that day; before the first one nothing has grown."""
    at = bisect_right(curve, day, key=lambda point: point[0])
    return curve[at - 1][1] if at else Decimal(1)
