"""Rows of MetaTrader 5's reports, which are told apart by what stands in them, not by their titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from copypro.statements.fields import ZERO, Fields, Unreadable, in_time
from copypro.statements.rows import ClosedRow, DealRow, OpenRow, PendingRow
from copypro.statements.values import moment

DIRECTIONS = {"in": "in", "out": "out", "in/out": "in/out", "inout": "in/out", "out by": "out by"}
OPERATIONS = frozenset(
    {
        "balance", "credit", "charge", "correction", "bonus", "commission", "daily commission",
        "monthly commission", "agent commission", "daily agent commission",
        "monthly agent commission", "interest", "interest rate", "dividend", "franked dividend",
        "tax", "so compensation", "so credit compensation",
    }
)  # fmt: skip
CANCELLED = frozenset({"buy canceled", "sell canceled", "canceled buy", "canceled sell"})
Mt5Row = ClosedRow | DealRow | OpenRow | PendingRow
_DEAL_NAMES = {
    "time": "time", "deal": "ticket", "symbol": "symbol", "type": "kind",
    "direction": "direction", "volume": "lots", "price": "price", "order": "order",
    "cost": "cost", "commission": "commission", "fee": "fee", "swap": "swap", "profit": "profit",
    "balance": "balance", "comment": "comment",
}  # fmt: skip
_FIRST = ("time", "ticket", "symbol", "kind", "direction", "lots", "price", "order")
_LAST = {
    4: ("commission", "swap", "profit", "balance"),
    5: ("commission", "swap", "profit", "balance", "comment"),
    6: ("commission", "fee", "swap", "profit", "balance", "comment"),
    7: ("cost", "commission", "fee", "swap", "profit", "balance", "comment"),
}
Columns = Mapping[str, int]


def deal_columns(header: Sequence[str]) -> Columns:
    """Where each field of a deal stands: by the English names, else by how many columns there are."""
    known = {_DEAL_NAMES.get(name.lower()): at for at, name in enumerate(header)}
    known.pop(None, None)
    if len(known) >= len(_FIRST) + 4:
        return {name: at for name, at in known.items() if name is not None}
    last = _LAST.get(len(header) - len(_FIRST))
    if last is None:
        return {}
    return {name: at for at, name in enumerate((*_FIRST, *last))}


def row_of(fields: Fields, line: int, header: Sequence[str]) -> Mt5Row:
    """Errors: Unreadable."""
    word, at = fields.word(3), deal_columns(header)
    if fields.word(4) in DIRECTIONS or word in OPERATIONS or word in CANCELLED:
        return _deal(fields, line, at)
    if _moves_only_money(fields, at):
        return _deal(fields, line, at)
    if "/" in fields.text(4):
        return _order(fields, line)
    if word not in ("buy", "sell"):
        raise Unreadable(f"expected a type of deal or order, found {fields.text(3)!r}")
    if moment(fields.text(8)) is not None:
        return _position(fields, line)
    return _open(fields, line)


def _moves_only_money(fields: Fields, at: Columns) -> bool:
    """Whatever an operation is called: builds and brokers write a daily commission in three ways."""
    return bool(at) and not any(fields.text(at[name]) for name in ("direction", "lots", "price"))


def _deal(fields: Fields, line: int, at: Columns) -> DealRow:
    if not at:
        raise Unreadable("expected the columns of deals (12 to 15), found others")
    direction = DIRECTIONS.get(fields.word(at["direction"]), "")
    kind = fields.word(at["kind"])
    is_trade = kind in ("buy", "sell")
    if is_trade and not direction:
        raise Unreadable(f"expected in, out, in/out or out by, found {fields.text(4)!r}")
    fees = [fields.number_or(at[name], name, ZERO) for name in ("fee", "cost") if name in at]
    has_balance = bool(fields.text(at["balance"]))
    return DealRow(
        line=line,
        ticket=fields.whole(at["ticket"], "deal"),
        time=fields.time(at["time"], "time"),
        symbol=fields.text(at["symbol"]),
        kind=kind,
        direction=direction,
        lots=fields.lots(at["lots"]) if is_trade else ZERO,
        price=fields.number(at["price"], "price") if is_trade else ZERO,
        order=fields.whole(at["order"], "order") if fields.text(at["order"]) else 0,
        commission=fields.number_or(at["commission"], "commission", ZERO),
        fee=sum(fees, ZERO),
        swap=fields.number_or(at["swap"], "swap", ZERO),
        profit=fields.number_or(at["profit"], "profit", ZERO),
        balance=fields.number(at["balance"], "balance") if has_balance else None,
        comment=fields.text(at["comment"]) if "comment" in at else "",
    )


def _order(fields: Fields, line: int) -> PendingRow:
    """Orders are listed whether or not they filled; a market order is a pending one that did."""
    ended = fields.word(9) if moment(fields.text(8)) is not None else ""
    return PendingRow(
        line=line,
        ticket=fields.whole(1, "order"),
        symbol=fields.text(2),
        kind=fields.word(3),
        ended=ended,
    )


def _position(fields: Fields, line: int) -> ClosedRow:
    opened, closed = fields.time(0, "time"), fields.time(8, "time")
    in_time(opened, closed)
    return ClosedRow(
        line=line,
        ticket=fields.whole(1, "position"),
        symbol=fields.text(2),
        side=fields.side(3),
        lots=fields.lots(4),
        opened_at=opened,
        open_price=fields.number(5, "price"),
        closed_at=closed,
        close_price=fields.number(9, "price"),
        commission=fields.number_or(10, "commission", ZERO),
        swap=fields.number_or(11, "swap", ZERO),
        profit=fields.number(12, "profit"),
        stop_loss=fields.level(6, "S/L"),
        take_profit=fields.level(7, "T/P"),
    )


def _open(fields: Fields, line: int) -> OpenRow:
    return OpenRow(
        line=line,
        ticket=fields.whole(1, "position"),
        symbol=fields.text(2),
        side=fields.side(3),
        lots=fields.lots(4),
        opened_at=fields.time(0, "time"),
        open_price=fields.number(5, "price"),
        market_price=fields.number(8, "market price"),
        swap=fields.number_or(9, "swap", ZERO),
        profit=fields.number_or(10, "profit", ZERO),
        comment=fields.text(11),
    )
