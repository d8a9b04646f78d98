"""The shapes of mt5rest's JSON and its enumerations. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from copypro.adapters.bridge_json import (
    ZERO,
    Money,
    Name,
    Shape,
    Text,
    Whole,
    by_name_or_number,
    moment_or_none,
    padded,
    tidy_lots,
)
from copypro.trading import CloseReason
from copypro.values import Lots, OrderKind

KINDS = by_name_or_number({kind.value: (number, kind) for number, kind in enumerate(OrderKind)})
STATES = by_name_or_number(
    {
        name: (number, name)
        for number, name in enumerate(
            (
                "Started", "Placed", "Cancelled", "Partial", "Filled", "Rejected", "Expired",
                "RequestAdding", "RequestModifying", "RequestCancelling",
            )
        )
    }
)  # fmt: skip
UNFILLED = frozenset({"Started", "Placed", "RequestAdding"})
STILL_THERE = frozenset({"Partial", "Filled", "RequestCancelling"})
"""Of an order that was to be deleted."""
ENDED_UNFILLED = frozenset({"Cancelled", "Rejected", "Expired"})
PLACED = by_name_or_number(
    {
        "Manually": (0, CloseReason.CLIENT),
        "ByExpert": (1, CloseReason.EXPERT),
        "OnSL": (3, CloseReason.STOP_LOSS),
        "OnTP": (4, CloseReason.TAKE_PROFIT),
        "OnStopOut": (5, CloseReason.STOP_OUT),
        "Mobile": (16, CloseReason.CLIENT),
        "Web": (17, CloseReason.CLIENT),
    }
)
DIRECTIONS = by_name_or_number(
    {"In": (0, "In"), "Out": (1, "Out"), "InOut": (2, "InOut"), "OutBy": (3, "OutBy")}
)
DEAL_KINDS = by_name_or_number(
    {
        name: (number, name)
        for number, name in enumerate(
            (
                "DealBuy", "DealSell", "Balance", "Credit", "Charge", "Correction", "Bonus",
                "Commission", "DailyCommission", "MonthlyCommission", "DailyAgentCommission",
                "MonthlyAgentCommission", "InterestRate", "CanceledBuy", "CanceledSell", "Dividend",
                "FrankedDividend", "Tax", "AgentCommission", "SoCompensation",
                "SoCreditCompensation",
            )
        )
    }
)  # fmt: skip
OPERATIONS = by_name_or_number({"Balance": (100, "Balance"), "Credit": (101, "Credit")})


class Deal(Shape, rename="camel"):
    ticket_number: Whole = 0
    position_ticket: Whole = 0
    direction: Name = None
    price: Decimal = ZERO
    open_price: Decimal = ZERO
    lots: Decimal = ZERO
    volume: Whole = 0
    profit: Decimal = ZERO
    commission: Decimal = ZERO
    swap: Decimal = ZERO
    fee: Decimal = ZERO
    placed_type: Name = None
    comment: Text | None = None
    open_time_as_date_time: datetime | None = None
    digits: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.digits:
            self.pad(self.digits)

    def pad(self, digits: int) -> None:
        self.price = padded(self.price, digits)
        self.open_price = padded(self.open_price, digits)

    @property
    def traded_lots(self) -> Lots:
        return tidy_lots(self.lots or Decimal(self.volume).scaleb(-8))


class OrderInternal(Struct, rename="camel"):
    ticket_number: Whole = 0


class Order(Shape, rename="camel"):
    ticket: Whole
    symbol: Text | None = None
    order_type: Name = None
    deal_type: Name = None
    state: Name = None
    lots: Decimal = ZERO
    close_lots: Decimal = ZERO
    open_price: Decimal = ZERO
    close_price: Decimal = ZERO
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    stop_limit_price: Decimal = ZERO
    open_time: datetime | None = None
    close_time: datetime | None = None
    open_timestamp_utc: Whole | None = msgspec.field(default=None, name="openTimestampUTC")
    close_timestamp_utc: Whole | None = msgspec.field(default=None, name="closeTimestampUTC")
    profit: Decimal = ZERO
    swap: Decimal = ZERO
    commission: Decimal = ZERO
    fee: Decimal = ZERO
    contract_size: Decimal = ZERO
    digits: int = 0
    expert_id: Whole = 0
    comment: Text | None = None
    close_comment: Text | None = None
    expiration_time: datetime | None = None
    order_internal: OrderInternal | None = None
    deal_internal_in: Deal | None = None
    deal_internal_out: Deal | None = None
    partial_close_deals: list[Deal] | None = None

    def __post_init__(self) -> None:
        """Some rows have nothing of their own but their deals."""
        super().__post_init__()
        deals = [self.deal_internal_in, self.deal_internal_out, *(self.partial_close_deals or ())]
        known = [deal for deal in deals if deal is not None]
        digits = self.digits = self.digits or max((deal.digits for deal in known), default=0)
        self.open_price = padded(self.open_price, digits)
        self.close_price = padded(self.close_price, digits)
        if self.stop_loss:  # mostly there is none
            self.stop_loss = padded(self.stop_loss, digits)
        if self.take_profit:
            self.take_profit = padded(self.take_profit, digits)
        if self.stop_limit_price:
            self.stop_limit_price = padded(self.stop_limit_price, digits)
        for deal in known:
            deal.pad(digits)

    @property
    def state_name(self) -> str:
        return STATES.get(self.state, "")

    @property
    def has_ended(self) -> bool:
        return moment_or_none(self.close_time) is not None


class Update(Struct, rename="camel"):
    type: Name = None
    order: Order | None = None
    deal: Deal | None = None
    close_by_ticket: Whole | None = None

    def __post_init__(self) -> None:
        if self.order is not None and self.deal is not None:
            self.deal.pad(self.order.digits)


class FrameData(Money, rename="camel", kw_only=True):
    opened_orders: list[msgspec.Raw]
    update: Update | None = None


class Page(Struct, rename="camel"):
    orders: list[Order]
    action: int = 1
    partial_response: bool = False


order = msgspec.json.Decoder(Order, strict=False)
rows = msgspec.json.Decoder(list[msgspec.Raw])
frame_data = msgspec.json.Decoder(FrameData, strict=False)
page = msgspec.json.Decoder(Page, strict=False)
