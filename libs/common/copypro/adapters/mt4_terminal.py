"""The dialect of mt4rest: its JSON into our words and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from copypro.adapters.mt5_terminal import clean, moment, price
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
from copypro.values import Lots, Mode, OrderKind, Platform, Ticket

_NONE = Decimal(0)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a broker's clock
_KINDS = {kind.value: kind for kind in OrderKind}
_CLOSING = frozenset({"PositionClose", "PendingClose"})
_DELETED = 6


class _Raw(Struct):
    state: int = 0
    trade: int = 2


class _Order(Struct, rename="camel"):
    ticket: int
    type: str | int = ""
    symbol: str | None = ""
    lots: Decimal = _NONE
    open_price: Decimal = _NONE
    close_price: Decimal = _NONE
    stop_loss: Decimal = _NONE
    take_profit: Decimal = _NONE
    open_time: datetime | None = None
    close_time: datetime | None = None
    expiration: datetime | None = None
    magic_number: int = 0
    swap: Decimal = _NONE
    commission: Decimal = _NONE
    profit: Decimal = _NONE
    comment: str | None = ""
    ex: _Raw | None = None


class _Update(Struct):
    action: str | None = ""
    order: _Order | None = None


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


class _Quote(Struct):
    symbol: str
    bid: Decimal
    ask: Decimal
    time: datetime | None = None


class _Page(Struct):
    orders: list[_Order] = []


class _Symbol(Struct, rename="camel"):
    digits: int
    point: Decimal
    contract_size: Decimal
    execution: str | int = "Market"
    stops_level: int = 0
    freeze_level: int = 0
    margin_currency: str | None = None
    profit_mode: str | int = ""
    margin_divider: Decimal = _NONE
    ex: _Raw | None = None


class _GroupParams(Struct, rename="camel"):
    min_lot: Decimal
    max_lot: Decimal
    lot_step: Decimal
    trade: int = 1


class _Params(Struct, rename="camel"):
    symbol_name: str
    symbol: _Symbol
    group_params: _GroupParams


_frame = msgspec.json.Decoder(_Frame)
_data = msgspec.json.Decoder(_Data)
_orders = msgspec.json.Decoder(list[_Order])
_order = msgspec.json.Decoder(_Order)
_page = msgspec.json.Decoder(_Page)
_quote = msgspec.json.Decoder(_Quote)
_params = msgspec.json.Decoder(_Params, strict=False)


class Mt4Dialect:
    platform = Platform.MT4
    quote_call = "Quote"

    def info(self, summary: Summary, credentials: Credentials) -> AccountInfo:
        return AccountInfo(
            platform=Platform.MT4,
            server=credentials.server,
            login=credentials.login,
            currency=summary.currency,
            mode=Mode.HEDGING,
            investor=summary.is_investor,
            account_type=summary.type,
            leverage=int(summary.leverage),
        )

    def orders(self, body: bytes) -> tuple[OpenOrder, ...]:
        return tuple(_open(row) for row in _orders.decode(clean(body)) if row.type in _KINDS)

    def frame(self, frame: bytes | str) -> OrdersSeen | None:
        envelope = _frame.decode(clean(frame))
        if envelope.type != "OrderUpdate":
            return None
        data = _data.decode(envelope.data)
        if data.opened_orders is None:
            return None
        update = data.update or _Update()
        closed, operation = None, None
        if update.order is not None and update.action in _CLOSING:
            closed = _closed(update.order, cancelled=update.action == "PendingClose")
        elif update.order is not None and update.action in ("Balance", "Credit"):
            operation = _operation(update.order)
        return OrdersSeen(
            orders=tuple(_open(row) for row in data.opened_orders if row.type in _KINDS),
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
            hint=update.action or "",
        )

    def quote(self, body: bytes) -> Quote:
        return _as_quote(_quote.decode(body))

    def quote_frame(self, frame: bytes | str) -> Quote | None:
        envelope = _frame.decode(clean(frame))
        return _as_quote(_quote.decode(envelope.data)) if envelope.type == "Quote" else None

    def history(self, body: bytes) -> tuple[History, bool]:
        cleaned = clean(body)
        rows = (
            _orders.decode(cleaned)
            if cleaned.lstrip().startswith(b"[")
            else _page.decode(cleaned).orders
        )
        closed, operations = [], []
        for row in rows:
            if row.type in _KINDS:
                kind = _KINDS[str(row.type)]
                state = row.ex.state if row.ex is not None else 0
                closed.append(_closed(row, cancelled=kind.is_pending or state == _DELETED))
            else:
                operations.append(_operation(row))
        return History(closed=tuple(closed), operations=tuple(operations)), False

    def spec(self, body: bytes) -> SymbolSpec:
        params = _params.decode(body)
        symbol, group = params.symbol, params.group_params
        mode = TradeMode.FULL
        raw = symbol.ex.trade if symbol.ex is not None else 2
        if group.trade == 0 or raw == 0:
            mode = TradeMode.DISABLED
        elif raw == 1:
            mode = TradeMode.CLOSE_ONLY
        execution = str(symbol.execution)
        return SymbolSpec(
            name=params.symbol_name,
            digits=symbol.digits,
            point=symbol.point,
            tick_size=symbol.point,
            contract_size=symbol.contract_size,
            lot_min=group.min_lot,
            lot_max=group.max_lot,
            lot_step=group.lot_step,
            trade_mode=mode,
            execution=Execution(execution)
            if execution in Execution._value2member_map_
            else Execution.MARKET,
            stops_level_points=symbol.stops_level,
            freeze_level_points=symbol.freeze_level,
            margin_currency=symbol.margin_currency,
            calculation=str(symbol.profit_mode) or None,
            margin_divider=symbol.margin_divider or None,
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
            "magic": request.magic,
        }
        if request.expires_at_broker is not None:
            params["expiration"] = request.expires_at_broker.strftime("%Y-%m-%dT%H:%M:%S")
        return params

    def modify_params(self, request: ModifyRequest) -> dict[str, object]:
        params: dict[str, object] = {
            "ticket": request.ticket,
            "stoploss": level(request.stop_loss),
            "takeprofit": level(request.take_profit),
        }
        if request.price is not None:
            params["price"] = plain(request.price)
        if request.expires_at_broker is not None:
            params["expiration"] = request.expires_at_broker.strftime("%Y-%m-%dT%H:%M:%S")
        return params

    def delete_call(self) -> str:
        return "OrderDelete"

    def done(self, body: bytes, *, closing: bool) -> Done:
        row = _order.decode(clean(body))
        if row.ticket <= 0:
            raise ValueError("no ticket")
        at = row.close_price if closing else row.open_price
        return Done(ticket=Ticket(row.ticket), lots=row.lots, price=at, profit=row.profit)

    def margin_call(self, symbol: str, kind: OrderKind, lots: Lots) -> Mapping[str, object] | None:
        """The MT4 bridge has no such call."""
        return None


def _open(row: _Order) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(row.ticket),
        symbol=row.symbol or "",
        kind=_KINDS[str(row.type)],
        lots=row.lots,
        open_price=row.open_price,
        opened_at_broker=moment(row.open_time) or _EPOCH,
        stop_loss=price(row.stop_loss),
        take_profit=price(row.take_profit),
        expires_at_broker=moment(row.expiration),
        magic=row.magic_number,
        comment=row.comment or "",
        market_price=price(row.close_price),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
    )


def _closed(row: _Order, *, cancelled: bool) -> ClosedOrder:
    comment = row.comment or ""
    return ClosedOrder(
        ticket=Ticket(row.ticket),
        deal=row.ticket,
        symbol=row.symbol or "",
        kind=_KINDS[str(row.type)],
        lots=row.lots,
        open_price=row.open_price,
        close_price=row.close_price,
        opened_at_broker=moment(row.open_time) or _EPOCH,
        closed_at_broker=moment(row.close_time) or _EPOCH,
        stop_loss=price(row.stop_loss),
        take_profit=price(row.take_profit),
        profit=row.profit,
        swap=row.swap,
        commission=row.commission,
        magic=row.magic_number,
        comment=comment,
        reason=_reason(comment),
        cancelled=cancelled,
    )


def _reason(comment: str) -> CloseReason:
    """MT4 says why only in the comment."""
    if "[sl]" in comment:
        return CloseReason.STOP_LOSS
    if "[tp]" in comment:
        return CloseReason.TAKE_PROFIT
    if comment.startswith("so:") or comment.endswith("so"):
        return CloseReason.STOP_OUT
    if comment.startswith("close hedge by"):
        return CloseReason.CLOSE_BY
    return CloseReason.UNKNOWN


def _operation(row: _Order) -> BalanceOperation:
    return BalanceOperation(
        ticket=Ticket(row.ticket),
        kind={"6": "Balance", "7": "Credit"}.get(str(row.type), str(row.type)),
        amount=row.profit,
        time_broker=moment(row.open_time) or _EPOCH,
        comment=row.comment or "",
    )


def _as_quote(quote: _Quote) -> Quote:
    return Quote(symbol=quote.symbol, bid=quote.bid, ask=quote.ask, time_broker=moment(quote.time))
