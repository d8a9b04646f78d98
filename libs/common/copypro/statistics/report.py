"""Every figure of an account's history, exact: rounding is for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from copypro.statistics.bars import Bar
from copypro.statistics.curve import Drawdown
from copypro.statistics.facts import Absent, Figure, Trade
from copypro.statistics.pips import Pips


class Run(Struct, frozen=True):
    trades: int
    money: Decimal


class Streaks(Struct, frozen=True):
    """Runs of wins, or of losses."""

    longest: Run
    most_valuable: Run
    average: int


class Report(Struct, frozen=True, kw_only=True):
    """MetaTrader's definitions, and what other services add; sources in docs/statistics.md."""

    trades: int
    longs: int
    longs_won: int
    shorts: int
    shorts_won: int
    wins: int
    losses: int
    gross_profit: Decimal
    gross_loss: Decimal
    """At most 0, with what entries cost."""
    net_profit: Decimal
    entry_costs: Decimal
    profit_factor: Figure
    expected_payoff: Figure
    average_win: Figure
    average_loss: Figure
    payoff_ratio: Figure
    best: Trade | None
    """The first of the highest result, whatever its sign."""
    worst: Trade | None
    winning: Streaks
    losing: Streaks

    start_balance: Decimal
    """Where MetaTrader's curve starts."""
    balance: Decimal
    drawdown: Drawdown
    equity_drawdown: Drawdown | Absent
    recovery_factor: Figure
    equity_recovery_factor: Figure
    sharpe_ratio: Figure
    """Per trade, not annualised, no risk-free rate."""
    ahpr: Figure
    ghpr: Figure
    z_score: Figure
    z_confidence: Figure
    """Percent."""
    lr_correlation: Figure
    lr_standard_error: Figure
    deviation: Figure
    """Population deviation of results, in money."""
    profit_with_mfe: Figure
    profit_with_mae: Figure
    mfe_with_mae: Figure

    deposits: Decimal
    withdrawals: Decimal
    """At most 0."""
    credit: Decimal
    growth: Figure
    """Deposits and withdrawals neutralised: 0.1 is 10 %. Positions that are open are ignored."""
    absolute_gain: Figure
    lots: Decimal
    swaps: Decimal
    commissions: Decimal
    """Entry costs included."""
    fees: Decimal
    average_length_s: Figure
    symbols: Mapping[str, int]
    pips: Pips
    bars: Sequence[Bar]
    equity: Decimal | None
    """As last recorded."""

    @property
    def largest_win(self) -> Decimal:
        """0 if nothing was won, as MetaTrader prints it."""
        return max(self.best.result, Decimal(0)) if self.best else Decimal(0)

    @property
    def largest_loss(self) -> Decimal:
        return min(self.worst.result, Decimal(0)) if self.worst else Decimal(0)
