"""Requests that change something: each on the wire at most once, from a connection known to be alive.

Every trade call is a GET, and general clients send a GET again when its connection breaks. This one
is a plain HTTP/1.1 client without that: a request is written in one piece or not at all, and its
answer, or its loss, is told to whoever wrote it. The contract suite cuts connections at every point
and counts requests.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import cast

import httptools
from yarl import URL

Answer = tuple[int, bytes]
"""Status and body."""
FINAL = 200
"""A status below it announces that the answer is still to come."""


def why(error: OSError) -> str:
    """No connection was made: never by the error's own text, which may hold the address."""
    match error:
        case socket.gaierror():
            return "its name cannot be resolved"
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case ssl.SSLError():
            return "no TLS was agreed on"
        case OSError(errno=int(number)):
            return os.strerror(number)
    return "none of its addresses answers" if type(error) is OSError else type(error).__name__


class NotWritten(Exception):
    """No connection, and so no byte of the request was written; the text says why: "in time"…"""


class Broken(Exception):
    """The connection broke after the request was written: it may have arrived."""


class TradeWire:
    """Connections to one address, kept for trade calls; each carries one call at a time."""

    def __init__(self, address: URL, headers: Mapping[str, str], idle_s: float, most: int) -> None:
        """`most`: bytes of an answer, above which its connection is given up."""
        self._host, self._port = address.raw_host or "", address.port or 80
        self._idle_s, self._most = idle_s, most
        self._prefix = f"GET {address.raw_path.rstrip('/')}/"
        lines = {"Host": _authority(address), "User-Agent": "copypro", **headers}
        self._head = "".join(f"\r\n{name}: {value}" for name, value in lines.items())
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._idle: deque[Connection] = deque()
        """Longest idle first."""
        self._busy: set[Connection] = set()

    def has_fresh(self) -> bool:
        """An idle connection is open and was in use less than the limit ago."""
        self._drop_old()
        while self._idle and not self._idle[-1].is_open:
            self._idle.pop()
        return bool(self._idle)

    async def get(self, target: str, *, connect_s: float, within_s: float) -> Answer:
        """At most one request leaves, in one piece. Errors: NotWritten; Broken and TimeoutError,
        after which nobody knows whether it arrived.
        """
        request = f"{self._prefix}{target} HTTP/1.1{self._head}\r\n\r\n".encode()
        connection = await self._connection(connect_s)
        self._busy.add(connection)
        try:
            async with asyncio.timeout(within_s):
                return await connection.ask(request)
        finally:
            self._busy.discard(connection)
            if connection.is_open:
                connection.idle_since = monotonic()
                self._idle.append(connection)

    def close(self) -> None:
        """Calls in flight break."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    # --- inside -------------------------------------------------------------------------------

    async def _connection(self, connect_s: float) -> Connection:
        if self.has_fresh():
            return self._idle.pop()
        started, failure = monotonic(), ""
        try:
            async with asyncio.timeout(connect_s):
                made = await self._connect()
        except TimeoutError:
            failure = "in time"
        except OSError as error:
            failure = f"({why(error)})"
        if failure:
            raise NotWritten(failure)
        if monotonic() - started > connect_s:
            # A process frozen meanwhile wakes with a connection in hand and a timer not yet run.
            made.close()
            raise NotWritten("in time")
        return made

    async def _connect(self) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._most), self._host, self._port, ssl=self._tls
        )
        return made

    def _drop_old(self) -> None:
        """One that waited too long may be dead without knowing it."""
        since = monotonic() - self._idle_s
        while self._idle and self._idle[0].idle_since <= since:
            self._idle.popleft().close()


class Connection(asyncio.Protocol):
    """One request at a time, and the answer to it."""

    def __init__(self, most: int) -> None:
        self.idle_since = 0.0
        self._most = most
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._has_length = self._has_head = False
        self._parser = httptools.HttpResponseParser(self)
        # As lenient as aiohttp, by which the same bridge is read.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """Errors: Broken. However else it ends, without a whole answer the connection is closed."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._body, self._size = [], 0
        self._has_length = self._has_head = False
        try:
            self.write(request)
            return await self._answer
        finally:
            if not self._answer.done() or self._answer.cancelled():
                self.close()
            self._answer = None

    def write(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- the transport tells ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most:
            self._fail("an answer above the limit")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(type(error).__name__)

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self._ended()
        else:
            self._fail(type(error).__name__)

    # --- the parser tells ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nothing was asked: the next call would take it for its answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= FINAL

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._succeed()

    # --- inside -------------------------------------------------------------------------------

    def _succeed(self) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        answer.set_result((self._parser.get_status_code(), b"".join(self._body)))
        if not self._parser.should_keep_alive():
            self.close()

    def _ended(self) -> None:
        """Only an answer that says nothing of its length ends with its connection."""
        if self._has_head and not self._has_length:
            self._succeed()
        self._fail("ended")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(reason))
        self.close()


def _authority(address: URL) -> str:
    host = address.raw_host or ""
    host = f"[{host}]" if ":" in host else host
    return host if address.is_default_port() else f"{host}:{address.port}"
