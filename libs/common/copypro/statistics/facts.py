"""What statistics are made from: closed trades, balance operations, commissions, equity samples.

Money and lots are Decimals, times the broker's clock. What would need a fact that is not there is
`Absent` and says which one: never 0, never infinity, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from heapq import merge

from msgspec import Struct

from copypro.values import Side

ZERO = Decimal(0)


class Absent(Struct, frozen=True):
    """A figure that cannot be given, and the fact that is missing."""

    why: str


Figure = Decimal | Absent


class Trade(Struct, frozen=True, kw_only=True, gc=False):
    """One closing: a closed MT4 order (a partial close is one of its own), an MT5 closing deal.

    `side` is that of what was closed. `ticket` orders what was closed at the same time: the closed
    order's (MT4), the closing deal's (MT5).
    """

    closed_at: datetime
    ticket: int
    side: Side
    symbol: str
    lots: Decimal
    profit: Decimal
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    fee: Decimal = ZERO
    """Also MT4's taxes."""
    opened_at: datetime | None = None
    open_price: Decimal | None = None
    close_price: Decimal | None = None
    position: str = ""
    """What the equity samples call the position it closed."""
    listed_as: int | None = None
    """The ticket under which it is in the list of closed orders, where that is another: MT5's have
    their position's.
    """

    @property
    def shown_ticket(self) -> int:
        return self.ticket if self.listed_as is None else self.listed_as

    @property
    def result(self) -> Decimal:
        """All of it, in every metric of MetaTrader's reports."""
        return self.profit + self.swap + self.commission + self.fee


class Operation(Struct, frozen=True, kw_only=True, gc=False):
    """A deposit, withdrawal, interest, correction …: never a trade, never part of net profit.

    `is_credit`: moves the credit and leaves the balance alone.
    """

    closed_at: datetime
    ticket: int
    amount: Decimal
    is_credit: bool = False


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """What an MT5 deal that opened a position cost: moves the balance, belongs to no trade."""

    closed_at: datetime
    ticket: int
    amount: Decimal


class Sample(Struct, frozen=True, kw_only=True, gc=False):
    """The account's equity since the last sample, and each open position's extremes of profit."""

    closed_at: datetime
    balance: Decimal
    equity: Decimal
    equity_high: Decimal
    equity_low: Decimal
    profit_high: Mapping[str, Decimal] = {}
    profit_low: Mapping[str, Decimal] = {}
    ticket: int = -1
    """Before what closed at the same moment: then its position was still open."""


Record = Trade | Operation | Entry | Sample


def order(record: Record) -> tuple[datetime, int]:
    """Close time, ties by ticket (MT4) or deal (MT5): the order that every figure assumes."""
    return record.closed_at, record.ticket


def in_order(records: Iterable[Record]) -> list[Record]:
    """The rows of a saved statement are not always in this order."""
    return sorted(records, key=order)


def merged(*histories: Iterable[Record]) -> Iterable[Record]:
    """Several histories that are in order, as one, without holding them."""
    return merge(*histories, key=order)


def moves_balance(record: Record) -> Decimal:
    """By how much the record changes the account's balance."""
    match record:
        case Trade():
            return record.result
        case Entry():
            return record.amount
        case Operation():
            return ZERO if record.is_credit else record.amount
        case Sample():
            return ZERO
