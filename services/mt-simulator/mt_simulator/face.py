"""What both bridges share: sessions, parameters, answers and errors, streams, and being nasty.

Everything is GET with query parameters, errors come with status 201 and a body that says so, and
scalars are bare or quoted as the caller accepts: the protocol is the bridges', not ours.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import WSMsgType, web

from mt_simulator.broker import Brokers
from mt_simulator.knobs import TRADE_CALLS, Entry, FaceKnobs, Knob, Ledger, StreamKnobs
from mt_simulator.model import D0, Account, Change, Closed, Order, Platform, Refusal, Symbol
from mt_simulator.wire import Params, encode, fault, half_an_answer, hang_up, login_of, scalar

HUGE_FRAME = 20_000_000
_STREAMS = {
    "onorderupdate": frozenset({"orders"}),
    "onquote": frozenset({"quotes"}),
    "events": frozenset({"orders", "quotes"}),
}


class Session:
    def __init__(self, token: str, account: Account, investor: bool, unsynced: int) -> None:
        self.token, self.account, self.investor = token, account, investor
        self.used_at = time.monotonic()
        self.unsynced = unsynced
        self.symbols: set[str] = set()


class Stream:
    """One WebSocket: what is to be sent waits here in order."""

    def __init__(self, session: Session, kinds: frozenset[str]) -> None:
        self.session, self.kinds = session, kinds
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()


Call = Callable[[Session, Params], Any]


class Face:
    """One bridge. A subclass gives the platform's calls, shapes and frames."""

    platform: Platform

    def __init__(self, brokers: Brokers, clock: Callable[[], datetime], ledger: Ledger) -> None:
        self.brokers, self.clock, self.ledger = brokers, clock, ledger
        self.knobs = FaceKnobs()
        self.scripts: list[Knob] = []
        self.stream_knobs: dict[tuple[str, int], StreamKnobs] = {}
        self.sessions: dict[str, Session] = {}
        self._met: dict[str, tuple[Account, bool]] = {}
        """Every token that was given, and whether it is an investor's."""
        self.streams: dict[tuple[str, int], list[Stream]] = {}
        self._held: dict[tuple[str, int], list[bytes]] = {}
        self._recent: deque[float] = deque()
        self._later: set[asyncio.Task[None]] = set()
        self._last_lists: dict[tuple[str, int], list[dict[str, Any]]] = {}
        """What the last OpenedOrders of an account answered."""
        self.calls: dict[str, Call] = self.make_calls()
        brokers.listeners.append(self._changed)

    def make_calls(self) -> dict[str, Call]:
        raise NotImplementedError

    def frames(self, account: Account, change: Change) -> list[bytes]:
        raise NotImplementedError

    def order_shape(self, account: Account, order: Order) -> dict[str, Any]:
        raise NotImplementedError

    def closed_shape(self, account: Account, closed: Closed) -> dict[str, Any]:
        raise NotImplementedError

    def quote_shape(self, symbol: Symbol) -> dict[str, Any]:
        raise NotImplementedError

    # --- HTTP ---------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        endpoint = request.path.strip("/").lower()
        params = Params(request.query)
        if endpoint in _STREAMS:
            return await self._stream(request, endpoint, params)
        met = self._met.get(params.values.get("id", ""))
        login = met[0].login if met else login_of(params)
        entry = self.ledger.note(time.time(), self.platform.value, login, endpoint, params.values)
        if self.knobs.down:
            return hang_up(request, entry, "down")
        if self._is_throttled():
            return web.json_response({"message": "Too many requests"}, status=429)
        script = self._script(endpoint, login, params.values.get("symbol", ""))
        if script is None:
            return self._answer(request, entry, endpoint, params)
        return await self._scripted(request, entry, endpoint, params, script)

    def _answer(
        self, request: web.Request, entry: Entry, endpoint: str, params: Params
    ) -> web.Response:
        try:
            value = self._call(endpoint, params)
        except Refusal as refusal:
            entry.answer = refusal.code
            return self._error(refusal)
        except LookupError:
            entry.answer = "404"
            return web.Response(status=404)
        entry.executed, entry.answer = True, "ok"
        if isinstance(value, (str, bool, int, Decimal)):
            accepted = request.headers.get("Accept", "")
            return scalar(value, self.knobs.scalars or ("quoted" if "json" in accepted else ""))
        body = encode(value)
        if self.knobs.bad_utf8_comment:
            body = body.replace(b"\\ufffd", b"\xff\xfe").replace("�".encode(), b"\xff\xfe")
        return web.Response(body=body, content_type="application/json")

    def ask(self, call: str, query: Any) -> tuple[int, bytes]:
        """A call of this process: status and body as over HTTP, without ledger and scripts."""
        try:
            value = self._call(call.lower(), Params(query))
        except Refusal as refusal:
            return self.knobs.error_status, fault(refusal)
        except LookupError:
            return 404, b""
        return 200, encode(value)

    def _call(self, endpoint: str, params: Params) -> Any:
        if endpoint in ("connect", "connectex", "connectproxy"):
            return self._connect(params)
        if endpoint == "connectbytoken":
            return self._connect_by_token(params)
        if endpoint == "search":
            return self._search(params)
        if endpoint in self.knobs.lacks:
            raise LookupError(endpoint)
        call = self.calls[endpoint]
        session = self._session(params)
        if endpoint in TRADE_CALLS and session.investor:
            raise Refusal("TRADE_DISABLED", "investor password")
        if session.unsynced:
            session.unsynced -= 1
        return call(session, params)

    def _error(self, refusal: Refusal) -> web.Response:
        return web.Response(
            body=fault(refusal), content_type="application/json", status=self.knobs.error_status
        )

    async def _scripted(
        self, request: web.Request, entry: Entry, endpoint: str, params: Params, script: Knob
    ) -> web.StreamResponse:
        if script.delay_before_s:
            await asyncio.sleep(script.delay_before_s)
        if script.close_lots:
            params.values["lots"] = script.close_lots
        if script.fill_lots:
            params.values["fill_lots"] = script.fill_lots
            params.values["fill_rest_s"] = str(script.fill_rest_s)
        unusual = script.error or script.cut or script.silent or script.body or script.status
        response: web.Response | None = None
        if not unusual or (script.execute and not script.late_s):
            response = self._answer(request, entry, endpoint, params)
        elif script.late_s:
            task = asyncio.create_task(
                self._do_late(request, entry, endpoint, params, script.late_s)
            )
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        if script.delay_after_s:
            await asyncio.sleep(script.delay_after_s)
        if script.silent:
            entry.answer = "silent"
            await asyncio.sleep(3600)
        if script.cut == "before":
            return hang_up(request, entry, "cut")
        if script.cut == "mid":
            return await half_an_answer(request, entry)
        if script.error:
            entry.answer = script.error
            return self._error(Refusal(script.error, f"scripted {script.error}"))
        if script.body or script.status:
            entry.answer = f"status {script.status}"
            return web.Response(text=script.body, status=script.status or 200)
        assert response is not None
        return response

    async def _do_late(
        self, request: web.Request, entry: Entry, endpoint: str, params: Params, late_s: float
    ) -> None:
        await asyncio.sleep(late_s)
        self._answer(request, entry, endpoint, params)

    def fill_rest(self, account: Account, order: Order, params: Params) -> None:
        """What a script left of an order is filled later, on the same ticket."""
        rest, wait_s = order.lots_asked - order.lots, float(params.values.get("fill_rest_s", 0))
        if rest > 0 and wait_s > 0:
            task = asyncio.create_task(self._fill_later(account, order.ticket, rest, wait_s))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def _fill_later(
        self, account: Account, ticket: int, rest: Decimal, wait_s: float
    ) -> None:
        await asyncio.sleep(wait_s)
        if ticket in account.orders:
            self.brokers.fill_more(account, ticket, rest, self.clock())

    def _script(self, endpoint: str, login: int, symbol: str) -> Knob | None:
        for script in self.scripts:
            if script.matches(endpoint, login, symbol):
                if script.times > 0:
                    script.times -= 1
                if script.times == 0:
                    self.scripts.remove(script)
                return script
        return None

    def _is_throttled(self) -> bool:
        if not self.knobs.throttle_per_s:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 1:
            self._recent.popleft()
        self._recent.append(now)
        return len(self._recent) > self.knobs.throttle_per_s

    # --- sessions -----------------------------------------------------------------------------

    def _connect(self, params: Params) -> str:
        server_name = params.text("server", params.values.get("host"))
        server = self.brokers.servers.get(server_name)
        if server is None or server.platform is not self.platform:
            raise self.unknown_server(server_name)
        login = params.integer("user")
        account = self.brokers.accounts.get((server_name, login))
        password = params.text("password")
        if account is None or password not in (account.password, account.investor_password or None):
            raise Refusal("INVALID_ACCOUNT", "Invalid account")
        if account.disabled:
            raise Refusal("ACCOUNT_DISABLED", "Account disabled")
        if self.knobs.max_sessions and len(self.sessions) >= self.knobs.max_sessions:
            raise Refusal("MAX_SESSIONS_REACHED", "licence limit")
        investor = password != account.password
        name = f"{server_name}/{login}/{investor}"
        own = params.values.get("id") if self.knobs.honours_own_id else ""
        token = own or (
            str(uuid.uuid4())
            if self.knobs.random_tokens
            else str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        )
        return self._begin(token, account, investor)

    def _begin(self, token: str, account: Account, investor: bool) -> str:
        self.sessions[token] = Session(token, account, investor, self.knobs.unsynced_calls)
        self._met[token] = (account, investor)
        return token

    def unknown_server(self, name: str) -> Refusal:
        raise NotImplementedError

    def _connect_by_token(self, params: Params) -> str:
        token = params.text("id")
        if self.knobs.forget_tokens or token not in self._met:
            raise Refusal("INVALID_TOKEN", f"Client with id {token} not found")
        session = self.sessions.get(token)
        if session is None or self._is_expired(session):
            return self._begin(token, *self._met[token])
        return token

    def _is_expired(self, session: Session) -> bool:
        expiry = self.knobs.idle_expiry_s
        return expiry > 0 and time.monotonic() - session.used_at > expiry

    def forget(self) -> None:
        """As after a restart of a bridge that has no database."""
        self.drop_all_streams()
        self.sessions.clear()
        self._met.clear()

    def _session(self, params: Params) -> Session:
        token = params.text("id")
        session = self.sessions.get(token)
        if session is None or self._is_expired(session):
            self.sessions.pop(token, None)
            raise Refusal("INVALID_TOKEN", f"Client with id {token} not found")
        session.used_at = time.monotonic()
        return session

    def disconnect(self, session: Session, _: Params) -> str:
        """Other sessions of the same account go on."""
        self.sessions.pop(session.token, None)
        place = (session.account.server, session.account.login)
        for stream in self.streams.get(place, []):
            if stream.session is session:
                stream.queue.put_nowait(None)
        return "OK"

    def check(self, session: Session, _: Params) -> str:
        if not self.brokers.server_of(session.account).market_open:
            raise Refusal("SERVICE_NOT_AVAILABLE", "not connected")
        return "OK"

    def connection_status(self, session: Session, _: Params) -> dict[str, Any]:
        return {
            "id": session.token,
            "isConnected": self.brokers.server_of(session.account).market_open,
            "connectTimeUTC": self.clock().strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            "lastQuoteTimeUTC": "0001-01-01T00:00:00",
            "clientIp": "127.0.0.1",
        }

    def _search(self, params: Params) -> list[dict[str, Any]]:
        text = params.text("company").lower()
        found = [
            server
            for server in self.brokers.servers.values()
            if server.platform is self.platform
            and text in f"{server.company} {server.name}".lower()
        ]
        return [
            {
                "companyName": server.company,
                "results": [{"name": server.name, "access": ["127.0.0.1:443"]}],
            }
            for server in found
        ]

    # --- what both platforms answer alike -----------------------------------------------------

    def summary(self, session: Session, _: Params) -> dict[str, Any]:
        account = session.account
        figures: dict[str, Any] = dict(self.brokers.figures(account))
        if session.unsynced:
            figures = dict.fromkeys(figures, D0)
        return figures | {
            "leverage": account.leverage,
            "currency": account.currency,
            "isInvestor": session.investor,
        }

    def details(self, session: Session, _: Params) -> dict[str, Any]:
        account = session.account
        server = self.brokers.server_of(account)
        return {
            "serverName": server.name,
            "user": account.login,
            "password": account.password,
            "host": "127.0.0.1",
            "port": 443,
            "serverTime": server.clock(self.clock()).isoformat(timespec="seconds"),
            "serverTimeZone": server.offset_minutes // 60,
            "company": server.company,
            "currency": account.currency,
            "accountName": account.name,
            "group": "demo",
            "accountType": "Demo",
            "accountLeverage": account.leverage,
            "isInvestor": session.investor,
        }

    def opened_orders(self, session: Session, _: Params) -> list[dict[str, Any]]:
        if self.knobs.error_lists:
            self.knobs.error_lists -= 1
            raise Refusal("NO_CONNECTION", "not connected")
        if session.unsynced:
            return []
        if self.knobs.empty_lists:
            self.knobs.empty_lists -= 1
            return []
        place = (session.account.server, session.account.login)
        if self.knobs.stale_lists and place in self._last_lists:
            self.knobs.stale_lists -= 1
        else:
            self._last_lists[place] = self.open_rows(session.account)
        return self._last_lists[place]

    def open_rows(self, account: Account) -> list[dict[str, Any]]:
        return [self.order_shape(account, order) for order in account.orders.values()]

    def opened_order(self, session: Session, params: Params) -> dict[str, Any]:
        order = session.account.orders.get(params.integer("ticket"))
        if order is None:
            raise Refusal("INVALID_TICKET", "unknown ticket")
        return self.order_shape(session.account, order)

    def closed_between(self, session: Session, params: Params) -> list[dict[str, Any]]:
        since, until = params.moment("from"), params.moment("to")
        if since is None or until is None:
            raise Refusal("NULL_ARGUMENT", "from and to are required")
        account = session.account
        shown = account.history[: len(account.history) - self._history_lag()]
        return [self.closed_shape(account, c) for c in shown if since <= c.closed_at < until]

    def history_page(self, session: Session, params: Params) -> dict[str, Any]:
        rows = self.closed_between(session, params)
        size = max(1, params.integer("ordersperpage", 1000))
        page = params.integer("pagenumber", 0)
        return {
            "pagesCount": max(1, -(-len(rows) // size)),
            "pageNumber": page,
            "orders": rows[page * size : (page + 1) * size],
        }

    def _history_lag(self) -> int:
        """How many of the newest records this read does not show yet."""
        if self.knobs.history_lag_reads:
            self.knobs.history_lag_reads -= 1
            return 1
        return 0

    def quote(self, session: Session, params: Params) -> dict[str, Any]:
        symbol = self.symbol_of(session, params.text("symbol"))
        if symbol.bid <= 0:
            raise Refusal("TIMEOUT", "no quote")
        return self.quote_shape(symbol)

    def close_by(self, session: Session, params: Params) -> str:
        one, two = params.integer("ticket1"), params.integer("ticket2")
        self.brokers.close_by(session.account, one, two, self.clock())
        return "OK"

    def profit_of(self, account: Account, order: Order) -> Decimal:
        """What it would bring now; 0 for an order that is none yet, or where nobody quotes."""
        price = self.brokers.server_of(account).symbols[order.symbol].closes_at(order.buy)
        if order.pending or price <= 0:
            return D0
        return self.brokers.profit(account, order, price, order.lots)

    def comment_of(self, order: Order) -> str:
        is_bad = self.knobs.bad_utf8_comment and order.comment
        return "�" + order.comment if is_bad else order.comment

    def symbol_list(self, session: Session, _: Params) -> list[str]:
        return list(self.brokers.server_of(session.account).symbols)

    def symbol_of(self, session: Session, name: str) -> Symbol:
        symbol = self.brokers.server_of(session.account).symbols.get(name)
        if symbol is None:
            raise Refusal("INVALID_SYMBOL", f"unknown symbol {name}")
        return symbol

    def digits_of(self, account: Account, order: Order) -> int:
        """0: it is of no symbol, but money."""
        symbol = self.brokers.server_of(account).symbols.get(order.symbol)
        return 0 if symbol is None else symbol.digits

    def subscribe(self, session: Session, params: Params) -> str:
        for name in params.many("symbol", "symbols"):
            self.symbol_of(session, name)
            session.symbols.add(name)
        return "OK"

    def unsubscribe(self, session: Session, params: Params) -> str:
        session.symbols.difference_update(params.many("symbol", "symbols"))
        return "OK"

    def server_zone(self, session: Session, _: Params) -> Decimal:
        return Decimal(self.brokers.server_of(session.account).offset_minutes // 60)

    def common_calls(self) -> dict[str, Call]:
        calls: dict[str, Call] = {
            "disconnect": self.disconnect,
            "checkconnect": self.check,
            "connectionstatus": self.connection_status,
            "accountsummary": self.summary,
            "accountdetails": self.details,
            "openedorders": self.opened_orders,
            "openedorder": self.opened_order,
            "orderhistorypagination": self.history_page,
            "symbollist": self.symbol_list,
            "subscribe": self.subscribe,
            "subscribemany": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "unsubscribemany": self.unsubscribe,
            "servertimezone": self.server_zone,
        }
        return calls

    # --- streams ------------------------------------------------------------------------------

    async def _stream(
        self, request: web.Request, endpoint: str, params: Params
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        if self.knobs.down:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        await socket.prepare(request)
        stream = self.listen(endpoint, params.values.get("id", ""))
        if stream is None:
            await socket.send_bytes(encode({"type": "IdNotExist", "data": None}))
            await socket.close()
            return socket
        sender = asyncio.create_task(_send_all(socket, stream))
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self.leave(stream)
            sender.cancel()
        return socket

    def listen(self, endpoint: str, token: str) -> Stream | None:
        """What changes for this session from now on, until `leave`; None: nobody knows it."""
        session = self.sessions.get(token)
        if session is None or self._is_expired(session):
            return None
        stream = Stream(session, _STREAMS[endpoint.lower()])
        place = (session.account.server, session.account.login)
        self.streams.setdefault(place, []).append(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        account = stream.session.account
        self.streams[account.server, account.login].remove(stream)

    def drop_all_streams(self) -> None:
        for streams in self.streams.values():
            for stream in streams:
                stream.queue.put_nowait(None)

    def _changed(self, account: Account, change: Change) -> None:
        if account.platform is not self.platform:
            return
        place = (account.server, account.login)
        streams = [s for s in self.streams.get(place, []) if "orders" in s.kinds]
        if not streams:
            return
        knobs = self.stream_knobs.get(place)
        for frame in self.frames(account, change):
            for sent in self._nasty(place, knobs, frame):
                for stream in streams:
                    if knobs is not None and knobs.delay_s:
                        loop = asyncio.get_running_loop()
                        loop.call_later(knobs.delay_s, stream.queue.put_nowait, sent)
                    else:
                        stream.queue.put_nowait(sent)

    def _nasty(
        self, place: tuple[str, int], knobs: StreamKnobs | None, frame: bytes
    ) -> list[bytes | None]:
        if knobs is None:
            return [frame]
        if knobs.lose:
            knobs.lose -= 1
            return []
        if knobs.hold:
            knobs.hold -= 1
            self._held.setdefault(place, []).append(frame)
            return []
        sent: list[bytes | None] = [frame, *self._held.pop(place, [])]
        if knobs.duplicate:
            knobs.duplicate -= 1
            sent.append(frame)
        if knobs.malformed:
            knobs.malformed -= 1
            sent = [frame[: len(frame) // 2]]
        if knobs.huge:
            knobs.huge -= 1
            sent = [b'{"type":"OrderUpdate","data":"' + b"x" * HUGE_FRAME + b'"}']
        if knobs.drop_socket:
            knobs.drop_socket -= 1
            sent = [None]
        return sent

    def tell_quote(self, server: str, symbol: Symbol) -> None:
        """A tick to every stream that subscribed to the symbol."""
        frame: bytes | None = None
        for (name, _), streams in self.streams.items():
            if name != server:
                continue
            for stream in streams:
                if "quotes" in stream.kinds and symbol.name in stream.session.symbols:
                    if frame is None:
                        frame = encode({"type": "Quote", "data": self.quote_shape(symbol)})
                    stream.queue.put_nowait(frame)


async def _send_all(socket: web.WebSocketResponse, stream: Stream) -> None:
    while True:
        frame = await stream.queue.get()
        if frame is None:
            await socket.close()
            return
        await socket.send_str(frame.decode("utf-8", "surrogateescape"))
