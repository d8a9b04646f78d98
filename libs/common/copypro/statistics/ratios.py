"""Figures that are made from other figures. Undefined ones are absent, with the reason."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from copypro.statistics.curve import EXACT, Drawdown, Returns
from copypro.statistics.facts import ZERO, Absent, Figure

CENT = Decimal("0.01")
MOST_CONFIDENCE = Decimal("99.74")
"""MetaTrader's table ends at three deviations."""


def ratio(above: Decimal, below: Decimal, why: str) -> Figure:
    return EXACT.divide(above, below) if below else Absent(why)


def average(total: Decimal, count: int, why: str) -> Figure:
    return EXACT.divide(total, Decimal(count)) if count else Absent(why)


def payoff(won: Decimal, wins: int, lost: Decimal, losses: int) -> Figure:
    """Average profit to average loss."""
    if not wins or not lost or not losses:
        return Absent("nothing was lost, or no trade was won")
    return EXACT.divide(won / wins, -lost / losses)


def recovery(net: Decimal, drawdown: Drawdown | Absent) -> Figure:
    if isinstance(drawdown, Absent):
        return drawdown
    return ratio(net, drawdown.maximal, "there was no drawdown")


def sharpe(returns: Returns) -> Figure:
    """Mean of the returns trade by trade to their population deviation."""
    mean, deviation = returns.mean, returns.deviation()
    if isinstance(mean, Absent) or isinstance(deviation, Absent):
        return mean if isinstance(mean, Absent) else deviation
    return EXACT.divide(mean, deviation)


def ahpr(returns: Returns) -> Figure:
    mean = returns.mean
    return mean if isinstance(mean, Absent) else 1 + mean


def ghpr(start: Decimal, end: Decimal, trades: int) -> Figure:
    """The factor of each trade whose product leads from start to end.

    An account that lost everything counts as one unit of money, as MetaTrader's does.
    """
    if not trades:
        return Absent("no trades")
    if start <= 0:
        return Absent("the balance started at 0 or below: nothing can be multiplied")
    kept = end if end > 0 else Decimal(1)
    return (kept / start) ** (Decimal(1) / trades)


def z_score(wins: int, losses: int, runs: int) -> Figure:
    """(N (R - 0.5) - P) / sqrt(P (P - N) / (N - 1)) with P = 2 W L."""
    trades, product = wins + losses, 2 * wins * losses
    if trades < 2 or product <= trades:
        return Absent(f"too few wins or losses: 2 x {wins} x {losses} is not above {trades}")
    above = Decimal(trades) * (runs - Decimal("0.5")) - product
    return above / (Decimal(product * (product - trades)) / (trades - 1)).sqrt()


def z_confidence(z: Figure) -> Figure:
    """Percent: two-sided normal probability of Z rounded to two decimals."""
    if isinstance(z, Absent):
        return z
    shown = abs(z).quantize(CENT, ROUND_HALF_UP)
    percent = Decimal(repr(100 * math.erf(float(shown) / math.sqrt(2))))
    return min(percent, MOST_CONFIDENCE)


class Growth:
    """The product of end to start of the pieces between balance operations, minus 1.

    A piece that starts at 0 or below is skipped.
    """

    def __init__(self, balance: Decimal) -> None:
        self._factor, self._piece, self._pieces = Decimal(1), balance, 0

    def cut(self, balance: Decimal, amount: Decimal) -> None:
        self._close(balance)
        self._piece = balance + amount

    def _close(self, balance: Decimal) -> None:
        if self._piece > ZERO:
            self._factor, self._pieces = self._factor * balance / self._piece, self._pieces + 1

    def until(self, balance: Decimal) -> Figure:
        factor = self._factor
        if self._piece > ZERO:
            return factor * balance / self._piece - 1
        if not self._pieces:
            return Absent("the balance was never above 0 at the start of a piece")
        return factor - 1
