"""Every figure of an account, by the names of MetaTrader's reports."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from copypro.statistics.curve import Drawdown
from copypro.statistics.facts import Absent, Figure
from copypro.statistics.report import Report, Run

from copypro_standalone.report.text import length, money_digits, plain, shown

NOTE = (
    "As MetaTrader counts: a trade's result has swap, commission and fee in it, a result of 0 is won,"
    " and later deposits move neither curve nor drawdown."
)


def table(report: Report, currency: str) -> str:
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>"
        for name, value in _rows(report, money_digits(currency))
    )
    return f'<dl class="figures">{rows}</dl>'


def _rows(r: Report, digits: int) -> Iterator[tuple[str, str]]:
    depth, equity = r.drawdown, r.equity_drawdown
    yield "Total net profit", shown(r.net_profit, digits)
    yield "Total trades", f"{r.trades:,}"
    yield "Gross profit", shown(r.gross_profit, digits)
    yield "Gross loss", shown(r.gross_loss, digits)
    yield "Long trades (won)", _of(r.longs_won, r.longs)
    yield "Short trades (won)", _of(r.shorts_won, r.shorts)
    yield "Profit trades", _part(r.wins, r.trades)
    yield "Loss trades", _part(r.losses, r.trades)
    yield "Largest profit trade", shown(r.largest_win, digits)
    yield "Largest loss trade", shown(r.largest_loss, digits)
    yield "Average profit trade", shown(r.average_win, digits)
    yield "Average loss trade", shown(r.average_loss, digits)
    yield "Maximum consecutive wins", _run(r.winning.longest, digits)
    yield "Maximum consecutive losses", _run(r.losing.longest, digits)
    yield "Maximal consecutive profit", _valuable(r.winning.most_valuable, digits)
    yield "Maximal consecutive loss", _valuable(r.losing.most_valuable, digits)
    yield "Absolute drawdown", shown(depth.absolute, digits)
    yield (
        "Relative drawdown",
        f"{plain(depth.relative_percent)} % ({plain(depth.relative, digits)})",
    )
    yield "Equity drawdown maximal", _equity(equity, digits)
    yield "Recovery factor", shown(r.recovery_factor)
    yield "Sharpe ratio (per trade)", shown(r.sharpe_ratio)
    yield "Standard deviation of results", shown(r.deviation, digits)
    yield "Payoff ratio", shown(r.payoff_ratio)
    yield "Z-score (confidence)", _z(r)
    yield "AHPR", _growth(r.ahpr)
    yield "GHPR", _growth(r.ghpr)
    yield "LR correlation", shown(r.lr_correlation)
    yield "LR standard error", shown(r.lr_standard_error, digits)
    yield "Lots", shown(r.lots)
    yield "Average trade length", _length(r.average_length_s)
    yield "Commission", shown(r.commissions, digits)
    yield "Swap", shown(r.swaps, digits)
    yield "Deposits", shown(r.deposits, digits)
    yield "Withdrawals", shown(r.withdrawals, digits)


def _of(won: int, count: int) -> str:
    return f"{count:,} ({plain(Decimal(100 * won) / count if count else Decimal(0))} %)"


def _part(part: int, whole: int) -> str:
    return f"{part:,} ({plain(Decimal(100 * part) / whole if whole else Decimal(0))} %)"


def _run(run: Run, digits: int) -> str:
    return f"{run.trades} ({plain(run.money, digits)})"


def _valuable(run: Run, digits: int) -> str:
    return f"{plain(run.money, digits)} ({run.trades})"


def _equity(drawdown: Drawdown | Absent, digits: int) -> str:
    if isinstance(drawdown, Absent):
        return shown(drawdown)
    maximal, percent = drawdown.maximal, drawdown.maximal_percent
    return f"{plain(maximal, digits)} ({plain(percent)} %)"


def _z(r: Report) -> str:
    if isinstance(r.z_score, Absent):
        return shown(r.z_score)
    return f"{plain(r.z_score)} ({shown(r.z_confidence)} %)"


def _growth(factor: Figure) -> str:
    if isinstance(factor, Absent):
        return shown(factor)
    return f"{plain(factor, 4)} ({plain((factor - 1) * 100)} %)"


def _length(seconds: Figure) -> str:
    return shown(seconds) if isinstance(seconds, Absent) else length(seconds)
