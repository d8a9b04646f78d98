"""The chart's bars: how each day ended. One for a day on which something happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal

from msgspec import Struct

from copypro.statistics.facts import ZERO, Absent, Figure


class Bar(Struct):
    """The end of a day. `curve` and `peak` leave balance operations out, `balance` does not."""

    day: date
    balance: Decimal
    curve: Decimal
    peak: Decimal
    results: Decimal
    """Trading results of this day."""
    growth: Figure | None = None
    """Of the account until then, deposits and withdrawals neutralised."""
    equity: Decimal | None = None
    equity_peak: Decimal | None = None
    equity_curve: Decimal | None = None


class Bars:
    def __init__(self) -> None:
        self.bars: list[Bar] = []

    def on(self, day: date) -> Bar:
        """The bar of this day; days come in order."""
        if not self.bars or self.bars[-1].day != day:
            self.bars.append(Bar(day, ZERO, ZERO, ZERO, ZERO))
        return self.bars[-1]


def by_day(days: Sequence[date]) -> Iterator[tuple[date, int, int]]:
    """Each day with its span in a sorted sequence."""
    at = 0
    while at < len(days):
        end = bisect_right(days, days[at], at)
        yield days[at], at, end
        at = end


def every_day(bars: Sequence[Bar]) -> Iterator[Bar]:
    """Days on which nothing happened too, as they were left the day before."""
    if not bars:
        return
    for bar, following in zip(bars, [*bars[1:], None], strict=True):
        yield bar
        if following is None:
            return
        for ahead in range(1, (following.day - bar.day).days):
            yield Bar(
                bar.day + timedelta(days=ahead),
                bar.balance,
                bar.curve,
                bar.peak,
                ZERO,
                bar.growth,
                bar.equity,
                bar.equity_peak,
                bar.equity_curve,
            )


def without_same(bars: Sequence[Bar]) -> Iterator[Bar]:
    """Without bars whose balance, and equity where there is one, are those of the last one kept."""
    kept: Bar | None = None
    for bar in bars:
        if kept is None or (bar.balance, bar.equity) != (kept.balance, kept.equity):
            kept = bar
            yield bar


def growth_by_day(bars: Sequence[Bar]) -> list[tuple[date, Decimal]]:
    """How many times the money of the beginning there was at the end of each day."""
    return [
        (bar.day, 1 + bar.growth)
        for bar in bars
        if bar.growth is not None and not isinstance(bar.growth, Absent)
    ]
