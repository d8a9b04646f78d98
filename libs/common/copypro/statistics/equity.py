"""What only recorded equity can tell: drawdown while positions were open, MFE and MAE.

Never from prices: without samples all of this is absent.
"""

from __future__ import annotations

from decimal import Decimal

from copypro.statistics.curve import EXACT, Drawdown, Valleys
from copypro.statistics.facts import ZERO, Absent, Figure, Sample, Trade

NO_EQUITY = Absent("equity was not recorded: closed trades do not tell what happened in between")


class Equity:
    """Samples and trades in order; memory of the positions that are open, of no more."""

    def __init__(self) -> None:
        self._valleys: Valleys | None = None
        self._highs: dict[str, Decimal] = {}
        self._lows: dict[str, Decimal] = {}
        self.last: Sample | None = None
        self._has_paid = False
        """Money came or went since the last sample."""
        self._with_highs, self._with_lows, self._both = Pearson(), Pearson(), Pearson()

    def sample(self, sample: Sample, operations: Decimal) -> None:
        """`operations`: what deposits, withdrawals and credit added since the start; they move no curve.

        Whether the high of a sample came before its low is not known: the low counts against the
        earlier peak, what equity ended at against the high. Nor is it known on which side of a payment
        they were, so a sample in which money was paid counts by its end alone.
        """
        self.last = sample
        points = [sample.equity_low, sample.equity_high, sample.equity]
        if self._has_paid:
            points, self._has_paid = [sample.equity], False
        if self._valleys is None:
            self._valleys = Valleys(points[0] - operations)
        self._valleys.feed([point - operations for point in points])
        for name, high in sample.profit_high.items():
            self._highs[name] = max(high, self._highs.get(name, high))
        for name, low in sample.profit_low.items():
            self._lows[name] = min(low, self._lows.get(name, low))

    def paid(self) -> None:
        """A deposit, a withdrawal, credit given or taken."""
        self._has_paid = True

    def closed(self, trade: Trade) -> None:
        """Its own end is one of the values its profit had."""
        high, low = self._highs.pop(trade.position, None), self._lows.pop(trade.position, None)
        if high is None or low is None:
            return
        high, low = max(high, trade.profit, ZERO), min(low, trade.profit, ZERO)
        self._with_highs.add(trade.result, high)
        self._with_lows.add(trade.result, low)
        self._both.add(high, low)

    @property
    def drawdown(self) -> Drawdown | Absent:
        return NO_EQUITY if self._valleys is None else self._valleys.so_far()

    @property
    def peak(self) -> Decimal | None:
        return None if self._valleys is None else self._valleys.peak

    @property
    def profit_with_mfe(self) -> Figure:
        return self._with_highs.correlation()

    @property
    def profit_with_mae(self) -> Figure:
        return self._with_lows.correlation()

    @property
    def mfe_with_mae(self) -> Figure:
        return self._both.correlation()

    @property
    def is_watching(self) -> bool:
        return bool(self._highs)


class Pearson:
    def __init__(self) -> None:
        self._count = 0
        self._x = self._y = self._xx = self._yy = self._xy = ZERO

    def add(self, x: Decimal, y: Decimal) -> None:
        self._count += 1
        self._x, self._y = self._x + x, self._y + y
        self._xx, self._yy, self._xy = self._xx + x * x, self._yy + y * y, self._xy + x * y

    def correlation(self) -> Figure:
        if not self._count:
            return NO_EQUITY
        n = Decimal(self._count)
        across = EXACT.multiply(n, self._xx) - EXACT.power(self._x, 2)
        up = EXACT.multiply(n, self._yy) - EXACT.power(self._y, 2)
        if across <= 0 or up <= 0:
            return Absent("fewer than two different trades with recorded extremes")
        both = EXACT.multiply(n, self._xy) - EXACT.multiply(self._x, self._y)
        return EXACT.divide(both, EXACT.sqrt(EXACT.multiply(across, up)))
