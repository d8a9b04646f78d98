"""Reads what a step asked for, once, and wakes whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from copypro import topics
from copypro.errors import Refused, TerminalError, Unavailable
from copypro.messages import AccountSymbols, SymbolLearned
from copypro.ports import Terminal
from copypro.trading import Quote, SymbolSpec
from copypro.values import CopyId

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.live import (
    Need,
    NeedFigures,
    NeedList,
    NeedMargin,
    NeedNames,
    NeedQuote,
    NeedRate,
    NeedSpec,
)
from copypro_account_watcher.session import Session
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")


class Market:
    """`wake` gives copies a turn; `look_now` is a look at the account, False where it failed."""

    def __init__(
        self,
        memory: Memory,
        host: Host,
        session: Session,
        wake: Callable[[Iterable[CopyId]], None],
        look_now: Callable[[], Awaitable[bool]],
    ) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._wake, self._look_now = wake, look_now
        self._waiting: dict[Need | None, dict[CopyId, None]] = {}
        """In the order in which they asked: that is the order in which they go on."""
        self._subscribed: dict[str, None] = {}

    def ask(self, copy: CopyId, needs: Iterable[Need]) -> None:
        """Each need is read once, however many wait for it; an answer, or its lack, wakes them."""
        terminal = self._session.terminal
        if terminal is None:
            return  # a reconnect wakes every copy
        for need in needs:
            waiting = self._waiting.get(need)
            if waiting is not None:
                waiting[copy] = None
                continue
            self._waiting[need] = {copy: None}
            self._host.spawn(self._read(need, copy, terminal), f"read-{self._memory.id[:8]}")

    def warm(self, copy: CopyId, terminal: Terminal) -> None:
        """A connection for a trade call, before the attempt is committed."""
        waiting = self._waiting.get(None)
        if waiting is not None:
            waiting[copy] = None
            return
        self._waiting[None] = {copy: None}
        self._host.spawn(self._warm(terminal), f"warm-{self._memory.id[:8]}")

    async def _warm(self, terminal: Terminal) -> None:
        try:
            code = await _why_not_warm(terminal)
            if code:
                if self._session.said.is_news("warm", code):
                    text = "the bridge gives no connection yet"
                    logger.info(text, account=self._memory.id, code=code)
                await asyncio.sleep(self._host.limits.reconnect_first_s)
            else:
                self._session.said.over("warm")
        finally:
            self._wake(self._waiting.pop(None, ()))

    async def _read(self, need: Need, copy: CopyId, terminal: Terminal) -> None:
        """For the copy that asked first: what others asked for since may be of a later time."""
        live = self._memory.live
        try:
            await self._learn(need, terminal)
            live.mono = self._host.monotonic()
            live.learn_answered(copy, need)
            self._session.said.over(need)
        except TerminalError as error:
            live.mono = self._host.monotonic()
            live.learn_missing(need)
            if error.code == "INVALID_SYMBOL":
                live.forget_names()
            if self._session.said.is_news(need, error.code):
                level = logger.info if isinstance(error, Refused) else logger.warning
                level("a read failed", account=self._memory.id, need=str(need), code=error.code)
        finally:
            self._wake(self._waiting.pop(need, ()))

    async def _learn(self, need: Need, terminal: Terminal) -> None:
        live, limits, now = self._memory.live, self._host.limits, self._host.monotonic
        match need:
            case NeedNames():
                names = tuple(await terminal.symbols())
                live.mono = now()
                live.learn_names(names)
                await self._publish_names(names)
            case NeedSpec(symbol):
                spec = await terminal.symbol(symbol)
                live.mono = now()
                self.learn_spec(spec)
            case NeedQuote(symbol):
                await self._subscribe([symbol], terminal)
                quote = await terminal.quote(symbol, limits.quote_age_s)
                live.mono = now()
                live.learn_quote(quote)
            case NeedRate(symbol):
                await self._subscribe([symbol], terminal)
                quote = await self._last_quote(symbol, terminal)
                live.mono = now()
                live.learn_rate(quote)
            case NeedMargin(symbol, kind, lots):
                margin = await terminal.margin(symbol, kind, lots)
                live.mono = now()
                live.learn_margin(symbol, kind.side, None if margin is None else margin / lots)
            case NeedFigures():
                await self._look_now()
                live.mono = now()
                if live.figures() is None:
                    live.learn_missing(need)
            case NeedList():
                if not await self._look_now():
                    live.learn_missing(need)

    async def _last_quote(self, symbol: str, terminal: Terminal) -> Quote:
        """The one of now, if the market is open: what a bridge had before may be days older."""
        limits = self._host.limits
        try:
            async with asyncio.timeout(limits.rate_wait_s):
                return await terminal.quote(symbol, limits.quote_age_s)
        except (TimeoutError, TerminalError):
            return await terminal.quote(symbol, limits.rate_age_s)

    def learn_spec(self, spec: SymbolSpec) -> None:
        """Also for those who show it, where it is news."""
        is_news = spec != self._memory.live.any_spec(spec.name)
        self._memory.live.learn_spec(spec)
        if is_news:
            self._host.spawn(self._publish_terms(spec), f"terms-{self._memory.id[:8]}")

    def follow_quotes(self, symbol: str) -> None:
        terminal = self._session.terminal
        if terminal is not None and symbol not in self._subscribed:
            self._host.spawn(self._follow([symbol], terminal), self._quotes_task)

    def new_session(self, terminal: Terminal) -> None:
        """A bridge forgets with the session what was subscribed: the same symbols once more."""
        symbols, self._subscribed = list(self._subscribed), {}
        if symbols:
            self._host.spawn(self._follow(symbols, terminal), self._quotes_task)

    @property
    def _quotes_task(self) -> str:
        return f"quotes-{self._memory.id[:8]}"

    async def _follow(self, symbols: list[str], terminal: Terminal) -> None:
        """Of many, a bridge refuses all for one that the broker has no more: then each by itself."""
        try:
            await self._subscribe(symbols, terminal)
        except TerminalError as error:
            if isinstance(error, Refused) and len(symbols) > 1:
                for symbol in symbols:
                    await self._follow([symbol], terminal)
                return
            logger.info("no quotes", account=self._memory.id, symbols=symbols, code=error.code)

    async def _subscribe(self, symbols: list[str], terminal: Terminal) -> None:
        """From the first trade on, its quotes are streamed: the next one reads nothing. What could
        not be subscribed is tried again when it is next needed.
        """
        wanted = [symbol for symbol in symbols if symbol not in self._subscribed]
        self._subscribed.update(dict.fromkeys(wanted))
        try:
            await terminal.subscribe(wanted)
        except TerminalError:
            for symbol in wanted:
                self._subscribed.pop(symbol, None)
            raise

    # --- for those who show it ----------------------------------------------------------------

    async def list_symbols(self, terminal: Terminal) -> None:
        """For whoever maps symbols before anything trades, however often it takes while this session
        lasts. Not kept: most accounts never ask for their own.
        """
        session, failures = self._session, 0
        names: Sequence[str] | None = None
        while names is None and session.terminal is terminal:
            try:
                names = await terminal.symbols()
            except Unavailable:
                failures += 1
                await asyncio.sleep(self._host.limits.reconnect_s(failures))
            except TerminalError as error:
                logger.info("symbols not listed", account=self._memory.id, code=error.code)
                return
        if names is not None and session.terminal is terminal and session.is_current:
            await self._publish_names(names)

    async def _publish_names(self, names: Sequence[str]) -> None:
        """The account's symbols, in bounded pieces."""
        account, size = self._memory.id, self._host.limits.symbols_a_piece
        pieces = [tuple(names[at : at + size]) for at in range(0, len(names), size)]
        turn = Turn(self._host.clock())
        for number, piece in enumerate(pieces):
            message = AccountSymbols(account=account, piece=number, pieces=len(pieces), names=piece)
            key = f"{account}/{number}"
            turn.publish(topics.ACCOUNT_SYMBOLS, key, message, turn.now.isoformat())
        await self._host.commit(turn)

    async def _publish_terms(self, spec: SymbolSpec) -> None:
        account = self._memory.id
        turn = Turn(self._host.clock())
        message = SymbolLearned(account=account, spec=spec)
        key = f"{account}/{_terms_key(spec.name)}"
        turn.publish(topics.ACCOUNT_SYMBOLS, key, message, turn.now.isoformat())
        await self._host.commit(turn)


async def _why_not_warm(terminal: Terminal) -> str:
    """Why there is still no connection for a trade call; "": there is one."""
    try:
        await terminal.warm()
    except TerminalError as error:
        return error.code
    return "" if terminal.is_warm() else "CLOSED"


def _terms_key(symbol: str) -> str:
    """A symbol named by a number would meet a piece of the list under one key, and one of the two be
    compacted away. Every other name stays its own key: what was written under it is replaced by it.
    """
    return f"terms/{symbol}" if symbol.isdigit() else symbol
