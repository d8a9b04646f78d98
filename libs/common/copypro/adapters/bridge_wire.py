"""How requests to a bridge reach the wire: once for changes, from a connection known to be alive.

aiohttp by itself sends a GET again when its connection breaks, and every trade call here is a GET.
`SEND_ONCE` stands around the sending and turns a break into an error aiohttp does not know, so
there is no second try; the contract suite cuts connections at every point and counts requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import ClientRequest, ClientResponse, ClientTimeout, TCPConnector
from aiohttp.connector import Connection

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""Raised before a connection existed; since nothing is sent twice, proof that nothing was sent."""
_QUIET_S = 60.0
_WAIT_FIRST_S, _WAIT_CAP_S = 0.1, 2.0
_LEAST_SHARE = 1 / 64


class Broken(Exception):
    """The connection broke after it was made: the request may have left."""


async def _send_once(
    request: ClientRequest, send: Callable[[ClientRequest], Awaitable[ClientResponse]]
) -> ClientResponse:
    broken = ""
    try:
        return await send(request)
    except NEVER_CONNECTED:
        raise
    except (aiohttp.ClientError, OSError) as error:
        broken = type(error).__name__
    raise Broken(broken)


SEND_ONCE = (_send_once,)


class TradeConnector(TCPConnector):
    """Keeps connections for trade calls, and knows whether one is open and fresh."""

    def __init__(self, idle_s: float) -> None:
        super().__init__(limit=0, keepalive_timeout=idle_s, ttl_dns_cache=60)
        self._idle_s = idle_s
        self._idle_since: dict[asyncio.BaseTransport, float] = {}

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> Connection:
        started = monotonic()
        connection = await super().connect(req, traces, timeout)
        if timeout.connect is not None and monotonic() - started > timeout.connect:
            # A process frozen meanwhile wakes with a connection in hand and a timer not yet run.
            connection.close()
            raise TimeoutError
        transport = connection.transport
        if transport is not None:
            self._idle_since.pop(transport, None)
            connection.add_callback(partial(self._released, transport))
        return connection

    def has_fresh(self) -> bool:
        """An idle connection is open and was in use less than the limit ago."""
        now = monotonic()
        while self._idle_since:
            transport = next(reversed(self._idle_since))
            if now - self._idle_since[transport] >= self._idle_s:
                self._idle_since.clear()  # it is the youngest of all
                return False
            if not transport.is_closing():
                return True
            del self._idle_since[transport]
        return False

    def _released(self, transport: asyncio.BaseTransport) -> None:
        self._idle_since[transport] = monotonic()
        while self._idle_since:
            oldest = next(iter(self._idle_since))
            if not oldest.is_closing():
                return
            del self._idle_since[oldest]


class Budget:
    """So many background reads a second for one address, in order of asking. "Too many requests"
    halves it; a quiet minute doubles it back.
    """

    def __init__(self, per_s: float) -> None:
        self._full = self.per_s = per_s
        self._next_at = float("-inf")
        self._throttled_at = float("-inf")

    async def take(self, *, urgent: bool = False) -> None:
        """Urgent reads are counted but never wait."""
        now = monotonic()
        if self.per_s < self._full and now - self._throttled_at > _QUIET_S:
            self.per_s, self._throttled_at = min(self._full, self.per_s * 2), now
        burst_s = max(1.0, 1 / self.per_s)
        self._next_at = max(self._next_at, now - burst_s) + 1 / self.per_s
        wait_s = self._next_at - now
        if wait_s > 0 and not urgent:
            await asyncio.sleep(wait_s)

    def throttle(self) -> None:
        self.per_s = max(self._full * _LEAST_SHARE, self.per_s / 2)
        self._throttled_at = monotonic()


class Waiting:
    """Ever longer pauses until a limit."""

    def __init__(self, limit_s: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until, self._pause_s = self._clock() + limit_s, _WAIT_FIRST_S

    @property
    def is_over(self) -> bool:
        return self._clock() >= self._until

    async def a_little(self) -> None:
        await asyncio.sleep(min(self._pause_s, max(0.0, self._until - self._clock())))
        self._pause_s = min(_WAIT_CAP_S, self._pause_s * 2)
