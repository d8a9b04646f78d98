"""What a report contains, row by row and figure by figure; times are the broker's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from copypro.statements.grid import Problem
from copypro.values import Mode, Platform, Side


class Kind(StrEnum):
    HISTORY = "history"
    TESTER = "tester"


class ClosedRow(Struct, frozen=True, kw_only=True, gc=False):
    """A closed MT4 order, or MT5's summary of a closed position."""

    line: int
    ticket: int
    symbol: str
    side: Side
    lots: Decimal
    opened_at: datetime
    open_price: Decimal
    closed_at: datetime
    close_price: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal
    taxes: Decimal = Decimal(0)
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    comment: str = ""


CREDITS = frozenset(("credit", "bonus"))


class DealRow(Struct, frozen=True, kw_only=True, gc=False):
    """An MT5 deal. `direction`: in, out, in/out, out by, or nothing (no trade)."""

    line: int
    ticket: int
    time: datetime
    symbol: str
    kind: str
    direction: str
    lots: Decimal
    price: Decimal
    order: int
    commission: Decimal
    fee: Decimal
    swap: Decimal
    profit: Decimal
    balance: Decimal | None
    comment: str = ""

    @property
    def amount(self) -> Decimal:
        """By how much it moved the balance."""
        return self.profit + self.swap + self.commission + self.fee


class TesterRow(Struct, frozen=True, kw_only=True, gc=False):
    """A line of MT4's tester: an order's opening, change or closing."""

    line: int
    number: int
    time: datetime
    kind: str
    order: int
    lots: Decimal
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    profit: Decimal | None
    balance: Decimal | None


class OperationRow(Struct, frozen=True, kw_only=True, gc=False):
    line: int
    ticket: int
    time: datetime
    kind: str
    amount: Decimal
    comment: str = ""

    @property
    def is_credit(self) -> bool:
        return self.kind in CREDITS


class PendingRow(Struct, frozen=True, kw_only=True, gc=False):
    """A pending order that never filled: never a trade."""

    line: int
    ticket: int
    symbol: str
    kind: str
    ended: str
    """cancelled, expired, deleted, or nothing while it works."""


class OpenRow(Struct, frozen=True, kw_only=True, gc=False):
    line: int
    ticket: int
    symbol: str
    side: Side
    lots: Decimal
    opened_at: datetime
    open_price: Decimal
    market_price: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal = Decimal(0)
    taxes: Decimal = Decimal(0)
    comment: str = ""


class Printed(Struct, frozen=True):
    """A figure that MetaTrader printed: its English name there, and ours for what it is."""

    name: str
    key: str
    text: str
    """Without blanks and percent sign, with a decimal point; "" where the cell is empty."""
    line: int
    is_number: bool = False
    """Of a spreadsheet: up to six decimals, trailing zeros left out."""


class Header(Struct, frozen=True, kw_only=True):
    login: int = 0
    name: str = ""
    currency: str = ""
    company: str = ""
    server: str = ""
    leverage: str = ""
    mode: Mode | None = None
    written_at: str = ""
    settings: Mapping[str, str] = {}
    """Of a tester: expert, symbol, period, inputs …, as printed."""


class Statement(Struct, frozen=True, kw_only=True):
    platform: Platform
    kind: Kind
    header: Header
    closed: Sequence[ClosedRow] = ()
    """MT4: the trades. MT5: its positions, which are no trades (a deal is one)."""
    deals: Sequence[DealRow] = ()
    tests: Sequence[TesterRow] = ()
    operations: Sequence[OperationRow] = ()
    pendings: Sequence[PendingRow] = ()
    open: Sequence[OpenRow] = ()
    printed: Sequence[Printed] = ()
    problems: Sequence[Problem] = ()
