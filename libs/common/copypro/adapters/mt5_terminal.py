"""The dialect of mt5rest: its JSON into our words and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from copypro.adapters.terminal import Summary, level, plain
from copypro.ports import Credentials
from copypro.trading import (
    AccountInfo,
    BalanceOperation,
    ClosedOrder,
    CloseReason,
    Done,
    Execution,
    Figures,
    History,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    OrdersSeen,
    Quote,
    SymbolSpec,
    TradeMode,
)
from copypro.values import Lots, Mode, OrderKind, Platform, Price, Ticket

_NONE = Decimal(0)
_UNSET_YEAR = 1980
_KINDS = {kind.value: kind for kind in OrderKind}
_REASONS = {
    "OnSL": CloseReason.STOP_LOSS,
    "OnTP": CloseReason.TAKE_PROFIT,
    "OnStopOut": CloseReason.STOP_OUT,
    "ByExpert": CloseReason.EXPERT,
    "Manually": CloseReason.CLIENT,
}
_CLOSING = frozenset(
    {"MarketClose", "PartialClose", "OnStopLoss", "OnTakeProfit", "OnStopOut", "MarketCloseBy"}
)
_TYPE_REASONS = {
    "OnStopLoss": CloseReason.STOP_LOSS,
    "OnTakeProfit": CloseReason.TAKE_PROFIT,
    "OnStopOut": CloseReason.STOP_OUT,
    "MarketCloseBy": CloseReason.CLOSE_BY,
}
_TRADE_MODES = {
    "Disabled": TradeMode.DISABLED,
    "LongOnly": TradeMode.LONG_ONLY,
    "ShortOnly": TradeMode.SHORT_ONLY,
    "CloseOnly": TradeMode.CLOSE_ONLY,
    "FullAccess": TradeMode.FULL,
}


class _Deal(Struct, rename="camel"):
    ticket_number: int = 0
    position_ticket: int = 0
    direction: str | int = "In"
    price: Decimal = _NONE
    lots: Decimal = _NONE
    profit: Decimal = _NONE
    commission: Decimal = _NONE
    swap: Decimal = _NONE
    fee: Decimal = _NONE
    placed_type: str | int = ""


class _Order(Struct, rename="camel"):
    ticket: int
    symbol: str | None = ""
    order_type: str | int = ""
    state: str | int = ""
    lots: Decimal = _NONE
    close_lots: Decimal = _NONE
    open_price: Decimal = _NONE
    close_price: Decimal = _NONE
    stop_loss: Decimal = _NONE
    take_profit: Decimal = _NONE
    stop_limit_price: Decimal = _NONE
    open_time: datetime | None = None
    close_time: datetime | None = None
    open_timestamp_utc: int | None = msgspec.field(default=None, name="openTimestampUTC")
    close_timestamp_utc: int | None = msgspec.field(default=None, name="closeTimestampUTC")
    profit: Decimal = _NONE
    swap: Decimal = _NONE
    commission: Decimal = _NONE
    fee: Decimal = _NONE
    contract_size: Decimal = _NONE
    digits: int = 0
    expert_id: int = 0
    comment: str | None = ""
    close_comment: str | None = ""
    expiration_time: datetime | None = None
    deal_internal_in: _Deal | None = None
    deal_internal_out: _Deal | None = None


class _Update(Struct, rename="camel"):
    type: str | None = ""
    order: _Order | None = None
    deal: _Deal | None = None
    close_by_ticket: int = 0


class _Data(Struct, rename="camel"):
    update: _Update | None = None
    opened_orders: list[_Order] | None = None
    balance: Decimal = _NONE
    equity: Decimal = _NONE
    credit: Decimal = _NONE
    margin: Decimal = _NONE
    free_margin: Decimal = _NONE
    profit: Decimal = _NONE


class _Frame(Struct):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Quote(Struct, rename="camel"):
    symbol: str
    bid: Decimal
    ask: Decimal
    time: datetime | None = None


class _Page(Struct, rename="camel"):
    orders: list[_Order] = []
    action: int = 1


class _Info(Struct, rename="camel"):
    digits: int
    points: Decimal
    contract_size: Decimal
    tick_size: Decimal = _NONE
    tick_value: Decimal | None = None
    bid_tickvalue: Decimal | None = msgspec.field(default=None, name="bid_tickvalue")
    profit_currency: str | None = None
    margin_currency: str | None = None


class _Group(Struct, rename="camel"):
    min_lots: Decimal
    max_lots: Decimal
    lots_step: Decimal
    trade_mode: str | int = "FullAccess"
    trade_type: str | int = "Market"
    stops_level: int = 0
    freeze_level: int = 0
    fill_policy: str | None = ""
    volume_limit: Decimal = _NONE


class _Params(Struct, rename="camel"):
    symbol: str
    symbol_info: _Info
    symbol_group: _Group


_frame = msgspec.json.Decoder(_Frame)
_data = msgspec.json.Decoder(_Data)
_orders = msgspec.json.Decoder(list[_Order])
_order = msgspec.json.Decoder(_Order)
_page = msgspec.json.Decoder(_Page)
_quote = msgspec.json.Decoder(_Quote)
_params = msgspec.json.Decoder(_Params, strict=False)


class Mt5Dialect:
    platform = Platform.MT5
    quote_call = "GetQuote"

    def info(self, summary: Summary, credentials: Credentials) -> AccountInfo:
        return AccountInfo(
            platform=Platform.MT5,
            server=credentials.server,
            login=credentials.login,
            currency=summary.currency,
            mode=Mode.HEDGING if summary.method == "Hedging" else Mode.NETTING,
            investor=summary.is_investor,
            account_type=summary.type,
            leverage=int(summary.leverage),
        )

    def orders(self, body: bytes) -> tuple[OpenOrder, ...]:
        return tuple(_open(row) for row in _orders.decode(clean(body)) if row.order_type in _KINDS)

    def frame(self, frame: bytes | str) -> OrdersSeen | None:
        envelope = _frame.decode(clean(frame))
        if envelope.type != "OrderUpdate":
            return None
        data = _data.decode(envelope.data)
        if data.opened_orders is None:
            return None
        update = data.update or _Update()
        closed, operation = None, None
        order = update.order
        if order is not None and update.type in _CLOSING:
            closed = _closed_by_frame(order, update)
        elif order is not None and update.type in ("PendingClose", "Expired", "Rejected"):
            closed = _closed(order)
        elif order is not None and order.order_type in ("Balance", "Credit"):
            operation = _operation(order)
        return OrdersSeen(
            orders=tuple(_open(row) for row in data.opened_orders if row.order_type in _KINDS),
            figures=Figures(
                balance=data.balance,
                equity=data.equity,
                credit=data.credit,
                margin=data.margin,
                free_margin=data.free_margin,
                profit=data.profit,
            ),
            closed=closed,
            operation=operation,
            hint=update.type or "",
        )

    def quote(self, body: bytes) -> Quote:
        return _as_quote(_quote.decode(body))

    def quote_frame(self, frame: bytes | str) -> Quote | None:
        envelope = _frame.decode(clean(frame))
        return _as_quote(_quote.decode(envelope.data)) if envelope.type == "Quote" else None

    def history(self, body: bytes) -> tuple[History, bool]:
        page = _page.decode(clean(body))
        closed, operations = [], []
        for row in page.orders:
            if row.order_type in _KINDS:
                closed.append(_closed(row))
            else:
                operations.append(_operation(row))
        return History(closed=tuple(closed), operations=tuple(operations)), page.action == 14

    def spec(self, body: bytes) -> SymbolSpec:
        params = _params.decode(body)
        info, group = params.symbol_info, params.symbol_group
        limit = group.volume_limit / 100_000_000
        return SymbolSpec(
            name=params.symbol,
            digits=info.digits,
            point=info.points,
            tick_size=info.tick_size or info.points,
            contract_size=info.contract_size,
            lot_min=group.min_lots,
            lot_max=group.max_lots,
            lot_step=group.lots_step,
            trade_mode=_TRADE_MODES.get(str(group.trade_mode), TradeMode.FULL),
            execution=Execution(str(group.trade_type))
            if str(group.trade_type) in Execution._value2member_map_
            else Execution.MARKET,
            stops_level_points=group.stops_level,
            freeze_level_points=group.freeze_level,
            tick_value=info.tick_value,
            profit_currency=info.profit_currency,
            margin_currency=info.margin_currency,
            volume_limit=limit or None,
            fill_policies=tuple(
                p.strip() for p in (group.fill_policy or "").split(",") if p.strip()
            ),
        )

    def open_params(self, request: OpenRequest) -> dict[str, object]:
        params: dict[str, object] = {
            "symbol": request.symbol,
            "operation": request.kind.value,
            "volume": plain(request.lots),
            "price": plain(request.price),
            "slippage": request.slippage_points,
            "stoploss": level(request.stop_loss),
            "takeprofit": level(request.take_profit),
            "comment": request.comment,
            "expertID": request.magic,
        }
        if request.stop_limit_price is not None:
            params["stopLimitPrice"] = plain(request.stop_limit_price)
        if request.expires_at_broker is not None:
            params["expiration"] = request.expires_at_broker.strftime("%Y-%m-%dT%H:%M:%S")
            params["expirationType"] = "Specified"
        return params

    def modify_params(self, request: ModifyRequest) -> dict[str, object]:
        params: dict[str, object] = {
            "ticket": request.ticket,
            "stoploss": level(request.stop_loss),
            "takeprofit": level(request.take_profit),
        }
        if request.price is not None:
            params["price"] = plain(request.price)
        if request.stop_limit_price is not None:
            params["stoplimit"] = plain(request.stop_limit_price)
        if request.expires_at_broker is not None:
            params["expiration"] = request.expires_at_broker.strftime("%Y-%m-%dT%H:%M:%S")
            params["expirationType"] = "Specified"
        return params

    def delete_call(self) -> str:
        return "OrderClose"

    def done(self, body: bytes, *, closing: bool) -> Done:
        row = _order.decode(clean(body))
        if row.ticket <= 0:
            raise ValueError("no ticket")
        if closing:
            lots = row.close_lots or row.lots
            return Done(
                ticket=Ticket(row.ticket), lots=lots, price=row.close_price, profit=row.profit
            )
        market = row.order_type in ("Buy", "Sell")
        filled = not (market and row.state in ("Placed", "Started", "RequestAdding"))
        return Done(ticket=Ticket(row.ticket), lots=row.lots, price=row.open_price, filled=filled)

    def margin_call(self, symbol: str, kind: OrderKind, lots: Lots) -> Mapping[str, object]:
        return {"symbol": symbol, "lots": plain(lots), "type": kind.side.value}


def clean(frame: bytes | str) -> bytes:
    """Brokers write comments in any encoding: what is not UTF-8 is replaced, never refused."""
    if isinstance(frame, str):
        return frame.encode("utf-8", "replace")
    try:
        frame.decode()
    except UnicodeDecodeError:
        return frame.decode("utf-8", "replace").encode()
    return frame


def price(value: Decimal) -> Price | None:
    return value if value != 0 else None


def moment(value: datetime | None) -> datetime | None:
    """A server's time without zone; "never" is written as a year long past."""
    return None if value is None or value.year < _UNSET_YEAR else value.replace(tzinfo=None)


def _utc(milliseconds: int | None) -> datetime | None:
    if milliseconds is None or milliseconds <= 0:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _open(row: _Order) -> OpenOrder:
    opened_at = moment(row.open_time) or datetime(1970, 1, 1)  # noqa: DTZ001 - a broker's clock
    return OpenOrder(
        ticket=Ticket(row.ticket),
        symbol=row.symbol or "",
        kind=_KINDS[str(row.order_type)],
        lots=row.lots,
        open_price=row.open_price,
        opened_at_broker=opened_at,
        opened_at_utc=_utc(row.open_timestamp_utc),
        stop_loss=price(row.stop_loss),
        take_profit=price(row.take_profit),
        stop_limit_price=price(row.stop_limit_price),
        expires_at_broker=moment(row.expiration_time),
        magic=row.expert_id,
        comment=row.comment or "",
        market_price=price(row.close_price),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
        contract_size=row.contract_size or None,
        digits=row.digits or None,
        deal=row.deal_internal_in.ticket_number if row.deal_internal_in else None,
    )


def _closed_by_frame(row: _Order, update: _Update) -> ClosedOrder:
    closed = _closed(row)
    changes: dict[str, Any] = {}
    if update.deal is not None and update.deal.ticket_number:
        changes["deal"] = update.deal.ticket_number
    if update.type in _TYPE_REASONS:
        changes["reason"] = _TYPE_REASONS[update.type]
    if update.close_by_ticket:
        changes["by_ticket"] = update.close_by_ticket
    return msgspec.structs.replace(closed, **changes)


def _closed(row: _Order) -> ClosedOrder:
    """Some rows have zeros at the top and the real figures in the nested deal: the deal wins then."""
    deal = row.deal_internal_out or _Deal()
    zero = datetime(1970, 1, 1)  # noqa: DTZ001 - a broker's clock
    kind = _KINDS[str(row.order_type)]
    return ClosedOrder(
        ticket=Ticket(row.ticket),
        deal=deal.ticket_number or row.ticket,
        symbol=row.symbol or "",
        kind=kind,
        lots=row.close_lots or deal.lots or row.lots,
        open_price=row.open_price,
        close_price=row.close_price or deal.price,
        opened_at_broker=moment(row.open_time) or zero,
        closed_at_broker=moment(row.close_time) or zero,
        opened_at_utc=_utc(row.open_timestamp_utc),
        closed_at_utc=_utc(row.close_timestamp_utc),
        stop_loss=price(row.stop_loss),
        take_profit=price(row.take_profit),
        profit=row.profit or deal.profit,
        swap=row.swap or deal.swap,
        commission=row.commission or deal.commission,
        fee=row.fee or deal.fee,
        magic=row.expert_id,
        comment=row.comment or row.close_comment or "",
        reason=_REASONS.get(str(deal.placed_type), CloseReason.UNKNOWN),
        cancelled=kind.is_pending or row.state in ("Cancelled", "Expired", "Rejected"),
    )


def _operation(row: _Order) -> BalanceOperation:
    return BalanceOperation(
        ticket=Ticket(row.ticket),
        kind=str(row.order_type),
        amount=row.profit,
        time_broker=moment(row.open_time) or moment(row.close_time) or datetime(1970, 1, 1),  # noqa: DTZ001
        comment=row.comment or "",
    )


def _as_quote(quote: _Quote) -> Quote:
    return Quote(symbol=quote.symbol, bid=quote.bid, ask=quote.ask, time_broker=moment(quote.time))
