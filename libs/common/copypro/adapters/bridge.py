"""One MetaTrader REST bridge over HTTP: calls, errors, and the promise that a change leaves once.

Answers are judged by their body, never by their status alone: a bridge says "no" with status 201.
Nothing that is raised here was raised inside aiohttp's: its errors hold the URL, and the URL holds
the password or the token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn, Protocol

import aiohttp
import structlog
from yarl import URL

from copypro.adapters.bridge_json import Params, fault_in, query_of, safe_text
from copypro.adapters.bridge_wire import Budget
from copypro.adapters.trade_wire import Answer, Broken, NotWritten, TradeWire, why
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
from copypro.trading import SymbolSpec
from copypro.values import Platform

logger = structlog.get_logger("bridge")
NO_SESSION = "INVALID_TOKEN"
THROTTLES = frozenset({"TOO_MANY_REQUESTS", "TOO_FREQUENT_REQUEST", "TOO_FREQUENT_REQUESTS"})
_SECRETS = ("password", "id", "otp")
_HEADERS = {"Accept": "application/json", "Cache-Control": "no-store"}


class Wire(Protocol):
    """What carries trade calls: as TradeWire, whose promises it keeps."""

    def has_fresh(self) -> bool: ...

    async def get(self, target: str, *, connect_s: float, within_s: float) -> Answer: ...

    def close(self) -> None: ...


class Bridge:
    """Shared by all accounts of one address; belongs to the event loop that first uses it.

    `headers` are for a proxy that guards the bridge. A user and password in the URL become Basic
    authentication and are in no request line.
    """

    def __init__(
        self,
        platform: Platform,
        url: str,
        limits: TerminalLimits,
        reads_per_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.platform, self.limits = platform, limits
        address = URL(url)
        self._headers = {**_HEADERS, **(headers or {})}
        if address.user is not None:
            login, password = address.user, address.password or ""
            self._headers["Authorization"] = aiohttp.encode_basic_auth(login, password)
            address = address.with_user(None)
        self._base = str(address).rstrip("/")
        self.budget = Budget(reads_per_s)
        self.tokens: dict[bytes, str] = {}
        """Sessions that were made here, by a digest of the credentials that proved them."""
        self._specs: dict[tuple[str, str], SymbolSpec] = {}
        """By server and name: the latest terms."""
        self.lacks_delete = False
        """This MT4 bridge has no OrderDelete."""
        self._reads: aiohttp.ClientSession | None = None
        self._trades: Wire = TradeWire(
            address, self._headers, limits.connection_idle_s, limits.frame_bytes
        )
        self._closed = False

    def __repr__(self) -> str:
        return f"Bridge({self.platform})"

    async def aclose(self) -> None:
        self._closed = True
        self._trades.close()
        if self._reads is not None:
            await self._reads.close()

    # --- reads --------------------------------------------------------------------------------

    async def read(
        self, call: str, params: Params, *, within_s: float | None = None, urgent: bool = False
    ) -> bytes:
        """The answer's body. Errors: CredentialsRefused, SessionLost, Refused, Unavailable.

        Not urgent: it waits for its share of the address's budget of background reads.
        """
        await self.budget.take(urgent=urgent)
        failure = ""
        answer = (0, b"")
        try:
            answer = await self._get(call, params, within_s or self.limits.read_s)
        except (aiohttp.ClientError, Broken, TimeoutError, OSError) as error:
            failure = self._say(error)
        if failure:
            raise Unavailable("UNREACHABLE", failure)
        return self._answered(call, params, answer)

    async def _get(self, call: str, params: Params, within_s: float) -> Answer:
        """Errors: aiohttp's, Broken, TimeoutError and OSError."""
        async with self._reading().get(
            self._url(call, query_of(params)),
            timeout=aiohttp.ClientTimeout(total=within_s),
            allow_redirects=False,
        ) as response:
            return response.status, await _whole(response, self.limits.read_bytes)

    def _answered(self, call: str, params: Params, answer: Answer) -> bytes:
        """What a read was answered with. Errors: as reads."""
        status, body = answer
        found = fault_in(body)
        if found is not None:
            self._raise_read_fault(found, params)
        if status == 429:
            self.budget.throttle()
            raise Unavailable("HTTP_429", f"the {self.platform} bridge says: too many requests")
        if status >= 300:
            raise Unavailable(f"HTTP_{status}", f"{call} answered with status {status}")
        return body

    def _raise_read_fault(self, found: tuple[str, str], params: Params) -> NoReturn:
        code, message = _safe(found[0], params), _safe(found[1], params)
        if code in CREDENTIALS:
            raise CredentialsRefused(code, message)
        if code == NO_SESSION or "client with id" in message.lower():
            raise SessionLost(NO_SESSION, "the bridge does not know this session")
        if "server" in params and "server" in message.lower() and "not found" in message.lower():
            # MT5 gives this the code DONE, MT4 an arbitrary one.
            raise Refused("SERVER_NOT_FOUND", message)
        if code in THROTTLES:
            self.budget.throttle()
        if classify(self.platform, code, CallKind.READ).class_ in (Class.LATER, Class.NOW):
            raise Unavailable(code, message)
        raise Refused(code, message)

    def shared(self, server: str, spec: SymbolSpec) -> SymbolSpec:
        """Equal terms of a server's symbol as one object: most accounts there trade by the same."""
        known = self._specs.get((server, spec.name))
        if known == spec:
            return known
        self._specs[server, spec.name] = spec
        return spec

    # --- changes ------------------------------------------------------------------------------

    async def change(self, call: str, params: Params, kind: CallKind) -> bytes:
        """The answer's body. At most one request leaves. Errors: Refused, NotSent, OutcomeUnknown.

        INVALID_TOKEN is OutcomeUnknown: the bridge answers a call that was in flight while the
        session ended with the same code as one that came too late, so it proves nothing.
        """
        if self._closed:
            raise NotSent("CLOSED", "this program is closing its connections")
        failure: TerminalError | None = None
        status, body = 0, b""
        try:
            status, body = await self._trades.get(
                f"{call}?{query_of(params)}",
                connect_s=self.limits.first_byte_s,
                within_s=self.limits.trade_call_s,
            )
        except NotWritten as error:
            failure = NotSent("NOT_CONNECTED", self._say(error))
        except Exception as error:  # noqa: BLE001 - whatever broke, the order may stand
            failure = OutcomeUnknown("NO_ANSWER", self._say(error))
        if failure is not None:
            raise failure
        found = fault_in(body)
        if found is None:
            if status >= 300:
                self._raise_no_answer(call, status, kind)
            return body
        code, message = _safe(found[0], params), _safe(found[1], params)
        verdict = classify(self.platform, code, kind)
        if not verdict.listed:
            logger.warning("unlisted result code", platform=self.platform, code=code, call=call)
        if code == NO_SESSION or verdict.class_ is Class.UNKNOWN:
            raise OutcomeUnknown(code, message)
        raise Refused(code, message)

    def _raise_no_answer(self, call: str, status: int, kind: CallKind) -> NoReturn:
        text = f"{call} answered with status {status} and no result"
        if status == 404 and kind is CallKind.DELETE:
            # Proven for this call only: a bridge that lacks it has no route, so nothing was done.
            raise Refused("NO_SUCH_CALL", text)
        raise OutcomeUnknown(f"HTTP_{status}", text)

    # --- connections --------------------------------------------------------------------------

    def is_warm(self) -> bool:
        return self._trades.has_fresh()

    async def warm(self, params: Params) -> None:
        """A cheap read on a connection for trade calls. Errors: as reads."""
        if self._closed:
            raise Unavailable("CLOSED", "this program is closing its connections")
        await self.budget.take(urgent=True)
        call, read_s, failure = "ConnectionStatus", self.limits.read_s, ""
        try:
            answer = await self._trades.get(
                f"{call}?{query_of(params)}", connect_s=read_s, within_s=read_s
            )
        except (NotWritten, Broken, TimeoutError) as error:
            failure = self._say(error)
        if failure:
            raise Unavailable("UNREACHABLE", failure)
        self._answered(call, params, answer)

    async def socket(self, path: str, token: str) -> aiohttp.ClientWebSocketResponse[bool]:
        """Errors: Unavailable."""
        failure = ""
        try:
            async with asyncio.timeout(self.limits.read_s):
                return await self._reading().ws_connect(
                    self._url(path, query_of({"id": token})),
                    heartbeat=self.limits.ping_s,
                    max_msg_size=self.limits.frame_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            failure = f"the {self.platform} bridge refused a stream with status {error.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._say(error)
        raise Unavailable("NO_STREAM", failure)

    # --- inside -------------------------------------------------------------------------------

    def _url(self, call: str, query: str) -> URL:
        return URL(f"{self._base}/{call}?{query}", encoded=True)

    def _reading(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Unavailable("CLOSED", "this program is closing its connections")
        if self._reads is None:
            self._reads = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                middlewares=(_no_redirect,),
            )
        return self._reads

    def _say(self, error: BaseException) -> str:
        """What went wrong, without the error's own text."""
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"no connection to the {self.platform} bridge ({why(error.os_error)})"
        if isinstance(error, NotWritten):
            return f"no connection to the {self.platform} bridge {error}"
        if isinstance(error, TimeoutError):
            return f"the {self.platform} bridge did not answer in time"
        what = str(error) if isinstance(error, Broken) else type(error).__name__
        return f"the connection to the {self.platform} bridge broke ({what})"


async def _whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, unpacked. Errors: Broken for one above the limit, of which no more is taken in."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            response.close()
            raise Broken("an answer above the limit")
        parts.append(part)
    return b"".join(parts)


async def _no_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Opening a stream would follow one wherever it leads, and show our headers there."""
    response = await handler(request)
    if 300 <= response.status < 400 and "Upgrade" in request.headers:
        response.close()
        raise aiohttp.WSServerHandshakeError(response.request_info, (), status=response.status)
    return response


def _safe(message: str, params: Params) -> str:
    return safe_text(message, tuple(str(params.get(name, "")) for name in _SECRETS))
