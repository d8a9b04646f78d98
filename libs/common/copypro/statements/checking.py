"""Every figure that a report prints beside the same figure made from its own rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice

from msgspec import Struct

from copypro.statements.ledger import Ledger, ledger_of, printed
from copypro.statements.matching import is_certain
from copypro.statements.ours import HALF_CENT, Ours, all_of
from copypro.statements.rows import Kind, Printed, Statement
from copypro.statements.unrounded import resigned
from copypro.statements.values import decimals
from copypro.statistics.facts import ZERO, Absent, Operation
from copypro.statistics.history import Statistics
from copypro.statistics.report import Report
from copypro.values import Platform

SPREADSHEET_DECIMALS = 6
MOST_STARTS = 8
"""Operations after which a curve might start: each costs a report."""
HALF = Decimal("0.5")
CENT = Decimal("0.01")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?$")
_DURATION = re.compile(r"(\d+):(\d\d)(?::(\d\d))?$")
_LENGTHS = ("shortest", "longest", "average_length")
_DRAWDOWNS = (
    "absolute_drawdown", "maximal_drawdown", "maximal_drawdown_percent", "relative_drawdown",
    "relative_drawdown_percent",
)  # fmt: skip
_COUNTS = frozenset(
    {
        "trades", "shorts", "shorts_won_percent", "longs", "longs_won_percent", "wins",
        "wins_percent", "losses", "losses_percent", "longest_wins", "longest_losses",
        "best_wins_count", "best_losses_count", "average_wins_in_a_row", "average_losses_in_a_row",
    }
)  # fmt: skip

_AVERAGES = frozenset({"average_win", "average_loss"})


class Check(Struct, frozen=True):
    """`ours` at the printed precision, None if the report's rows cannot give it. `why`: what makes
    the two differ, or which fact is missing.
    """

    name: str
    printed: str
    ours: str | None
    equal: bool
    why: str | None = None


def check(statement: Statement) -> Sequence[Check]:
    ledger = ledger_of(statement)
    report = report_of(statement, ledger)
    ours = all_of(statement, ledger, report)
    checks = list(_checks(statement, ours))
    return _with_reasons(statement, ledger, report, checks)


def report_of(statement: Statement, ledger: Ledger, start: Decimal | None = None) -> Report:
    restarts = statement.platform is Platform.MT5 and statement.kind is Kind.TESTER
    statistics = Statistics(ledger.before, start=start, restarts_at_withdrawals=restarts)
    statistics.feed(ledger.records)
    return statistics.report()


def _checks(statement: Statement, ours: Mapping[str, Ours]) -> Iterator[tuple[str, Check]]:
    seen: set[str] = set()
    for figure in statement.printed:
        found = ours.get(figure.key)
        if found is None:
            continue
        name = figure.name if figure.name not in seen else f"{figure.name} (again)"
        seen.add(figure.name)
        yield figure.key, _compared(figure, name, found)


def _is_figure(text: str) -> bool:
    return not text or bool(_NUMBER.match(text) or _DURATION.match(text))


def _compared(figure: Printed, name: str, ours: Ours) -> Check:
    if isinstance(ours.value, Absent):
        return _compared_absent(figure, name, ours, ours.value)
    if not figure.text or not _is_figure(figure.text):
        what = (
            f"{figure.text[:40]!r} is printed, no number" if figure.text else "nothing is printed"
        )
        shown = format(ours.value.quantize(CENT, ROUND_HALF_UP), "f")
        return Check(name, figure.text[:40], shown, False, f"{what}; {ours.arithmetic}")
    if _DURATION.match(figure.text):
        return _compared_length(figure, name, ours, ours.value)
    places = SPREADSHEET_DECIMALS if figure.is_number else decimals(figure.text)
    unit = Decimal(1).scaleb(-places)
    if abs(ours.value - Decimal(figure.text)) <= HALF * unit + ours.slack:
        # Which way MetaTrader rounds an exact half is not settled: both neighbours are right.
        return Check(name, figure.text, figure.text, True)
    shown = format(ours.value.quantize(unit, ROUND_HALF_UP), "f")
    return Check(name, figure.text, shown, False, _by_rows(ours, shown))


def _by_rows(ours: Ours, shown: str) -> str:
    return f"the report's rows give {shown}" + (f": {ours.arithmetic}" if ours.arithmetic else "")


def _compared_absent(figure: Printed, name: str, ours: Ours, absent: Absent) -> Check:
    """A figure that is not defined is printed as nothing, or as what MetaTrader has for it."""
    if not figure.text:
        return Check(name, "", "", True, absent.why)
    is_number = bool(_NUMBER.match(figure.text))
    if is_number and ours.when_absent is not None and Decimal(figure.text) == ours.when_absent:
        return Check(name, figure.text, figure.text, True)
    return Check(name, figure.text[:40], None, False, absent.why)


def _compared_length(figure: Printed, name: str, ours: Ours, seconds: Decimal) -> Check:
    minutes, rest = divmod(int(seconds), 60)
    shown = f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    equal = shown == figure.text
    return Check(name, figure.text, shown, equal, None if equal else _by_rows(ours, shown))


# --- why they differ ------------------------------------------------------------------------------


def _with_reasons(
    statement: Statement, ledger: Ledger, report: Report, checks: list[tuple[str, Check]]
) -> list[Check]:
    start = _other_start(statement, ledger, report, checks)
    found = [(key, _with_reason(statement, report, key, check, start)) for key, check in checks]
    if statement.kind is Kind.TESTER and statement.platform is Platform.MT4:
        found = _with_signs(statement, ledger, report, found)
    return [check for _, check in found]


def _with_reason(
    statement: Statement, report: Report, key: str, check: Check, start: Decimal | None
) -> Check:
    if check.equal or check.ours is None:
        return check
    if key in _DRAWDOWNS and start is not None:
        text = f"MetaTrader's drawdowns all fit a curve that starts at {start:f}; the rows start"
        return _because(check, f"{text} it at {report.start_balance:f}")
    if statement.kind is Kind.TESTER and key == "sharpe_ratio":
        text = "newer testers annualise it on a series that is not in the report; per trade it is"
        return Check(check.name, check.printed, None, False, f"{text} {check.ours}")
    if statement.kind is Kind.TESTER and key == "symbols":
        text = "counts the symbols whose prices the tester loaded, traded or not; traded were"
        return Check(check.name, check.printed, None, False, f"{text} {check.ours}")
    if key in _LENGTHS and statement.deals and not is_certain(statement):
        text = "several positions were open at once, and which deal closed which is not in the"
        return Check(check.name, check.printed, None, False, f"{text} report")
    if statement.kind is Kind.TESTER and statement.platform is Platform.MT4:
        return check if key in _COUNTS else _of_unrounded(report, check)
    return check


def _of_unrounded(report: Report, check: Check) -> Check:
    """MT4's tester adds profits that it does not round; its rows are rounded."""
    if not _NUMBER.match(check.printed):
        return check
    difference = abs(Decimal(check.printed) - Decimal(check.ours or "0"))
    most = HALF_CENT * max(report.trades, 1) + Decimal("0.01")
    if difference > most:
        return check
    text = f"the tester adds unrounded profits: half a cent a row, {most:f} in {report.trades}"
    return _because(check, f"{text} rows; {check.why}")


def _with_signs(
    statement: Statement, ledger: Ledger, report: Report, checks: list[tuple[str, Check]]
) -> list[tuple[str, Check]]:
    """Counts that differ because a loss below half a cent is printed as 0.00."""

    def equal_in(other: Ledger) -> Mapping[str, Check]:
        ours = all_of(statement, other, report_of(statement, other))
        return {key: check for key, check in _checks(statement, ours) if check.equal}

    wins = printed(statement, "wins")
    found = resigned(ledger, report.wins, wins, lambda other: len(equal_in(other)))
    if found is None:
        return checks
    explained = equal_in(found.ledger) if found.ledger is not ledger else _COUNTS | _AVERAGES
    return [
        (key, _because(check, f"{found.text}; {check.why}"))
        if not check.equal and key in explained
        else (key, check)
        for key, check in checks
    ]


def _because(check: Check, why: str) -> Check:
    return Check(check.name, check.printed, check.ours, check.equal, why)


def _other_start(
    statement: Statement, ledger: Ledger, report: Report, checks: list[tuple[str, Check]]
) -> Decimal | None:
    """Where the curve must start for all drawdowns to be as printed, if the rows say otherwise.

    The time at which a deposit is printed can be earlier than the one by which MetaTrader orders.
    """
    drawdowns = [figure for figure in statement.printed if figure.key in _DRAWDOWNS]
    wrong = any(key in _DRAWDOWNS and not check.equal for key, check in checks)
    if not wrong or not drawdowns or statement.kind is Kind.TESTER:
        return None
    for start in dict.fromkeys(_starts(ledger)):
        if start == report.start_balance:
            continue
        ours = all_of(statement, ledger, report_of(statement, ledger, start))
        if all(_compared(figure, "", ours[figure.key]).equal for figure in drawdowns):
            return start
    return None


def _starts(ledger: Ledger) -> Iterator[Decimal]:
    """Nothing, what was there before, and what each of the first operations made of it."""
    yield ZERO
    yield ledger.before
    operations = (r for r in ledger.records if isinstance(r, Operation) and not r.is_credit)
    balance = ledger.before
    for operation in islice(operations, MOST_STARTS):
        balance += operation.amount
        yield balance
