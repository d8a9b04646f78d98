"""The dialect of mt4rest: the names of its calls, its parameters and its terms of trade. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from copypro.adapters import mt4_translate
from copypro.adapters.bridge_json import (
    ZERO,
    Details,
    Digits,
    Name,
    Params,
    Points,
    Shape,
    Summary,
    Text,
    Unreadable,
    by_name_or_number,
    check_symbol,
    check_terms,
    clock,
    close_params,
    decoded,
    info_of,
    level,
    plain,
    point_of,
    scalar,
    tidy_lots,
)
from copypro.ports import Credentials
from copypro.trading import (
    AccountInfo,
    CloseRequest,
    DeleteRequest,
    Done,
    Execution,
    History,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    OrdersSeen,
    SymbolSpec,
    TradeMode,
)
from copypro.values import Lots, Mode, OrderKind, Platform, Ticket

_EXECUTIONS = by_name_or_number(
    {
        "Request": (0, Execution.REQUEST),
        "Instant": (1, Execution.INSTANT),
        "Market": (2, Execution.MARKET),
    }
)
_CALCULATIONS = by_name_or_number(
    {"Forex": (0, "Forex"), "CFD": (1, "CFD"), "Futures": (2, "Futures")}
)
_MARGIN_CALCULATIONS = by_name_or_number(
    {
        name: (number, name)
        for number, name in enumerate(("Forex", "CFD", "Futures", "CfdIndex", "CfdLeverage"))
    }
)
_TRADE_MODES = {0: TradeMode.DISABLED, 1: TradeMode.CLOSE_ONLY, 2: TradeMode.FULL}


class _Raw(Struct):
    trade: int = 2


class _Symbol(Shape, rename="camel"):
    digits: Digits
    point: Decimal
    contract_size: Decimal
    execution: Name = None
    stops_level: Points = 0
    freeze_level: Points = 0
    margin_currency: Text | None = None
    profit_mode: Name = None
    margin_mode: Name = None
    margin_divider: Decimal = ZERO
    ex: _Raw | None = None


class _GroupParams(Shape, rename="camel"):
    min_lot: Decimal
    max_lot: Decimal
    lot_step: Decimal
    trade: int = 1


class _SymbolParams(Struct, rename="camel"):
    symbol: _Symbol
    group_params: _GroupParams


_symbol_params = msgspec.json.Decoder(_SymbolParams, strict=False)


class Mt4Dialect:
    platform = Platform.MT4
    quote_call = "Quote"
    has_synced = False

    # --- what it says -------------------------------------------------------------------------

    def info(self, summary: Summary, details: Details, who: Credentials) -> AccountInfo:
        return info_of(self.platform, Mode.HEDGING, summary, details, who)

    def orders(self, body: bytes) -> tuple[OpenOrder, ...]:
        return mt4_translate.open_orders(body)

    def frame(self, body: bytes) -> OrdersSeen:
        return mt4_translate.frame(body)

    def history(self, body: bytes) -> tuple[History, bool]:
        return mt4_translate.history(body)

    def spec(self, name: str, body: bytes) -> SymbolSpec:
        """Neither the profit's currency nor a tick's size and value are told: MT4 ticks by points."""
        params = decoded(_symbol_params, body)
        symbol, group = params.symbol, params.group_params
        point = point_of(symbol.point, symbol.digits)
        mode = TradeMode.FULL
        if symbol.ex is not None:
            mode = _TRADE_MODES.get(symbol.ex.trade, TradeMode.FULL)
        if group.trade == 0:
            mode = TradeMode.DISABLED
        spec = SymbolSpec(
            name=name,
            digits=symbol.digits,
            point=point,
            tick_size=point,
            contract_size=symbol.contract_size,
            lot_min=group.min_lot,
            lot_max=group.max_lot,
            lot_step=group.lot_step,
            trade_mode=mode,
            execution=_EXECUTIONS.get(symbol.execution, Execution.MARKET),
            stops_level_points=symbol.stops_level,
            freeze_level_points=symbol.freeze_level,
            margin_currency=symbol.margin_currency or None,
            calculation=_CALCULATIONS.get(symbol.profit_mode),
            margin_divider=symbol.margin_divider or None,
            margin_calculation=_MARGIN_CALCULATIONS.get(symbol.margin_mode),
        )
        return check_terms(spec)

    # --- what it is asked ---------------------------------------------------------------------

    def quote_params(self, name: str, max_age_s: float) -> Params:
        return {"symbol": name}

    def margin_params(self, symbol: str, kind: OrderKind, lots: Lots) -> Params | None:
        """mt4rest has no such call."""
        return None

    def open_call(self, request: OpenRequest) -> tuple[str, Params]:
        """Plain OrderSend, not its Safe variant: that one may itself send again after a look."""
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
            params["expiration"] = clock(request.expires_at_broker)
        return "OrderSend", params

    def modify_call(self, request: ModifyRequest) -> tuple[str, Params]:
        """Both levels always: one left out is set to 0."""
        params: dict[str, object] = {
            "ticket": request.ticket,
            "stoploss": level(request.stop_loss),
            "takeprofit": level(request.take_profit),
        }
        if request.price is not None:
            params["price"] = plain(request.price)
        if request.expires_at_broker is not None:
            params["expiration"] = clock(request.expires_at_broker)
        return "OrderModify", params

    def close_call(self, request: CloseRequest) -> tuple[str, Params]:
        return "OrderClose", close_params(request)

    def delete_call(self, request: DeleteRequest, *, lacks_delete: bool) -> tuple[str, Params]:
        return "OrderClose" if lacks_delete else "OrderDelete", {"ticket": request.ticket}

    # --- how it answers a change --------------------------------------------------------------

    def opened(self, body: bytes, request: OpenRequest) -> Done:
        row = _with_ticket(body)
        check_symbol(row.symbol, request)
        return Done(
            ticket=Ticket(row.ticket),
            lots=min(tidy_lots(row.lots) or request.lots, request.lots),
            price=row.open_price or request.price,
        )

    def modified(self, body: bytes, request: ModifyRequest) -> Done:
        row = _with_ticket(body)
        return Done(ticket=request.ticket, lots=tidy_lots(row.lots), price=row.open_price)

    def closed(self, body: bytes, request: CloseRequest) -> Done:
        """The answer is the closed part; what is left has a new ticket, shown by the list alone. Of a
        part never more than was asked for: a bridge may tell of the whole order.
        """
        row = _with_ticket(body)
        lots = tidy_lots(row.lots)
        if request.lots is not None:
            lots = min(lots, request.lots) or request.lots
        return Done(
            ticket=request.ticket,
            lots=lots,
            price=row.close_price,
            profit=row.profit,
        )

    def deleted(self, body: bytes, request: DeleteRequest) -> Done:
        """`OK`, or the order from a bridge that deletes by closing."""
        if body.lstrip()[:1] != b"{":
            if scalar(body).upper() != "OK":
                raise Unreadable("neither OK nor an order")
            return Done(ticket=request.ticket, lots=ZERO, price=ZERO)
        row = _with_ticket(body)
        kind = mt4_translate.KINDS.get(row.type)
        if kind is not None and not kind.is_pending:
            raise Unreadable("a position was closed in the pending order's place")
        return Done(ticket=request.ticket, lots=tidy_lots(row.lots), price=row.open_price)


def _with_ticket(body: bytes) -> mt4_translate.Order:
    row = decoded(mt4_translate.order, body)
    if row.ticket <= 0:
        raise Unreadable("an order without a ticket")
    return row
