"""The balance curve: valleys, returns trade by trade, and the line through it.

The curve is MetaTrader's: it starts at the first balance and moves by trading results alone, so
percentages are relative to "first deposit + results", not to the real balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from decimal import Context, Decimal, localcontext
from itertools import accumulate, chain
from operator import mul

from msgspec import Struct

from copypro.statistics.facts import ZERO, Absent, Figure

EXACT = Context(prec=60)
"""For sums of squares: no digit of them is lost, so blocks of any size give the same."""
RATIO = Context(prec=24)
"""For what is divided once per trade: four times the digits that are ever printed."""
HUNDRED = Decimal(100)
BLOCK = 4096
_INDEX = [Decimal(number) for number in range(BLOCK)]


class Valleys:
    """Peak and trough: when the balance exceeds the peak, the valley is recorded and both start anew.

    A peak of 0 makes the maximal valley 100 % and is no relative one (article 1403).
    """

    def __init__(self, start: Decimal) -> None:
        self.peak = self.trough = self.lowest = self._start = start
        self._moved = ZERO
        self._most, self._most_percent = ZERO, ZERO
        self._steepest_percent, self._steepest = ZERO, ZERO

    def feed(self, balances: Sequence[Decimal]) -> None:
        peak, trough = self.peak, self.trough
        if self._moved:
            balances = [balance + self._moved for balance in balances]
        for balance in balances:
            if balance > peak:
                if trough < peak:
                    self._record(peak, trough)
                peak = trough = balance
            elif balance < trough:
                trough = balance
                if balance < self.lowest:
                    self.lowest = balance
        self.peak, self.trough = peak, trough

    def restart(self, curve: Decimal, withdrawn: Decimal) -> None:
        """What was found is kept; from here on the search is that of a balance so much lower."""
        self._record(self.peak, self.trough)
        self._moved += withdrawn
        self._start += withdrawn
        self.lowest += withdrawn
        self.peak = self.trough = curve + self._moved

    def _record(self, peak: Decimal, trough: Decimal) -> None:
        depth = peak - trough
        percent = RATIO.divide(depth * HUNDRED, peak) if peak else HUNDRED
        if depth > self._most:
            self._most, self._most_percent = depth, percent
        if peak and percent > self._steepest_percent:
            self._steepest_percent, self._steepest = percent, depth

    def so_far(self) -> Drawdown:
        """With the valley that has not ended."""
        ended = copy(self)
        ended._record(self.peak, self.trough)
        return Drawdown(
            self._start - self.lowest,
            ended._most,
            ended._most_percent,
            ended._steepest_percent,
            ended._steepest,
        )


class Drawdown(Struct, frozen=True):
    """The maximal one with the percentage of its own peak, the relative one with its money."""

    absolute: Decimal
    maximal: Decimal
    maximal_percent: Decimal
    relative_percent: Decimal
    relative: Decimal


class Returns:
    """x_i = result of trade i / balance before it: mean and population deviation."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, ZERO, ZERO
        self._broke = False

    def feed(self, results: Sequence[Decimal], before: Sequence[Decimal]) -> None:
        if self._broke or min(before) <= ZERO:
            self._broke = True
            return
        returns = list(map(RATIO.divide, results, before))
        self._count += len(returns)
        with localcontext(EXACT):
            self._sum += sum(returns, ZERO)
            self._squares += sum(map(mul, returns, returns), ZERO)

    @property
    def mean(self) -> Figure:
        if self._broke:
            return Absent("the balance was 0 or below: a result has no ratio to it")
        if not self._count:
            return Absent("no trades")
        return EXACT.divide(self._sum, Decimal(self._count))

    def deviation(self) -> Figure:
        mean = self.mean
        if isinstance(mean, Absent):
            return mean
        variance = self._squares / self._count - mean * mean
        # The squares carry 24 digits each: what is left of equal returns is their noise.
        if self._count < 2 or variance <= mean * mean * Decimal("1e-20"):
            return Absent("fewer than two trades, or all returns are equal: they do not vary")
        return variance.sqrt()


class Regression:
    """The straight line through B_0..B_N over 0..N: correlation and standard error."""

    def __init__(self, start: Decimal) -> None:
        self._start, self._points = start, 1
        self._sum = self._squares = self._products = ZERO

    def feed(self, balances: Sequence[Decimal]) -> None:
        for at in range(0, len(balances), BLOCK):
            self._feed([balance - self._start for balance in balances[at : at + BLOCK]])

    def _feed(self, heights: list[Decimal]) -> None:
        with localcontext(EXACT):
            total = sum(heights, ZERO)
            self._products += sum(map(mul, heights, _INDEX), ZERO) + total * self._points
            self._squares += sum(map(mul, heights, heights), ZERO)
            self._sum += total
        self._points += len(heights)

    def _moments(self) -> tuple[Decimal, Decimal, Decimal]:
        """n² times the variances of place and height, and their covariance."""
        n = Decimal(self._points)
        places = n * n * (n * n - 1) / 12
        heights = EXACT.subtract(EXACT.multiply(n, self._squares), EXACT.power(self._sum, 2))
        sum_of_places = n * (n - 1) / 2
        both = EXACT.subtract(
            EXACT.multiply(n, self._products), EXACT.multiply(sum_of_places, self._sum)
        )
        return places, heights, both

    def correlation(self) -> Figure:
        if self._points < 3:
            return Absent("fewer than two trades: no line goes through them")
        places, heights, both = self._moments()
        if heights <= 0:
            return Absent("the balance did not move")
        return EXACT.divide(both, EXACT.sqrt(EXACT.multiply(places, heights)))

    def standard_error(self) -> Figure:
        if self._points < 3:
            return Absent("fewer than two trades: no line goes through them")
        places, heights, both = self._moments()
        residual = heights - EXACT.divide(EXACT.power(both, 2), places)
        n = self._points
        return EXACT.sqrt(EXACT.divide(max(residual, ZERO), Decimal(n * (n - 2))))


def balances_after(start: Decimal, results: Sequence[Decimal]) -> list[Decimal]:
    """The curve before and after each trade: one more than there are results."""
    return list(accumulate(chain((start,), results)))
