"""The dialect of mt5rest: the names of its calls, its parameters and its terms of trade. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from copypro.adapters import mt5_translate
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
    tidy_lots,
)
from copypro.adapters.mt5_json import ENDED_UNFILLED, KINDS, STILL_THERE, UNFILLED, Order, order
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

_TRADE_MODES = by_name_or_number(
    {
        "Disabled": (0, TradeMode.DISABLED),
        "LongOnly": (1, TradeMode.LONG_ONLY),
        "ShortOnly": (2, TradeMode.SHORT_ONLY),
        "CloseOnly": (3, TradeMode.CLOSE_ONLY),
        "FullAccess": (4, TradeMode.FULL),
    }
)
_EXECUTIONS = by_name_or_number({e.value: (number, e) for number, e in enumerate(Execution)})
_NETTING: tuple[Name, ...] = ("Netting", "Default", 0, 1)
_VOLUME_SCALE = -8


class _Info(Shape, rename="camel"):
    digits: Digits
    points: Decimal
    contract_size: Decimal
    tick_size: Decimal = ZERO
    tick_value: Decimal = ZERO
    profit_currency: Text | None = None
    margin_currency: Text | None = None


class _Group(Shape, rename="camel"):
    min_lots: Decimal
    max_lots: Decimal
    lots_step: Decimal
    trade_mode: Name = None
    trade_type: Name = None
    stops_level: Points = 0
    freeze_level: Points = 0
    fill_policy: Text | None = None
    volume_limit: int = 0


class _SymbolParams(Struct, rename="camel"):
    symbol_info: _Info
    symbol_group: _Group


_symbol_params = msgspec.json.Decoder(_SymbolParams, strict=False)


class Mt5Dialect:
    platform = Platform.MT5
    quote_call = "GetQuote"
    has_synced = True

    # --- what it says -------------------------------------------------------------------------

    def info(self, summary: Summary, details: Details, who: Credentials) -> AccountInfo:
        mode = Mode.NETTING if summary.method in _NETTING else Mode.HEDGING
        return info_of(self.platform, mode, summary, details, who)

    def orders(self, body: bytes) -> tuple[OpenOrder, ...]:
        return mt5_translate.open_orders(body)

    def frame(self, body: bytes) -> OrdersSeen:
        return mt5_translate.frame(body)

    def history(self, body: bytes) -> tuple[History, bool]:
        return mt5_translate.history(body)

    def spec(self, name: str, body: bytes) -> SymbolSpec:
        params = decoded(_symbol_params, body)
        info, group = params.symbol_info, params.symbol_group
        point = point_of(info.points, info.digits)
        limit = Decimal(group.volume_limit).scaleb(_VOLUME_SCALE).normalize()
        policies = (group.fill_policy or "").split(",")
        spec = SymbolSpec(
            name=name,
            digits=info.digits,
            point=point,
            tick_size=info.tick_size or point,
            contract_size=info.contract_size,
            lot_min=group.min_lots,
            lot_max=group.max_lots,
            lot_step=group.lots_step,
            trade_mode=_TRADE_MODES.get(group.trade_mode, TradeMode.FULL),
            execution=_EXECUTIONS.get(group.trade_type, Execution.MARKET),
            stops_level_points=group.stops_level,
            freeze_level_points=group.freeze_level,
            tick_value=info.tick_value or None,
            profit_currency=info.profit_currency or None,
            margin_currency=info.margin_currency or None,
            volume_limit=limit or None,
            fill_policies=tuple(policy.strip() for policy in policies if policy.strip()),
        )
        return check_terms(spec)

    # --- what it is asked ---------------------------------------------------------------------

    def quote_params(self, name: str, max_age_s: float) -> Params:
        return {"symbol": name, "msNotOlder": max(1, int(max_age_s * 1000))}

    def margin_params(self, symbol: str, kind: OrderKind, lots: Lots) -> Params | None:
        return {"symbol": symbol, "lots": plain(lots), "type": kind.side.value}

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
            # Left out, the bridge puts a time-based number in its place.
            "expertID": request.magic,
        }
        if request.stop_limit_price is not None:
            params["stopLimitPrice"] = plain(request.stop_limit_price)
        if request.expires_at_broker is not None:
            params["expiration"] = clock(request.expires_at_broker)
            params["expirationType"] = "Specified"
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
        if request.stop_limit_price is not None:
            params["stoplimit"] = plain(request.stop_limit_price)
        if request.expires_at_broker is not None:
            params["expiration"] = clock(request.expires_at_broker)
            params["expirationType"] = "Specified"
        return "OrderModify", params

    def close_call(self, request: CloseRequest) -> tuple[str, Params]:
        return "OrderClose", close_params(request)

    def delete_call(self, request: DeleteRequest, *, lacks_delete: bool) -> tuple[str, Params]:
        """mt5rest cancels a pending order by the call that closes."""
        return "OrderClose", {"ticket": request.ticket}

    # --- how it answers a change --------------------------------------------------------------

    def opened(self, body: bytes, request: OpenRequest) -> Done:
        """On netting the answer may be the whole position: no more of it was opened than was asked."""
        row = _with_ticket(body)
        if row.state_name in ENDED_UNFILLED:
            raise Unreadable(f"an order in state {row.state_name}")
        check_symbol(row.symbol, request)
        waits = row.state_name in UNFILLED and row.deal_internal_in is None
        return Done(
            ticket=Ticket(row.ticket),
            lots=min(tidy_lots(row.lots) or request.lots, request.lots),
            price=row.open_price or request.price,
            filled=not waits or request.kind.is_pending,
        )

    def modified(self, body: bytes, request: ModifyRequest) -> Done:
        row = _with_ticket(body)
        return Done(ticket=request.ticket, lots=tidy_lots(row.lots), price=row.open_price)

    def closed(self, body: bytes, request: CloseRequest) -> Done:
        """A full close answers in state Started: the state says nothing here."""
        row = _with_ticket(body)
        deal = row.deal_internal_out
        if row.ticket != request.ticket and not (deal or row.close_lots or row.has_ended):
            raise Unreadable("another order, of which nothing is closed")
        lots = (deal.traded_lots if deal is not None else ZERO) or row.close_lots or row.lots
        if request.lots is not None:
            lots = min(lots, request.lots) or request.lots
        return Done(
            ticket=request.ticket,
            lots=tidy_lots(lots),
            price=row.close_price or (deal.price if deal is not None else ZERO),
            profit=row.profit,
        )

    def deleted(self, body: bytes, request: DeleteRequest) -> Done:
        row = _with_ticket(body)
        kind = KINDS.get(row.order_type)
        if kind is not None and not kind.is_pending and row.state_name != "Cancelled":
            raise Unreadable("a position was closed in the pending order's place")
        if row.state_name in STILL_THERE:
            raise Unreadable(f"an order in state {row.state_name}")
        return Done(ticket=request.ticket, lots=tidy_lots(row.lots), price=row.open_price)


def _with_ticket(body: bytes) -> Order:
    row = decoded(order, body)
    if row.ticket <= 0:
        raise Unreadable("an order without a ticket")
    return row
