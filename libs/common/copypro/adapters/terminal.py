"""One account at a bridge: the Terminal port over a Bridge, in the dialect of its platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from secrets import token_bytes
from typing import TypeVar
from uuid import uuid4

import msgspec
import structlog

from copypro.adapters import bridge_json as shapes
from copypro.adapters.bridge import NO_SESSION, Bridge
from copypro.adapters.bridge_history import read_history
from copypro.adapters.bridge_json import (
    Details,
    Params,
    Summary,
    Unreadable,
    decoded,
    figures_of,
    is_uuid,
    moment_or_none,
    scalar,
)
from copypro.adapters.bridge_streams import Streams
from copypro.adapters.bridge_wire import Waiting
from copypro.adapters.dialect import Dialect
from copypro.errors import (
    NotSent,
    OutcomeUnknown,
    Refused,
    SessionLost,
    TerminalError,
    Unavailable,
)
from copypro.ports import Credentials, Terminal, TerminalLimits
from copypro.retcodes import CallKind
from copypro.trading import (
    AccountInfo,
    CloseRequest,
    DeleteRequest,
    Done,
    History,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    Quote,
    Snapshot,
    SymbolSpec,
    Update,
)
from copypro.values import Lots, OrderKind

logger = structlog.get_logger("terminal")
_DIGEST_KEY = token_bytes(32)
_ALIVE = frozenset({"OK", "TRUE"})
"""What CheckConnect says of a session that is connected: anything else is none."""
Answer = TypeVar("Answer")


class BridgeTerminal:
    def __init__(self, bridge: Bridge, dialect: Dialect, credentials: Credentials) -> None:
        self._bridge, self._dialect, self._who = bridge, dialect, credentials
        self._token = ""
        self._subscribed: dict[str, None] = {}
        self._streams: Streams | None = None
        self._seen_orders = True
        """The last trusted list held orders (or there was none yet): an empty one is read twice."""
        self._seen_figures = dialect.has_synced

    def __repr__(self) -> str:
        return f"BridgeTerminal({self._who!r})"

    # --- the session --------------------------------------------------------------------------

    async def connect(self) -> AccountInfo:
        key = self._key()
        self._token = await self._resumed(self._bridge.tokens.get(key, "")) or await self._login()
        self._bridge.tokens[key] = self._token
        return await self._info()

    async def prove(self) -> AccountInfo:
        """The session is given an id of its own, or the bridge may answer with one that lives."""
        own = str(uuid4())
        self._token = await self._login(own)
        try:
            return await self._info()
        finally:
            if self._token == own:
                await self._end(own)
            self._token = ""

    async def _end(self, token: str) -> None:
        try:
            await self._bridge.read("Disconnect", {"id": token}, urgent=True)
        except TerminalError as error:
            logger.info("a session is left to expire", code=error.code)

    async def _info(self) -> AccountInfo:
        summary = await self._synchronised_summary()
        try:
            details = await self._get("AccountDetails", shapes.details)
        except (Refused, Unavailable) as error:
            if isinstance(error, Unavailable) and error.code != "HTTP_404":
                raise
            details = Details(user=self._who.login)  # the login has just proved whose session it is
        if details.user != self._who.login:
            self._forget()
            raise Unavailable("OTHER_ACCOUNT", "the bridge's session belongs to another account")
        return self._dialect.info(summary, details, self._who)

    async def _resumed(self, token: str) -> str:
        """The session these credentials made before, if it still lives; else nothing."""
        if not token:
            return ""
        for call in ("CheckConnect", "ConnectByToken"):
            try:
                body = await self._bridge.read(call, {"id": token}, within_s=self._connect_s)
                if call == "ConnectByToken":
                    return _token_in(body)
                if scalar(body).upper() in _ALIVE:
                    return token
            except TerminalError as error:
                if error.code == "UNREACHABLE":
                    raise
        return ""

    async def _login(self, own_id: str = "") -> str:
        params: dict[str, object] = {
            "user": self._who.login,
            "password": self._who.password,
            "server": self._who.server,
            "connectTimeoutSeconds": max(1, int(self._connect_s - 5)),
        }
        if own_id:
            params["id"] = own_id
        else:
            self._forget()
        return _token_in(await self._bridge.read("ConnectEx", params, within_s=self._connect_s))

    def _key(self) -> bytes:
        """Of exactly these credentials: another password has to prove itself."""
        text = f"{self._who.server.strip().casefold()}\0{self._who.login}\0{self._who.password}"
        return blake2b(text.encode(), key=_DIGEST_KEY, digest_size=16).digest()

    def _forget(self) -> None:
        self._token = ""
        self._bridge.tokens.pop(self._key(), None)

    @property
    def _connect_s(self) -> float:
        return self._bridge.limits.connect_s

    async def check(self) -> None:
        await self._read("CheckConnect", urgent=True)

    async def disconnect(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            await streams.close()

    # --- reads --------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        wait = Waiting(self._bridge.limits.synchronised_s)
        while True:
            status = await self._get("ConnectionStatus", shapes.status)
            if not status.is_connected:
                raise Unavailable("NOT_CONNECTED", "the bridge is not connected to the broker")
            summary = await self._synchronised_summary()
            orders = await self._orders()
            if not orders and self._seen_orders:
                orders = await self._orders()  # one empty list alone proves nothing
            if not summary.blank or self._seen_figures or wait.is_over:
                break
            await wait.a_little()  # MT4 does not say when its data are loaded
        self._seen_orders, self._seen_figures = bool(orders), True
        return Snapshot(orders=orders, figures=figures_of(summary))

    async def _orders(self) -> tuple[OpenOrder, ...]:
        return self._understood(self._dialect.orders, await self._read("OpenedOrders"))

    async def _synchronised_summary(self) -> Summary:
        """Waits until the session's data are loaded: before, balances are 0 and lists empty."""
        wait = Waiting(self._bridge.limits.synchronised_s)
        while True:
            summary = await self._get("AccountSummary", shapes.summary)
            if summary.synced:
                return summary
            if wait.is_over:
                raise Unavailable("NOT_SYNCHRONISED", "the session does not synchronise")
            await wait.a_little()

    async def history(self, since_broker: datetime, until_broker: datetime) -> History:
        page_orders = self._bridge.limits.history_page_orders
        rows_of = self._dialect.history
        return await read_history(self._read, rows_of, since_broker, until_broker, page_orders)

    async def symbols(self) -> Sequence[str]:
        return await self._get("SymbolList", shapes.names)

    async def symbol(self, name: str) -> SymbolSpec:
        body = await self._read("SymbolParams", {"symbol": name}, urgent=True)
        spec = self._understood(lambda found: self._dialect.spec(name, found), body)
        return self._bridge.shared(self._who.server, spec)

    async def quote(self, name: str, max_age_s: float) -> Quote:
        params = self._dialect.quote_params(name, max_age_s)
        found = await self._get(self._dialect.quote_call, shapes.tick, params, urgent=True)
        if found.bid <= 0 or found.ask <= 0:
            raise Unavailable("NO_QUOTE", f"no price of {name}")
        time = moment_or_none(found.time)
        return Quote(symbol=name, bid=found.bid, ask=found.ask, time_broker=time)

    async def margin(self, symbol: str, kind: OrderKind, lots: Lots) -> Lots | None:
        params = self._dialect.margin_params(symbol, kind, lots)
        if params is None:
            return None
        margin = await self._get("RequiredMargin", shapes.number, params, urgent=True)
        if not shapes.is_number(margin):
            raise Unavailable("UNREADABLE", f"the margin of {symbol} is no number")
        return margin

    async def subscribe(self, names: Sequence[str]) -> None:
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return
        await self._subscribe(wanted)
        self._subscribed.update(dict.fromkeys(wanted))
        if self._streams is not None:
            self._streams.want_quotes()

    async def _subscribe(self, names: list[str]) -> None:
        if len(names) == 1:
            await self._read("Subscribe", {"symbol": names[0], "interval": 0}, urgent=True)
        elif names:
            await self._read("SubscribeMany", {"symbols": names, "interval": 0}, urgent=True)

    async def _resubscribe(self) -> None:
        """Of many, a bridge refuses all for one that the broker has no more: that one is forgotten."""
        names = list(self._subscribed)
        try:
            await self._subscribe(names)
        except Refused:
            await self._subscribe_each(names)

    async def _subscribe_each(self, names: list[str]) -> None:
        for name in names:
            try:
                await self._subscribe([name])
            except Refused as error:
                logger.info("no more quotes", symbol=name, code=error.code)
                self._subscribed.pop(name, None)

    async def updates(self) -> AsyncIterator[Update]:
        await self.disconnect()
        streams = Streams(self._bridge, self._token, self._dialect, self._resubscribe)
        self._streams = streams
        try:
            async for update in streams.updates(quotes=bool(self._subscribed)):
                yield update
        except SessionLost:
            self._token = ""
            raise
        finally:
            await streams.close()

    # --- changes ------------------------------------------------------------------------------

    def is_warm(self) -> bool:
        return bool(self._token) and self._bridge.is_warm()

    async def warm(self) -> None:
        if self.is_warm():
            return
        try:
            await self._bridge.warm({"id": self._session()})
        except SessionLost:
            self._token = ""
            raise

    async def open(self, request: OpenRequest) -> Done:
        call, params = self._dialect.open_call(request)
        return await self._change(call, params, CallKind.OPEN, self._dialect.opened, request)

    async def modify(self, request: ModifyRequest) -> Done:
        call, params = self._dialect.modify_call(request)
        return await self._change(call, params, CallKind.MODIFY, self._dialect.modified, request)

    async def close(self, request: CloseRequest) -> Done:
        call, params = self._dialect.close_call(request)
        return await self._change(call, params, CallKind.CLOSE, self._dialect.closed, request)

    async def delete(self, request: DeleteRequest) -> Done:
        lacks_delete = self._bridge.lacks_delete
        call, params = self._dialect.delete_call(request, lacks_delete=lacks_delete)
        try:
            return await self._change(call, params, CallKind.DELETE, self._dialect.deleted, request)
        except Refused as error:
            if error.code == "NO_SUCH_CALL":
                self._bridge.lacks_delete = True  # from the next try on, another call deletes
            raise

    async def _change(
        self,
        call: str,
        params: Params,
        kind: CallKind,
        done: Callable[[bytes, Answer], Done],
        request: Answer,
    ) -> Done:
        token = self._token
        if not token:
            raise NotSent("NO_SESSION", "the session is not connected")
        try:
            body = await self._bridge.change(call, {"id": token, **params}, kind)
        except OutcomeUnknown as error:
            if error.code == NO_SESSION:
                self._ended(token)
            raise
        failure = ""
        try:
            return done(body, request)
        except Unreadable as error:
            failure = str(error)
        raise OutcomeUnknown("UNREADABLE", f"{call} answered with {failure}")

    # --- inside -------------------------------------------------------------------------------

    def _session(self) -> str:
        if not self._token:
            raise SessionLost("NO_SESSION", "the session is not connected")
        return self._token

    async def _read(
        self, call: str, params: Params | None = None, *, urgent: bool = False
    ) -> bytes:
        token = self._session()
        try:
            return await self._bridge.read(call, {"id": token, **(params or {})}, urgent=urgent)
        except SessionLost:
            self._ended(token)
            raise

    def _ended(self, token: str) -> None:
        if self._token == token:
            self._token = ""  # no change may leave on it any more

    async def _get(
        self,
        call: str,
        decoder: msgspec.json.Decoder[Answer],
        params: Params | None = None,
        *,
        urgent: bool = False,
    ) -> Answer:
        body = await self._read(call, params, urgent=urgent)
        return self._understood(lambda found: decoded(decoder, found), body)

    def _understood(self, read: Callable[[bytes], Answer], body: bytes) -> Answer:
        failure = ""
        try:
            return read(body)
        except Unreadable as error:
            failure = str(error)
        raise Unavailable("UNREADABLE", f"the bridge's answer cannot be read ({failure})")


def _token_in(body: bytes) -> str:
    """Errors: Unavailable for a text that is no token."""
    token = scalar(body)
    if not is_uuid(token):
        raise Unavailable("BAD_TOKEN", "the bridge answered the connect with no token")
    return token


class Terminals:
    """The terminals of one bridge: a factory, and the closing of what they share.

    They share one address's connections, budget of reads and known sessions. Opens nothing yet.
    `headers` are for a proxy that guards the bridge.
    """

    def __init__(
        self,
        dialect: Dialect,
        url: str,
        limits: TerminalLimits,
        reads_per_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._bridge = Bridge(dialect.platform, url, limits, reads_per_s, headers)
        self._dialect = dialect

    def __call__(self, credentials: Credentials) -> Terminal:
        return BridgeTerminal(self._bridge, self._dialect, credentials)

    async def aclose(self) -> None:
        """Calls in flight break: close when none is."""
        await self._bridge.aclose()
