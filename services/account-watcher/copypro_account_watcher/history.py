"""The account's whole past, read once in the background, as `imported` facts: never copied."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

import structlog
from copypro.errors import TerminalError
from copypro.ports import Terminal
from copypro.trading import ClosedOrder, History
from copypro.values import Ticket

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.seen.book import CLOCKS_APART
from copypro_account_watcher.seen.clock import DAY
from copypro_account_watcher.seen.costs import note_all
from copypro_account_watcher.seen.evidence import closed_at_utc, earliest_utc, is_part
from copypro_account_watcher.seen.owed import owed_closings
from copypro_account_watcher.seen.past import imported_operations, imported_positions
from copypro_account_watcher.session import Session
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")
FACTS_A_TURN = 200


class Importing:
    def __init__(self, memory: Memory, host: Host, session: Session, terminal: Terminal) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._terminal, self._book = terminal, memory.book
        self._paid: set[Ticket] = set()
        """Operations that are told."""

    async def run(self) -> None:
        """Newest page first, each however often it takes. The end of the session ends it; the next
        connect starts it again, and what was imported before has the same ids.
        """
        host, limits, began_s = self._host, self._host.limits, self._host.monotonic()
        connected_at = host.clock().replace(tzinfo=None)
        until = connected_at + timedelta(days=1)
        oldest = connected_at - timedelta(days=limits.import_days)
        try:
            while until > oldest:
                since = max(oldest, until - timedelta(days=limits.import_page_days))
                history = await self._read(since, until)
                if self._is_over:
                    return
                await self._record(history)
                until = since
            await asyncio.sleep(began_s + limits.history_lag_s - host.monotonic())
            if self._is_over:
                return
            await self._record_late(connected_at)
        except TerminalError as error:
            logger.info("history not read whole", account=self._memory.id, code=error.code)
            return
        if self._is_over:
            return
        turn = Turn(host.clock())
        self._memory.known.history_done = True
        self._memory.save_account(turn)
        self._memory.save_book(turn)
        await host.commit(turn)

    async def _read(self, since: datetime, until: datetime) -> History:
        terminal = self._terminal
        ask = partial(terminal.history, since, until)
        return await self._session.patiently(terminal, ask, self._host.limits)

    async def _record_late(self, connected_at: datetime) -> None:
        """What was just before the first look, and history may not have had yet; what was after it is
        told by the looks.
        """
        history = await self._read(connected_at - DAY, connected_at + DAY)
        since = self._book.since_utc
        if self._is_over or since is None:
            return
        second = since.replace(microsecond=0)
        before = (piece for piece in history.closed if self._is_before(piece, second))
        news = tuple(piece for piece in before if self._is_like_news(piece))
        await self._record(History(closed=news, operations=history.operations))

    async def _record(self, history: History) -> None:
        """What looks could take for news is told in one turn, with the mark that it was: whoever is killed
        beside it leaves both or none.
        """
        memory, host, book = self._memory, self._host, self._book
        now = host.clock()
        past = self._past(history)
        opened = book.tickets() | book.told.keys()
        news = [piece for piece in past if self._is_like_news(piece)]
        older = [piece for piece in past if not self._is_like_news(piece)]
        paid = [one for one in history.operations if one.ticket not in self._paid]
        self._paid.update(one.ticket for one in paid)
        facts = [
            *imported_operations(memory.id, paid, now),
            *imported_positions(memory.id, older, now, opened),
        ]
        owed = list(owed_closings(book, history.closed))
        told = [*owed, *imported_positions(memory.id, news, now, opened)]
        parts = {piece.ticket for piece in past if is_part(piece.comment)}
        events = (message for _, message in (*facts, *told))
        note_all(book, (e for e in events if getattr(e, "ticket", None) not in parts))
        if told:
            turn = Turn(now)
            for identity, message in told:
                turn.fact(memory.id, message, *identity)
            for piece in news:
                book.tell(piece)
            memory.save_book(turn)
            await host.commit(turn)
        for at in range(0, len(facts), FACTS_A_TURN):
            if self._is_over:
                return
            turn = Turn(host.clock())
            for identity, message in facts[at : at + FACTS_A_TURN]:
                turn.fact(memory.id, message, *identity)
            await host.commit(turn)

    @property
    def _is_over(self) -> bool:
        """The account was removed meanwhile; added again, it has an import of its own."""
        return self._memory.book is not self._book

    def _past(self, history: History) -> list[ClosedOrder]:
        """What nobody has told, and closed before the first look: what closed later looks tell. Of a
        position that stood then, the parts that surely were closed earlier.
        """
        book = self._book
        known, since = book.tickets(), book.since_utc
        if since is None:
            return [piece for piece in history.closed if not book.was_told(piece)]
        return [
            piece
            for piece in history.closed
            if not book.was_told(piece)
            and (
                self._is_before(piece, since - CLOCKS_APART)
                if piece.ticket in known
                else not self._is_after(piece, since + CLOCKS_APART)
            )
        ]

    def _is_like_news(self, piece: ClosedOrder) -> bool:
        """It closed before the first look, and may have closed after it by a clock that is not known yet,
        or that its broker puts back.
        """
        since, offset = self._book.since_utc, self._session.offset.minutes
        at = closed_at_utc(piece, offset or 0)
        return since is not None and at is not None and at > since - DAY

    def _is_before(self, piece: ClosedOrder, moment: datetime) -> bool:
        at = closed_at_utc(piece, self._session.offset.minutes)
        return at is not None and at < moment

    def _is_after(self, piece: ClosedOrder, moment: datetime) -> bool:
        offset = self._session.offset.minutes
        at = piece.closed_at_utc or earliest_utc(piece.closed_at_broker, offset)
        return at is not None and at > moment
