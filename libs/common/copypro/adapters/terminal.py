"""One account at a bridge: the Terminal port over a Bridge, in the dialect of its platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from copypro.adapters.bridge import Bridge
from copypro.errors import NotSent, OutcomeUnknown, SessionLost, TerminalError, Unavailable
from copypro.ports import Credentials, Terminal, TerminalFactory, TerminalLimits
from copypro.retcodes import CallKind
from copypro.trading import (
    AccountInfo,
    BalanceOperation,
    ClosedOrder,
    CloseRequest,
    DeleteRequest,
    Done,
    Figures,
    History,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    OrdersSeen,
    Quote,
    Snapshot,
    StreamLost,
    StreamOpened,
    SymbolSpec,
    Update,
)
from copypro.values import Lots, OrderKind, Platform, Ticket

PAGE = 1000
REOPEN_FIRST_S = 0.2
REOPEN_CAP_S = 10.0
_decode = msgspec.json.decode
Answer = TypeVar("Answer")
OnFrame = Callable[["bytes | str"], None]


class Summary(msgspec.Struct, rename="camel"):
    """AccountSummary of both platforms; what one of them lacks has a default."""

    balance: Decimal
    equity: Decimal
    currency: str = ""
    credit: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)
    free_margin: Decimal = Decimal(0)
    leverage: float = 0
    method: str = "Hedging"
    type: str = ""
    is_investor: bool = False
    synced: bool = True


class Dialect(Protocol):
    """How a platform's bridge names its calls and shapes its answers. Pure."""

    platform: Platform
    quote_call: str

    def info(self, summary: Summary, credentials: Credentials) -> AccountInfo: ...

    def orders(self, body: bytes) -> tuple[OpenOrder, ...]: ...

    def frame(self, frame: bytes | str) -> OrdersSeen | None:
        """None: nothing about orders. Errors: msgspec.MsgspecError."""

    def quote(self, body: bytes) -> Quote: ...

    def quote_frame(self, frame: bytes | str) -> Quote | None: ...

    def history(self, body: bytes) -> tuple[History, bool]:
        """The rows, and whether the bridge says that there is more."""

    def spec(self, body: bytes) -> SymbolSpec: ...

    def open_params(self, request: OpenRequest) -> dict[str, object]: ...

    def modify_params(self, request: ModifyRequest) -> dict[str, object]: ...

    def delete_call(self) -> str: ...

    def done(self, body: bytes, *, closing: bool) -> Done:
        """Errors: ValueError for an answer without a ticket."""

    def margin_call(
        self, symbol: str, kind: OrderKind, lots: Lots
    ) -> Mapping[str, object] | None: ...


class BridgeTerminal:
    def __init__(self, bridge: Bridge, dialect: Dialect, credentials: Credentials) -> None:
        self._bridge, self._dialect, self._credentials = bridge, dialect, credentials
        self._token = ""
        self._subscribed: dict[str, None] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._orders: list[Update] = []
        self._quotes: dict[str, Quote] = {}
        self._news = asyncio.Event()
        self._failure: TerminalError | None = None
        self._quote_stream: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"BridgeTerminal({self._credentials!r})"

    # --- the session --------------------------------------------------------------------------

    async def connect(self) -> AccountInfo:
        who = self._credentials
        limits = self._bridge.limits
        body = await self._bridge.read(
            "ConnectEx",
            {
                "user": who.login,
                "password": who.password,
                "server": who.server,
                "connectTimeoutSeconds": int(max(1, limits.connect_s - 5)),
            },
            within_s=limits.connect_s,
            urgent=True,
        )
        self._token = _scalar(body)
        if not self._token or " " in self._token:
            raise Unavailable("BAD_TOKEN", "the bridge answered the connect with no token")
        summary = await self._synchronised()
        return self._dialect.info(summary, who)

    async def _synchronised(self) -> Summary:
        """Waits until the session's data are loaded: before that, balances are 0 and lists empty."""
        deadline = asyncio.get_running_loop().time() + self._bridge.limits.synchronised_s
        wait_s = 0.05
        while True:
            summary = await self._summary()
            if summary.synced:
                return summary
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("NOT_SYNCHRONISED", "the session does not synchronise")
            await asyncio.sleep(wait_s)
            wait_s = min(1.0, wait_s * 2)

    async def _summary(self) -> Summary:
        return self._parsed(await self._read("AccountSummary"), Summary)

    async def check(self) -> None:
        await self._read("CheckConnect")

    async def disconnect(self) -> None:
        for task in self._streams:
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        self._streams.clear()

    # --- reads --------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        await self.check()
        before = await self._summary()
        if not before.synced:
            raise Unavailable("NOT_SYNCHRONISED", "the session is not synchronised")
        body = await self._read("OpenedOrders")
        try:
            orders = self._dialect.orders(body)
        except (msgspec.MsgspecError, ValueError):
            raise Unavailable("UNREADABLE", "the list of open orders cannot be read") from None
        return Snapshot(orders=orders, figures=figures_of(before))

    async def history(self, since_broker: datetime, until_broker: datetime) -> History:
        closed: list[ClosedOrder] = []
        operations: list[BalanceOperation] = []
        span = {"from": _time(since_broker), "to": _time(until_broker)}
        page, pages = 0, 1
        while page < pages:
            params = span | {"pageNumber": page, "ordersPerPage": PAGE}
            body = await self._read("OrderHistoryPagination", params)
            try:
                rows, _ = self._dialect.history(body)
                pages = _decode(body, type=_Pages).pages_count
            except (msgspec.MsgspecError, ValueError):
                raise Unavailable("UNREADABLE", "the history cannot be read") from None
            closed.extend(rows.closed)
            operations.extend(rows.operations)
            page += 1
        return History(closed=tuple(closed), operations=tuple(operations))

    async def symbols(self) -> Sequence[str]:
        return self._parsed(await self._read("SymbolList", urgent=True), list[str])

    async def symbol(self, name: str) -> SymbolSpec:
        body = await self._read("SymbolParams", {"symbol": name}, urgent=True)
        try:
            return self._dialect.spec(body)
        except (msgspec.MsgspecError, ValueError):
            raise Unavailable("UNREADABLE", f"the terms of {name} cannot be read") from None

    async def quote(self, name: str, max_age_s: float) -> Quote:
        params: dict[str, object] = {"symbol": name}
        if self._dialect.platform is Platform.MT5:
            params["msNotOlder"] = int(max_age_s * 1000)
        body = await self._read(self._dialect.quote_call, params, urgent=True)
        try:
            quote = self._dialect.quote(body)
        except (msgspec.MsgspecError, ValueError):
            raise Unavailable("UNREADABLE", f"the quote of {name} cannot be read") from None
        if quote.bid <= 0 or quote.ask <= 0:
            raise Unavailable("NO_QUOTE", f"no quote for {name}")
        return quote

    async def margin(self, symbol: str, kind: OrderKind, lots: Lots) -> Lots | None:
        params = self._dialect.margin_call(symbol, kind, lots)
        if params is None:
            return None
        return self._parsed(await self._read("RequiredMargin", params, urgent=True), Decimal)

    async def subscribe(self, names: Sequence[str]) -> None:
        for name in names:
            self._subscribed[name] = None
            await self._read("Subscribe", {"symbol": name}, urgent=True)
        if self._quote_stream is None and self._streams:
            self._quote_stream = self._stream("OnQuote", self._on_quote)

    async def _read(
        self, call: str, params: Mapping[str, object] | None = None, *, urgent: bool = False
    ) -> bytes:
        return await self._bridge.read(call, {"id": self._token, **(params or {})}, urgent=urgent)

    def _parsed(self, body: bytes, kind: type[Answer]) -> Answer:
        try:
            return _decode(body, type=kind, strict=False)
        except msgspec.MsgspecError:
            raise Unavailable("UNREADABLE", "the bridge's answer cannot be read") from None

    # --- changes ------------------------------------------------------------------------------

    def is_warm(self) -> bool:
        return self._bridge.is_warm()

    async def warm(self) -> None:
        await self._read("CheckConnect", urgent=True)

    async def open(self, request: OpenRequest) -> Done:
        params = self._dialect.open_params(request)
        return await self._change("OrderSend", params, CallKind.OPEN)

    async def modify(self, request: ModifyRequest) -> Done:
        params = self._dialect.modify_params(request)
        return await self._change("OrderModify", params, CallKind.MODIFY)

    async def close(self, request: CloseRequest) -> Done:
        params: dict[str, object] = {"ticket": request.ticket}
        if request.lots is not None:
            params["lots"] = plain(request.lots)
        if request.price is not None:
            params["price"] = plain(request.price)
        params["slippage"] = request.slippage_points
        return await self._change("OrderClose", params, CallKind.CLOSE)

    async def delete(self, request: DeleteRequest) -> Done:
        call = self._dialect.delete_call()
        return await self._change(call, {"ticket": request.ticket}, CallKind.DELETE)

    async def _change(self, call: str, params: dict[str, object], kind: CallKind) -> Done:
        if not self._token:
            raise NotSent("NO_SESSION", "not connected")
        body = await self._bridge.change(call, {"id": self._token, **params}, kind)
        try:
            if kind is CallKind.DELETE and body.strip().strip(b'"') == b"OK":
                ticket = Ticket(int(str(params["ticket"])))
                return Done(ticket=ticket, lots=Decimal(0), price=Decimal(0))
            return self._dialect.done(body, closing=kind in (CallKind.CLOSE, CallKind.DELETE))
        except (msgspec.MsgspecError, ValueError):
            raise OutcomeUnknown("UNREADABLE", f"{call} answered something unreadable") from None

    # --- streams ------------------------------------------------------------------------------

    async def updates(self) -> AsyncIterator[Update]:
        """Order frames one by one; of quotes only the newest per symbol."""
        self._stream("OnOrderUpdate", self._on_order)
        if self._subscribed:
            self._quote_stream = self._stream("OnQuote", self._on_quote)
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                updates, self._orders = self._orders, []
                quotes, self._quotes = self._quotes, {}
                for quote in quotes.values():
                    yield quote
                for update in updates:
                    yield update
                if self._failure is not None:
                    raise self._failure
        finally:
            await self.disconnect()

    def _stream(self, path: str, on_frame: OnFrame) -> asyncio.Task[None]:
        task = asyncio.create_task(self._follow(path, on_frame))
        self._streams.add(task)
        return task

    async def _follow(self, path: str, on_frame: OnFrame) -> None:
        """One WebSocket for as long as the terminal is used; opened again after every loss."""
        failures = 0
        while True:
            try:
                socket = await self._bridge.socket(path, self._token)
            except Unavailable as error:
                failures += 1
                self._tell(StreamLost(f"{path}: {error.code}"))
                await asyncio.sleep(min(REOPEN_CAP_S, REOPEN_FIRST_S * 2 ** (failures - 1)))
                continue
            if path == "OnOrderUpdate":
                self._tell(StreamOpened())
            async with socket:
                failures = await self._frames(socket, path, on_frame, failures)
            self._tell(StreamLost(f"{path}: closed"))
            failures += 1
            await asyncio.sleep(min(REOPEN_CAP_S, REOPEN_FIRST_S * 2 ** (failures - 1)))

    async def _frames(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        path: str,
        on_frame: OnFrame,
        failures: int,
    ) -> int:
        async for message in socket:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                break
            failures = 0
            try:
                on_frame(message.data)
            except (msgspec.MsgspecError, ValueError, UnicodeError):
                # What the frame said is only in a snapshot now.
                self._tell(StreamLost(f"{path}: an unreadable frame"))
                self._tell(StreamOpened())
        return failures

    def _on_order(self, frame: bytes | str) -> None:
        seen = self._dialect.frame(frame)
        if seen is not None:
            self._tell(seen)
        elif "IdNotExist" in (frame if isinstance(frame, str) else frame.decode(errors="replace")):
            self._failure = SessionLost("SESSION_LOST", "the bridge does not know this session")
            self._news.set()

    def _on_quote(self, frame: bytes | str) -> None:
        quote = self._dialect.quote_frame(frame)
        if quote is not None:
            self._quotes[quote.symbol] = quote
            self._news.set()

    def _tell(self, update: Update) -> None:
        self._orders.append(update)
        self._news.set()


class _Pages(msgspec.Struct, rename="camel"):
    pages_count: int = 1


def figures_of(summary: Summary) -> Figures:
    return Figures(
        balance=summary.balance,
        equity=summary.equity,
        credit=summary.credit,
        margin=summary.margin,
        free_margin=summary.free_margin,
        profit=summary.profit,
    )


def plain(number: Decimal) -> str:
    """A decimal with a dot, never in exponent form: the bridges read nothing else."""
    return f"{number:f}"


def level(price: Decimal | None) -> str:
    """MetaTrader's way to say "none" is 0."""
    return "0" if price is None else plain(price)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _scalar(body: bytes) -> str:
    return body.decode(errors="replace").strip().strip('"').strip()


class Terminals:
    """The terminals of one bridge: a factory, and the closing of what they share."""

    def __init__(
        self, dialect: Dialect, url: str, limits: TerminalLimits, reads_per_s: float
    ) -> None:
        self._bridge = Bridge(dialect.platform, url, limits, reads_per_s)
        self._dialect = dialect

    @property
    def factory(self) -> TerminalFactory:
        def make(credentials: Credentials) -> Terminal:
            return BridgeTerminal(self._bridge, self._dialect, credentials)

        return make

    async def aclose(self) -> None:
        await self._bridge.aclose()
