"""The face of mt4rest: its calls, its JSON and its frames."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mt_simulator.face import Call, Face, Params, Session, double, encode, stamp
from mt_simulator.model import D0, Account, Change, Closed, Order, Platform, Refusal, Symbol

_NEVER = "1970-01-01T00:00:00"
_KINDS = ("Buy", "Sell", "BuyLimit", "SellLimit", "BuyStop", "SellStop")
_TRADE = {"Disabled": 0, "CloseOnly": 1}


class Mt4Face(Face):
    platform = Platform.MT4

    def make_calls(self) -> dict[str, Call]:
        calls = self.common_calls() | {
            "openedorders": self._opened_orders,
            "openedorder": self._opened_order,
            "closedorders": self._closed_orders,
            "orderhistory": self._order_history,
            "orderhistorypagination": self._order_history_pages,
            "historypositions": self._no_positions,
            "symbols": self.symbol_list,
            "symbolparams": self._symbol_params,
            "symbolparamsmany": self._symbol_params_many,
            "quote": self._quote,
            "isinvestor": lambda session, _: session.investor,
            "orderdelete": self._delete,
            "ordercloseby": self._close_by,
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

    def _opened_orders(self, session: Session, _: Params) -> list[dict[str, Any]]:
        self.listing()
        if session.unsynced or self.lists_empty():
            return []
        return self._opened(session.account)

    def _opened(self, account: Account) -> list[dict[str, Any]]:
        return [self._order(account, order) for order in account.orders.values()]

    def _opened_order(self, session: Session, params: Params) -> dict[str, Any]:
        order = session.account.orders.get(params.integer("ticket"))
        if order is None:
            raise Refusal("INVALID_TICKET", "unknown ticket")
        return self._order(session.account, order)

    def _closed_orders(self, session: Session, _: Params) -> list[dict[str, Any]]:
        rows = session.account.history[-self.knobs.closed_orders_cap :]
        return [self._closed(session.account, closed) for closed in rows]

    def _order_history(self, session: Session, params: Params) -> list[dict[str, Any]]:
        since, until = params.moment("from"), params.moment("to")
        if since is None or until is None:
            raise Refusal("NULL_ARGUMENT", "from and to are required")
        history = session.account.history
        lag = self.history_lag()
        shown = history[: len(history) - lag] if lag else history
        return [self._closed(session.account, c) for c in shown if since <= c.closed_at < until]

    def _order_history_pages(self, session: Session, params: Params) -> dict[str, Any]:
        rows = self._order_history(session, params)
        size = max(1, params.integer("ordersperpage", 1000))
        page = params.integer("pagenumber", 0)
        return {
            "pagesCount": max(1, -(-len(rows) // size)),
            "pageNumber": page,
            "orders": rows[page * size : (page + 1) * size],
        }

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
                "marginMode": symbol.calculation,
                "contractSize": symbol.contract_size,
                "currency": symbol.name,
                "marginDivider": Decimal(account.leverage),
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

    def _quote(self, session: Session, params: Params) -> dict[str, Any]:
        symbol = self.symbol_of(session, params.text("symbol"))
        if symbol.bid <= 0:
            raise Refusal("TIMEOUT", "no quote")
        return self.quote_shape(symbol)

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
        return self._order(session.account, order)

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
        return self._order(session.account, order)

    def _close(self, session: Session, params: Params) -> dict[str, Any]:
        closed = self.brokers.close(
            session.account, params.integer("ticket"), params.number("lots", D0), self.clock()
        )
        return self._closed(session.account, closed)

    def _delete(self, session: Session, params: Params) -> str:
        self.brokers.delete(session.account, params.integer("ticket"), self.clock())
        return "OK"

    def _close_by(self, session: Session, params: Params) -> str:
        one, two = params.integer("ticket1"), params.integer("ticket2")
        self.brokers.close_by(session.account, one, two, self.clock())
        return "OK"

    # --- shapes -------------------------------------------------------------------------------

    def _order(self, account: Account, order: Order) -> dict[str, Any]:
        symbol = self.brokers.server_of(account).symbols[order.symbol]
        price = symbol.closes_at(order.buy)
        profit = D0
        if not order.pending and price > 0:
            profit = self.brokers.profit(account, order, price, order.lots)
        comment = order.comment
        if self.knobs.bad_utf8_comment and comment:
            comment = "�" + comment
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
            "comment": comment,
            "profit": profit,
            "rateOpen": 1,
            "rateClose": 1,
            "rateMargin": 1,
            "placedType": "Api",
            "ex": {"order": order.ticket, "digits": symbol.digits, "state": 0},
        }

    def _closed(self, account: Account, closed: Closed) -> dict[str, Any]:
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
                self._frame(account, "PositionClose", self._closed(account, change.closed)),
                self._frame(account, "PositionOpen", self._order(account, change.rest)),
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
            order = self._closed(account, change.closed)
        else:
            order = self._order(account, change.order)
        return [self._frame(account, action, order)]

    def _frame(self, account: Account, action: str, order: dict[str, Any]) -> bytes:
        data: dict[str, Any] = {
            "update": {"action": action, "order": order},
            "openedOrders": self._opened(account),
        }
        data |= self.brokers.figures(account)
        return encode({"type": "OrderUpdate", "data": data})
