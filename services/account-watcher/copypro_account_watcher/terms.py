"""The terms and prices that a look lacks: all are read at the same time, and one that a bridge does not
tell need not hold up the look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set

import structlog
from copypro.errors import TerminalError
from copypro.ports import Terminal
from copypro.trading import OpenOrder
from copypro.values import Ticket

from copypro_account_watcher.host import Host
from copypro_account_watcher.market import Market
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.live import NeedQuote, NeedSpec
from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.seen.diff import is_entry, new_symbols
from copypro_account_watcher.session import Session

logger = structlog.get_logger("account-watcher")
Need = NeedSpec | NeedQuote


class Terms:
    def __init__(self, memory: Memory, host: Host, session: Session, market: Market) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._market = market
        self._reads: dict[Need, asyncio.Task[None]] = {}
        """Those that run, and those that ended since the last look."""
        self._room = asyncio.Semaphore(host.limits.terms_at_once)

    def stop(self) -> None:
        """The session is over."""
        for read in self._reads.values():
            read.cancel()
        self._reads = {}

    async def read(self, orders: Sequence[OpenOrder], *, can_wait: bool) -> set[Ticket]:
        """What is not known of what these orders need. Answers those of which something is still being
        read, if they are entries and `can_wait`; once it is there, or refused, there is another look.
        """
        orders, book = _without_rests(orders), self._memory.book
        lacking = self._lacking(_needs_of(orders, book))
        if not lacking:
            return set()
        entries = [order for order in orders if can_wait and is_entry(book, order)]
        urgent = _needs_of([order for order in orders if order not in entries], book)
        late = await self._learn(lacking, urgent | _of_ours(entries, book))
        return {order.ticket for order in entries if late & _needs_of([order], book)}

    def _lacking(self, needs: Set[Need]) -> set[Need]:
        """What is not known of these. A read of anything else that has ended is of no look any more."""
        self._memory.live.mono = self._host.monotonic()
        lacking = {need for need in needs if self._is_unknown(need)}
        self._reads = {
            need: read for need, read in self._reads.items() if need in lacking or not read.done()
        }
        return lacking

    async def _learn(self, needs: Set[Need], urgent: Set[Need]) -> set[Need]:
        """Each is asked for once, and what is refused stays unknown. Answers what is still being read of
        those that are not urgent, and of which nothing older is known either.
        """
        terminal = self._session.terminal
        if terminal is None:
            return set()
        reads = {need: self._reads[need] for need in needs if need in self._reads}
        begun = {need: self._begin(need, terminal) for need in needs if need not in reads}
        reads |= begun
        awaited = [
            read for need, read in reads.items() if need in urgent and not self._has_older(need)
        ]
        if awaited:
            await asyncio.wait(awaited)
        if begun:
            await asyncio.wait(begun.values(), timeout=self._host.limits.terms_wait_s)
        late = {
            need: read
            for need, read in reads.items()
            if not read.done() and not self._has_older(need)
        }
        for read in late.values():
            read.add_done_callback(lambda _: self._session.look_soon())
        self._reads = {need: read for need, read in self._reads.items() if not read.done()}
        return set(late)

    def _is_unknown(self, need: Need) -> bool:
        """Or it is too old: a broker may change a symbol's terms while a session lasts."""
        live = self._memory.live
        known = live.spec if isinstance(need, NeedSpec) else live.quote
        return known(need.symbol) is None

    def _has_older(self, need: Need) -> bool:
        return isinstance(need, NeedSpec) and self._memory.live.any_spec(need.symbol) is not None

    def _begin(self, need: Need, terminal: Terminal) -> asyncio.Task[None]:
        read = self._host.spawn(self._asked(need, terminal), f"terms-{self._memory.id[:8]}")
        self._reads[need] = read
        return read

    async def _asked(self, need: Need, terminal: Terminal) -> None:
        try:
            async with self._room:
                await self._ask(need, terminal)
            self._session.said.over(need)
        except TerminalError as error:
            # The event goes out without it; whoever needs it says so by its code.
            if self._session.said.is_news(need, error.code):
                logger.warning(
                    "a read failed", account=self._memory.id, need=str(need), code=error.code
                )

    async def _ask(self, need: Need, terminal: Terminal) -> None:
        match need:
            case NeedSpec(symbol):
                spec = await terminal.symbol(symbol)
                self._memory.live.mono = self._host.monotonic()
                self._market.learn_spec(spec)
                # From now on its quotes come by themselves: they show the broker's clock, and the
                # master's price beside its next trade.
                self._market.follow_quotes(symbol)
            case NeedQuote(symbol):
                quote = await terminal.quote(symbol, self._host.limits.quote_age_s)
                self._memory.live.mono = self._host.monotonic()
                self._memory.live.learn_quote(quote)


def _needs_of(orders: Sequence[OpenOrder], book: Book) -> set[Need]:
    """By the next look. A new pending order's own price is not the market's, which its slaves compare."""
    terms = new_symbols(book, orders) | _cut(orders, book)
    pending = {o.symbol for o in orders if o.kind.is_pending and book.of_order(o) is None}
    return {*map(NeedSpec, terms), *map(NeedQuote, pending)}


def _of_ours(entries: Sequence[OpenOrder], book: Book) -> set[Need]:
    """Of symbols in which we stand. On MT4 something new may be what is left of ours, and by the terms it
    is judged whose doing that was.
    """
    ours = {root.symbol for root in book.roots.values() if root.copy is not None}
    new = [order for order in entries if book.of_order(order) is None]
    return {NeedSpec(order.symbol) for order in new if order.symbol in ours}


def _cut(orders: Sequence[OpenOrder], book: Book) -> set[str]:
    """Symbols of our positions that are smaller than before: by their terms it is judged whose doing that
    was.
    """
    roots = ((order, book.of_order(order)) for order in orders)
    return {
        order.symbol
        for order, root in roots
        if root is not None and root.copy is not None and order.lots < root.open_lots
    }


def _without_rests(orders: Sequence[OpenOrder]) -> list[OpenOrder]:
    """Of an order that has filled in part its position is told; both have one ticket."""
    filled = {order.ticket for order in orders if not order.kind.is_pending}
    return [order for order in orders if not (order.kind.is_pending and order.ticket in filled)]
