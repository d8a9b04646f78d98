"""Sums, counts and extremes over trades: what needs no curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, localcontext
from operator import and_, mul, sub

from copypro.statistics.curve import EXACT
from copypro.statistics.facts import ZERO, Absent, Figure, Trade
from copypro.values import Side


class Totals:
    """Fed with trades, their results, and which of them won (a result of 0 is a win)."""

    def __init__(self) -> None:
        self.trades = self.wins = self.longs = self.longs_won = 0
        self.gross_profit = self.lost = self._squares = ZERO
        self.lots = self.swaps = self.commissions = self.fees = ZERO
        self.best: Trade | None = None
        self.worst: Trade | None = None
        self.symbols: Counter[str] = Counter()
        self._lasted, self._timed = timedelta(), 0

    def feed(
        self, trades: Sequence[Trade], results: Sequence[Decimal], won: Sequence[bool]
    ) -> None:
        longs = [trade.side is Side.BUY for trade in trades]
        winning = [result for result, win in zip(results, won, strict=True) if win]
        profit = sum(winning, ZERO)
        self.trades += len(trades)
        self.wins += len(winning)
        self.longs += sum(longs)
        self.longs_won += sum(map(and_, longs, won))
        self.gross_profit += profit
        self.lost += sum(results, ZERO) - profit
        with localcontext(EXACT):
            self._squares += sum(map(mul, results, results), ZERO)
        self.lots += sum([trade.lots for trade in trades], ZERO)
        self.swaps += sum([trade.swap for trade in trades], ZERO)
        self.commissions += sum([trade.commission for trade in trades], ZERO)
        self.fees += sum([trade.fee for trade in trades], ZERO)
        self.symbols.update([trade.symbol for trade in trades])
        self._extremes(trades, results)
        self._lengths(trades)

    def _extremes(self, trades: Sequence[Trade], results: Sequence[Decimal]) -> None:
        """Of equal ones the first."""
        highest, lowest = max(results), min(results)
        if self.best is None or highest > self.best.result:
            self.best = trades[results.index(highest)]
        if self.worst is None or lowest < self.worst.result:
            self.worst = trades[results.index(lowest)]

    def _lengths(self, trades: Sequence[Trade]) -> None:
        closed = [trade.closed_at for trade in trades if trade.opened_at is not None]
        opened = [trade.opened_at for trade in trades if trade.opened_at is not None]
        self._lasted += sum(map(sub, closed, opened), timedelta())
        self._timed += len(opened)

    @property
    def losses(self) -> int:
        return self.trades - self.wins

    @property
    def shorts(self) -> int:
        return self.trades - self.longs

    @property
    def shorts_won(self) -> int:
        return self.wins - self.longs_won

    def deviation(self) -> Figure:
        """Population deviation of the results, in money."""
        if self.trades < 2:
            return Absent("fewer than two trades")
        count = Decimal(self.trades)
        total = self.gross_profit + self.lost
        spread = EXACT.multiply(count, self._squares) - EXACT.power(total, 2)
        if spread <= 0:
            return Absent("all results are equal: they do not vary")
        return EXACT.sqrt(spread) / count

    def average_length_s(self) -> Figure:
        if not self._timed:
            return Absent("no trade whose open time is known")
        seconds = Decimal(self._lasted // timedelta(milliseconds=1)) / 1000
        return seconds / self._timed
