"""mt4rest's orders, history and frames in our words. Pure.

MT4 has no deals: a closed ticket is its own record, and a partial close gives the rest a new one.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import Struct

from copypro.adapters.bridge_json import (
    EPOCH,
    ROWS_KEPT,
    ZERO,
    Money,
    Name,
    Shape,
    Text,
    Whole,
    by_name_or_number,
    decoded,
    digits_or_none,
    figures_of,
    moment_or_none,
    padded,
    price_or_none,
    tidy_lots,
)
from copypro.trading import (
    BalanceOperation,
    ClosedOrder,
    CloseReason,
    History,
    OpenOrder,
    OrdersSeen,
)
from copypro.values import OrderKind, Ticket

KINDS = by_name_or_number(
    {
        kind.value: (number, kind)
        for number, kind in enumerate(OrderKind)
        if kind not in (OrderKind.BUY_STOP_LIMIT, OrderKind.SELL_STOP_LIMIT)
    }
)
_OPERATIONS = by_name_or_number({"Balance": (6, "Balance"), "Credit": (7, "Credit")})
_ENDS = by_name_or_number({"PositionClose": (1, "closed"), "PendingClose": (4, "cancelled")})
"""Of a frame's actions, those whose order is over."""
_CLOSE_BY = re.compile(r"close hedge by #(\d+)")
_STOP_OUT = re.compile(r"so: ?-?\d")
"""It follows the order's own comment without a gap: the margin level, the equity and the margin."""


class Raw(Struct):
    """MT4's own record, of which only this is used."""

    digits: int | None = None


class Order(Shape, rename="camel"):
    ticket: Whole
    type: Name = None
    symbol: Text | None = None
    lots: Decimal = ZERO
    open_price: Decimal = ZERO
    close_price: Decimal = ZERO
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    open_time: datetime | None = None
    close_time: datetime | None = None
    expiration: datetime | None = None
    magic_number: Whole = 0
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    profit: Decimal = ZERO
    comment: Text | None = None
    ex: Raw | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        digits = self.digits
        self.open_price = padded(self.open_price, digits)
        self.close_price = padded(self.close_price, digits)
        self.stop_loss = padded(self.stop_loss, digits)
        self.take_profit = padded(self.take_profit, digits)

    @property
    def digits(self) -> int | None:
        return None if self.ex is None else self.ex.digits


class _Update(Struct):
    action: Name = None
    order: Order | None = None


class _Data(Money, rename="camel", kw_only=True):
    opened_orders: list[msgspec.Raw]
    update: _Update | None = None


class _Page(Struct):
    orders: list[Order]


order = msgspec.json.Decoder(Order, strict=False)
_orders = msgspec.json.Decoder(list[Order], strict=False)
_data = msgspec.json.Decoder(_Data, strict=False)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_page = msgspec.json.Decoder(_Page, strict=False)


def open_orders(body: bytes) -> tuple[OpenOrder, ...]:
    """Errors: Unreadable; an error object in the list's place is no empty list."""
    return _listed(decoded(_rows, body))


def frame(body: bytes) -> OrdersSeen:
    """Of the data of an OrderUpdate. Errors: Unreadable."""
    data = decoded(_data, body)
    closed, paid = _proofs(data.update)
    return OrdersSeen(
        orders=_listed(data.opened_orders),
        figures=figures_of(data),
        closed=closed,
        operation=paid,
    )


def _proofs(update: _Update | None) -> tuple[ClosedOrder | None, BalanceOperation | None]:
    if update is None or update.order is None:
        return None, None
    row, closed = update.order, None
    if row.type in KINDS and update.action in _ENDS:
        closed = _closed(row, cancelled=KINDS[row.type].is_pending)
    return closed, _operation(row)


def history(body: bytes) -> tuple[History, bool]:
    """A plain list, or an object with a page's rows; never more to fetch. Errors: Unreadable."""
    is_list = body.lstrip()[:1] == b"["
    rows = decoded(_orders, body) if is_list else decoded(_page, body).orders
    closed: list[ClosedOrder] = []
    operations: list[BalanceOperation] = []
    for row in rows:
        found = _operation(row)
        if found is not None:
            operations.append(found)
        elif row.type in KINDS:
            closed.append(_closed(row, cancelled=KINDS[row.type].is_pending))
    return History(closed=tuple(closed), operations=tuple(operations)), False


def _listed(found: list[msgspec.Raw]) -> tuple[OpenOrder, ...]:
    listed = (_listed_row(bytes(row)) for row in found)
    return tuple(order for order in listed if order is not None)


@lru_cache(maxsize=ROWS_KEPT)
def _listed_row(body: bytes) -> OpenOrder | None:
    """None: no order, or a position of no lots, of which nothing is open: whether it closed, and how
    much of it, only a row that closes it tells. Each frame has the whole list, of which mostly one
    row is new.
    """
    row = decoded(order, body)
    if row.type not in KINDS or (tidy_lots(row.lots) <= 0 and not KINDS[row.type].is_pending):
        return None
    return _open(row)


def _open(row: Order) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(row.ticket),
        symbol=row.symbol or "",
        kind=KINDS[row.type],
        lots=tidy_lots(row.lots),
        open_price=row.open_price,
        opened_at_broker=moment_or_none(row.open_time) or EPOCH,
        stop_loss=price_or_none(row.stop_loss),
        take_profit=price_or_none(row.take_profit),
        expires_at_broker=moment_or_none(row.expiration),
        magic=row.magic_number,
        comment=row.comment or "",
        market_price=price_or_none(row.close_price),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
        digits=digits_or_none(row.digits),
    )


def _closed(row: Order, *, cancelled: bool) -> ClosedOrder:
    comment = row.comment or ""
    by = _CLOSE_BY.search(comment)
    return ClosedOrder(
        ticket=Ticket(row.ticket),
        deal=row.ticket,
        symbol=row.symbol or "",
        kind=KINDS[row.type],
        lots=tidy_lots(row.lots),
        open_price=row.open_price,
        close_price=row.close_price,
        opened_at_broker=moment_or_none(row.open_time) or EPOCH,
        closed_at_broker=moment_or_none(row.close_time) or EPOCH,
        stop_loss=price_or_none(row.stop_loss),
        take_profit=price_or_none(row.take_profit),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
        magic=row.magic_number,
        comment=comment,
        reason=CloseReason.CLOSE_BY if by is not None else _reason(comment),
        cancelled=cancelled,
        by_ticket=int(by[1]) if by is not None else None,
    )


def _reason(comment: str) -> CloseReason:
    """MT4 says why only at the end of the comment."""
    text = comment.lower()
    if "[sl" in text:
        return CloseReason.STOP_LOSS
    if "[tp" in text:
        return CloseReason.TAKE_PROFIT
    if "[so" in text or _STOP_OUT.search(text):
        return CloseReason.STOP_OUT
    return CloseReason.UNKNOWN


def _operation(row: Order) -> BalanceOperation | None:
    kind = _OPERATIONS.get(row.type)
    if kind is None:
        return None
    return BalanceOperation(
        ticket=Ticket(row.ticket),
        kind=kind,
        amount=row.profit,
        time_broker=moment_or_none(row.open_time) or moment_or_none(row.close_time) or EPOCH,
        comment=row.comment or "",
    )
