"""One MetaTrader REST bridge over HTTP: calls, errors, and the promise that a change leaves once.

A trade is a GET here, and HTTP libraries repeat a GET whose connection broke: that is switched off
for everything, and only reads are repeated, by this module, once. A trade call that had a
connection is never said to be unsent: from then on only an answer tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import SimpleNamespace
from urllib.parse import quote as quoted
from urllib.parse import urlencode

import aiohttp
import msgspec
import structlog
from msgspec import Struct
from yarl import URL

from copypro.errors import (
    CredentialsRefused,
    NotSent,
    OutcomeUnknown,
    Refused,
    SessionLost,
    TerminalError,
    Unavailable,
)
from copypro.ports import TerminalLimits
from copypro.retcodes import CREDENTIALS, CallKind, Class, classify
from copypro.values import Platform

logger = structlog.get_logger("bridge")
CONNECT_WITHIN_S = 0.25
"""A trade call that has no connection by then was not sent: its attempt's commit would be stale."""
TEMPORARY = frozenset(
    {
        "SERVICE_NOT_AVAILABLE",
        "CONNECT_ERROR",
        "NO_CONNECTION",
        "SERVER_BUSY",
        "BROKER_BUSY",
        "TIMEOUT",
        "TRADE_TIMEOUT",
        "INTERNAL_ERROR",
        "COMMON_ERROR",
        "TOO_MANY_REQUESTS",
        "TOO_FREQUENT_REQUESTS",
        "NO_CONNECT",
    }
)


class _Peek(Struct):
    code: str | int | None = None
    message: str | None = None


_peek = msgspec.json.Decoder(_Peek)
_HEADERS = {"Accept": "application/json", "Cache-Control": "no-store"}


class Bridge:
    """Shared by all accounts of one address. Made and closed in one event loop."""

    def __init__(
        self, platform: Platform, url: str, limits: TerminalLimits, reads_per_s: float
    ) -> None:
        self.platform, self.limits = platform, limits
        self._base = url.rstrip("/")
        self._budget = Budget(reads_per_s)
        self._session: aiohttp.ClientSession | None = None
        self._answered_at = float("-inf")

    def __repr__(self) -> str:
        return f"Bridge({self.platform})"

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- reads --------------------------------------------------------------------------------

    async def read(
        self,
        call: str,
        params: Mapping[str, object],
        *,
        within_s: float | None = None,
        urgent: bool = False,
    ) -> bytes:
        """The answer's body. Errors: CredentialsRefused, SessionLost, Refused, Unavailable.

        Not urgent: it waits for its share of the address's budget of background reads.
        """
        if not urgent:
            await self._budget.take()
        timeout = aiohttp.ClientTimeout(total=within_s or self.limits.read_s)
        for last in (False, True):
            try:
                status, body = await self._get(call, params, timeout)
                break
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if last or isinstance(error, aiohttp.ClientConnectorError):
                    raise Unavailable("UNREACHABLE", _say(self.platform, error)) from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unavailable("UNREACHABLE", _say(self.platform, error)) from None
        if status == 429:
            self._budget.throttle()
            raise Unavailable("THROTTLED", "the bridge says: too many requests")
        error_of = _error_in(body)
        if error_of is not None:
            raise _read_error(*error_of)
        if status >= 400:
            raise Unavailable(f"HTTP_{status}", f"{call} answered with status {status}")
        return body

    # --- changes ------------------------------------------------------------------------------

    async def change(self, call: str, params: Mapping[str, object], kind: CallKind) -> bytes:
        """The answer's body. At most one request leaves. Errors: Refused, NotSent, OutcomeUnknown."""
        wire = SimpleNamespace(connected=False)
        timeout = aiohttp.ClientTimeout(
            total=self.limits.trade_call_s,
            connect=CONNECT_WITHIN_S,
            sock_connect=CONNECT_WITHIN_S,
        )
        try:
            status, body = await self._get(call, params, timeout, wire)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever broke, the order may stand
            text = _say(self.platform, error)
            if not wire.connected and isinstance(
                error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            ):
                raise NotSent("NOT_CONNECTED", text) from None
            raise OutcomeUnknown("NO_ANSWER", text) from None
        error_of = _error_in(body)
        if error_of is None:
            if status >= 300:
                raise OutcomeUnknown(f"HTTP_{status}", f"{call} answered with status {status}")
            return body
        code, message = error_of
        verdict = classify(self.platform, code, kind)
        if verdict.class_ is Class.UNKNOWN:
            if not verdict.listed:
                logger.warning("unlisted result code", platform=self.platform, code=code, call=call)
            raise OutcomeUnknown(code, message)
        raise Refused(code, message)

    # --- connections --------------------------------------------------------------------------

    def is_warm(self) -> bool:
        return time.monotonic() - self._answered_at < self.limits.connection_idle_s

    async def socket(self, path: str, token: str) -> aiohttp.ClientWebSocketResponse:
        """Errors: Unavailable."""
        url = URL(f"{self._base}/{path}?id={quoted(token)}", encoded=True)
        try:
            return await self._open().ws_connect(
                url,
                heartbeat=self.limits.ping_s,
                max_msg_size=self.limits.frame_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("NO_STREAM", _say(self.platform, error)) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_connected)
            trace.on_connection_reuseconn.append(_connected)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                trace_configs=[trace],
                auto_decompress=True,
            )
            # A GET is repeated by aiohttp when its kept-alive connection breaks; a trade must not be.
            # The contract suite counts requests at the bridge and fails if this stops working.
            self._session._retry_connection = False
        return self._session

    async def _get(
        self,
        call: str,
        params: Mapping[str, object],
        timeout: aiohttp.ClientTimeout,
        wire: SimpleNamespace | None = None,
    ) -> tuple[int, bytes]:
        query = urlencode(params, doseq=True)
        url = URL(f"{self._base}/{call}?{query}", encoded=True)
        async with self._open().get(
            url, timeout=timeout, allow_redirects=False, trace_request_ctx=wire
        ) as response:
            body = await response.read()
            self._answered_at = time.monotonic()
            return response.status, body


async def _connected(_: object, context: SimpleNamespace, __: object) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.connected = True


class Budget:
    """So many background reads a second for one address; halved by each "too many requests"."""

    def __init__(self, per_s: float) -> None:
        self._full = self._per_s = per_s
        self._next_at = 0.0

    async def take(self) -> None:
        now = time.monotonic()
        wait_s = self._next_at - now
        self._next_at = max(now, self._next_at) + 1 / self._per_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self._per_s < self._full:
            self._per_s = min(self._full, self._per_s * 1.01)

    def throttle(self) -> None:
        self._per_s = max(self._full / 64, self._per_s / 2)


def _error_in(body: bytes) -> tuple[str, str] | None:
    """An object with both `code` and `message` is an error on every call, whatever the status."""
    if body.lstrip()[:1] != b"{":
        return None
    try:
        found = _peek.decode(body)
    except msgspec.MsgspecError:
        return None
    if found.code is None or found.message is None:
        return None
    return str(found.code), found.message


def _read_error(code: str, message: str) -> TerminalError:
    if code in CREDENTIALS:
        return CredentialsRefused(code, message)
    if code == "INVALID_TOKEN" or "client with id" in message.lower():
        return SessionLost("SESSION_LOST", "the bridge does not know this session")
    if "not found" in message.lower() and "server" in message.lower():
        return Refused("UNKNOWN_SERVER", message)
    if code in TEMPORARY:
        return Unavailable(code, message)
    return Refused(code, message)


def _say(platform: Platform, error: BaseException) -> str:
    """What went wrong, without the error's own text: it may hold the URL and with it the password."""
    if isinstance(error, TimeoutError):
        return f"the {platform} bridge did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to the {platform} bridge: {error.os_error.strerror}"
    return f"the connection to the {platform} bridge broke ({type(error).__name__})"
