"""The account's whole past, read once in the background, as `imported` facts: never copied."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

import structlog
from copypro.errors import TerminalError
from copypro.messages import (
    BalanceChanged,
    Deal,
    OrderEvent,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.ports import Terminal
from copypro.trading import ClosedOrder, History
from copypro.values import AccountId, RootId, Ticket
from msgspec.structs import replace

from copypro_account_watcher.book import CLOCKS_APART, NEVER
from copypro_account_watcher.evidence import closed_at_utc, earliest_utc
from copypro_account_watcher.state import book_key
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
            turn.remember(book_key(agent.id), book.rest())
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


def imported_operations(
    account: AccountId, history: History, now: datetime
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    for operation in history.operations:
        message = BalanceChanged(
            account=account,
            ticket=operation.ticket,
            kind=operation.kind,
            amount=operation.amount,
            time_broker=operation.time_broker,
            seen=Seen.IMPORTED,
            seen_at_utc=now,
            comment=operation.comment,
        )
        yield ("balance", operation.ticket), message


def imported_positions(
    account: AccountId,
    closed: Iterable[ClosedOrder],
    now: datetime,
    opened: Container[Ticket] = (),
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    """Each ticket's pieces as one root: opened with their sum, reduced piece by piece, closed.
    `opened`: tickets whose opening is told otherwise, with what it cost; these are parts of them.
    """
    pieces = sorted(
        (piece for piece in closed if not piece.cancelled and not piece.kind.is_pending),
        key=lambda piece: (piece.ticket, piece.closed_at_broker, piece.deal),
    )
    for ticket, group in groupby(pieces, key=lambda piece: piece.ticket):
        parts = list(group)
        if ticket in opened:
            parts = [replace(part, entry_cost=Decimal(0)) for part in parts]
        yield from _imported_root(account, RootId(f"imported:{ticket}"), parts, now)


def _imported_root(
    account: AccountId, root: RootId, parts: list[ClosedOrder], now: datetime
) -> Iterable[tuple[tuple[object, ...], OrderEvent]]:
    first = parts[0]
    ever = sum((part.lots for part in parts), start=first.lots * 0)
    opened = PositionOpened(
        account=account,
        root=root,
        ticket=first.ticket,
        symbol=first.symbol,
        side=first.kind.side,
        lots=ever,
        open_price=first.open_price,
        opened_at_broker=first.opened_at_broker,
        opened_at_utc=first.opened_at_utc,
        seen=Seen.IMPORTED,
        seen_at_utc=now,
        deal=Deal(
            ticket=first.ticket,
            sequence=0,
            lots=ever,
            price=first.open_price,
            entry_cost=sum((part.entry_cost for part in parts), Decimal(0)),
            time_broker=first.opened_at_broker,
            time_utc=first.opened_at_utc,
        ),
        stop_loss=first.stop_loss,
        take_profit=first.take_profit,
        magic=first.magic,
        comment=first.comment,
    )
    yield ("opened", root, ever), opened
    rest = ever
    for sequence, part in enumerate(parts, start=1):
        rest -= part.lots
        deal = Deal(
            ticket=part.deal,
            sequence=sequence,
            lots=part.lots,
            price=part.close_price,
            profit=part.profit,
            swap=part.swap,
            commission=part.commission,
            fee=part.fee,
            time_broker=part.closed_at_broker,
            time_utc=part.closed_at_utc,
        )
        if sequence < len(parts):
            reduced = PositionReduced(
                account=account,
                root=root,
                ticket=part.ticket,
                open_lots=rest,
                ever_lots=ever,
                seen_at_utc=now,
                deal=deal,
                reason=part.reason,
            )
            yield ("reduced", root, part.deal), reduced
            continue
        closed = PositionClosed(
            account=account,
            root=root,
            ticket=part.ticket,
            symbol=part.symbol,
            side=part.kind.side,
            seen=Seen.IMPORTED,
            seen_at_utc=now,
            deal=deal,
            reason=part.reason,
        )
        yield ("closed", root, part.deal), closed
