"""A bridge in this process: the same calls, bodies and frames, and nothing goes over a network.

Everything above the connection is the real bridges' code: which request is made, how its answer is
read, what a refusal means. For replays on a clock of their own, where a socket would bring in real
time. Its answers come at once, so no call is ever lost or unclear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, cast

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from copypro.adapters.bridge import Bridge
from copypro.adapters.bridge_json import Params, query_of
from copypro.adapters.dialect import Dialect
from copypro.adapters.terminal import BridgeTerminal
from copypro.adapters.trade_wire import Answer
from copypro.ports import Credentials, Terminal, TerminalLimits

NO_BUDGET = 1e12
"""Reads a second: nobody is spared."""


class LocalStream(Protocol):
    """Frames as a socket would bring them; None ends it."""

    @property
    def queue(self) -> asyncio.Queue[bytes | None]: ...


class LocalServer(Protocol):
    """What answers in the place of a bridge's process."""

    def ask(self, call: str, query: Mapping[str, str]) -> Answer: ...

    def listen(self, endpoint: str, token: str) -> Any: ...

    def leave(self, stream: Any) -> None: ...


class LocalTerminals:
    """A TerminalFactory on such a server."""

    def __init__(self, dialect: Dialect, server: LocalServer, limits: TerminalLimits) -> None:
        self._bridge, self._dialect = LocalBridge(dialect, server, limits), dialect

    def __call__(self, credentials: Credentials) -> Terminal:
        return BridgeTerminal(self._bridge, self._dialect, credentials)


class LocalBridge(Bridge):
    def __init__(self, dialect: Dialect, server: LocalServer, limits: TerminalLimits) -> None:
        super().__init__(dialect.platform, "http://in-this-process", limits, NO_BUDGET)
        self._server = server
        self._trades = _LocalWire(server)

    async def _get(self, call: str, params: Params, within_s: float) -> Answer:
        return _answer(self._server, f"{call}?{query_of(params)}")

    async def socket(self, path: str, token: str) -> aiohttp.ClientWebSocketResponse[bool]:
        return cast("aiohttp.ClientWebSocketResponse[bool]", _Socket(self._server, path, token))


class _LocalWire:
    """Always open; a call is answered before anything else happens."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    def has_fresh(self) -> bool:
        return True

    async def get(self, target: str, *, connect_s: float, within_s: float) -> Answer:
        return _answer(self._server, target)

    def close(self) -> None:
        """There is no connection."""


def _answer(server: LocalServer, target: str) -> Answer:
    url = URL(f"/{target}", encoded=True)
    return server.ask(url.path[1:], url.query)


class _Message:
    type = WSMsgType.BINARY

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Socket:
    """As much of a WebSocket as streams read of one."""

    close_code: int | None = None

    def __init__(self, server: LocalServer, path: str, token: str) -> None:
        self._server = server
        self._stream: LocalStream | None = server.listen(path, token)

    async def __aenter__(self) -> _Socket:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            self._server.leave(self._stream)

    def __aiter__(self) -> _Socket:
        return self

    async def __anext__(self) -> _Message:
        frame = None if self._stream is None else await self._stream.queue.get()
        if frame is None:
            raise StopAsyncIteration
        return _Message(frame)
