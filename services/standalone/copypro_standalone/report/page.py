"""The page, from its head to its foot: one file, readable without a script, that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from html import escape
from importlib.resources import files
from itertools import accumulate

from copypro.statistics.bars import growth_by_day
from copypro.statistics.curve import balances_after
from copypro.statistics.distribution import Slice, growth_by_month, results_by_month
from copypro.statistics.facts import Absent
from copypro.statistics.report import Report

from copypro_standalone.report import copying, figures
from copypro_standalone.report.charts import (
    Column,
    Line,
    by_day,
    columns,
    lines,
    numbers_under,
)
from copypro_standalone.report.facts import Facts, Shown
from copypro_standalone.report.parts import card, table, tiles
from copypro_standalone.report.text import (
    MONTHS,
    NONE,
    WEEKDAYS,
    coloured,
    day,
    money_digits,
    plain,
    shown,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Were anything in it to ask for something, a browser would not let it."""
MOST_SYMBOLS = 12


def page(facts: Facts) -> str:
    style = files("copypro_standalone.report").joinpath("style.css").read_text()
    title = f"{facts.name or facts.login} · {facts.server}"
    body = "".join(_body(facts)) if facts.report.bars else _nothing()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{_header(facts)}{body}{_footer(facts)}</main>\n</body>\n</html>\n"
    )


def _nothing() -> str:
    return card("Nothing yet", '<p class="empty">No trade and no balance operation is known.</p>')


def _body(facts: Facts) -> Iterable[str]:
    yield _keys(facts)
    yield _by_trade(facts) if _is_short(facts) else _by_day(facts)
    yield card(
        "Months", months(facts), "Growth by close time, deposits and withdrawals left out; below, the"
        f" result in {escape(facts.currency)}.",
    )  # fmt: skip
    if facts.report.trades:
        yield _distributions(facts)
        yield _extremes(facts)
        yield card("Statistics", figures.table(facts.report, facts.currency), figures.NOTE)
    if facts.quality is not None:
        yield from copying.cards(facts.quality)


def _header(facts: Facts) -> str:
    badges = '<span class="badge">IMPORTED</span>' if facts.is_imported else ""
    if facts.is_simulated:
        badges += '<span class="badge warn">SIMULATED</span>'
    bars = facts.report.bars
    when = f"{day(bars[0].day)} – {day(bars[-1].day)}" if bars else "no history"
    closed = facts.report.trades
    trades = f"{closed:,} closed trade{'' if closed == 1 else 's'}"
    name = escape(facts.name or str(facts.login))
    who = " · ".join((facts.platform, facts.server, str(facts.login), facts.currency))
    return (
        f'<header><div><h1>{name}{badges}</h1><div class="who">{escape(who)}</div></div>'
        f'<div class="when">{when}<br>{trades}</div></header>\n'
    )


def _footer(facts: Facts) -> str:
    since = f" since {escape(facts.since[:10])}" if facts.since else ""
    return (
        f"<footer>Made by CopyPro from closed trades{since}; MetaTrader's definitions. Times are the"
        " broker's. What is not defined or was not recorded is a dash. Past results promise nothing."
        "</footer>\n"
    )


def _keys(facts: Facts) -> str:
    r, digits = facts.report, money_digits(facts.currency)
    growth = None if isinstance(r.growth, Absent) else r.growth * 100
    depth = r.drawdown
    won = Decimal(100 * r.wins) / r.trades if r.trades else None
    cells = (
        ("Growth", coloured(growth, 2, " %"), "deposits left out"),
        ("Net profit", coloured(r.net_profit, digits), facts.currency),
        ("Balance", shown(r.balance, digits), facts.currency),
        ("Maximal drawdown", shown(depth.maximal, digits),
         f"{plain(depth.maximal_percent)} % of its peak"),
        ("Profit factor", shown(r.profit_factor), "won to lost"),
        ("Trades won", shown(won, 1, " %"), f"{r.wins:,} of {r.trades:,}"),
        ("Expected payoff", shown(r.expected_payoff, digits), f"{facts.currency} a trade"),
        ("Sharpe ratio", shown(r.sharpe_ratio), "per trade"),
    )  # fmt: skip
    return tiles(cells)


NO_EQUITY = "Equity was not recorded: closed trades do not tell what was in between."
FEW_DAYS = 20


def _is_short(facts: Facts) -> bool:
    """So few days that a point each says less than a point a trade."""
    return len(facts.report.bars) < FEW_DAYS <= len(facts.steps)


def _by_day(facts: Facts) -> str:
    r = facts.report
    balance = by_day((bar.day, float(bar.balance)) for bar in r.bars)
    equity = by_day((bar.day, float(bar.equity)) for bar in r.bars if bar.equity is not None)
    drawn = [Line(name="Balance", style="first", points=balance, filled=True)]
    if len(equity) > 1:
        drawn.append(Line(name="Equity", style="second", points=equity))
    depth = Line(name="Drawdown", style="depth", points=_depths(r), filled=True)
    said = (
        "Of growth, in percent of its peak, at the end of each day; deposits left out. Within a day it"
        " may have been deeper: the maximal drawdown above counts every trade."
    )
    if not isinstance(r.equity_drawdown, Absent):
        said += f" Of equity at most {plain(r.equity_drawdown.relative_percent)} %."
    return card(
        "Balance and equity", lines("Balance by day", drawn), "" if equity else NO_EQUITY
    ) + (card("Drawdown", lines("Drawdown by day", [depth], " %", from_zero=True), said, "short"))


def _depths(report: Report) -> Sequence[tuple[float, float]]:
    found: list[tuple[date, float]] = []
    peak = Decimal(1)
    for at, factor in growth_by_day(report.bars):
        peak = max(peak, factor)
        found.append((at, float(100 * (factor / peak - 1))))
    return by_day(found)


def _by_trade(facts: Facts) -> str:
    start = facts.report.start_balance
    curve = balances_after(start, facts.steps)
    peaks = accumulate(curve, max)
    depths = [float(at - peak) for at, peak in zip(curve, peaks, strict=True)]
    balance = Line(
        name="Balance", style="first", points=_numbered(map(float, curve)), filled=True
    )  # fmt: skip
    depth = Line(name="Drawdown", style="depth", points=_numbered(depths), filled=True)
    said = "After each trade, later deposits and withdrawals left out."
    if isinstance(facts.report.equity_drawdown, Absent):
        said = f"{said} {NO_EQUITY}"
    under = numbers_under
    return card("Balance", lines("Balance by trade", [balance], under=under), said) + card(
        "Drawdown",
        lines("Drawdown by trade", [depth], from_zero=True, under=under),
        f"Below the highest balance so far, in {escape(facts.currency)}.",
        "short",
    )


def _numbered(values: Iterable[float]) -> list[tuple[float, float]]:
    return [(float(at), value) for at, value in enumerate(values)]


def months(facts: Facts) -> str:
    grown, results = growth_by_month(facts.report.bars), results_by_month(facts.report.bars)
    years = sorted({year for year, _ in results}, reverse=True)
    digits = money_digits(facts.currency)
    rows = []
    for year in years:
        cells, whole, money, any_growth = [], Decimal(1), Decimal(0), False
        for month in range(1, 13):
            growth, result = grown.get((year, month)), results.get((year, month))
            whole *= 1 + (growth or 0)
            any_growth = any_growth or growth is not None
            money += result or 0
            cells.append(_month(growth, result, digits))
        total = (whole - 1) * 100 if any_growth else None
        cells.append(
            f'<td class="total">{coloured(total, 1, " %")}<small>{plain(money, digits)}</small></td>'
        )
        rows.append(f"<tr><th>{year}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in (*MONTHS, "Year"))
    return (
        f'<div class="wide"><table class="months"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _month(growth: Decimal | None, result: Decimal | None, digits: int) -> str:
    """Tinted by its growth: 10 % and more is the deepest."""
    if result is None:
        return f"<td>{NONE}</td>"
    percent = None if growth is None else growth * 100
    worth = percent if percent is not None else result
    strength = 0.05 + 0.03 * min(10.0, abs(float(percent or 0)))
    tint = f"background:rgb(var(--{'up' if worth >= 0 else 'down'}-rgb) / {strength:.2f})"
    money = f"<small>{plain(result, digits)}</small>"
    return f'<td style="{tint}">{coloured(percent, 1)}{money}</td>'


def _distributions(facts: Facts) -> str:
    d, currency = facts.distribution, facts.currency
    hours = [
        _column(f"{at:02}", f"{at:02}:00", found, currency) for at, found in enumerate(d.hours)
    ]
    last = 7 if any(found.trades for found in d.weekdays[5:]) else 5
    week = [
        _column(name, name, found, currency)
        for name, found in zip(WEEKDAYS[:last], d.weekdays, strict=False)
    ]
    by_hour = card("By hour", columns("Result by hour", hours, every=3), kind="short")
    by_day = card("By weekday", columns("Result by weekday", week), kind="short")
    return _symbols(facts) + f'<div class="two">{by_hour}{by_day}</div>\n'


def _column(label: str, name: str, found: Slice, currency: str) -> Column:
    told = f"{name}: {plain(found.result)} {currency}, {found.trades} trades, {found.wins} won"
    return Column(label=label, value=float(found.result), told=told)


def _symbols(facts: Facts) -> str:
    digits = money_digits(facts.currency)
    ordered = sorted(
        facts.distribution.symbols.items(), key=lambda pair: (-pair[1].trades, pair[0])
    )
    kept, others = ordered[:MOST_SYMBOLS], ordered[MOST_SYMBOLS:]
    if others:
        rest = Slice()
        for _, found in others:
            rest.trades += found.trades
            rest.wins += found.wins
            rest.result += found.result
        kept.append((f"{len(others)} others", rest))
    rows = [
        (
            escape(name),
            f"{found.trades:,}",
            plain(Decimal(100 * found.trades) / facts.report.trades, 1) + " %",
            plain(Decimal(100 * found.wins) / found.trades, 1) + " %",
            coloured(found.result, digits),
            coloured(found.result / found.trades, digits),
        )
        for name, found in kept
    ]
    head = ("Symbol", "Trades", "Share", "Won", f"Result, {facts.currency}", "A trade")
    return card("By symbol", table(head, rows))


def _extremes(facts: Facts) -> str:
    digits = money_digits(facts.currency)
    return card("Best trades", _trades(facts.best, digits)) + card(
        "Worst trades", _trades(facts.worst, digits)
    )


def _trades(found: Sequence[Shown], digits: int) -> str:
    rows = [
        (
            escape(trade.closed_at),
            escape(trade.symbol),
            escape(trade.side),
            escape(trade.lots),
            coloured(trade.result, digits),
            f"{escape(trade.open_price) or NONE} → {escape(trade.close_price)}",
            str(trade.ticket),
            f'<span title="{escape(trade.comment)}">{escape(_short(trade.comment))}</span>',
        )
        for trade in found
    ]
    head = ("Closed", "Symbol", "Side", "Lots", "Result", "Price", "Ticket", "Comment")
    return table(head, rows, text=(0, 1, 2, 7))


def _short(comment: str) -> str:
    return comment if len(comment) <= 24 else f"{comment[:23]}…"
