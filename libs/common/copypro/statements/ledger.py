"""A report as a history for statistics: trades, balance operations, costs of entries, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from copypro.statements.matching import Matched, matches
from copypro.statements.mt4 import is_closing
from copypro.statements.mt5 import OPERATIONS
from copypro.statements.rows import DealRow, Kind, Statement, TesterRow
from copypro.statistics.facts import (
    ZERO,
    Entry,
    Operation,
    Record,
    Trade,
    in_order,
    moves_balance,
)
from copypro.values import Platform, Side

_CLOSING = frozenset({"out", "in/out", "out by"})


class Ledger(Struct, frozen=True):
    """`before`: the balance before the first record, as the report itself tells it."""

    records: Sequence[Record]
    before: Decimal
    moved: Decimal
    """All records together."""


def ledger_of(statement: Statement) -> Ledger:
    if statement.platform is Platform.MT5:
        records = in_order(_of_deals(statement))
    elif statement.kind is Kind.TESTER:
        records = in_order(_of_tests(statement.tests))
    else:
        records = in_order(_of_orders(statement))
    moved = sum(map(moves_balance, records), ZERO)
    return Ledger(records, _before(statement, moved), moved)


def printed(statement: Statement, key: str) -> Decimal | None:
    """The figure as the report prints it, where it does."""
    for figure in statement.printed:
        if figure.key == key and figure.text:
            try:
                return Decimal(figure.text)
            except ArithmeticError:
                return None
    return None


def _before(statement: Statement, moved: Decimal) -> Decimal:
    """MT4: what is left of the final balance without the records. MT5: the first deal's own."""
    if statement.platform is Platform.MT5:
        first = min(statement.deals, key=_dealt, default=None)
        if first is None or first.balance is None:
            return ZERO
        is_credit = first.line in credit_lines(statement.deals)
        return first.balance - (ZERO if is_credit else first.amount)
    if statement.kind is Kind.TESTER:
        deposit = printed(statement, "initial_deposit")
        return deposit if deposit is not None else initial_deposit(statement.tests) or ZERO
    balance = printed(statement, "balance")
    return ZERO if balance is None else balance - moved


def initial_deposit(tests: Sequence[TesterRow]) -> Decimal | None:
    """Of an MT4 test: the balance before its first closing."""
    for row in tests:
        if row.balance is not None and row.profit is not None:
            return row.balance - row.profit
    return None


def _of_orders(statement: Statement) -> Iterator[Record]:
    for row in statement.closed:
        yield Trade(
            closed_at=row.closed_at,
            ticket=row.ticket,
            side=row.side,
            symbol=row.symbol,
            lots=row.lots,
            profit=row.profit,
            swap=row.swap,
            commission=row.commission,
            fee=row.taxes,
            opened_at=row.opened_at,
            open_price=row.open_price,
            close_price=row.close_price,
        )
    yield from _operations(statement)


def _operations(statement: Statement) -> Iterator[Record]:
    for row in statement.operations:
        yield Operation(
            closed_at=row.time, ticket=row.ticket, amount=row.amount, is_credit=row.is_credit
        )


def credit_lines(deals: Sequence[DealRow]) -> frozenset[int]:
    """Of the deals that move the credit and leave the balance alone."""
    found: set[int] = set()
    before: Decimal | None = None
    for deal in sorted(deals, key=_dealt):
        if not deal.direction and _is_credit(deal, before):
            found.add(deal.line)
        before = deal.balance
    return frozenset(found)


def _is_credit(deal: DealRow, before: Decimal | None) -> bool:
    """Brokers book a bonus either way, and other languages have words of their own: of both the
    balances tell that are printed.
    """
    if deal.kind != "bonus" and deal.kind in OPERATIONS:
        return deal.kind == "credit"
    if before is not None and deal.balance in (before, before + deal.amount):
        return deal.balance == before
    return deal.kind == "bonus"


def _dealt(deal: DealRow) -> tuple[datetime, int]:
    return deal.time, deal.ticket


def _of_deals(statement: Statement) -> Iterator[Record]:
    found, credits = matches(statement), credit_lines(statement.deals)
    for deal in statement.deals:
        if deal.direction == "in":
            if deal.amount:
                yield Entry(closed_at=deal.time, ticket=deal.ticket, amount=deal.amount)
        elif deal.direction in _CLOSING:
            yield _closing(deal, found.get(deal.ticket))
        else:
            yield Operation(
                closed_at=deal.time,
                ticket=deal.ticket,
                amount=deal.amount,
                is_credit=deal.line in credits,
            )
    yield from _operations(statement)


def _closing(deal: DealRow, match: Matched | None) -> Trade:
    """A `sell out` is a long trade."""
    return Trade(
        closed_at=deal.time,
        ticket=deal.ticket,
        side=Side.SELL if deal.kind == "buy" else Side.BUY,
        symbol=deal.symbol,
        lots=deal.lots,
        profit=deal.profit,
        swap=deal.swap,
        commission=deal.commission,
        fee=deal.fee,
        opened_at=match.opened_at if match else None,
        open_price=match.open_price if match else None,
        close_price=deal.price,
    )


def _of_tests(rows: Sequence[TesterRow]) -> Iterator[Record]:
    """A partial close leaves the rest under a new number, which has no opening of its own; a swap
    settled by reopening leaves all of it, whose new opening does not tell its side.
    """
    opened: dict[int, TesterRow] = {}
    rests: list[tuple[Decimal, TesterRow]] = []
    swapped: list[tuple[Decimal, TesterRow]] = []
    for row in rows:
        if row.kind in ("buy", "sell"):
            opened[row.order] = row
        elif row.kind == "swap open":
            before = _rest(swapped, row.lots)
            opened[row.order] = replace(row, kind=before.kind if before else "buy")
        elif is_closing(row):
            opening = opened.pop(row.order, None)
            if opening is None:
                opening = _rest(rests, row.lots)
            elif row.lots < opening.lots:
                rests.append((opening.lots - row.lots, opening))
            if row.kind == "swap close" and opening is not None:
                swapped.append((row.lots, opening))
            yield _test_trade(row, opening)


def _rest(rests: list[tuple[Decimal, TesterRow]], lots: Decimal) -> TesterRow | None:
    for at, (left, opening) in enumerate(rests):
        if left >= lots:
            del rests[at]
            if left > lots:
                rests.insert(at, (left - lots, opening))
            return opening
    return None


def _test_trade(row: TesterRow, opening: TesterRow | None) -> Trade:
    return Trade(
        closed_at=row.time,
        ticket=row.number,
        side=Side.SELL if opening is not None and opening.kind == "sell" else Side.BUY,
        symbol="",
        lots=row.lots,
        profit=row.profit or ZERO,
        opened_at=opening.time if opening else None,
        open_price=opening.price if opening else None,
        close_price=row.price,
    )
