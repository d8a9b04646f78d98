"""Results as one object, as rows, and for people. Pure but for the last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from copypro.statistics.facts import Absent
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from copypro_standalone.backtest.playing import Plan, Played
from copypro_standalone.backtest.results import Results, Row

ZERO = Decimal(0)
CENT = Decimal("0.01")
Summary = dict[str, Any]


def summary_of(plan: Plan, played: Played, results: Results, options: Mapping[str, Any]) -> Summary:
    """Everything but the rows; numbers of money and lots are text, as everywhere."""
    history, rows = plan.history, results.rows
    copied = [row for row in rows if row["outcome"] == "copied"]
    played_rows = [row for row in rows if row["outcome"] != "not played"]
    profit = sum((Decimal(row["profit"]) for row in rows if row["profit"]), ZERO)
    return {
        "simulated": True,
        "master": {
            "name": history.name,
            "platform": history.platform.value,
            "mode": history.mode.value,
            "currency": history.currency,
            "trades": len(rows),
            "from": rows[0]["opened_at"],
            "to": max(row["closed_at"] or row["opened_at"] for row in rows),
            "start_balance": str(history.balance),
            "balance": str(results.master_balance),
            "profit": str(profit),
            "not_played": len(rows) - len(played_rows),
            "opening_unknown": len(history.unopened),
        },
        "slave": _of_slave(plan, results),
        "options": dict(options),
        "copied": len(copied),
        "further_legs": sum(len(row.get("further_legs", ())) for row in rows),
        "refused": len(played_rows) - len(copied),
        "share_copied_percent": _percent(len(copied), len(played_rows)),
        "refusals": refusals(rows),
        "alerts": dict(sorted(results.alerts.items())),
        "changes_not_played": sum(1 for one in played.unplayed if one.what != "opened"),
        "symbols": _symbols(plan),
        "assumed": assumptions(plan, played),
    }


def _of_slave(plan: Plan, results: Results) -> Summary:
    slave, report = plan.slave, results.report
    down, equity = report.drawdown, report.equity_drawdown
    return {
        "platform": slave.platform.value,
        "mode": slave.mode.value,
        "currency": slave.currency,
        "leverage": slave.leverage,
        "start_balance": str(results.start),
        "balance": str(results.balance),
        "equity": str(results.equity),
        "profit": str(results.balance - results.start),
        "trades": report.trades,
        "won": report.wins,
        "drawdown": str(_money(down.maximal)),
        "drawdown_percent": str(_money(down.maximal_percent)),
        "equity_drawdown": None if isinstance(equity, Absent) else str(_money(equity.maximal)),
        "open_at_the_end": sum(
            leg.get("ended") == "open"
            for row in results.rows
            for leg in (row, *row.get("further_legs", ()))
        ),
    }


def refusals(rows: Sequence[Row]) -> list[Summary]:
    """By code, the most frequent first: what it means, what would let it pass, the latest numbers, and
    what the master made of these trades, in its currency.
    """
    by_code: dict[str, list[Row]] = {}
    for row in rows:
        if row["outcome"] != "copied":
            by_code.setdefault(row["code"], []).append(row)
    found = [
        {
            "code": code,
            "trades": len(some),
            "meaning": some[-1]["meaning"],
            "remedy": some[-1]["remedy"],
            "latest": {"trade": some[-1]["trade"], **some[-1]["numbers"]},
            "profit_missed": str(
                sum((Decimal(row["profit"]) for row in some if row["profit"]), ZERO)
            ),
        }
        for code, some in by_code.items()
    ]
    return sorted(found, key=lambda one: (-int(one["trades"]), one["code"]))


def _symbols(plan: Plan) -> list[Summary]:
    return [
        {
            "master": name,
            "contract_size": f"{terms.contract_size:f}",
            "profit_currency": terms.profit_currency,
            "digits": terms.digits,
            "known_by": terms.how,
        }
        for name, terms in plan.terms.items()
    ]


def assumptions(plan: Plan, played: Played) -> list[str]:
    """What the answer rests on, for whoever reads it."""
    slave, history = plan.slave, plan.history
    said = [
        "prices: the market moves only at the master's own trades; what it did in between is unknown,"
        " so stops and margin are seen at those prices alone"
    ]
    if slave.spread_points or slave.slippage_points:
        said.append(
            f"fills: {slave.spread_points} points of spread and {slave.slippage_points} of slippage"
            " on the slave"
        )
    else:
        said.append("fills: at the master's own price, no spread and no slippage")
    said.append("costs: no commission and no swap on the slave unless --symbols gives them")
    usual = [name for name, terms in plan.terms.items() if terms.how == "usual"]
    if usual:
        said.append(f"contracts: as is usual for the name: {', '.join(usual)}")
    if any(one.stop_loss or one.take_profit for one in history.opened()):
        if not history.knows_stops:
            said.append(
                "stops: the statement's last ones, from the opening on, where they could have stood there"
            )
    elif not history.knows_stops:
        said.append(
            "stops: none are known as they were at the opening; --stops plays the last ones"
        )
    if played.unconverted:
        said.append(
            f"rates: nobody knows what {', '.join(played.unconverted)} is worth in {slave.currency}:"
            " what is priced in it is refused; give it by --rate"
        )
    said.append("pending orders: what filled is a trade; what did not is not in the history")
    return said


def _percent(part: int, whole: int) -> str:
    return str(_money(Decimal(100 * part) / whole)) if whole else "0.00"


def _money(value: Decimal) -> Decimal:
    return value.quantize(CENT)


def as_json(summary: Summary) -> str:
    """The same input gives the same bytes."""
    return json.dumps(summary, ensure_ascii=False, sort_keys=True)


def as_lines(rows: Sequence[Row]) -> str:
    """JSON Lines: one row for each trade of the master."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# --- for people -------------------------------------------------------------------------------------


def show(summary: Summary, console: Console) -> None:
    master, slave = summary["master"], summary["slave"]
    console.print(
        f"[bold yellow]SIMULATED[/] backtest of {escape(master['name'])}: {master['trades']} trades,"
        f" {master['from'][:10]} to {master['to'][:10]}, {master['profit']} {master['currency']}",
        highlight=False,
    )
    console.print(
        f"[bold]{summary['copied']} copied[/] ({summary['share_copied_percent']} %),"
        f" {summary['refused']} refused, {master['not_played']} not played",
        highlight=False,
    )
    console.print(
        f"slave ({slave['platform']} {slave['mode']}): {slave['start_balance']} to"
        f" [bold]{slave['balance']} {slave['currency']}[/], profit {slave['profit']},"
        f" drawdown {slave['drawdown']} ({slave['drawdown_percent']} %),"
        f" {slave['won']} of {slave['trades']} closes won, {slave['open_at_the_end']} still open",
        highlight=False,
    )
    if summary["refusals"]:
        console.print(_table(summary, master["currency"]))
    for code, count in summary["alerts"].items():
        console.print(f"alert {code} ×{count}", highlight=False, markup=False)
    for text in summary["assumed"]:
        console.print(text, style="dim", highlight=False, markup=False)


def _table(summary: Summary, currency: str) -> Table:
    table = Table("code", "trades", f"missed, {currency}", "why, and what would let it pass")
    table.columns[1].justify = table.columns[2].justify = "right"
    for one in summary["refusals"]:
        latest = "  ".join(f"{name}={value}" for name, value in one["latest"].items())
        text = f"{one['meaning']}; {one['remedy']}\n{latest}"
        table.add_row(escape(one["code"]), str(one["trades"]), one["profit_missed"], escape(text))
    return table
