"""How results spread over symbols, hours and weekdays, by close time on the broker's clock; and months."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from msgspec import Struct

from copypro.statistics.bars import Bar, growth_by_day
from copypro.statistics.facts import ZERO, Trade

Month = tuple[int, int]
"""Year and month."""


class Slice(Struct):
    trades: int = 0
    wins: int = 0
    """A result of 0 is one."""
    result: Decimal = ZERO


class Distribution:
    """Memory grows with symbols, not with trades."""

    def __init__(self) -> None:
        self.symbols: dict[str, Slice] = {}
        self.hours = [Slice() for _ in range(24)]
        self.weekdays = [Slice() for _ in range(7)]
        """From Monday."""

    def feed(self, trades: Iterable[Trade]) -> None:
        for trade in trades:
            at, result = trade.closed_at, trade.result
            for found in (
                self.symbols.setdefault(trade.symbol, Slice()),
                self.hours[at.hour],
                self.weekdays[at.weekday()],
            ):
                found.trades += 1
                found.wins += result >= ZERO
                found.result += result


def growth_by_month(bars: Sequence[Bar]) -> dict[Month, Decimal]:
    """Of each month on which something happened: 0.1 is 10 %. Months multiply to the whole."""
    ends: dict[Month, Decimal] = {}
    for day, factor in growth_by_day(bars):
        ends[month_of(day)] = factor
    found: dict[Month, Decimal] = {}
    before = Decimal(1)
    for month, end in ends.items():
        if before > 0:
            found[month] = end / before - 1
        before = end
    return found


def results_by_month(bars: Sequence[Bar]) -> dict[Month, Decimal]:
    """Of each month on which something happened, what entries cost included. They add up to the whole."""
    found: dict[Month, Decimal] = {}
    for bar in bars:
        month = month_of(bar.day)
        found[month] = found.get(month, ZERO) + bar.results
    return found


def month_of(day: date) -> Month:
    return day.year, day.month
