"""The two WebSockets of an account, merged: orders one by one, of quotes only the newest.

A bridge replays nothing and says nothing until something changes. So whatever was missed, by a
broken socket or a frame nobody can read, is told as StreamLost then StreamOpened: look again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import aiohttp
from aiohttp import WSMsgType

from copypro.adapters.bridge import Bridge
from copypro.adapters.bridge_json import (
    Envelope,
    Unreadable,
    decoded,
    envelope,
    moment_or_none,
    tick,
)
from copypro.adapters.dialect import Dialect
from copypro.errors import SessionLost, TerminalError, Unavailable
from copypro.trading import OpenOrder, OrdersSeen, Quote, StreamLost, StreamOpened, Update
from copypro.values import Ticket

ORDERS, QUOTES = "OnOrderUpdate", "OnQuote"
REOPEN_FIRST_S = 0.2
REOPEN_CAP_S = 10.0
WAITING_FRAMES = 1000
"""More than this unread: they are dropped for a StreamLost, which asks for a look."""
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Streams:
    def __init__(
        self,
        bridge: Bridge,
        token: str,
        dialect: Dialect,
        resubscribe: Callable[[], Awaitable[None]],
    ) -> None:
        self._bridge, self._token = bridge, token
        self._dialect, self._resubscribe = dialect, resubscribe
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._updates: deque[OrdersSeen | StreamOpened | StreamLost] = deque()
        """Frames of orders, and what happened to their stream."""
        self._read_last: OrdersSeen | StreamOpened | StreamLost | None = None
        self._quotes: dict[str, Quote] = {}
        self._news = asyncio.Event()
        self._failure: TerminalError | None = None

    async def updates(self, *, quotes: bool) -> AsyncIterator[Update]:
        """Errors: SessionLost, when the bridge says that it does not know the session."""
        self._start(ORDERS)
        if quotes:
            self._start(QUOTES)
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._updates:
                    self._read_last = self._updates.popleft()
                    yield self._read_last
                ticks, self._quotes = self._quotes, {}
                for quote in ticks.values():
                    if self._updates:
                        self._quotes.setdefault(quote.symbol, quote)
                        self._news.set()
                    else:
                        yield quote
                if self._failure is not None:
                    raise self._failure
        finally:
            await self.close()

    def want_quotes(self) -> None:
        """From now on the quotes' socket is kept open too."""
        if ORDERS in self._tasks:
            self._start(QUOTES)

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values())

    def _start(self, path: str) -> None:
        if path not in self._tasks:
            self._tasks[path] = asyncio.create_task(self._keep_open(path))
            self._tasks[path].add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, TerminalError):
            self._failure = error
        elif error is not None:
            self._failure = Unavailable("STREAM_FAILED", type(error).__name__)
        self._news.set()

    async def _keep_open(self, path: str) -> None:
        """One WebSocket for as long as updates are read; opened again after every loss."""
        failures = 0
        while True:
            reason = await self._one_life(path)
            failures = 0 if reason.startswith("lost") else failures + 1
            if path == ORDERS:
                self._tell(StreamLost(reason))
            await asyncio.sleep(min(REOPEN_CAP_S, REOPEN_FIRST_S * 2 ** min(failures, 10)))

    async def _one_life(self, path: str) -> str:
        """Why it ended: "lost …" if it had told anything before, so that it is worth a quick try."""
        try:
            socket = await self._bridge.socket(path, self._token)
        except Unavailable as error:
            return error.message
        frames = 0
        async with socket:
            if path == ORDERS:
                self._tell(StreamOpened())
            elif reason := await self._not_subscribed():
                return reason
            async for message in socket:
                if message.type not in _DATA:
                    break
                frames += 1
                self._read(path, message.data)
        if message_too_big(socket):
            return "lost: a frame above the limit"
        return "lost" if frames else "closed before any frame"

    async def _not_subscribed(self) -> str:
        """Why not; empty: it is. Without a subscription a socket stays silent: the next life asks again."""
        try:
            await self._resubscribe()
        except Unavailable as error:
            return error.message
        return ""

    def _read(self, path: str, frame: bytes) -> None:
        try:
            outer = decoded(envelope, frame)
            if outer.type == "IdNotExist":
                raise SessionLost("INVALID_TOKEN", "the bridge does not know this session")
            if path == QUOTES:
                self._on_quote(outer)
            elif outer.type == "OrderUpdate":
                self._on_orders(self._dialect.frame(bytes(outer.data)))
        except Unreadable as error:
            if path == ORDERS:
                self._unread(error)

    def _on_orders(self, frame: OrdersSeen) -> None:
        """One that nobody has read yet gives way to the next one, unless it tells more."""
        if self._updates and isinstance(last := self._updates[-1], OrdersSeen):
            before = self._updates[-2] if len(self._updates) > 1 else self._read_last
            known = before.orders if isinstance(before, OrdersSeen) else ()
            if gives_way(last, frame, known):
                self._updates.pop()
        self._tell(frame)

    def _unread(self, error: Unreadable) -> None:
        self._tell(StreamLost(f"an unreadable frame ({error})"))
        self._tell(StreamOpened())

    def _on_quote(self, outer: Envelope) -> None:
        if outer.type != "Quote":
            return
        quote = decoded(tick, bytes(outer.data))
        if quote.bid > 0 and quote.ask > 0:
            self._quotes[quote.symbol] = Quote(
                symbol=quote.symbol,
                bid=quote.bid,
                ask=quote.ask,
                time_broker=moment_or_none(quote.time),
            )
            self._news.set()

    def _tell(self, update: OrdersSeen | StreamOpened | StreamLost) -> None:
        if len(self._updates) >= WAITING_FRAMES:
            self._updates.clear()
            self._updates.extend((StreamLost("too many unread frames"), StreamOpened()))
        self._updates.append(update)
        self._news.set()


def gives_way(frame: OrdersSeen, later: OrdersSeen, known: Sequence[OpenOrder]) -> bool:
    """It tells of no close and no payment, and what it shows beyond what is known stands in the later
    list: whoever reads that one alone misses no trade that opened and closed, or grew.
    """
    if frame.closed is not None or frame.operation is not None:
        return False
    shown = [{o.ticket: o for o in orders} for orders in (known, later.orders)]
    return all(any(_stands_in(orders, order) for orders in shown) for order in frame.orders)


def _stands_in(orders: Mapping[Ticket, OpenOrder], order: OpenOrder) -> bool:
    other = orders.get(order.ticket)
    return other is not None and other.kind is order.kind and other.lots == order.lots


def message_too_big(socket: aiohttp.ClientWebSocketResponse[bool]) -> bool:
    return socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
