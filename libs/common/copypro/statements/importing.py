"""A report as commands: bounded pieces that make an account of the kind `imported`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from copypro.messages import ImportHistory, StatementOperation, StatementRow
from copypro.statements.ledger import credit_lines, ledger_of, printed
from copypro.statements.matching import matches
from copypro.statements.rows import CREDITS, DealRow, Kind, Statement
from copypro.statistics.facts import Entry, Trade
from copypro.values import (
    AccountId,
    Platform,
    RegistrationId,
    Side,
    Ticket,
    UserId,
    digest,
    imported_account_id,
)

PIECE_ROWS = 200
"""About 60 kB: far below what a log takes as one message."""
_CLOSING = frozenset({"out", "in/out", "out by"})


def account_of(statement: Statement, user: UserId) -> AccountId:
    """The same for every report of one account, and for one and the same test."""
    header = statement.header
    if statement.kind is Kind.TESTER:
        settings = "|".join(f"{name}={value}" for name, value in header.settings.items())
        owner = f"tester|{header.name}|{settings}|{_first_and_last(statement)}"
    else:
        owner = f"{header.company or header.server}|{header.login}"
    return imported_account_id(user, statement.platform, owner)


def _first_and_last(statement: Statement) -> str:
    """Two runs with the same settings on other prices are other tests."""
    ends = [(row.time, row.balance) for row in statement.deals if row.balance is not None]
    ends += [(row.time, row.balance) for row in statement.tests if row.balance is not None]
    return digest(*ends[:1], *ends[-1:])


def commands_of(
    statement: Statement, user: UserId, registration: RegistrationId
) -> Sequence[ImportHistory]:
    """At least one: a report without trades makes an account too."""
    header = statement.header
    account = account_of(statement, user)
    rows, operations = list(_rows(statement)), list(_operations(statement))
    starts = range(0, max(len(rows), len(operations), 1), PIECE_ROWS)
    return [
        ImportHistory(
            account=account,
            registration=registration,
            user=user,
            platform=statement.platform,
            server=header.server or header.company,
            login=header.login,
            name=_name(statement),
            currency=header.currency,
            balance=_balance(statement),
            written_at=header.written_at,
            rows=tuple(rows[at : at + PIECE_ROWS]),
            operations=tuple(operations[at : at + PIECE_ROWS]),
        )
        for at in starts
    ]


def _name(statement: Statement) -> str:
    header = statement.header
    if statement.kind is Kind.TESTER:
        return f"test of {header.name or 'an expert'}"[:200]
    return f"{header.login} {header.company or header.server}".strip()[:200]


def _balance(statement: Statement) -> Decimal | None:
    """Where an account's curve ends: printed, or what the records add up to."""
    if statement.kind is Kind.TESTER or statement.platform is Platform.MT5:
        ledger = ledger_of(statement)
        return ledger.before + ledger.moved
    return printed(statement, "balance")


def _rows(statement: Statement) -> Iterator[StatementRow]:
    if statement.platform is Platform.MT5:
        yield from _of_deals(statement)
    elif statement.kind is Kind.TESTER:
        yield from _of_tests(statement)
    else:
        yield from _of_orders(statement)


def _of_orders(statement: Statement) -> Iterator[StatementRow]:
    for row in statement.closed:
        yield StatementRow(
            number=row.ticket,
            ticket=Ticket(row.ticket),
            symbol=row.symbol,
            side=row.side,
            lots=row.lots,
            open_price=row.open_price,
            opened_at_broker=row.opened_at,
            close_price=row.close_price,
            closed_at_broker=row.closed_at,
            profit=row.profit,
            swap=row.swap,
            commission=row.commission,
            fee=row.taxes,
            stop_loss=row.stop_loss,
            take_profit=row.take_profit,
            comment=row.comment,
        )


def _of_deals(statement: Statement) -> Iterator[StatementRow]:
    found = matches(statement)
    for deal in statement.deals:
        if deal.direction not in _CLOSING:
            continue
        match = found.get(deal.ticket)
        yield StatementRow(
            number=deal.ticket,
            ticket=Ticket(match.position if match else deal.ticket),
            symbol=deal.symbol,
            side=Side.SELL if deal.kind == "buy" else Side.BUY,
            lots=deal.lots,
            open_price=match.open_price if match else None,
            opened_at_broker=match.opened_at if match else None,
            close_price=deal.price,
            closed_at_broker=deal.time,
            profit=deal.profit,
            swap=deal.swap,
            commission=deal.commission,
            fee=deal.fee,
            comment=deal.comment,
        )


def _of_tests(statement: Statement) -> Iterator[StatementRow]:
    for record in ledger_of(statement).records:
        if isinstance(record, Trade):
            yield StatementRow(
                number=record.ticket,
                ticket=Ticket(record.ticket),
                symbol=statement.header.settings.get("Symbol", "").partition(" ")[0],
                side=record.side,
                lots=record.lots,
                open_price=record.open_price,
                opened_at_broker=record.opened_at,
                close_price=record.close_price or record.profit * 0,
                closed_at_broker=record.closed_at,
                profit=record.profit,
            )


def _operations(statement: Statement) -> Iterator[StatementOperation]:
    for row in statement.operations:
        yield StatementOperation(
            number=row.ticket,
            kind=row.kind.capitalize(),
            amount=row.amount,
            time_broker=row.time,
            comment=row.comment,
        )
    credits = credit_lines(statement.deals)
    for deal in statement.deals:
        if not deal.direction:
            yield StatementOperation(
                number=deal.ticket,
                kind=_kind_of(deal, is_credit=deal.line in credits),
                amount=deal.amount,
                time_broker=deal.time,
                comment=deal.comment,
            )
    for record in ledger_of(statement).records if statement.deals else ():
        if isinstance(record, Entry):
            yield StatementOperation(
                number=record.ticket,
                kind="EntryCost",
                amount=record.amount,
                time_broker=record.closed_at,
            )


def _kind_of(deal: DealRow, *, is_credit: bool) -> str:
    """By which it is known whether it moves the balance."""
    if is_credit and deal.kind not in CREDITS:
        return "Credit"
    if not is_credit and deal.kind in CREDITS:
        return "Balance"
    return deal.kind.capitalize()
