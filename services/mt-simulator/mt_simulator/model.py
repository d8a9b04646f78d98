"""What a broker holds: servers with symbols and clocks, accounts with orders, history and money."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

D0 = Decimal(0)


class Platform(StrEnum):
    MT4 = "MT4"
    MT5 = "MT5"


class Refusal(Exception):
    """The broker says no; `code` is the platform's own name for why."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code} {message}".strip())
        self.code, self.message = code, message or code


class Symbol(Struct, kw_only=True):
    name: str
    digits: int = 5
    contract_size: Decimal = Decimal(100_000)
    profit_currency: str = "USD"
    margin_currency: str = "EUR"
    calculation: str = "Forex"
    """Of the profit."""
    margin_calculation: str = ""
    """Forex, CFD, CfdLeverage, CfdIndex or Futures; empty: as `margins` says."""
    margin_divider: Decimal = Decimal(1)
    margin_initial: Decimal = D0
    """Of a lot, in the margin's currency, where the broker has set one; of a future always."""
    tick_price: Decimal = D0
    """Of a CFD on an index, in the currency of its profit."""
    lot_min: Decimal = Decimal("0.01")
    lot_max: Decimal = Decimal(100)
    lot_step: Decimal = Decimal("0.01")
    tick_size: Decimal | None = None
    stops_level: int = 0
    freeze_level: int = 0
    trade_mode: str = "FullAccess"
    execution: str = "Market"
    volume_limit: Decimal = D0
    commission_per_lot: Decimal = D0
    swap_long: Decimal = D0
    """Points of the price for a lot and a night; below zero: charged."""
    swap_short: Decimal = D0
    triple_swap_weekday: int = 2
    """The night after it counts for the weekend as well; 0 is Monday."""
    bid: Decimal = D0
    ask: Decimal = D0
    quoted_at: datetime | None = None

    @property
    def point(self) -> Decimal:
        return Decimal(1).scaleb(-self.digits)

    def opens_at(self, buy: bool) -> Decimal:
        return self.ask if buy else self.bid

    def closes_at(self, buy: bool) -> Decimal:
        return self.bid if buy else self.ask


class Server(Struct, kw_only=True):
    name: str
    platform: Platform
    company: str = "Simulated Broker"
    offset_minutes: int = 120
    us_summer_time: bool = False
    """An hour more between the second Sunday of March and the first of November."""
    eu_summer_time: bool = False
    """An hour more between the last Sundays of March and October."""
    rolled_on: date | None = None
    """The nights before this day of the server's are charged."""
    market_open: bool = True
    symbols: dict[str, Symbol] = {}
    rates: dict[str, Decimal] = {}
    """Conversions that no symbol quotes, by "EURUSD"."""
    next_ticket: int = 0
    next_deal: int = 4_000_001

    def clock(self, now: datetime) -> datetime:
        """The server's own time, without a zone."""
        offset = self.offset_minutes
        is_us, is_eu = self.us_summer_time, self.eu_summer_time
        if (is_us and _is_us_summer(now)) or (is_eu and _is_eu_summer(now)):
            offset += 60
        return (now + timedelta(minutes=offset)).replace(tzinfo=None)


class Order(Struct, kw_only=True):
    """A position or a pending order."""

    ticket: int
    symbol: str
    kind: str
    """Buy, Sell, BuyLimit …"""
    lots: Decimal
    open_price: Decimal
    opened_at: datetime
    """The server's clock."""
    stop_loss: Decimal = D0
    take_profit: Decimal = D0
    stop_limit: Decimal = D0
    expires_at: datetime | None = None
    magic: int = 0
    comment: str = ""
    commission: Decimal = D0
    swap: Decimal = D0
    deal: int = 0
    closed_lots: Decimal = D0
    lots_asked: Decimal = D0
    opened_ms: int = 0
    """UTC milliseconds."""
    identifier: int = 0
    """MT5: the ticket it first had, where the server gave it another one."""

    @property
    def id(self) -> int:
        return self.identifier or self.ticket

    @property
    def buy(self) -> bool:
        return self.kind.startswith("Buy")

    @property
    def pending(self) -> bool:
        return self.kind not in ("Buy", "Sell")


class Closed(Struct, kw_only=True):
    """A closed piece, a cancelled pending order, or (kind Balance or Credit) an operation."""

    order: Order
    lots: Decimal
    price: Decimal
    closed_at: datetime
    closed_ms: int
    profit: Decimal = D0
    swap: Decimal = D0
    commission: Decimal = D0
    deal: int = 0
    reason: str = "Client"
    """Client, StopLoss, TakeProfit, StopOut, CloseBy, Cancelled, Expired, Balance, Credit."""
    comment: str = ""
    by_ticket: int = 0
    position_left: Decimal = D0


class Change(Struct, kw_only=True):
    """One thing that happened on an account, in the order in which it happened."""

    what: str
    """opened, added, partly, closed, modified, placed, pending_modified, deleted, expired, filled,
    balance, credit, reversed."""
    order: Order
    closed: Closed | None = None
    rest: Order | None = None
    """MT4: the order that carries on after a partial close."""


class Account(Struct, kw_only=True):
    platform: Platform
    server: str
    login: int
    password: str
    investor_password: str = ""
    currency: str = "USD"
    leverage: int = 100
    mode: str = "Hedging"
    balance: Decimal = Decimal(10_000)
    credit: Decimal = D0
    stop_out_percent: Decimal = Decimal(50)
    name: str = "Simulated"
    disabled: bool = False
    retickets: bool = False
    """Netting: the position is shown under the ticket of its latest deal's order."""
    market_execution_stops: bool = True
    """False: the broker refuses stops that come with an open."""
    orders: dict[int, Order] = {}
    history: list[Closed] = []


def _is_us_summer(now: datetime) -> bool:
    """New York changes at 2:00 of its own time: 7:00 UTC in spring, 6:00 UTC in autumn."""
    begins = _sunday(datetime(now.year, 3, 8, 7, tzinfo=now.tzinfo))
    return begins <= now < _sunday(datetime(now.year, 11, 1, 6, tzinfo=now.tzinfo))


def _is_eu_summer(now: datetime) -> bool:
    """All of Europe changes at 1:00 UTC."""
    begins = _sunday(datetime(now.year, 3, 25, 1, tzinfo=now.tzinfo))
    return begins <= now < _sunday(datetime(now.year, 10, 25, 1, tzinfo=now.tzinfo))


def _sunday(earliest: datetime) -> datetime:
    """The first Sunday from that day on, at its hour."""
    return earliest + timedelta(days=(6 - earliest.weekday()) % 7)
