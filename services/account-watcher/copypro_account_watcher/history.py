"""The account's whole past, read once in the background, as `imported` facts: never copied."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from datetime import datetime, timedelta

import structlog
from copypro.errors import Refused, TerminalError, Unavailable
from copypro.ports import Terminal
from copypro.trading import ClosedOrder, History
from copypro.values import Ticket

from copypro_account_watcher.host import Host
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.seen.book import CLOCKS_APART, NEVER
from copypro_account_watcher.seen.clock import DAY
from copypro_account_watcher.seen.costs import note_all
from copypro_account_watcher.seen.evidence import closed_at_utc, earliest_utc, is_part
from copypro_account_watcher.seen.owed import owed_closings
from copypro_account_watcher.seen.past import imported_operations, imported_positions
from copypro_account_watcher.session import Session
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")
FACTS_A_TURN = 200
TICKETS_A_TURN = FACTS_A_TURN // 2
"""Each was opened and closed."""


class Importing:
    """Of one account, for as long as it is here: a session goes on where the one before it ended."""

    def __init__(self, memory: Memory, host: Host, session: Session) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._book = memory.book
        self._one_at_a_time = asyncio.Lock()
        self._began_s, self._connected_at = host.monotonic(), host.clock().replace(tzinfo=None)
        self._until = self._newest
        self._rows: dict[datetime, int] = {}
        """So many of each page are told."""
        self._paid: set[Ticket] = set()
        """Operations that are told."""
        self._tries = 0

    async def run(self, terminal: Terminal) -> None:
        """Newest page first. What cannot be read now, or is not whole, is asked for again, ever more
        seldom. Of a process that ended the next one begins anew: what was imported has the same ids.
        """
        limits = self._host.limits
        wait_s = limits.import_again_first_s
        while not await self._has_ended(terminal):
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, limits.import_again_cap_s)

    async def _has_ended(self, terminal: Terminal) -> bool:
        """It is read, or this session no longer reads it."""
        async with self._one_at_a_time:
            if not self._is_wanted(terminal):
                return True
            try:
                await self._read(terminal)
            except (Refused, Unavailable) as error:
                logger.info("history not read whole", account=self._memory.id, code=error.code)
                return False
            except TerminalError:
                return True
            if not self._is_wanted(terminal):
                return True
            if not self._is_believable():
                logger.warning("history shows no payment", account=self._memory.id)
                self._until = self._newest
                return False
            turn = Turn(self._host.clock())
            self._memory.known.history_done = True
            self._memory.save_account(turn)
            self._memory.save_book(turn)
            await self._host.commit(turn)
            return True

    async def _read(self, terminal: Terminal) -> None:
        limits = self._host.limits
        oldest = self._connected_at - timedelta(days=limits.import_days)
        while self._until > oldest and self._is_wanted(terminal):
            since = max(oldest, self._until - timedelta(days=limits.import_page_days))
            history = await terminal.history(since, self._until)
            if self.is_over:
                return
            rows = len(history.closed) + len(history.operations)
            if rows > self._rows.get(since, 0):
                await self._record(history)
            self._rows[since], self._until = rows, since
        await asyncio.sleep(self._began_s + limits.history_lag_s - self._host.monotonic())
        if self._is_wanted(terminal):
            await self._record_late(terminal)

    def _is_believable(self) -> bool:
        """Money came by a payment. A past without one is not whole: bridges answer so while their data
        load. For good it is so where the broker keeps no more.
        """
        self._tries += 1
        has_money = bool(self._memory.known.balance)
        return bool(self._paid) or not has_money or self._tries >= self._host.limits.import_tries

    @property
    def _newest(self) -> datetime:
        """Brokers' clocks are ahead of ours by less."""
        return self._connected_at + DAY

    async def _record_late(self, terminal: Terminal) -> None:
        """What was just before the first look, and history may not have had yet; what was after it is
        told by the looks.
        """
        history = await terminal.history(self._connected_at - DAY, self._newest)
        since = self._book.since_utc
        if self.is_over or since is None:
            return
        second = since.replace(microsecond=0)
        before = (piece for piece in history.closed if self._is_before(piece, second))
        news = tuple(piece for piece in before if self._is_like_news(piece))
        await self._record(History(closed=news, operations=history.operations))

    async def _record(self, history: History) -> None:
        memory, book, now = self._memory, self._book, self._host.clock()
        past = self._past(history.closed)
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
        if owed:
            turn = Turn(now)
            for identity, message in owed:
                turn.fact(memory.id, message, *identity)
            memory.save_book(turn)
            await self._host.commit(turn)
        await self._tell_news(news, opened)
        for at in range(0, len(facts), FACTS_A_TURN):
            if self.is_over:
                return
            turn = Turn(self._host.clock())
            for identity, message in facts[at : at + FACTS_A_TURN]:
                turn.fact(memory.id, message, *identity)
            await self._host.commit(turn)

    async def _tell_news(self, news: Sequence[ClosedOrder], opened: Container[Ticket]) -> None:
        """What looks could take for news, oldest first, each with the mark that it was told: whoever is
        killed beside it leaves both or none. Of the newest tickets each is marked, of all before them
        until when they closed.
        """
        memory, book = self._memory, self._book
        tickets = _by_ticket(news)
        unmarked = len(tickets) - book.limits.told_tickets
        for begin in range(0, len(tickets), TICKETS_A_TURN):
            if self.is_over:
                return
            turn = Turn(self._host.clock())
            for at, pieces in enumerate(tickets[begin : begin + TICKETS_A_TURN], start=begin):
                untold = self._past(pieces)  # a look may have told it meanwhile
                for identity, message in imported_positions(memory.id, untold, turn.now, opened):
                    turn.fact(memory.id, message, *identity)
                for piece in untold:
                    if at < unmarked:
                        book.forget_until(piece.closed_at_broker)
                    else:
                        book.tell(piece)
            memory.save_book(turn)
            await self._host.commit(turn)

    @property
    def is_over(self) -> bool:
        """The account was removed meanwhile; added again, it has an import of its own."""
        return self._memory.book is not self._book

    def _is_wanted(self, terminal: Terminal) -> bool:
        is_done = self.is_over or self._memory.known.history_done
        return not is_done and self._session.terminal is terminal

    def _past(self, closed: Sequence[ClosedOrder]) -> list[ClosedOrder]:
        """What nobody has told, and closed before the first look: what closed later looks tell. Of a
        position that stood then, the parts that surely were closed earlier.
        """
        book = self._book
        known, since = book.tickets(), book.since_utc
        untold = [piece for piece in closed if not book.was_told(piece)]
        if since is None:
            return untold
        return [
            piece
            for piece in untold
            if (
                self._is_before(piece, since - CLOCKS_APART)
                if piece.ticket in known
                else not self._is_after(piece, self._latest(since))
            )
        ]

    def _latest(self, since: datetime) -> datetime:
        """Just then clocks may differ, and what is told is marked before a look can tell it."""
        waited_s = self._host.monotonic() - self._began_s
        if waited_s < self._host.limits.history_lag_s:
            return since + CLOCKS_APART
        return since.replace(microsecond=0) - timedelta.resolution

    def _is_like_news(self, piece: ClosedOrder) -> bool:
        """It closed before the first look, and may have closed after it by a clock that is not known yet,
        or that its broker puts back.
        """
        book, offset = self._book, self._session.offset.minutes
        at = closed_at_utc(piece, offset or 0)
        if book.since_utc is None or at is None or at <= book.since_utc - DAY:
            return False
        return piece.closed_at_broker > (book.forgotten_until_broker or NEVER)

    def _is_before(self, piece: ClosedOrder, moment: datetime) -> bool:
        at = closed_at_utc(piece, self._session.offset.minutes)
        return at is not None and at < moment

    def _is_after(self, piece: ClosedOrder, moment: datetime) -> bool:
        offset = self._session.offset.minutes
        at = piece.closed_at_utc or earliest_utc(piece.closed_at_broker, offset)
        return at is not None and at > moment


def _by_ticket(pieces: Sequence[ClosedOrder]) -> list[list[ClosedOrder]]:
    """What closed last is last."""
    found: dict[Ticket, list[ClosedOrder]] = {}
    for piece in pieces:
        found.setdefault(piece.ticket, []).append(piece)
    return sorted(found.values(), key=lambda group: max(piece.closed_at_broker for piece in group))
