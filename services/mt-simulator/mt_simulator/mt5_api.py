"""The face of mt5rest: its calls, its JSON and its frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from mt_simulator.broker import Brokers
from mt_simulator.face import Call, Face, Session
from mt_simulator.knobs import Ledger
from mt_simulator.model import D0, Account, Change, Closed, Order, Platform, Refusal, Symbol
from mt_simulator.wire import Params, double, encode, stamp

_NEVER = "0001-01-01T00:00:00"
_KINDS = (
    "Buy", "Sell", "BuyLimit", "SellLimit", "BuyStop", "SellStop", "BuyStopLimit", "SellStopLimit",
)  # fmt: skip
_PLACED = {"StopLoss": "OnSL", "TakeProfit": "OnTP", "StopOut": "OnStopOut"}
_CLOSE_TYPES = {
    "StopLoss": "OnStopLoss",
    "TakeProfit": "OnTakeProfit",
    "StopOut": "OnStopOut",
    "CloseBy": "MarketCloseBy",
}
_FRAMES = {
    "opened": ("MarketOpen",),
    "filled": ("Filled", "MarketOpen"),
    "added": ("MarketOpen",),
    "reversed": ("MarketOpen",),
    "modified": ("MarketModify",),
    "placed": ("PendingOpen",),
    "pending_modified": ("PendingModify",),
    "deleted": ("PendingClose",),
    "expired": ("Expired",),
    "balance": ("Balance",),
}


class Mt5Face(Face):
    platform = Platform.MT5

    def __init__(self, brokers: Brokers, clock: Callable[[], datetime], ledger: Ledger) -> None:
        super().__init__(brokers, clock, ledger)
        self._written: dict[tuple[str, int], dict[int, tuple[tuple[object, ...], bytes]]] = {}
        """By account and ticket: what a row of the list was made of, and the row."""

    def make_calls(self) -> dict[str, Call]:
        calls = self.common_calls() | {
            "account": self._account,
            "closedorders": self._closed_orders,
            "orderhistory": self._order_history,
            "symbols": self._symbols,
            "symbolparams": self._symbol_params,
            "symbolparamsmany": self._symbol_params_many,
            "getquote": self.quote,
            "getquotemany": self._quotes,
            "istradesession": lambda session, _: (
                self.brokers.server_of(session.account).market_open
            ),
            "requiredmargin": self._required_margin,
            "ordercanceltask": self._close,
            "orderclosebytask": self.close_by,
        }
        for suffix in ("", "safe", "task"):
            calls["ordersend" + suffix] = self._send
            calls["ordermodify" + suffix] = self._modify
            calls["orderclose" + suffix] = self._close
        return calls

    def unknown_server(self, name: str) -> Refusal:
        return Refusal("DONE", f"Server '{name}' not found: neither /Search nor /SearchMQ has it")

    def summary(self, session: Session, params: Params) -> dict[str, Any]:
        return super().summary(session, params) | {
            "method": session.account.mode,
            "type": "demo",
            "synced": not session.unsynced,
        }

    # --- reading ------------------------------------------------------------------------------

    def _account(self, session: Session, _: Params) -> dict[str, Any]:
        account = session.account
        return {
            "login": account.login,
            "userName": account.name,
            "balance": account.balance,
            "credit": account.credit,
            "leverage": account.leverage,
        }

    def _closed_orders(self, session: Session, _: Params) -> list[dict[str, Any]]:
        rows = [c for c in session.account.history if c.reason not in ("Cancelled", "Expired")]
        return [
            self.closed_shape(session.account, c) for c in rows[-self.knobs.closed_orders_cap :]
        ]

    def _order_history(self, session: Session, params: Params) -> dict[str, Any]:
        rows = self.closed_between(session, params)
        most = self.knobs.history_rows or len(rows)
        more = len(rows) > most
        return {
            "partialResponse": more,
            "orders": rows[:most],
            "internalDeals": [],
            "internalOrders": [],
            "action": 14 if more else 1,
        }

    def _symbols(self, session: Session, _: Params) -> dict[str, Any]:
        symbols = self.brokers.server_of(session.account).symbols
        return {name: self._symbol_info(symbol) for name, symbol in symbols.items()}

    def _symbol_params(self, session: Session, params: Params) -> dict[str, Any]:
        return self._params_of(self.symbol_of(session, params.text("symbol")), session)

    def _symbol_params_many(self, session: Session, params: Params) -> list[dict[str, Any]]:
        names = params.many("symbols", "symbol")
        return [self._params_of(self.symbol_of(session, name), session) for name in names]

    def _symbol_info(self, symbol: Symbol) -> dict[str, Any]:
        return {
            "currency": symbol.name,
            "profitCurrency": symbol.profit_currency,
            "marginCurrency": symbol.margin_currency,
            "digits": symbol.digits,
            "points": symbol.point,
            "contractSize": symbol.contract_size,
            "tickSize": symbol.tick_size or symbol.point,
            "spread": 0,
            "description": symbol.name,
        }

    def _params_of(self, symbol: Symbol, session: Session) -> dict[str, Any]:
        account = session.account
        tick_size = symbol.tick_size or symbol.point
        server = self.brokers.server_of(account)
        rate = self.brokers.rate(server, symbol.profit_currency, account.currency)
        tick_value = symbol.contract_size * tick_size * rate
        info = self._symbol_info(symbol) | {
            "tickValue": tick_value,
            "bid_tickvalue": tick_value,
            "ask_tickvalue": tick_value,
        }
        scale = Decimal(100_000_000)
        group = {
            "minLots": symbol.lot_min,
            "maxLots": symbol.lot_max,
            "lotsStep": symbol.lot_step,
            "minVolume": int(symbol.lot_min * scale),
            "maxVolume": int(symbol.lot_max * scale),
            "volumeStep": int(symbol.lot_step * scale),
            "tradeMode": symbol.trade_mode,
            "tradeType": symbol.execution,
            "fillPolicy": "FOK, IOC",
            "expiration": "ALL",
            "stopsLevel": symbol.stops_level,
            "freezeLevel": symbol.freeze_level,
            "volumeLimit": int(symbol.volume_limit * scale),
            "initialMargin": symbol.margin_initial,
            "groupName": "demo",
        }
        return {"symbol": symbol.name, "symbolInfo": info, "symbolGroup": group}

    def quote_shape(self, symbol: Symbol) -> dict[str, Any]:
        return {
            "symbol": symbol.name,
            "bid": symbol.bid,
            "ask": symbol.ask,
            "time": stamp(symbol.quoted_at, ms=True) if symbol.quoted_at else _NEVER,
            "last": 0,
            "volume": 0,
        }

    def _quotes(self, session: Session, params: Params) -> list[dict[str, Any]]:
        return [
            self.quote_shape(self.symbol_of(session, n)) for n in params.many("symbols", "symbol")
        ]

    def _required_margin(self, session: Session, params: Params) -> Decimal:
        symbol = self.symbol_of(session, params.text("symbol"))
        price = symbol.opens_at(params.text("type", "Buy").startswith("Buy"))
        return self.brokers.margin(session.account, symbol, params.number("lots"), price)

    # --- trading ------------------------------------------------------------------------------

    def _send(self, session: Session, params: Params) -> dict[str, Any]:
        magic = params.values.get("expertid")
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
            stop_limit=params.number("stoplimitprice", D0),
            expires_at=params.moment("expiration"),
            magic=int(magic) if magic is not None else int(time.time()),
            comment=params.values.get("comment", ""),
            fill_lots=Decimal(fill) if fill else None,
        )
        self.fill_rest(session.account, order, params)
        reply = self.order_shape(session.account, order)
        reply["state"] = "Placed" if order.pending else "Filled"
        # On netting the order is the position: what this one filled is said apart.
        reply["lots"] = (
            order.lots
            if session.account.mode != "Netting"
            else min(Decimal(fill or "Infinity"), params.number("volume"))
        )
        return reply

    def _modify(self, session: Session, params: Params) -> dict[str, Any]:
        order = self.brokers.modify(
            session.account,
            params.integer("ticket"),
            params.number("stoploss", D0),
            params.number("takeprofit", D0),
            self.clock(),
            price=params.number("price", D0),
            stop_limit=params.number("stoplimit", D0),
            expires_at=params.moment("expiration"),
        )
        return self.order_shape(session.account, order)

    def _close(self, session: Session, params: Params) -> dict[str, Any]:
        closed = self.brokers.close(
            session.account, params.integer("ticket"), params.number("lots", D0), self.clock()
        )
        reply = self.closed_shape(session.account, closed)
        reply["state"] = "Cancelled" if closed.order.pending else "Started"
        return reply

    # --- shapes -------------------------------------------------------------------------------

    def order_shape(self, account: Account, order: Order) -> dict[str, Any]:
        symbol = self.brokers.server_of(account).symbols[order.symbol]
        price = symbol.closes_at(order.buy)
        return {
            "ticket": order.ticket,
            "symbol": order.symbol,
            "comment": self.comment_of(order),
            "orderType": order.kind,
            "dealType": "DealBuy" if order.buy else "DealSell",
            "state": "Placed" if order.pending else "Filled",
            "lots": order.lots,
            "volume": int(order.lots * 100_000_000),
            "closeLots": order.closed_lots,
            "openPrice": double(order.open_price),
            "closePrice": double(price),
            "stopLoss": double(order.stop_loss),
            "takeProfit": double(order.take_profit),
            "stopLimitPrice": double(order.stop_limit),
            "openTime": stamp(order.opened_at, ms=True),
            "openTimestampUTC": order.opened_ms,
            "closeTime": _NEVER,
            "closeTimestampUTC": -62135596800000,
            "profit": self.profit_of(account, order),
            "swap": order.swap,
            "commission": order.commission,
            "fee": 0,
            "contractSize": symbol.contract_size,
            "digits": symbol.digits,
            "expertId": order.magic,
            "placedType": "ByExpert",
            "expirationType": "Specified" if order.expires_at else "GTC",
            "expirationTime": stamp(order.expires_at) if order.expires_at else _NEVER,
            "fillPolicy": "FillOrKill",
            "dealInternalIn": {
                "ticketNumber": order.deal,
                "positionTicket": order.id,
                "commission": order.commission,
                "digits": symbol.digits,
            },
            "dealInternalOut": None,
            "orderInternal": {"ticketNumber": order.ticket} if order.pending else None,
            "partialCloseDeals": [],
            "partialFillDeals": [],
        }

    def closed_shape(self, account: Account, closed: Closed) -> dict[str, Any]:
        order = closed.order
        if closed.reason in ("Balance", "Credit"):
            return {
                "ticket": order.ticket,
                "symbol": "",
                "comment": closed.comment,
                "orderType": closed.reason,
                "dealType": closed.reason,
                "state": "Filled",
                "lots": 0,
                "profit": closed.profit,
                "openTime": stamp(closed.closed_at, ms=True),
                "closeTime": stamp(closed.closed_at, ms=True),
            }
        row = self.order_shape(account, order)
        cancelled = closed.reason in ("Cancelled", "Expired")
        row |= {
            "state": closed.reason if cancelled else "Filled",
            "comment": order.comment,
            "closeComment": closed.comment,
            "lots": order.lots if cancelled else closed.lots,
            "closeLots": D0 if cancelled else closed.lots,
            "closePrice": double(closed.price),
            "closeTime": stamp(closed.closed_at, ms=True),
            "closeTimestampUTC": closed.closed_ms,
            "profit": closed.profit,
            "swap": closed.swap,
            "commission": closed.commission,
        }
        if not cancelled:
            row["dealInternalOut"] = self._deal_out(account, closed)
        return row

    def _deal_out(self, account: Account, closed: Closed) -> dict[str, Any]:
        order = closed.order
        return {
            "ticketNumber": closed.deal,
            "positionTicket": order.id,
            "symbol": order.symbol,
            "type": "DealSell" if order.buy else "DealBuy",
            "direction": {"CloseBy": "OutBy", "Reversed": "InOut"}.get(closed.reason, "Out"),
            "price": double(closed.price),
            "lots": closed.lots,
            "profit": closed.profit,
            "commission": closed.commission,
            "swap": closed.swap,
            "fee": 0,
            "placedType": _PLACED.get(closed.reason, "ByExpert"),
            "openTimeMs": closed.closed_ms,
            "digits": self.digits_of(account, order),
        }

    # --- frames -------------------------------------------------------------------------------

    def _listed(self, account: Account) -> msgspec.Raw:
        """The list, written. An order that is as it was, at the price that was, reads as it did."""
        place = (account.server, account.login)
        known, rows = self._written.get(place, {}), {}
        for ticket, order in account.orders.items():
            state = (*msgspec.structs.astuple(order), *self._terms(account, order))
            former = known.get(ticket)
            if former is None or former[0] != state:
                former = (state, encode(self.order_shape(account, order)))
            rows[ticket] = former
        self._written[place] = rows
        return _raw_list(row for _, row in rows.values())

    def _terms(self, account: Account, order: Order) -> tuple[object, ...]:
        """All but the order itself that its row is made of."""
        server = self.brokers.server_of(account)
        symbol = server.symbols[order.symbol]
        price = symbol.closes_at(order.buy)
        rate = None
        if not order.pending and price > 0:
            rate = self.brokers.rate(server, symbol.profit_currency, account.currency)
        return price, rate, symbol.contract_size, symbol.digits, self.knobs.bad_utf8_comment

    def frames(self, account: Account, change: Change) -> list[bytes]:
        tail: dict[str, Any] = {"openedOrders": self._listed(account), "user": account.login}
        tail |= self.brokers.figures(account)
        order = self._frame_order(account, change)
        deal = (
            self._deal_out(account, change.closed)
            if change.closed and order["state"] != "Cancelled"
            else None
        )
        return [
            *(self._on_its_way(account, change) if self.knobs.noise else []),
            *(self._frame(kind, order, deal, tail, change) for kind in _kinds(account, change)),
        ]

    def _frame(
        self,
        kind: str,
        order: dict[str, Any],
        deal: dict[str, Any] | None,
        tail: dict[str, Any],
        change: Change,
    ) -> bytes:
        update = {
            "type": kind,
            "closeByTicket": change.closed.by_ticket if change.closed else 0,
            "trans": {"updateId": 0, "ticketNumber": order["ticket"]},
            "orderInternal": order.get("orderInternal"),
            "deal": deal,
            "oppositeDeal": None,
            "order": order,
        }
        return encode({"type": "OrderUpdate", "data": {"update": update, **tail}})

    def _on_its_way(self, account: Account, change: Change) -> list[bytes]:
        """A market order is told, and listed, before there is a deal of it; one that closes has a
        ticket of its own, and what it closes stands until then.
        """
        order, closed = change.order, change.closed
        written = self._written[account.server, account.login]
        standing = {ticket: row for ticket, (_, row) in written.items()}
        if change.what == "opened":
            del standing[order.ticket]
            coming = self.order_shape(account, order)
        elif closed is not None and closed.reason == "Client" and not order.pending:
            coming = self.order_shape(account, closed.order)
            standing[closed.order.ticket] = encode(coming)
            coming |= {"orderType": "Sell" if order.buy else "Buy", "lots": closed.lots}
            coming |= {"ticket": closed.deal, "openPrice": double(closed.price)}
        else:
            return []
        coming |= {"dealInternalIn": None, "orderInternal": {"ticketNumber": coming["ticket"]}}
        tail: dict[str, Any] = {"user": account.login, **self.brokers.figures(account)}
        placed, filled = coming | {"state": "Started"}, coming | {"state": "Filled"}
        before = tail | {"openedOrders": _raw_list([*standing.values(), encode(placed)])}
        after = tail | {"openedOrders": _raw_list(standing.values())}
        return [
            self._frame("PendingOpen", placed, None, before, change),
            self._frame("Filled", filled, None, after, change),
        ]

    def _frame_order(self, account: Account, change: Change) -> dict[str, Any]:
        closed = change.closed
        if closed is None:
            return self.order_shape(account, change.order)
        row = self.closed_shape(account, closed)
        if change.what == "partly":
            row["lots"], row["closeLots"] = closed.position_left, closed.lots
            row["partialCloseDeals"] = [self._deal_out(account, closed)]
        elif change.what == "closed":
            row["lots"] = D0 if self.knobs.full_close_lots_zero else closed.lots
        elif change.what == "reversed":
            row = self.order_shape(account, change.order)
        elif change.what in ("deleted", "expired"):
            row["state"] = "Cancelled" if change.what == "deleted" else "Expired"
        return row


def _kinds(account: Account, change: Change) -> Sequence[str]:
    """What the frames of a change are called, in their order."""
    if change.what == "partly":
        return ("PartialClose",) if account.mode == "Hedging" else ("MarketOpen",)
    if change.what == "closed":
        reason = change.closed.reason if change.closed else ""
        return (_CLOSE_TYPES.get(reason, "MarketClose"),)
    return _FRAMES.get(change.what, ("Unknown",))


def _raw_list(rows: Iterable[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[%b]" % b",".join(rows))
