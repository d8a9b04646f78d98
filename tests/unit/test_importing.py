"""The account's past: each closing of it is told once, by a look or as imported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro.adapters.memory_log import MemoryLog
from copypro.errors import PartitionLost
from copypro.ports import Outgoing
from copypro.trading import ClosedOrder
from copypro.values import AccountId, Platform, RootId
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.book import Book, BookLimits, Rest
from copypro_standalone.backtest.virtual_time import run
from msgspec import json
from msgspec.structs import replace

from tests.unit.diff_builders import Watch, broker, order, row
from tests.unit.watched import ACCOUNT, BEGAN, REGISTRATION, Watched, watched


def test_what_closed_in_the_moment_of_the_first_look_is_told_once() -> None:
    """A broker's clock may be ahead of ours: it is of the past, and looks like news."""

    async def work() -> None:
        ahead = BEGAN + timedelta(seconds=20)
        piece = replace(row(77, deal=78), closed_at_utc=ahead, opened_at_utc=BEGAN)
        async with watched(closed=(piece,)) as account:
            await account.until(lambda: account.told(m.PositionClosed))
            account.bridge.pays("100")
            await account.until(lambda: account.told(m.BalanceChanged))
            assert [event.ticket for event in account.told(m.PositionClosed)] == [77]

    run(work())


class EndsAfter(MemoryLog):
    """Whoever imports is killed once, after so many commits; what they wrote stays."""

    def __init__(self, commits: int) -> None:
        super().__init__()
        self.left = commits

    def _put(self, messages: Sequence[Outgoing], owner: Any) -> None:
        if any(b'"seen":"imported"' in (out.value or b"") for out in messages):
            self.left -= 1
            if self.left == -1:
                self.lose(owner.role, owner.number)
                raise PartitionLost("killed")
        super()._put(messages, owner)


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
def test_whoever_is_killed_amid_an_import_loses_no_closing(commits: int) -> None:
    """Some closed long ago and some in the moment of the first look, more than one turn holds."""
    old = BEGAN - timedelta(days=3)
    closed = tuple(
        replace(
            row(ticket, deal=9000 + ticket),
            closed_at_utc=BEGAN if ticket > 150 else old,
            opened_at_utc=old,
        )
        for ticket in range(1, 301)
    )

    async def work() -> None:
        log = EndsAfter(commits)
        async with watched(closed=closed, log=log) as account:
            await account.until(lambda: log.left < 0 and len(tickets(account)) == 300)

    def tickets(account: Watched) -> set[int]:
        return {event.ticket for event in account.told(m.PositionClosed)}

    run(work())


def ended(ticket: int, at: datetime, **more: Any) -> ClosedOrder:
    return replace(row(ticket, **more), closed_at_utc=at, opened_at_utc=BEGAN - timedelta(days=4))


class Tells(MemoryLog):
    """Once, when the first of what is imported is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = asyncio.Event()

    def _put(self, messages: Sequence[Outgoing], owner: Any) -> None:
        super()._put(messages, owner)
        if any(b'"seen":"imported"' in (out.value or b"") for out in messages):
            self.has_begun.set()


@pytest.mark.parametrize("within", ["a page", "a turn"])
@pytest.mark.parametrize("is_added_again", [False, True])
def test_an_import_ends_with_its_account(within: str, is_added_again: bool) -> None:
    """Added again, the account has one of its own, which tells only what nobody has told."""
    limits = WatcherLimits(import_days=300)
    closed = tuple(ended(ticket, BEGAN - timedelta(days=3)) for ticket in range(1, 1001))

    async def work() -> None:
        log = Tells()
        async with watched(limits, closed=closed, log=log, history_takes_s=0.1) as account:
            bridge = account.bridge
            bridge.history_takes_s = 1.0
            async with asyncio.timeout(10):
                await log.has_begun.wait()
            if within == "a page":
                await asyncio.sleep(0.5)
            await account.command(m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION))
            await account.until(lambda: account.told(m.AccountRemoved))
            told = len(account.told(m.PositionClosed))
            if is_added_again:
                bridge.closed = (ended(5000, BEGAN - timedelta(days=2)),)
                await account.register()
            await asyncio.sleep(60)
            later = [event.ticket for event in account.told(m.PositionClosed)][told:]
            assert set(later) == ({5000} if is_added_again else set())
            assert told <= 1000 if within == "a page" else told < 1000

    run(work())


@pytest.mark.parametrize(
    ("before_s", "is_open", "is_told"),
    [
        (3600, True, True),
        (62, True, True),
        (58, True, False),  # by clocks that differ it may be of what the looks tell
        (-30, True, False),
        (58, False, True),
        (-58, False, True),
        (-62, False, False),  # the looks tell it
    ],
)
def test_only_what_surely_closed_before_the_account_was_added_is_imported(
    before_s: float, is_open: bool, is_told: bool
) -> None:
    """Of a position that stood then, its parts. No look reads history here."""
    part = ended(7, BEGAN - timedelta(seconds=before_s), deal=77)
    orders = (order(7),) if is_open else ()

    async def work() -> None:
        async with watched(closed=(part,), orders=orders) as account:
            await asyncio.sleep(60)
            told = {event.deal.ticket for event in account.told(m.PositionClosed)}
            assert told == ({77} if is_told else set())

    run(work())


def left(watch: Watch, *, is_past_told: bool = True) -> Book:
    """As it is restored after the removal."""
    book = Book(AccountId("a" * 32))
    book.restore_rest(json.encode(watch.book.after_removal(is_past_told=is_past_told).rest()))
    return book


def test_after_a_removal_only_what_closes_later_is_news() -> None:
    watch = Watch()
    watch.starts(order(1), order(2, "0.30"), order(3))
    watch.snapshot(order(2, "0.10"), order(3), closed=(row(1), row(2, "0.20", deal=21, closed=50)))
    book = left(watch)
    assert book.roots == {}
    assert book.was_told(row(1))
    assert book.was_told(row(2, "0.20", deal=21, closed=50))
    assert not book.was_told(row(2, "0.10", deal=22, closed=90))
    assert not book.was_told(row(3, closed=90))
    assert not book.was_told(row(4, closed=10)), "imported before, or never seen"
    assert 3 in book.told, "what opening it cost was told"


def test_on_mt4_each_part_that_closed_has_a_ticket_of_its_own() -> None:
    """Also within one second, and where no look has shown the rest's ticket yet."""
    watch = Watch(Platform.MT4)
    watch.starts(order(1, "0.30"), order(5, "0.30"))
    rest = order(2, "0.10", comment="from #1")
    watch.snapshot(rest, order(5, "0.30"), closed=(row(1, "0.20", comment="to #2"),))
    watch.book.roots[RootId("5")].spend((broker(60), 5))
    book = left(watch)
    assert book.was_told(row(1, "0.20"))
    assert book.was_told(row(5, "0.20"))
    assert not book.was_told(row(2, "0.10"))


@pytest.mark.parametrize("is_past_told", [True, False])
def test_what_was_told_so_long_ago_that_it_is_forgotten_is_no_news_either(
    is_past_told: bool,
) -> None:
    watch = Watch()
    watch.book.limits = BookLimits(closed_roots=2)
    tickets = range(1, 6)
    watch.starts(*(order(ticket) for ticket in tickets))
    watch.snapshot(closed=tuple(row(ticket, closed=ticket) for ticket in tickets))
    book = left(watch, is_past_told=is_past_told)
    told = [book.was_told(row(ticket, closed=ticket)) for ticket in tickets]
    assert told == [is_past_told] * 3 + [True, True]
    again = book.after_removal(is_past_told=False)
    assert [again.was_told(row(ticket, closed=ticket)) for ticket in tickets] == told
    assert again.told_until_broker == (broker(3) if is_past_told else None)


def test_a_record_from_before_this_was_known_is_read() -> None:
    book = Book(AccountId("a" * 32))
    book.restore_rest(json.encode(Rest()))
    assert not book.was_told(row(1))
