"""The account's whole past, read once in the background, as `imported` facts: never copied."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from copypro.errors import TerminalError
from copypro.ports import Terminal
from copypro.trading import ClosedOrder, History

from copypro_account_watcher.book import CLOCKS_APART, NEVER
from copypro_account_watcher.evidence import closed_at_utc, earliest_utc
from copypro_account_watcher.past import imported_operations, imported_positions
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

logger = structlog.get_logger("account-watcher")
FACTS_A_TURN = 200


class Importing:
    def __init__(self, agent: AccountAgent, terminal: Terminal) -> None:
        self._agent, self._terminal = agent, terminal
        self._book = agent.book

    async def run(self) -> None:
        """Newest page first. A page that fails ends it; the next connect starts it again, and what
        was imported before has the same ids.
        """
        owner, limits = self._agent.owner, self._agent.owner.limits
        connected_at = owner.clock().replace(tzinfo=None)
        until = connected_at + timedelta(days=1)
        oldest = connected_at - timedelta(days=limits.import_days)
        try:
            while until > oldest:
                since = max(oldest, until - timedelta(days=limits.import_page_days))
                history = await self._terminal.history(since, until)
                if self._is_over:
                    return
                await self._record(history)
                until = since
        except TerminalError as error:
            logger.info("history not read whole", account=self._agent.id, code=error.code)
            return
        if self._is_over:
            return
        turn = Turn(owner.clock())
        self._agent.known.history_done = True
        self._agent.save_account(turn)
        await owner.commit(turn)

    async def _record(self, history: History) -> None:
        """What looks could take for news is told in one turn, with the mark that it was: whoever is killed
        beside it leaves both or none.
        """
        agent, book, now = self._agent, self._book, self._agent.owner.clock()
        past = self._past(history)
        opened = book.tickets() | book.told.keys()
        news = [piece for piece in past if self._is_like_news(piece)]
        older = [piece for piece in past if not self._is_like_news(piece)]
        facts = [
            *imported_operations(agent.id, history, now),
            *imported_positions(agent.id, older, now, opened),
        ]
        if news:
            turn = Turn(now)
            for identity, message in imported_positions(agent.id, news, now, opened):
                turn.fact(agent.id, message, *identity)
            for piece in news:
                former = book.told.get(piece.ticket, NEVER)
                book.told[piece.ticket] = max(former, piece.closed_at_broker)
            agent.save_book(turn)
            await agent.owner.commit(turn)
        for at in range(0, len(facts), FACTS_A_TURN):
            if self._is_over:
                return
            turn = Turn(agent.owner.clock())
            for identity, message in facts[at : at + FACTS_A_TURN]:
                turn.fact(agent.id, message, *identity)
            await agent.owner.commit(turn)

    @property
    def _is_over(self) -> bool:
        """The account was removed meanwhile; added again, it has an import of its own."""
        return self._agent.book is not self._book

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
        """It closed in about the moment of the first look."""
        since = self._book.since_utc
        return since is not None and self._is_after(piece, since - CLOCKS_APART)

    def _is_before(self, piece: ClosedOrder, moment: datetime) -> bool:
        at = closed_at_utc(piece, self._agent.watching.offset.minutes)
        return at is not None and at < moment

    def _is_after(self, piece: ClosedOrder, moment: datetime) -> bool:
        offset = self._agent.watching.offset.minutes
        at = piece.closed_at_utc or earliest_utc(piece.closed_at_broker, offset)
        return at is not None and at > moment
