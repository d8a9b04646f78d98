"""The original API's `Stats` and charts, with its spellings; what is absent is null.

Percentages are of 100. Money is in the account's currency, whatever `averageUsd` and `dollar` say.
Times are the broker's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, overload

from copypro.statistics.answers import (
    ChartPoint,
    LastingStats,
    OneTrade,
    SideWon,
    TradeSummary,
)
from copypro.statistics.bars import Bar, every_day, without_same
from copypro.statistics.facts import Absent, Figure, Trade
from copypro.statistics.pips import PipTrade
from copypro.statistics.report import Report

SHOWN_DIGITS = 8
DAYS_OF_SUMMARY = 31
"""As many results by day are needed for this day, this week and this month."""


def stats_of(report: Report) -> LastingStats:
    """All of it but the summary's open trades and present periods: see `summary_of`."""
    r, pips = report, report.pips
    drawdown, equity = r.drawdown, r.equity_drawdown
    return {
        "summary": {"totalProfit": number(r.net_profit)},
        "markets": [
            {"marketName": name, "count": count} for name, count in sorted(r.symbols.items())
        ],
        "maxBalanceDrawdownRaw": number(drawdown.maximal),
        "maxBalanceDrawdownRelative": number(drawdown.relative_percent),
        "maxEquityDrawdownRaw": None if isinstance(equity, Absent) else number(equity.maximal),
        "maxEquityDrawdownRelative": None
        if isinstance(equity, Absent)
        else number(equity.relative_percent),
        "profitability": {
            "wonTrades": r.wins,
            "wonTradesPercent": _percent(r.wins, r.trades),
            "lostTrades": r.losses,
            "lostTradesPercent": _percent(r.losses, r.trades),
        },
        "pips": number(pips.total),
        "lots": number(r.lots),
        "comissions": number(r.commissions),
        "averageWin": {
            "averagePips": number(pips.average_win),
            "averageUsd": number(r.average_win),
        },
        "averageLost": {
            "averagePips": number(pips.average_loss),
            "averageUsd": number(r.average_loss),
        },
        "longsWon": _side(r.longs_won, r.longs),
        "shortsWon": _side(r.shorts_won, r.shorts),
        "bestTrade": _trade(r.best),
        "worstTrade": _trade(r.worst),
        "bestTradePips": _pips(pips.best),
        "worstTradePips": _pips(pips.worst),
        "averageTradeLength": number(r.average_length_s),
        "profitFactor": number(r.profit_factor),
        "standardDeviation": number(r.deviation),
        "sharpeRatio": number(r.sharpe_ratio),
        "zScore": {
            "zScoreDecimal": number(r.z_score),
            "zScoreProbability": number(r.z_confidence),
        },
        "expectancy": {"pips": number(pips.average), "dollar": number(r.expected_payoff)},
        "ghpr": number(r.ghpr),
        "trades": r.trades,
    }


def recent_results(bars: Sequence[Bar]) -> list[list[Any]]:
    """The last days' results, from which the present periods follow on any later day."""
    return [[bar.day.isoformat(), number(bar.results)] for bar in bars[-DAYS_OF_SUMMARY:]]


def summary_of(
    stats: Mapping[str, Any],
    recent: Iterable[Sequence[Any]],
    today: date,
    open_trades: int | None,
    open_profit: float | None,
) -> TradeSummary:
    """Weeks begin on Monday; a day is the broker's."""
    week, month = today - timedelta(days=today.weekday()), today.replace(day=1)
    days = [(date.fromisoformat(day), profit) for day, profit in recent]
    return {
        "openTrades": open_trades,
        "openProfit": open_profit,
        "dayProfit": _since(days, today, today),
        "weekProfit": _since(days, week, today),
        "monthProfit": _since(days, month, today),
        "totalProfit": stats["summary"]["totalProfit"],
    }


def _since(days: Sequence[tuple[date, float]], first: date, last: date) -> float:
    return round(sum(profit for day, profit in days if first <= day <= last), SHOWN_DIGITS)


def charts_of(report: Report, *, exclude_same_bars: bool) -> list[ChartPoint]:
    """A point a day. The drawdown's curve leaves deposits out; equity is there where it was
    recorded, and never a copy of the balance.
    """
    bars = every_day(report.bars)
    start, shown = report.start_balance, without_same(list(bars)) if exclude_same_bars else bars
    return [_point(bar, start) for bar in shown]


def _point(bar: Bar, start: Decimal) -> ChartPoint:
    depth = bar.peak - bar.curve
    equity_depth = None
    if bar.equity_peak is not None and bar.equity_curve is not None:
        equity_depth = bar.equity_peak - bar.equity_curve
    return {
        "time": f"{bar.day.isoformat()}T00:00:00",
        "balance": number(bar.balance),
        "equity": _maybe(bar.equity),
        "balanceDrawdownRaw": number(depth),
        "balanceDrawdownRelative": _of(depth, bar.peak),
        "equityDrawdownRaw": _maybe(equity_depth),
        "equityDrawdownRelative": _of(equity_depth, bar.equity_peak),
        "realizedPL": number(bar.curve - start),
        "unrealizedPL": None if bar.equity is None else number(bar.equity - bar.balance),
    }


@overload
def number(figure: Decimal) -> float: ...
@overload
def number(figure: Figure) -> float | None: ...
def number(figure: Figure) -> float | None:
    return None if isinstance(figure, Absent) else round(float(figure), SHOWN_DIGITS)


def _maybe(value: Decimal | None) -> float | None:
    return None if value is None else number(value)


def _of(depth: Decimal | None, peak: Decimal | None) -> float | None:
    if depth is None or peak is None or peak <= 0:
        return None
    return number(100 * depth / peak)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, SHOWN_DIGITS) if whole else 0.0


def _side(won: int, all_: int) -> SideWon:
    return {"wonCount": won, "all": all_, "wonPersent": _percent(won, all_)}


def _trade(trade: Trade | None) -> OneTrade | None:
    if trade is None:
        return None
    date_ = trade.closed_at.isoformat(timespec="milliseconds")
    return {"tiket": trade.shown_ticket, "date": date_, "profit": number(trade.result)}


def _pips(trade: PipTrade | None) -> OneTrade | None:
    if trade is None:
        return None
    date_ = trade.closed_at.isoformat(timespec="milliseconds")
    return {"tiket": trade.ticket, "date": date_, "profit": number(trade.pips)}
