"""What every figure of a report is by its own rows, with the arithmetic in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from msgspec import Struct

from copypro.statements.ledger import Ledger, initial_deposit, printed
from copypro.statements.rows import Kind, Statement
from copypro.statistics.facts import ZERO, Absent, Figure, Operation, Trade
from copypro.statistics.report import Report
from copypro.values import Platform

HUNDRED, HALF_CENT = Decimal(100), Decimal("0.005")
TICKS = "measured by the tester tick by tick; trades that are closed do not tell it"
PRICES = "a figure of the tester's prices, which are not in the report"


class Ours(Struct, frozen=True):
    value: Figure
    arithmetic: str = ""
    when_absent: Decimal | None = None
    """What MetaTrader prints for a figure that is not defined."""
    slack: Decimal = ZERO
    """How far off it may be, made from a figure that is printed rounded."""


def _divided(above: Decimal, below: Decimal, arithmetic: str) -> Ours:
    """By a figure of two printed decimals: half a cent of it moves a large quotient."""
    slack = abs(above) * HALF_CENT / (below * below)
    return Ours(above / below, arithmetic, slack=slack)


def all_of(statement: Statement, ledger: Ledger, report: Report) -> Mapping[str, Ours]:
    found = {**_of_trades(statement, report), **_of_runs(report), **_of_returns(report)}
    if statement.kind is Kind.TESTER:
        found |= _of_test(statement, ledger, report)
    else:
        found |= _of_account(statement, ledger, report)
    return found | _totals(statement)


def _percent(part: int, whole: int) -> Decimal:
    return HUNDRED * part / whole if whole else ZERO


def _of_trades(statement: Statement, report: Report) -> dict[str, Ours]:
    r = report
    unsigned = statement.platform is Platform.MT4 and statement.kind is Kind.HISTORY
    gross = f"{r.gross_profit:f} won and {r.gross_loss:f} lost in {r.trades} trades"
    costs = f", {r.entry_costs:f} of it for entries" if r.entry_costs else ""
    undefined = ZERO if statement.platform is Platform.MT5 or not r.trades else None
    d = r.drawdown
    from_start = f"on the curve that starts at {r.start_balance:f}"
    return {
        "gross_profit": Ours(r.gross_profit, gross),
        "gross_loss": Ours(-r.gross_loss if unsigned else r.gross_loss, gross + costs),
        "net_profit": Ours(r.net_profit, gross + costs),
        "profit_factor": Ours(r.profit_factor, gross + costs, undefined),
        "expected_payoff": Ours(r.expected_payoff, gross + costs, ZERO),
        "absolute_drawdown": Ours(d.absolute, from_start),
        "maximal_drawdown": Ours(d.maximal, from_start),
        "maximal_drawdown_percent": Ours(d.maximal_percent, from_start),
        "relative_drawdown": Ours(d.relative, from_start),
        "relative_drawdown_percent": Ours(d.relative_percent, from_start),
        "trades": Ours(Decimal(r.trades)),
        "shorts": Ours(Decimal(r.shorts)),
        "shorts_won_percent": Ours(_percent(r.shorts_won, r.shorts), f"{r.shorts_won} won"),
        "longs": Ours(Decimal(r.longs)),
        "longs_won_percent": Ours(_percent(r.longs_won, r.longs), f"{r.longs_won} won"),
        "wins": Ours(Decimal(r.wins), "results of 0 or more"),
        "wins_percent": Ours(_percent(r.wins, r.trades), f"{r.wins} of {r.trades}"),
        "losses": Ours(Decimal(r.losses), "results below 0"),
        "losses_percent": Ours(_percent(r.losses, r.trades), f"{r.losses} of {r.trades}"),
        "largest_win": Ours(r.largest_win, _ticket(r.best)),
        "largest_loss": Ours(r.largest_loss, _ticket(r.worst)),
        "average_win": Ours(r.average_win, f"{r.gross_profit:f} / {r.wins}", ZERO),
        "average_loss": Ours(r.average_loss, f"{r.gross_loss:f} / {r.losses}", ZERO),
    }


def _ticket(trade: Trade | None) -> str:
    return "" if trade is None else f"ticket {trade.ticket}"


def _of_runs(report: Report) -> dict[str, Ours]:
    found: dict[str, Ours] = {}
    for name, runs in (("wins", report.winning), ("losses", report.losing)):
        longest, best = runs.longest, runs.most_valuable
        found |= {
            f"longest_{name}": Ours(Decimal(longest.trades), f"worth {longest.money:f}"),
            f"longest_{name}_money": Ours(longest.money, f"of {longest.trades} trades"),
            f"best_{name}": Ours(best.money, f"of {best.trades} trades"),
            f"best_{name}_count": Ours(Decimal(best.trades), f"worth {best.money:f}"),
            f"average_{name}_in_a_row": Ours(Decimal(runs.average)),
        }
    return found


def _of_returns(report: Report) -> dict[str, Ours]:
    r = report
    runs = f"{r.wins} wins and {r.losses} losses in their order"
    curve = f"of {r.trades + 1} balances that start at {r.start_balance:f}"
    return {
        "sharpe_ratio": Ours(r.sharpe_ratio, "mean / deviation of result / balance", ZERO),
        "recovery_factor": Ours(r.recovery_factor, "net profit / maximal drawdown", ZERO),
        "ahpr": Ours(r.ahpr, "1 + mean of result / balance before it", ZERO),
        "ahpr_percent": Ours(_gain(r.ahpr), "", ZERO),
        "ghpr": Ours(r.ghpr, "(last / first balance) ^ (1 / trades)", ZERO),
        "ghpr_percent": Ours(_gain(r.ghpr), "", ZERO),
        "z_score": Ours(r.z_score, runs, ZERO),
        "z_confidence": Ours(r.z_confidence, runs, ZERO),
        "lr_correlation": Ours(r.lr_correlation, f"correlation {curve} with 0, 1, 2 …", ZERO),
        "lr_standard_error": Ours(r.lr_standard_error, f"regression {curve} on 0, 1, 2 …", ZERO),
    }


def _gain(factor: Figure) -> Figure:
    return factor if isinstance(factor, Absent) else (factor - 1) * HUNDRED


def _of_account(statement: Statement, ledger: Ledger, report: Report) -> dict[str, Ours]:
    profits = sum((row.profit for row in statement.open), ZERO)
    swaps = sum((row.swap for row in statement.open), ZERO)
    costs = sum((row.commission for row in statement.open), ZERO)
    is_mt4 = statement.platform is Platform.MT4
    floating = profits + swaps + costs if is_mt4 else profits
    operations = report.deposits + report.withdrawals
    balance = _balance(statement, ledger, report)
    stated = printed(statement, "balance")
    base = stated if stated is not None else report.balance
    credit = printed(statement, "credit") or ZERO
    equity = base + credit + profits + swaps + costs
    margin = printed(statement, "margin")
    sums = f"balance {base:f} + credit {credit:f} + open {profits + swaps + costs:f}"
    return {
        "deposit_withdrawal": Ours(operations, "sum of the balance rows"),
        "credit": Ours(report.credit, "sum of the credit rows; earlier credit is not among them"),
        "closed_profit": Ours(report.net_profit, "sum of the results"),
        "floating_profit": Ours(floating, f"profit {profits:f}, swap {swaps:f}, costs {costs:f}"),
        "balance": balance,
        "equity": Ours(equity, sums),
        "margin": _margin(statement),
        "free_margin": Ours(
            equity - margin if margin is not None else Absent("no margin is printed"),
            f"{sums} - margin {margin or ZERO:f}",
        ),
        "margin_level": _divided(HUNDRED * equity, margin, f"({sums}) / margin {margin:f}")
        if margin
        else Ours(Absent("there is no margin to divide by"), "", ZERO),
    }


def _balance(statement: Statement, ledger: Ledger, report: Report) -> Ours:
    first = ledger.records[0] if ledger.records else None
    sums = (
        f"operations {report.deposits + report.withdrawals:f}"
        f" + results {report.net_profit:f} = {ledger.moved:f}"
    )
    if statement.platform is Platform.MT5:
        return Ours(report.balance, f"{ledger.before:f} before the first deal; {sums}")
    if isinstance(first, Operation) or first is None:
        rest = f"; {ledger.before:f} of the printed balance comes from no row of the report"
        return Ours(ledger.moved, sums + (rest if ledger.before else ""))
    missing = "part of a history: the balance before its first row is not printed"
    return Ours(Absent(f"{missing}; by the printed one it was {ledger.before:f}"), sums)


def _margin(statement: Statement) -> Ours:
    if not statement.open:
        return Ours(ZERO, "nothing is open")
    text = "needs contract size, margin rate and conversion of each symbol: not in the report"
    return Ours(Absent(text))


def _of_test(statement: Statement, ledger: Ledger, report: Report) -> dict[str, Ours]:
    is_mt5 = statement.platform is Platform.MT5
    deals = sum(1 for deal in statement.deals if deal.direction)
    symbols = {row.symbol for row in statement.deals if row.symbol}
    lengths = [
        record.closed_at - record.opened_at
        for record in ledger.records
        if isinstance(record, Trade) and record.opened_at is not None
    ]
    found = {key: Ours(Absent(PRICES)) for key in ("bars", "ticks", "quality", "mismatched")}
    found |= {
        key: Ours(Absent(TICKS))
        for key in (
            "equity_absolute_drawdown",
            "equity_maximal_drawdown",
            "equity_maximal_drawdown_percent",
            "equity_relative_drawdown",
            "equity_relative_drawdown_percent",
            "margin_level",
            "profit_with_mfe",
            "profit_with_mae",
            "mfe_with_mae",
        )
    }
    found |= {
        "spread": Ours(Absent(PRICES)),
        "on_tester": Ours(Absent("the expert's own figure; how it is made is not in the report")),
        "deals": Ours(Decimal(deals), "buys and sells in the list"),
        "symbols": Ours(Decimal(len(symbols)), f"traded: {', '.join(sorted(symbols))[:200]}"),
        "initial_deposit": _deposit(statement, ledger),
        "recovery_factor": _equity_recovery(statement, report),
        "shortest": _length(lengths, min),
        "longest": _length(lengths, max),
        "average_length": _length(lengths, _mean),
    }
    if not is_mt5:
        for key in ("absolute", "maximal", "relative"):
            found[f"{key}_drawdown"] = Ours(Absent(TICKS))
            found[f"{key}_drawdown_percent"] = Ours(Absent(TICKS))
    return found


def _deposit(statement: Statement, ledger: Ledger) -> Ours:
    first = ledger.records[0] if ledger.records else None
    if statement.platform is Platform.MT5 and isinstance(first, Operation):
        return Ours(ledger.before + first.amount, "the balance after the first deal")
    before = initial_deposit(statement.tests)
    if before is None:
        return Ours(Absent("a setting of the test: no trade shows a balance"))
    return Ours(before, "the balance before the first closing")


def _equity_recovery(statement: Statement, report: Report) -> Ours:
    """A tester divides by its equity drawdown, which it prints and only it can measure."""
    drawdown = printed(statement, "equity_maximal_drawdown")
    if drawdown is None:
        return Ours(Absent("made from the equity drawdown, which is not printed"))
    text = f"{report.net_profit:f} / printed equity drawdown {drawdown:f}"
    return _divided(report.net_profit, drawdown, text) if drawdown else Ours(ZERO, text)


def _mean(lengths: list[timedelta]) -> timedelta:
    return sum(lengths, timedelta()) / len(lengths)


def _length(lengths: list[timedelta], choose: Callable[[list[timedelta]], timedelta]) -> Ours:
    """In seconds; from the first deal in to the deal out."""
    if not lengths:
        return Ours(Absent("no trade whose opening is in the report"), "", ZERO)
    longest = max(lengths)
    text = f"by the list of deals, where positions were open from {min(lengths)} to {longest}"
    return Ours(Decimal(choose(lengths) // timedelta(seconds=1)), text)


def _totals(statement: Statement) -> dict[str, Ours]:
    found: dict[str, Ours] = {}
    deals = sorted(statement.deals, key=lambda deal: (deal.time, deal.ticket))
    trades = [deal for deal in deals if deal.direction]
    sections: Mapping[str, tuple[Sequence[Struct], Sequence[str]]] = {
        "Closed Transactions": (statement.closed, ("commission", "taxes", "swap", "profit")),
        "Open Trades": (statement.open, ("commission", "taxes", "swap", "profit")),
        "Positions": (statement.open, ("swap", "profit")),
        "Deals": (trades, ("commission", "fee", "swap", "profit")),
    }
    for section, (rows, names) in sections.items():
        for name in names:
            total = sum((getattr(row, name) for row in rows), ZERO)
            found[f"{section}/{name.capitalize()}"] = Ours(total, f"sum of {len(rows)} rows")
    if deals and deals[-1].balance is not None:
        found["Deals/Balance"] = Ours(deals[-1].balance, "after the last deal")
    return found
