"""What a broker says, in our words and the same for both platforms; and what we ask of it.

Prices and volumes are Decimals as the broker wrote them; None means "none" (MetaTrader writes 0).
Times named `_broker` are the broker's server clock without a zone; times named `_utc` are UTC.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from copypro.values import Lots, Mode, OrderKind, Platform, Price, Side, Ticket


class TradeMode(StrEnum):
    DISABLED = "Disabled"
    LONG_ONLY = "LongOnly"
    SHORT_ONLY = "ShortOnly"
    CLOSE_ONLY = "CloseOnly"
    FULL = "Full"


class Execution(StrEnum):
    REQUEST = "Request"
    INSTANT = "Instant"
    MARKET = "Market"
    EXCHANGE = "Exchange"


class SymbolSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A symbol's terms of trade. What a bridge does not give is None, never a guess."""

    name: str
    digits: int
    point: Decimal
    tick_size: Decimal
    contract_size: Decimal
    lot_min: Lots
    lot_max: Lots
    lot_step: Lots
    trade_mode: TradeMode = TradeMode.FULL
    execution: Execution = Execution.MARKET
    stops_level_points: int = 0
    freeze_level_points: int = 0
    tick_value: Decimal | None = None
    profit_currency: str | None = None
    margin_currency: str | None = None
    calculation: str | None = None
    """Of profit: Forex, CFD, Futures …; None where the bridge does not say."""
    margin_divider: Decimal | None = None
    margin_calculation: str | None = None
    """MT4's: Forex, CFD, Futures, CfdIndex or CfdLeverage, which may be another than that of profit."""
    volume_limit: Lots | None = None
    fill_policies: tuple[str, ...] = ()


class Quote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    symbol: str
    bid: Price
    ask: Price
    time_broker: datetime | None = None

    @property
    def mid(self) -> Price:
        return (self.bid + self.ask) / 2

    def to_open(self, side: Side) -> Price:
        """Buys open at the ask, sells at the bid."""
        return self.ask if side.is_buy else self.bid

    def to_close(self, side: Side) -> Price:
        return self.bid if side.is_buy else self.ask


class Figures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account's figures in its own currency. Equity includes credit (MetaTrader's definition)."""

    balance: Decimal
    equity: Decimal
    credit: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)
    free_margin: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)


class AccountInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session says of its account at connect."""

    platform: Platform
    server: str
    login: int
    currency: str
    mode: Mode
    investor: bool
    """True: the password is read-only and cannot trade."""
    company: str = ""
    name: str = ""
    account_type: str = ""
    leverage: int = 0


class OpenOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the list of open orders: a position or a pending order."""

    ticket: Ticket
    symbol: str
    kind: OrderKind
    lots: Lots
    """Open now; for a pending order what is still to be filled."""
    open_price: Price
    """Of a pending order its trigger."""
    opened_at_broker: datetime
    opened_at_utc: datetime | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    stop_limit_price: Price | None = None
    expires_at_broker: datetime | None = None
    magic: int = 0
    comment: str = ""
    identifier: int | None = None
    """MT5's position identifier, constant for life, where the bridge gives it; else None."""
    market_price: Price | None = None
    """What it would close at now, where the bridge says so."""
    profit: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    contract_size: Decimal | None = None
    digits: int | None = None
    deal: int | None = None
    """Ticket of the deal that opened it, where the bridge gives it."""


class CloseReason(StrEnum):
    CLIENT = "Client"
    EXPERT = "Expert"
    STOP_LOSS = "StopLoss"
    TAKE_PROFIT = "TakeProfit"
    STOP_OUT = "StopOut"
    CLOSE_BY = "CloseBy"
    REVERSED = "Reversed"
    UNKNOWN = "Unknown"


class ClosedOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One closed piece of a position, or a pending order that ended without a fill (`cancelled`).

    A position closed in three pieces is three of these, on MT4 under three tickets.
    """

    ticket: Ticket
    """The position's ticket (MT4: the ticket that was closed)."""
    deal: int
    """The closing deal's ticket; on MT4, which has no deals, the order's own."""
    symbol: str
    kind: OrderKind
    lots: Lots
    """Closed by this piece; zero for MT4's second half of a close-by."""
    open_price: Price
    close_price: Price
    opened_at_broker: datetime
    closed_at_broker: datetime
    opened_at_utc: datetime | None = None
    closed_at_utc: datetime | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    profit: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    entry_cost: Decimal = Decimal(0)
    """What opening cost on MT5, commission and fee; it is in neither of the two above."""
    magic: int = 0
    comment: str = ""
    reason: CloseReason = CloseReason.UNKNOWN
    cancelled: bool = False
    expired: bool = False
    """Of what is cancelled, where the bridge tells it: by its own expiry."""
    by_ticket: int | None = None
    """Of a close-by: the other ticket."""
    identifier: int | None = None
    """MT5: the ticket that its position had first, where that is another one."""


class BalanceOperation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deposit, withdrawal, credit, charge …: never a trade."""

    ticket: Ticket
    kind: str
    """Balance, Credit, Charge, Correction, Bonus, Commission … (the bridge's word)."""
    amount: Decimal
    time_broker: datetime
    comment: str = ""


class History(Struct, frozen=True, kw_only=True):
    closed: tuple[ClosedOrder, ...]
    operations: tuple[BalanceOperation, ...]


class Snapshot(Struct, frozen=True, kw_only=True):
    """One look at a synchronised session: every open order and the figures of the same moment."""

    orders: tuple[OpenOrder, ...]
    figures: Figures


class OrdersSeen(Struct, frozen=True, kw_only=True):
    """A frame of the order stream: the list after the change, and what it proves besides."""

    orders: tuple[OpenOrder, ...]
    figures: Figures
    closed: ClosedOrder | None = None
    """Positive evidence of a close: the frame says this piece was closed."""
    operation: BalanceOperation | None = None


class StreamOpened(Struct, frozen=True):
    """The stream stands (again): whatever happened before is only in a snapshot."""


class StreamLost(Struct, frozen=True):
    reason: str


Update = OrdersSeen | Quote | StreamOpened | StreamLost


class OpenRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="open"):
    """A market or pending order, rounded and valid: the bridge rounds nothing."""

    symbol: str
    kind: OrderKind
    lots: Lots
    comment: str
    magic: int
    price: Price
    """The market price at sending (Instant execution checks it), or the trigger."""
    slippage_points: int = 0
    stop_loss: Price | None = None
    take_profit: Price | None = None
    stop_limit_price: Price | None = None
    expires_at_broker: datetime | None = None


class ModifyRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="modify"):
    """Always the whole state: a level that is None is removed."""

    ticket: Ticket
    stop_loss: Price | None
    take_profit: Price | None
    price: Price | None = None
    """The trigger; of pending orders only."""
    stop_limit_price: Price | None = None
    expires_at_broker: datetime | None = None


class CloseRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="close"):
    ticket: Ticket
    symbol: str
    lots: Lots | None
    """None closes all that is left under the ticket."""
    price: Price | None = None
    slippage_points: int = 0


class DeleteRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="delete"):
    """Removes a pending order."""

    ticket: Ticket


TradeRequest = OpenRequest | ModifyRequest | CloseRequest | DeleteRequest


class Done(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """The broker's positive answer to a trade call."""

    ticket: Ticket
    lots: Lots
    """Filled, placed, or closed."""
    price: Price
    profit: Decimal = Decimal(0)
    filled: bool = True
    """False: accepted but not yet a deal (MT5's PLACED for a market order)."""
