"""The brokers' engine: fills, stops, margin, partial closes, netting. Pure: time is handed in.

It refuses what a broker refuses, with the platform's own code, and reports each change in the
order in which it happened, so that the faces can tell their streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal

from msgspec.structs import replace

from mt_simulator import margins, rollover
from mt_simulator.model import (
    D0,
    Account,
    Change,
    Closed,
    Order,
    Platform,
    Refusal,
    Server,
    Symbol,
)

Listener = Callable[[Account, Change], None]
_CODES = {
    "volume": ("INVALID_VOLUME", "INVALID_VOLUME"),
    "stops": ("INVALID_SL_TP", "INVALID_STOPS"),
    "price": ("INVALID_PRICES", "INVALID_PRICE"),
    "money": ("NOT_MONEY", "NO_MONEY"),
    "closed": ("MARKET_CLOSED", "MARKET_CLOSED"),
    "disabled": ("TRADE_DISABLED", "TRADE_DISABLED"),
    "ticket": ("INVALID_TICKET", "INVALID_TICKET"),
    "symbol": ("INVALID_SYMBOL", "INVALID_SYMBOL"),
    "same": ("SAME_PARAMS", "NO_CHANGES"),
    "limit": ("TOO_MANY_ORDERS", "LIMIT_VOLUME"),
    "frozen": ("MODIFICATIONS_DENIED", "FROZEN"),
    "close_volume": ("INVALID_VOLUME", "INVALID_CLOSE_VOLUME"),
    "request": ("INVALID_PARAM", "INVALID_REQUEST"),
}
CENTS = {"USC": "USD", "EUC": "EUR"}
_TRIGGERS: dict[str, Callable[[Order, Symbol], bool]] = {
    "BuyLimit": lambda order, symbol: symbol.ask <= order.open_price,
    "SellLimit": lambda order, symbol: symbol.bid >= order.open_price,
    "BuyStop": lambda order, symbol: symbol.ask >= order.open_price,
    "SellStop": lambda order, symbol: symbol.bid <= order.open_price,
    "BuyStopLimit": lambda order, symbol: symbol.ask >= order.open_price,
    "SellStopLimit": lambda order, symbol: symbol.bid <= order.open_price,
}


class Brokers:
    """All servers and accounts of one simulator."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.accounts: dict[tuple[str, int], Account] = {}
        self.listeners: list[Listener] = []

    # --- setting up ---------------------------------------------------------------------------

    def add_server(self, server: Server) -> Server:
        if server.next_ticket == 0:
            server.next_ticket = 7_000_001 if server.platform is Platform.MT4 else 5_000_001
        self.servers[server.name] = server
        return server

    def add_account(self, account: Account) -> Account:
        self.accounts[account.server, account.login] = account
        return account

    def account(self, server: str, login: int) -> Account:
        return self.accounts[server, login]

    def server_of(self, account: Account) -> Server:
        return self.servers[account.server]

    # --- money --------------------------------------------------------------------------------

    def rate(self, server: Server, source: str, target: str) -> Decimal:
        """What one `source` is worth in `target`: direct, inverse, or through USD. Cent accounts
        count in hundredths.
        """
        if source == target:
            return Decimal(1)
        if source in CENTS:
            return self.rate(server, CENTS[source], target) / 100
        if target in CENTS:
            return self.rate(server, source, CENTS[target]) * 100
        for one, other in ((source, target), (target, source)):
            quoted = self._quoted(server, one + other)
            if quoted is not None:
                return quoted if one == source else 1 / quoted
        if "USD" in (source, target):
            raise Refusal("NO_RATE", f"no rate from {source} to {target}")
        return self.rate(server, source, "USD") * self.rate(server, "USD", target)

    def _quoted(self, server: Server, pair: str) -> Decimal | None:
        for symbol in server.symbols.values():
            if pair in symbol.name and symbol.bid > 0 and len(symbol.name) <= len(pair) + 6:
                return (symbol.bid + symbol.ask) / 2
        return server.rates.get(pair)

    def profit(self, account: Account, order: Order, price: Decimal, lots: Decimal) -> Decimal:
        server = self.server_of(account)
        symbol = server.symbols[order.symbol]
        sign = 1 if order.buy else -1
        raw = (price - order.open_price) * sign * lots * symbol.contract_size
        return _money(raw * self.rate(server, symbol.profit_currency, account.currency))

    def margin(self, account: Account, symbol: Symbol, lots: Decimal, price: Decimal) -> Decimal:
        value, currency = margins.required(symbol, lots, price, account.leverage)
        return _money(value * self.rate(self.server_of(account), currency, account.currency))

    def figures(self, account: Account) -> dict[str, Decimal]:
        server = self.server_of(account)
        profit = margin = D0
        for order in account.orders.values():
            if order.pending:
                continue
            symbol = server.symbols[order.symbol]
            price = symbol.closes_at(order.buy) or order.open_price
            profit += self.profit(account, order, price, order.lots) + order.swap
            margin += self.margin(account, symbol, order.lots, order.open_price)
        equity = account.balance + account.credit + profit
        return {
            "balance": account.balance,
            "credit": account.credit,
            "profit": profit,
            "equity": equity,
            "margin": margin,
            "freeMargin": equity - margin,
            "marginLevel": equity / margin * 100 if margin else D0,
        }

    def deposit(
        self, account: Account, amount: Decimal, now: datetime, kind: str = "Balance"
    ) -> Closed:
        server = self.server_of(account)
        if kind == "Credit":
            account.credit += amount
        else:
            account.balance += amount
        order = Order(
            ticket=_ticket(server),
            symbol="",
            kind=kind,
            lots=D0,
            open_price=D0,
            opened_at=server.clock(now),
            opened_ms=_ms(now),
        )
        closed = self._history(account, order, D0, D0, now, reason=kind, profit=amount)
        self._tell(account, Change(what=kind.lower(), order=order, closed=closed))
        return closed

    # --- opening ------------------------------------------------------------------------------

    def open(
        self,
        account: Account,
        symbol_name: str,
        kind: str,
        lots: Decimal,
        now: datetime,
        *,
        price: Decimal = D0,
        stop_loss: Decimal = D0,
        take_profit: Decimal = D0,
        stop_limit: Decimal = D0,
        expires_at: datetime | None = None,
        magic: int = 0,
        comment: str = "",
        fill_lots: Decimal | None = None,
    ) -> Order:
        """A market or pending order. `fill_lots`: only so much is filled (immediate or cancel)."""
        server = self.server_of(account)
        symbol = self._symbol(account, symbol_name)
        if kind not in ("Buy", "Sell") and kind not in _TRIGGERS:
            raise self._no(account, "request", f"unknown operation {kind}")
        if kind.endswith("StopLimit") and account.platform is Platform.MT4:
            raise self._no(account, "request", "no stop limit orders on this platform")
        self._may_trade(account, symbol, kind.startswith("Buy"))
        self._check_lots(account, symbol, lots)
        order = Order(
            ticket=0,
            symbol=symbol_name,
            kind=kind,
            lots=lots if fill_lots is None else min(lots, fill_lots),
            open_price=price,
            opened_at=server.clock(now),
            stop_loss=stop_loss,
            take_profit=take_profit,
            stop_limit=stop_limit,
            expires_at=expires_at,
            magic=magic,
            comment=comment[:31],
            lots_asked=lots,
            opened_ms=_ms(now),
        )
        if order.pending:
            self._check_pending(account, symbol, order)
            order.ticket = _ticket(server)
            account.orders[order.ticket] = order
            self._tell(account, Change(what="placed", order=order))
            return order
        if (stop_loss or take_profit) and not account.market_execution_stops:
            raise self._no(account, "stops", "stops are not taken with the open")
        order.open_price = symbol.opens_at(order.buy)
        self._check_stops(account, symbol, order)
        return self._fill(account, order, now)

    def _fill(self, account: Account, order: Order, now: datetime) -> Order:
        server = self.server_of(account)
        symbol = server.symbols[order.symbol]
        if account.mode == "Netting":
            existing = self._netting_position(account, order)
            if existing is not None:
                return self._net(account, existing, order, now)
        figures = self.figures(account)
        needed = self.margin(account, symbol, order.lots, order.open_price)
        if figures["freeMargin"] < needed:
            raise self._no(account, "money", f"margin of {needed} is needed")
        if symbol.volume_limit:
            same = sum((o.lots for o in account.orders.values() if o.symbol == order.symbol), D0)
            if same + order.lots > symbol.volume_limit:
                raise self._no(account, "limit")
        filled_pending = bool(order.ticket)
        order.ticket = order.ticket or _ticket(server)
        order.deal = _deal(server)
        order.commission = -_money(symbol.commission_per_lot * order.lots)
        account.balance += order.commission if account.platform is Platform.MT5 else D0
        account.orders[order.ticket] = order
        self._tell(account, Change(what="filled" if filled_pending else "opened", order=order))
        return order

    def _netting_position(self, account: Account, filling: Order) -> Order | None:
        """The symbol's position, if there is one beside the order that is filling."""
        return next(
            (
                o
                for o in account.orders.values()
                if o.symbol == filling.symbol and not o.pending and o is not filling
            ),
            None,
        )

    def _net(self, account: Account, position: Order, order: Order, now: datetime) -> Order:
        """One position per symbol: the same side adds, the other side reduces, flattens or reverses."""
        server = self.server_of(account)
        if order.ticket:
            account.orders.pop(order.ticket, None)
        deal = _deal(server)
        if position.buy == order.buy:
            total = position.lots + order.lots
            spent = position.open_price * position.lots + order.open_price * order.lots
            position.open_price = spent / total
            position.lots = total
            position.deal = deal
            if order.stop_loss or order.take_profit:
                position.stop_loss, position.take_profit = order.stop_loss, order.take_profit
            self._reticket(account, position, order.ticket or _ticket(server))
            self._tell(account, Change(what="added", order=position))
            return position
        if order.lots < position.lots:
            self._reticket(account, position, order.ticket or _ticket(server))
            self._close_piece(account, position, order.lots, order.open_price, now, deal=deal)
            return position
        excess = order.lots - position.lots
        if excess == 0:
            self._close_piece(account, position, position.lots, order.open_price, now, deal=deal)
            return position
        del account.orders[position.ticket]
        closed = self._settle(
            account, position, position.lots, order.open_price, now, deal=deal, reason="Reversed"
        )
        order.lots = excess
        order.ticket = order.ticket or _ticket(server)
        order.deal = deal
        account.orders[order.ticket] = order
        self._tell(account, Change(what="reversed", order=order, closed=closed))
        return order

    def _reticket(self, account: Account, position: Order, ticket: int) -> None:
        if not account.retickets:
            return
        del account.orders[position.ticket]
        position.identifier, position.ticket = position.id, ticket
        account.orders[ticket] = position

    def fill_more(self, account: Account, ticket: int, lots: Decimal, now: datetime) -> Order:
        """A further fill of the order that opened it: more on the same ticket."""
        order = self._order(account, ticket)
        price = self._symbol(account, order.symbol).opens_at(order.buy)
        total = order.lots + lots
        order.open_price = (order.open_price * order.lots + price * lots) / total
        order.lots, order.deal = total, _deal(self.server_of(account))
        self._tell(account, Change(what="added", order=order))
        return order

    # --- changing and closing ---------------------------------------------------------------------

    def modify(
        self,
        account: Account,
        ticket: int,
        stop_loss: Decimal,
        take_profit: Decimal,
        now: datetime,
        *,
        price: Decimal = D0,
        stop_limit: Decimal = D0,
        expires_at: datetime | None = None,
    ) -> Order:
        order = self._order(account, ticket)
        symbol = self._symbol(account, order.symbol)
        self._is_open(account)
        self._check_frozen(account, symbol, order)
        changed = replace(order)
        changed.stop_loss, changed.take_profit = stop_loss, take_profit
        if order.pending:
            changed.open_price = price or order.open_price
            changed.stop_limit = stop_limit or order.stop_limit
            changed.expires_at = expires_at
            self._check_pending(account, symbol, changed)
        else:
            self._check_stops(account, symbol, changed)
        if changed == order:
            raise self._no(account, "same")
        account.orders[ticket] = changed
        what = "pending_modified" if order.pending else "modified"
        self._tell(account, Change(what=what, order=changed))
        return changed

    def close(
        self,
        account: Account,
        ticket: int,
        lots: Decimal,
        now: datetime,
        *,
        reason: str = "Client",
        price: Decimal | None = None,
    ) -> Closed:
        """All (0) or part of a position; a pending order is deleted, as the bridges do."""
        order = self._order(account, ticket)
        if order.pending:
            return self.delete(account, ticket, now)
        symbol = self._symbol(account, order.symbol)
        if reason == "Client":
            self._is_open(account)
            self._check_frozen(account, symbol, order)
            if symbol.trade_mode == "Disabled":
                raise self._no(account, "disabled")
        lots = lots or order.lots
        if lots > order.lots:
            raise self._no(account, "close_volume")
        if lots < order.lots and (lots < symbol.lot_min or lots % symbol.lot_step != 0):
            raise self._no(account, "volume")
        at = price if price is not None else symbol.closes_at(order.buy)
        return self._close_piece(account, order, lots, at, now, reason=reason)

    def _close_piece(
        self,
        account: Account,
        order: Order,
        lots: Decimal,
        price: Decimal,
        now: datetime,
        *,
        reason: str = "Client",
        deal: int = 0,
    ) -> Closed:
        server = self.server_of(account)
        if lots == order.lots:
            del account.orders[order.ticket]
            closed = self._settle(account, order, lots, price, now, deal=deal, reason=reason)
            self._tell(account, Change(what="closed", order=order, closed=closed))
            return closed
        if account.platform is Platform.MT5:
            closed = self._settle(account, order, lots, price, now, deal=deal, reason=reason)
            order.lots -= lots
            order.closed_lots += lots
            closed.position_left = order.lots
            self._tell(account, Change(what="partly", order=order, closed=closed))
            return closed
        # MT4: the closed part keeps the ticket, the rest goes on under a new one.
        del account.orders[order.ticket]
        rest = replace(order)
        rest.ticket, rest.lots = _ticket(server), order.lots - lots
        rest.comment = f"from #{order.ticket}"
        account.orders[rest.ticket] = rest
        comment = f"to #{rest.ticket}"
        closed = self._settle(
            account, order, lots, price, now, deal=deal, reason=reason, comment=comment
        )
        closed.position_left = rest.lots
        self._tell(account, Change(what="partly", order=order, closed=closed, rest=rest))
        return closed

    def reopen(self, account: Account, ticket: int) -> Order:
        """As some servers charge swap: the position goes on under another ticket, its identifier kept."""
        order = self._order(account, ticket)
        del account.orders[ticket]
        order.identifier = order.id
        order.ticket = _ticket(self.server_of(account))
        account.orders[order.ticket] = order
        self._tell(account, Change(what="modified", order=order))
        return order

    def delete(self, account: Account, ticket: int, now: datetime) -> Closed:
        order = self._order(account, ticket)
        if not order.pending:
            raise self._no(account, "ticket", "not a pending order")
        self._is_open(account)
        self._check_frozen(account, self._symbol(account, order.symbol), order)
        return self._drop(account, order, now, "Cancelled")

    def _drop(self, account: Account, order: Order, now: datetime, reason: str) -> Closed:
        del account.orders[order.ticket]
        closed = self._history(account, order, order.lots, order.open_price, now, reason=reason)
        what = "expired" if reason == "Expired" else "deleted"
        self._tell(account, Change(what=what, order=order, closed=closed))
        return closed

    def close_by(self, account: Account, ticket: int, other: int, now: datetime) -> None:
        """Two opposite positions against each other; what is left of the larger one goes on."""
        one, two = self._order(account, ticket), self._order(account, other)
        if one.symbol != two.symbol or one.buy == two.buy or account.mode == "Netting":
            raise self._no(account, "request")
        if one.lots < two.lots:
            one, two = two, one
        lots, price = two.lots, two.open_price
        first = one.ticket
        if account.platform is Platform.MT4:
            del account.orders[two.ticket]
            gone = self._history(
                account, two, D0, price, now, reason="CloseBy",
                comment=f"close hedge by #{first}", by_ticket=first,
            )  # fmt: skip
            self._close_piece(account, one, lots, price, now, reason="CloseBy")
            self._tell(account, Change(what="closed", order=two, closed=gone))
            return
        self._close_piece(account, one, lots, price, now, reason="CloseBy")
        self._close_piece(account, two, lots, two.open_price, now, reason="CloseBy")

    # --- the market -----------------------------------------------------------------------------

    def quote(
        self, server_name: str, symbol_name: str, bid: Decimal, ask: Decimal, now: datetime
    ) -> Symbol:
        """A tick: triggers pending orders, stops and targets, and stops accounts out."""
        server = self.servers[server_name]
        symbol = server.symbols[symbol_name]
        symbol.bid, symbol.ask, symbol.quoted_at = bid, ask, server.clock(now)
        self.roll_over(server, server.clock(now).date())
        if not server.market_open:
            return symbol
        for account in self.accounts.values():
            if account.server == server_name and account.orders:
                self._tick(account, symbol, now)
        return symbol

    def roll_over(self, server: Server, today: date) -> None:
        """Charges the swap of every night since the last one that was charged."""
        since, server.rolled_on = server.rolled_on or today, today
        for night in rollover.nights(since, today):
            for account in self.accounts.values():
                if account.server == server.name:
                    held = rollover.held_over(account.orders.values(), night)
                    self.charge_swap(account, held, night)

    def charge_swap(self, account: Account, held: Iterable[Order], night: date) -> None:
        server = self.server_of(account)
        for order in held:
            symbol = server.symbols[order.symbol]
            rate = self.rate(server, symbol.profit_currency, account.currency)
            order.swap += rollover.swap_of(order, symbol, rollover.times(symbol, night), rate)

    def _tick(self, account: Account, symbol: Symbol, now: datetime) -> None:
        for order in [o for o in account.orders.values() if o.symbol == symbol.name]:
            if order.ticket not in account.orders:
                continue  # on netting, what filled before it in this tick took it away
            if order.pending:
                self._tick_pending(account, order, symbol, now)
            else:
                self._tick_position(account, order, symbol, now)
        figures = self.figures(account)
        while figures["margin"] and figures["marginLevel"] < account.stop_out_percent:
            worst = min(
                (o for o in account.orders.values() if not o.pending),
                key=lambda o: self.profit(account, o, self._closing_price(account, o), o.lots),
            )
            self.close(account, worst.ticket, D0, now, reason="StopOut")
            figures = self.figures(account)

    def _closing_price(self, account: Account, order: Order) -> Decimal:
        return self.server_of(account).symbols[order.symbol].closes_at(order.buy)

    def _tick_pending(self, account: Account, order: Order, symbol: Symbol, now: datetime) -> None:
        server = self.server_of(account)
        if order.expires_at is not None and server.clock(now) >= order.expires_at:
            self._drop(account, order, now, "Expired")
            return
        if not _TRIGGERS[order.kind](order, symbol):
            return
        if order.kind.endswith("StopLimit"):
            order.kind = f"{order.kind.removesuffix('StopLimit')}Limit"
            order.open_price, order.stop_limit = order.stop_limit, D0
            self._tell(account, Change(what="pending_modified", order=order))
            return
        order.kind = "Buy" if order.buy else "Sell"
        order.opened_at, order.opened_ms = server.clock(now), _ms(now)
        order.open_price = symbol.opens_at(order.buy)
        try:
            self._fill(account, order, now)
        except Refusal:
            order.kind += "Stop"
            self._drop(account, order, now, "Cancelled")

    def _tick_position(self, account: Account, order: Order, symbol: Symbol, now: datetime) -> None:
        sign = 1 if order.buy else -1
        price = symbol.closes_at(order.buy)
        if order.stop_loss and (price - order.stop_loss) * sign <= 0:
            self.close(account, order.ticket, D0, now, reason="StopLoss")
        elif order.take_profit and (price - order.take_profit) * sign >= 0:
            self.close(account, order.ticket, D0, now, reason="TakeProfit")

    # --- checks ---------------------------------------------------------------------------------

    def _no(self, account: Account, why: str, message: str = "") -> Refusal:
        codes = _CODES[why]
        return Refusal(codes[0 if account.platform is Platform.MT4 else 1], message)

    def _symbol(self, account: Account, name: str) -> Symbol:
        symbol = self.server_of(account).symbols.get(name)
        if symbol is None:
            raise self._no(account, "symbol", f"unknown symbol {name}")
        return symbol

    def _order(self, account: Account, ticket: int) -> Order:
        order = account.orders.get(ticket)
        if order is None:
            raise self._no(account, "ticket", f"unknown ticket {ticket}")
        return order

    def _is_open(self, account: Account) -> None:
        if not self.server_of(account).market_open:
            raise self._no(account, "closed")

    def _may_trade(self, account: Account, symbol: Symbol, buy: bool) -> None:
        self._is_open(account)
        allowed = {
            "FullAccess": (True, False),
            "LongOnly": (True,),
            "ShortOnly": (False,),
        }.get(symbol.trade_mode, ())
        if buy not in allowed or account.disabled:
            raise self._no(account, "disabled")
        if symbol.bid <= 0:
            raise Refusal("OFF_QUOTES", "no quotes")

    def _check_lots(self, account: Account, symbol: Symbol, lots: Decimal) -> None:
        if lots < symbol.lot_min or lots > symbol.lot_max or lots % symbol.lot_step != 0:
            raise self._no(account, "volume", f"{lots} is not a valid volume")

    def _check_stops(self, account: Account, symbol: Symbol, order: Order) -> None:
        """Buy: bid − SL and TP − bid at least the stop level; sell: the same from the ask."""
        room = symbol.stops_level * symbol.point
        price, sign = symbol.closes_at(order.buy), 1 if order.buy else -1
        if order.stop_loss and (price - order.stop_loss) * sign < room:
            raise self._no(account, "stops", f"stop loss {order.stop_loss} too near {price}")
        if order.take_profit and (order.take_profit - price) * sign < room:
            raise self._no(account, "stops", f"take profit {order.take_profit} too near {price}")

    def _check_frozen(self, account: Account, symbol: Symbol, order: Order) -> None:
        """The market is so near to a level or a trigger that it may be reached at any moment."""
        room = symbol.freeze_level * symbol.point
        if not room:
            return
        price, levels = symbol.closes_at(order.buy), (order.stop_loss, order.take_profit)
        if order.pending:
            price, levels = symbol.opens_at(order.buy), (order.open_price, D0)
        if any(level and abs(price - level) <= room for level in levels):
            raise self._no(account, "frozen", f"{price} is within the freeze level")

    def _check_pending(self, account: Account, symbol: Symbol, order: Order) -> None:
        room = symbol.stops_level * symbol.point
        price = order.open_price
        right = {
            "BuyLimit": symbol.bid - price >= room,
            "SellStop": symbol.bid - price >= room,
            "SellStopLimit": symbol.bid - price >= room,
            "SellLimit": price - symbol.bid >= room,
            "BuyStop": price - symbol.ask >= room,
            "BuyStopLimit": price - symbol.ask >= room,
        }
        if price <= 0 or not right[order.kind]:
            raise self._no(account, "price", f"{order.kind} at {price}")
        sign = 1 if order.buy else -1
        if order.stop_loss and (price - order.stop_loss) * sign < room:
            raise self._no(account, "stops")
        if order.take_profit and (order.take_profit - price) * sign < room:
            raise self._no(account, "stops")

    # --- books ----------------------------------------------------------------------------------

    def _settle(
        self,
        account: Account,
        order: Order,
        lots: Decimal,
        price: Decimal,
        now: datetime,
        *,
        deal: int,
        reason: str,
        comment: str = "",
    ) -> Closed:
        profit = self.profit(account, order, price, lots)
        swap = _money(order.swap * lots / order.lots)
        commission = D0
        if account.platform is Platform.MT4:
            commission = _money(order.commission * lots / order.lots)
            order.commission -= commission
        order.swap -= swap
        account.balance += profit + swap + commission
        comment = comment or _closing_comment(account, order, reason)
        return self._history(
            account,
            order,
            lots,
            price,
            now,
            reason=reason,
            profit=profit,
            swap=swap,
            commission=commission,
            deal=deal,
            comment=comment,
        )

    def _history(
        self,
        account: Account,
        order: Order,
        lots: Decimal,
        price: Decimal,
        now: datetime,
        *,
        reason: str,
        profit: Decimal = D0,
        swap: Decimal = D0,
        commission: Decimal = D0,
        deal: int = 0,
        comment: str = "",
        by_ticket: int = 0,
    ) -> Closed:
        server = self.server_of(account)
        snapshot = replace(order)
        closed = Closed(
            order=snapshot,
            lots=lots,
            price=price,
            closed_at=server.clock(now),
            closed_ms=_ms(now),
            profit=profit,
            swap=swap,
            commission=commission,
            deal=deal or _deal(server),
            reason=reason,
            comment=comment or order.comment,
            by_ticket=by_ticket,
        )
        account.history.append(closed)
        return closed

    def _tell(self, account: Account, change: Change) -> None:
        for listener in self.listeners:
            listener(account, change)


def _closing_comment(account: Account, order: Order, reason: str) -> str:
    """Why, behind the comment of MT4's order; of MT5's closing deal it is the whole comment."""
    if account.platform is Platform.MT4:
        level = f"so: {account.stop_out_percent}%"
        mark = {"StopLoss": "[sl]", "TakeProfit": "[tp]", "StopOut": level}.get(reason, "")
        return f"{order.comment}{mark}"[:31]
    whole = {
        "StopLoss": f"[sl {order.stop_loss}]",
        "TakeProfit": f"[tp {order.take_profit}]",
        "StopOut": f"[so {account.stop_out_percent}%]",
    }
    return whole.get(reason, order.comment)


def _ticket(server: Server) -> int:
    server.next_ticket += 1
    return server.next_ticket - 1


def _deal(server: Server) -> int:
    server.next_deal += 1
    return server.next_deal - 1


def _money(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def _ms(now: datetime) -> int:
    return int(now.timestamp() * 1000)
