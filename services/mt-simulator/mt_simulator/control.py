"""The control API: what a test or the demo does to the brokers behind the bridges' backs.

`POST /control` with `{"call": name, "args": {...}}`; every public method of `Control` is a call.
It is also the master's hand: trades made here are not requests of a bridge and not in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from mt_simulator.broker import Brokers
from mt_simulator.face import Face
from mt_simulator.knobs import FaceKnobs, Knob, Ledger, StreamKnobs
from mt_simulator.model import D0, Account, Platform, Refusal, Server, Symbol
from mt_simulator.wire import Params

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Clock:
    """Real time, shifted as a test wants it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self.shift = now, timedelta()

    def __call__(self) -> datetime:
        return self._now() + self.shift


class Control:
    def __init__(
        self, brokers: Brokers, faces: dict[Platform, Face], ledger: Ledger, clock: Clock
    ) -> None:
        self._brokers, self._faces, self._ledger, self._clock = brokers, faces, ledger, clock

    async def handle(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        name = str(body["call"])
        method = getattr(self, name, None)
        if name.startswith("_") or name == "handle" or method is None:
            return web.json_response({"error": f"no such call: {name}"}, status=404)
        try:
            result = method(**body.get("args", {}))
        except Refusal as refusal:
            return web.json_response({"refused": refusal.code}, status=409)
        except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            return web.json_response({"error": f"{name}: {error!r}"}, status=400)
        return web.Response(body=_encode(result), content_type="application/json")

    # --- the world ----------------------------------------------------------------------------

    def add_server(self, **fields: Any) -> str:
        """Fields of model.Server; symbols by `add_symbol`."""
        server = msgspec.convert(fields, Server, strict=False)
        return self._brokers.add_server(server).name

    def set_server(self, name: str, **fields: Any) -> None:
        server = self._brokers.servers[name]
        for field, value in fields.items():
            setattr(server, field, value)

    def add_symbol(self, server: str, **fields: Any) -> None:
        """Fields of model.Symbol; an existing symbol of the name is replaced, its quote kept."""
        symbol = msgspec.convert(fields, Symbol, strict=False)
        symbols = self._brokers.servers[server].symbols
        former = symbols.get(symbol.name)
        if former is not None and symbol.bid == 0:
            symbol.bid, symbol.ask, symbol.quoted_at = former.bid, former.ask, former.quoted_at
        symbols[symbol.name] = symbol

    def set_symbol(self, server: str, name: str, **fields: Any) -> None:
        """Fields of model.Symbol."""
        symbol = self._brokers.servers[server].symbols[name]
        for field, value in fields.items():
            kind = Symbol.__annotations__[field]
            setattr(symbol, field, Decimal(value) if kind == "Decimal" else value)

    def add_account(self, **fields: Any) -> None:
        """Fields of model.Account; its opening balance is a deposit in its history."""
        account = msgspec.convert(fields, Account, strict=False)
        amount, account.balance = account.balance, D0
        self._brokers.add_account(account)
        self._brokers.deposit(account, amount, self._clock() - timedelta(days=1))

    def set_account(self, server: str, login: int, **fields: Any) -> None:
        account = self._account(server, login)
        for field, value in fields.items():
            kind = Account.__annotations__[field]
            setattr(account, field, Decimal(value) if kind == "Decimal" else value)

    def quote(self, server: str, symbol: str, bid: str, ask: str) -> None:
        changed = self._brokers.quote(server, symbol, Decimal(bid), Decimal(ask), self._clock())
        platform = self._brokers.servers[server].platform
        self._faces[platform].tell_quote(server, changed)

    def quotes(self, ticks: list[tuple[str, str, str, str]]) -> None:
        """Many ticks: (server, symbol, bid, ask)."""
        for server, symbol, bid, ask in ticks:
            self.quote(server, symbol, bid, ask)

    def tick_again(self) -> None:
        """The present prices once more, so that no quote is old."""
        for server in self._brokers.servers.values():
            for symbol in server.symbols.values():
                if symbol.bid > 0:
                    self.quote(server.name, symbol.name, str(symbol.bid), str(symbol.ask))

    def roll_over(self, server: str, night: str) -> None:
        """As if this day of the server's (2026-09-16) had just ended: what is open is charged."""
        for account in self._brokers.accounts.values():
            if account.server == server:
                held = [order for order in account.orders.values() if not order.pending]
                self._brokers.charge_swap(account, held, date.fromisoformat(night))

    def shift_clock(self, seconds: float) -> None:
        self._clock.shift += timedelta(seconds=seconds)

    # --- the owner's hand ---------------------------------------------------------------------

    def open(
        self,
        server: str,
        login: int,
        symbol: str,
        kind: str,
        lots: str,
        price: str = "0",
        stop_loss: str = "0",
        take_profit: str = "0",
        stop_limit: str = "0",
        magic: int = 0,
        comment: str = "",
        expires_at: str | None = None,
    ) -> int:
        order = self._brokers.open(
            self._account(server, login),
            symbol,
            kind,
            Decimal(lots),
            self._clock(),
            price=Decimal(price),
            stop_loss=Decimal(stop_loss),
            take_profit=Decimal(take_profit),
            stop_limit=Decimal(stop_limit),
            magic=magic,
            comment=comment,
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        )
        return order.ticket

    def fill_more(self, server: str, login: int, ticket: int, lots: str) -> None:
        """A further fill of the order that opened the position."""
        account = self._account(server, login)
        self._brokers.fill_more(account, ticket, Decimal(lots), self._clock())

    def close(
        self, server: str, login: int, ticket: int, lots: str = "0", price: str | None = None
    ) -> int:
        """The ticket of what is left (MT4 gives it a new one), or 0."""
        account = self._account(server, login)
        at = Decimal(price) if price is not None else None
        closed = self._brokers.close(account, ticket, Decimal(lots), self._clock(), price=at)
        if ticket in account.orders:
            return ticket
        if closed.position_left:
            return int(closed.comment.removeprefix("to #"))
        return 0

    def reopen(self, server: str, login: int, ticket: int, tells: bool = True) -> int:
        """Its new ticket. `tells`: the bridge shows the identifier that stays."""
        order = self._brokers.reopen(self._account(server, login), ticket)
        order.identifier = order.identifier if tells else 0
        return order.ticket

    def close_by(self, server: str, login: int, ticket: int, other: int) -> None:
        self._brokers.close_by(self._account(server, login), ticket, other, self._clock())

    def modify(
        self,
        server: str,
        login: int,
        ticket: int,
        stop_loss: str = "0",
        take_profit: str = "0",
        price: str = "0",
        expires_at: str | None = None,
    ) -> None:
        self._brokers.modify(
            self._account(server, login),
            ticket,
            Decimal(stop_loss),
            Decimal(take_profit),
            self._clock(),
            price=Decimal(price),
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        )

    def deposit(self, server: str, login: int, amount: str, kind: str = "Balance") -> None:
        account = self._account(server, login)
        self._brokers.deposit(account, Decimal(amount), self._clock(), kind)

    # --- looking ------------------------------------------------------------------------------

    def book(self, server: str, login: int) -> dict[str, Any]:
        """The broker's own books: open orders, everything that ended, and the figures."""
        account = self._account(server, login)
        return {
            "open": list(account.orders.values()),
            "history": account.history,
            "figures": self._brokers.figures(account),
        }

    def ledger(self, endpoint: str = "", login: int = 0) -> list[Any]:
        return [
            entry
            for entry in self._ledger.entries
            if (not endpoint or entry.endpoint == endpoint.lower())
            and (not login or entry.login == login)
        ]

    def ledger_counts(self) -> dict[str, int]:
        return self._ledger.counts

    def clear_ledger(self, counting_only: bool = False) -> None:
        self._ledger.clear()
        self._ledger.counting_only = counting_only

    # --- being nasty --------------------------------------------------------------------------

    def script(self, platform: str, **fields: Any) -> None:
        """Fields of knobs.Knob: what happens to the next calls."""
        self._faces[Platform(platform)].scripts.append(msgspec.convert(fields, Knob))

    def clear_scripts(self) -> None:
        for face in self._faces.values():
            face.scripts.clear()

    def stream(self, server: str, login: int, **fields: Any) -> None:
        """Fields of knobs.StreamKnobs: what happens to the account's next frames."""
        platform = self._brokers.servers[server].platform
        knobs = msgspec.convert(fields, StreamKnobs)
        self._faces[platform].stream_knobs[server, login] = knobs

    def bridge(self, platform: str, **fields: Any) -> None:
        """Fields of knobs.FaceKnobs."""
        face = self._faces[Platform(platform)]
        for field, value in fields.items():
            if field not in FaceKnobs.__struct_fields__:
                raise ValueError(f"no such knob: {field}")
            setattr(face.knobs, field, value)
        if fields.get("down"):
            face.drop_all_streams()

    def disconnect(self, server: str, login: int) -> None:
        """Its sessions end; ConnectByToken still brings them back."""
        account = self._account(server, login)
        face = self._faces[account.platform]
        for session in [s for s in face.sessions.values() if s.account is account]:
            face.disconnect(session, Params({}))

    def forget_sessions(self, platform: str) -> None:
        """As after a restart of the bridge."""
        self._faces[Platform(platform)].forget()

    def _account(self, server: str, login: int) -> Account:
        return self._brokers.account(server, login)
