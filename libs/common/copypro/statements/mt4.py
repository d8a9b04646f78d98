"""Rows of MetaTrader 4's statements and tester reports. Their columns are told apart by the header:
fourteen of a statement (thirteen where there are no taxes), ten of a tester.
"""

from __future__ import annotations

from decimal import Decimal

from copypro.statements.fields import ZERO, Fields, Unreadable, in_time
from copypro.statements.rows import ClosedRow, OpenRow, OperationRow, PendingRow, TesterRow
from copypro.statements.values import moment

PENDING = frozenset({"buy limit", "sell limit", "buy stop", "sell stop"})
OPERATIONS = frozenset({"balance", "credit"})
TESTER_COLUMNS = 10
_CLOSINGS = frozenset({"close", "close by", "close at stop", "s/l", "t/p", "swap close"})
_OPENINGS = frozenset({"buy", "sell", "swap open"})
"""Where swaps are settled by reopening, a position ends as `swap close` and goes on as `swap open`."""
_CHANGES = frozenset({"modify", "delete", "expired"})
Mt4Row = ClosedRow | OpenRow | OperationRow | PendingRow | TesterRow


def statement_row(fields: Fields, line: int, comment: str, columns: int) -> Mt4Row:
    """A row of Closed Transactions, Open Trades or Working Orders. Errors: Unreadable."""
    word = fields.word(2)
    ticket = fields.whole(0, "ticket")
    if word in OPERATIONS:
        return OperationRow(
            line=line,
            ticket=ticket,
            time=fields.time(1, "open time"),
            kind=word,
            amount=fields.number(columns - 1, "amount"),
            comment=fields.text(3),
        )
    if word in PENDING:
        ended = fields.word(10) if moment(fields.text(8)) is not None else ""
        return PendingRow(line=line, ticket=ticket, symbol=fields.text(4), kind=word, ended=ended)
    if word not in ("buy", "sell"):
        expected = "buy, sell, a pending order's type, balance or credit"
        raise Unreadable(f"expected {expected} as type, found {fields.text(2)!r}")
    return _position(fields, line, ticket, comment, columns)


def _position(
    fields: Fields, line: int, ticket: int, comment: str, columns: int
) -> ClosedRow | OpenRow:
    opened, side = fields.time(1, "open time"), fields.side(2)
    has_taxes = columns >= 14
    commission = fields.number(10, "commission")
    taxes = fields.number(11, "taxes") if has_taxes else ZERO
    swap, profit = fields.number(columns - 2, "swap"), fields.number(columns - 1, "profit")
    symbol = fields.text(4)
    if not symbol:
        raise Unreadable("expected a symbol as item, found nothing")
    if not fields.text(8):
        return OpenRow(
            line=line,
            ticket=ticket,
            symbol=symbol,
            side=side,
            lots=fields.lots(3),
            opened_at=opened,
            open_price=fields.number(5, "open price"),
            market_price=fields.number(9, "price"),
            profit=profit,
            swap=swap,
            commission=commission,
            taxes=taxes,
            comment=comment,
        )
    closed = fields.time(8, "close time")
    in_time(opened, closed)
    return ClosedRow(
        line=line,
        ticket=ticket,
        symbol=symbol,
        side=side,
        lots=fields.lots(3),
        opened_at=opened,
        open_price=fields.number(5, "open price"),
        closed_at=closed,
        close_price=fields.number(9, "close price"),
        profit=profit,
        swap=swap,
        commission=commission,
        taxes=taxes,
        stop_loss=fields.level(6, "S/L"),
        take_profit=fields.level(7, "T/P"),
        comment=comment,
    )


def tester_row(fields: Fields, line: int) -> TesterRow:
    """A row of the tester's list. Errors: Unreadable."""
    word = fields.word(2)
    if not any(word in known for known in (_OPENINGS, PENDING, _CLOSINGS, _CHANGES)):
        expected = "buy, sell, close, s/l, t/p, modify, delete or close at stop"
        raise Unreadable(f"expected {expected} as type, found {fields.text(2)!r}")
    ends = word in _CLOSINGS
    return TesterRow(
        line=line,
        number=fields.whole(0, "number"),
        time=fields.time(1, "time"),
        kind=word,
        order=fields.whole(3, "order"),
        lots=fields.lots(4),
        price=fields.number(5, "price"),
        stop_loss=fields.level(6, "S/L"),
        take_profit=fields.level(7, "T/P"),
        profit=fields.number(8, "profit") if ends else _maybe(fields, 8, "profit"),
        balance=fields.number(9, "balance") if ends else _maybe(fields, 9, "balance"),
    )


def _maybe(fields: Fields, at: int, name: str) -> Decimal | None:
    return fields.number(at, name) if fields.text(at) else None


def is_closing(row: TesterRow) -> bool:
    return row.kind in _CLOSINGS
