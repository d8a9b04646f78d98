"""The face of mt4rest: its calls, its JSON and its frames."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mt_simulator import margins
from mt_simulator.face import Call, Face, Session
from mt_simulator.model import D0, Account, Change, Closed, Order, Platform, Refusal, Symbol
from mt_simulator.wire import Params, double, encode, stamp

_NEVER = "1970-01-01T00:00:00"
_KINDS = ("Buy", "Sell", "BuyLimit", "SellLimit", "BuyStop", "SellStop")
_TRADE = {"Disabled": 0, "CloseOnly": 1}


class Mt4Face(Face):
    platform = Platform.MT4

    def make_calls(self) -> dict[str, Call]:
        calls = self.common_calls() | {
            "closedorders": self._closed_orders,
            "orderhistory": self.closed_between,
            "historypositions": self._no_positions,
            "symbols": self.symbol_list,
            "symbolparams": self._symbol_params,
            "symbolparamsmany": self._symbol_params_many,
            "quote": self.quote,
            "isinvestor": lambda session, _: session.investor,
            "orderdelete": self._delete,
            "ordercloseby": self.close_by,
        }
        for suffix in ("", "safe"):
            calls["ordersend" + suffix] = self._send
            calls["ordermodify" + suffix] = self._modify
            calls["orderclose" + suffix] = self._close
        return calls

    def unknown_server(self, name: str) -> Refusal:
        return Refusal("INTERNAL_ERROR", f"Server not found: {name}")

    def summary(self, session: Session, params: Params) -> dict[str, Any]:
        return super().summary(session, params) | {"type": "Demo"}

    # --- reading ------------------------------------------------------------------------------

    def _closed_orders(self, session: Session, _: Params) -> list[dict[str, Any]]:
        rows = session.account.history[-self.knobs.closed_orders_cap :]
        return [self.closed_shape(session.account, closed) for closed in rows]

    def _no_positions(self, _: Session, __: Params) -> Any:
        raise Refusal("COMMON_ERROR", "Order history not available")

    def _symbol_params(self, session: Session, params: Params) -> dict[str, Any]:
        return self._params_of(self.symbol_of(session, params.text("symbol")), session.account)

    def _symbol_params_many(self, session: Session, params: Params) -> list[dict[str, Any]]:
        names = params.many("symbol", "symbols")
        return [self._params_of(self.symbol_of(session, n), session.account) for n in names]

    def _params_of(self, symbol: Symbol, account: Account) -> dict[str, Any]:
        return {
            "symbolName": symbol.name,
            "symbol": {
                "execution": symbol.execution,
                "stopsLevel": symbol.stops_level,
                "freezeLevel": symbol.freeze_level,
                "digits": symbol.digits,
                "point": symbol.point,
                "spread": 0,
                "marginCurrency": symbol.margin_currency,
                "profitMode": symbol.calculation,
                "marginMode": margins.calculation_of(symbol),
                "contractSize": symbol.contract_size,
                "currency": symbol.name,
                "marginDivider": margins.divider(symbol, account.leverage),
                "code": 0,
                "ex": {"trade": _TRADE.get(symbol.trade_mode, 2), "description": symbol.name},
            },
            "group": {"name": "demo", "description": ""},
            "groupParams": {
                "minLot": symbol.lot_min,
                "maxLot": symbol.lot_max,
                "lotStep": symbol.lot_step,
                "trade": 0 if symbol.trade_mode == "Disabled" else 1,
            },
        }

    def quote_shape(self, symbol: Symbol) -> dict[str, Any]:
        return {
            "symbol": symbol.name,
            "bid": symbol.bid,
            "ask": symbol.ask,
            "time": stamp(symbol.quoted_at, ms=True) if symbol.quoted_at else _NEVER,
            "high": symbol.ask,
            "low": symbol.bid,
        }

    # --- trading ------------------------------------------------------------------------------

    def _send(self, session: Session, params: Params) -> dict[str, Any]:
        operation = params.text("operation")
        fill = params.values.get("fill_lots")
        order = self.brokers.open(
            session.account,
            params.text("symbol"),
            _KINDS[int(operation)] if operation.isdigit() else operation,
            params.number("volume"),
            self.clock(),
            price=params.number("price", D0),
            stop_loss=params.number("stoploss", D0),
            take_profit=params.number("takeprofit", D0),
            expires_at=params.moment("expiration"),
            magic=params.integer("magic", 0),
            comment=params.values.get("comment", ""),
            fill_lots=Decimal(fill) if fill else None,
        )
        return self.order_shape(session.account, order)

    def _modify(self, session: Session, params: Params) -> dict[str, Any]:
        order = self.brokers.modify(
            session.account,
            params.integer("ticket"),
            params.number("stoploss", D0),
            params.number("takeprofit", D0),
            self.clock(),
            price=params.number("price", D0),
            expires_at=params.moment("expiration"),
        )
        return self.order_shape(session.account, order)

    def _close(self, session: Session, params: Params) -> dict[str, Any]:
        closed = self.brokers.close(
            session.account, params.integer("ticket"), params.number("lots", D0), self.clock()
        )
        return self.closed_shape(session.account, closed)

    def _delete(self, session: Session, params: Params) -> str:
        self.brokers.delete(session.account, params.integer("ticket"), self.clock())
        return "OK"

    # --- shapes -------------------------------------------------------------------------------

    def order_shape(self, account: Account, order: Order) -> dict[str, Any]:
        symbol = self.brokers.server_of(account).symbols[order.symbol]
        price = symbol.closes_at(order.buy)
        return {
            "ticket": order.ticket,
            "openTime": stamp(order.opened_at),
            "closeTime": _NEVER,
            "expiration": stamp(order.expires_at) if order.expires_at else _NEVER,
            "type": order.kind,
            "lots": order.lots,
            "symbol": order.symbol,
            "openPrice": double(order.open_price),
            "stopLoss": double(order.stop_loss),
            "takeProfit": double(order.take_profit),
            "closePrice": double(price),
            "magicNumber": order.magic,
            "swap": order.swap,
            "commission": order.commission,
            "comment": self.comment_of(order),
            "profit": self.profit_of(account, order),
            "rateOpen": 1,
            "rateClose": 1,
            "rateMargin": 1,
            "placedType": "Api",
            "ex": {"order": order.ticket, "digits": symbol.digits, "state": 0},
        }

    def closed_shape(self, account: Account, closed: Closed) -> dict[str, Any]:
        order = closed.order
        row: dict[str, Any] = {
            "ticket": order.ticket,
            "openTime": stamp(order.opened_at),
            "closeTime": stamp(closed.closed_at),
            "expiration": _NEVER,
            "type": order.kind,
            "lots": closed.lots,
            "symbol": order.symbol,
            "openPrice": double(order.open_price),
            "stopLoss": double(order.stop_loss),
            "takeProfit": double(order.take_profit),
            "closePrice": double(closed.price),
            "magicNumber": order.magic,
            "swap": closed.swap,
            "commission": closed.commission,
            "comment": closed.comment,
            "profit": closed.profit,
            "placedType": "Api",
            "ex": {
                "order": order.ticket,
                "digits": self.digits_of(account, order),
                "state": 4 if closed.position_left else 3,
            },
        }
        if order.pending:
            row["ex"]["state"] = 6
        return row

    # --- frames -------------------------------------------------------------------------------

    def frames(self, account: Account, change: Change) -> list[bytes]:
        if change.what == "partly" and change.rest is not None and change.closed is not None:
            return [
                self._frame(account, "PositionClose", self.closed_shape(account, change.closed)),
                self._frame(account, "PositionOpen", self.order_shape(account, change.rest)),
            ]
        action = {
            "opened": "PositionOpen",
            "modified": "PositionModify",
            "closed": "PositionClose",
            "placed": "PendingOpen",
            "pending_modified": "PendingModify",
            "deleted": "PendingClose",
            "expired": "PendingClose",
            "filled": "PendingFill",
            "balance": "Balance",
            "credit": "Credit",
        }[change.what]
        if change.closed is not None:
            order = self.closed_shape(account, change.closed)
        else:
            order = self.order_shape(account, change.order)
        return [self._frame(account, action, order)]

    def _frame(self, account: Account, action: str, order: dict[str, Any]) -> bytes:
        data: dict[str, Any] = {
            "update": {"action": action, "order": order},
            "openedOrders": self.open_rows(account),
        }
        data |= self.brokers.figures(account)
        return encode({"type": "OrderUpdate", "data": data})
