"""Reads what a step asked for, once, and wakes whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from copypro.errors import Refused, TerminalError
from copypro.ports import Terminal
from copypro.trading import SymbolSpec
from copypro.values import CopyId, Platform

from copypro_account_watcher.live import (
    Live,
    Need,
    NeedFigures,
    NeedList,
    NeedMargin,
    NeedNames,
    NeedQuote,
    NeedSpec,
)

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

logger = structlog.get_logger("account-watcher")


class Market:
    def __init__(self, agent: AccountAgent) -> None:
        self.live = Live(Platform.MT4, agent.owner.limits)
        self._agent = agent
        self._waiting: dict[Need | None, dict[CopyId, None]] = {}
        """In the order in which they asked: that is the order in which they go on."""
        self._subscribed: dict[str, None] = {}

    def ask(self, copy: CopyId, needs: Iterable[Need]) -> None:
        """Each need is read once, however many wait for it; an answer, or its lack, wakes them."""
        terminal = self._agent.watching.terminal
        if terminal is None:
            return  # a reconnect wakes every copy
        for need in needs:
            waiting = self._waiting.get(need)
            if waiting is not None:
                waiting[copy] = None
                continue
            self._waiting[need] = {copy: None}
            self._agent.owner.spawn(self._read(need, terminal), f"read-{self._agent.id[:8]}")

    def warm(self, copy: CopyId, terminal: Terminal) -> None:
        """A connection for a trade call, before the attempt is committed."""
        waiting = self._waiting.get(None)
        if waiting is not None:
            waiting[copy] = None
            return
        self._waiting[None] = {copy: None}
        self._agent.owner.spawn(self._warm(terminal), f"warm-{self._agent.id[:8]}")

    async def _warm(self, terminal: Terminal) -> None:
        try:
            await terminal.warm()
        except TerminalError as error:
            logger.info("the bridge gives no connection yet", code=error.code)
            await asyncio.sleep(self._agent.owner.limits.reconnect_first_s)
        finally:
            self._agent.wake(self._waiting.pop(None, ()))

    async def _read(self, need: Need, terminal: Terminal) -> None:
        live = self.live
        try:
            await self._learn(need, terminal)
        except TerminalError as error:
            live.mono = self._agent.owner.monotonic()
            live.learn_missing(need)
            level = logger.info if isinstance(error, Refused) else logger.warning
            level("a read failed", account=self._agent.id, need=str(need), code=error.code)
        finally:
            self._agent.wake(self._waiting.pop(need, ()))

    async def _learn(self, need: Need, terminal: Terminal) -> None:
        live, limits, now = self.live, self._agent.owner.limits, self._agent.owner.monotonic
        match need:
            case NeedNames():
                names = tuple(await terminal.symbols())
                live.mono = now()
                live.learn_names(names)
                await self._agent.watching.publish_symbols(names)
            case NeedSpec(symbol):
                spec = await terminal.symbol(symbol)
                live.mono = now()
                self.learn_spec(spec)
            case NeedQuote(symbol):
                await self._subscribe([symbol], terminal)
                quote = await terminal.quote(symbol, limits.quote_age_s)
                live.mono = now()
                live.learn_quote(quote)
            case NeedMargin(symbol, kind, lots):
                margin = await terminal.margin(symbol, kind, lots)
                live.mono = now()
                live.learn_margin(symbol, kind.side, None if margin is None else margin / lots)
            case NeedFigures():
                await self._agent.watching.look_now()
                live.mono = now()
                if live.figures() is None:
                    live.learn_missing(need)
            case NeedList():
                if not await self._agent.watching.look_now():
                    live.learn_missing(need)

    def learn_spec(self, spec: SymbolSpec) -> None:
        """Also for those who show it, where it is news."""
        is_news = spec != self.live.any_spec(spec.name)
        self.live.learn_spec(spec)
        if is_news:
            publishing = self._agent.watching.publish_terms(spec)
            self._agent.owner.spawn(publishing, f"terms-{self._agent.id[:8]}")

    def follow_quotes(self, symbol: str, terminal: Terminal) -> None:
        if symbol not in self._subscribed:
            self._agent.owner.spawn(self._follow([symbol], terminal), self._quotes_task)

    def new_session(self, terminal: Terminal) -> None:
        """A bridge forgets with the session what was subscribed: the same symbols once more."""
        symbols, self._subscribed = list(self._subscribed), {}
        if symbols:
            self._agent.owner.spawn(self._follow(symbols, terminal), self._quotes_task)

    @property
    def _quotes_task(self) -> str:
        return f"quotes-{self._agent.id[:8]}"

    async def _follow(self, symbols: list[str], terminal: Terminal) -> None:
        try:
            await self._subscribe(symbols, terminal)
        except TerminalError as error:
            logger.info("no quotes", account=self._agent.id, symbols=symbols, code=error.code)

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
