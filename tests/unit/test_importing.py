"""The account's past: each closing of it is told once, by a look or as imported."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.errors import PartitionLost, Unavailable
from copypro.ports import Outgoing
from copypro.trading import BalanceOperation, ClosedOrder, History
from copypro.values import AccountId, Mode, OrderKind, Platform, RootId, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.book import NEVER, SPENT_ROWS, Book, BookLimits, Rest
from copypro_standalone.backtest.virtual_time import run
from msgspec import json
from msgspec.structs import replace

from tests.unit.diff_builders import D, Watch, broker, order, row
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


def test_what_closed_at_the_first_look_is_told_once_by_a_clock_that_is_learned_later() -> None:
    """MT4 tells no UTC: a first import cannot date what it tells, and the looks can."""
    hours = timedelta(hours=2)
    closed_at = BEGAN.replace(tzinfo=None) + hours
    piece = replace(row(77), closed_at_broker=closed_at, opened_at_broker=closed_at)

    async def work() -> None:
        async with watched(closed=(piece,), platform=Platform.MT4) as account:
            for _ in range(10):
                account.bridge.tick(hours)
                await asyncio.sleep(3)
            assert {event.root for event in account.told(m.PositionClosed)} == {"imported:77"}

    run(work())


def test_what_was_imported_is_no_news_when_its_broker_puts_the_clock_back() -> None:
    """By that clock it closed after the first look."""
    hour = timedelta(hours=1)
    closed_at = BEGAN.replace(tzinfo=None) + 2 * hour - timedelta(minutes=30)
    piece = replace(row(77), closed_at_broker=closed_at, opened_at_broker=closed_at)

    async def ticks(account: Watched, offset: timedelta) -> None:
        for _ in range(20):
            account.bridge.tick(offset)
            await asyncio.sleep(3)

    async def work() -> None:
        async with watched(platform=Platform.MT4) as account:
            await ticks(account, 2 * hour)
            await account.command(m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION))
            account.bridge.closed = (piece,)
            await account.register()
            await account.until(lambda: account.told(m.PositionClosed))
            await ticks(account, hour)
            account.bridge.ends_session(1.0)
            await asyncio.sleep(30)
            assert account.told(m.AccountConnected)[-1].clock_offset_minutes == 60
            assert {event.root for event in account.told(m.PositionClosed)} == {"imported:77"}

    run(work())


def test_what_history_did_not_have_yet_when_the_account_was_added_is_told() -> None:
    """It closed, or was paid, just before: no look tells what was before the first one."""
    ended_at = BEGAN - timedelta(seconds=2)
    piece = replace(row(77, deal=78), closed_at_utc=ended_at, opened_at_utc=ended_at)
    paid = BalanceOperation(
        ticket=Ticket(79), kind="Balance", amount=D(500), time_broker=piece.closed_at_broker
    )

    def history(*_: datetime) -> History:
        has_it = asyncio.get_running_loop().time() > 4.0
        return History(closed=(piece,) * has_it, operations=(paid,) * has_it)

    async def work() -> None:
        async with watched() as account:
            account.bridge.tells = history
            await asyncio.sleep(60)
            assert [event.ticket for event in account.told(m.PositionClosed)] == [77]
            assert [event.amount for event in account.told(m.BalanceChanged)] == [500]

    run(work())


def test_what_closed_after_the_first_look_is_left_to_the_looks() -> None:
    """MT4: of what stood then a part's part has a ticket that none of them has shown."""
    hours = timedelta(hours=2)

    def cut(ticket: int, comment: str) -> ClosedOrder:
        at = BEGAN.replace(tzinfo=None) + hours
        made = row(ticket, "0.10", comment=comment)
        return replace(made, opened_at_broker=at, closed_at_broker=at + timedelta(seconds=62))

    async def work() -> None:
        limits = WatcherLimits(snapshot_every_s=20.0)
        async with watched(limits, platform=Platform.MT4) as account:
            bridge = account.bridge
            for _ in range(20):
                bridge.tick(hours)
                await asyncio.sleep(3)
            await account.command(m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION))
            await account.until(lambda: account.told(m.AccountRemoved))
            bridge.orders = (order(1, "0.30"),)
            await account.register()
            await account.until(lambda: account.told(m.PositionOpened))
            await asyncio.sleep(1.0)
            bridge.orders = (order(3, "0.10", comment="from #2"),)
            bridge.closed = (cut(1, "to #2"), cut(2, "to #3"))
            await asyncio.sleep(60)
            told = [*account.told(m.PositionReduced), *account.told(m.PositionClosed)]
            assert sorted(event.deal.ticket for event in told) == [1, 2]

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


def test_a_part_is_no_news_either_when_the_account_was_removed_once_more() -> None:
    watch = Watch()
    watch.starts(order(1, "0.30"))
    part = row(1, "0.10", deal=21, closed=50)
    watch.snapshot(order(1, "0.20"), closed=(part,))
    again = Watch()
    again.book = left(watch)
    again.starts(order(1, "0.20"))
    assert left(again).was_told(part)


@pytest.mark.parametrize("platform", [Platform.MT4, Platform.MT5])
def test_what_closed_before_its_broker_put_its_clock_back_is_no_news(platform: Platform) -> None:
    """The part is later than the end, by that clock."""
    watch = Watch(platform)
    watch.starts(order(1, "0.30"))
    is_mt4 = platform is Platform.MT4
    rest = order(2, "0.10", comment="from #1") if is_mt4 else order(1, "0.10")
    part = row(1, "0.20", deal=1 if is_mt4 else 21, comment="to #2" if is_mt4 else "", closed=600)
    watch.snapshot(rest, closed=(part,))
    end = row(rest.ticket, "0.10", deal=2 if is_mt4 else 22, closed=-2900)
    watch.later(60).snapshot(closed=(part, end), clock_offset_minutes=60)
    assert watch.book.roots == {}
    book = left(watch)
    assert book.was_told(part)
    assert book.was_told(end)


@pytest.mark.parametrize("seconds", [0, -3000])
def test_a_part_is_known_by_its_deal_whenever_the_clock_says_that_it_closed(seconds: int) -> None:
    """Another one after the removal, within its millisecond or after the clock was put back, is news."""
    watch = Watch()
    watch.starts(order(1, "0.30"))
    part = row(1, "0.10", deal=21, closed=50)
    watch.snapshot(order(1, "0.20"), closed=(part,))
    book = left(watch)
    assert book.was_told(part)
    assert not book.was_told(row(1, "0.10", deal=22, closed=50 + seconds))


@pytest.mark.parametrize("is_cut", [False, True])
def test_on_netting_what_was_told_of_its_symbol_before_is_not_of_a_position(is_cut: bool) -> None:
    """The clock was put back, and it closed just as its account was removed."""
    watch = Watch(mode=Mode.NETTING)
    watch.starts(order(1))
    former, part = row(1, deal=21), row(2, "0.10", deal=22, opened=90, closed=120)
    watch.snapshot(closed=(former,))
    watch.snapshot(order(2, "0.30", opened=90))
    if is_cut:
        watch.snapshot(order(2, "0.20", opened=90), closed=(part,))
    book = left(watch)
    assert book.was_told(former)
    assert book.was_told(part) == is_cut
    assert not book.was_told(row(2, "0.20", deal=23, opened=90, closed=-7000))


def test_a_position_that_was_turned_over_has_the_deals_of_both_sides() -> None:
    """Under one number."""
    watch = Watch(mode=Mode.NETTING)
    watch.starts(order(1, identifier=1))
    turned = row(1, deal=21, closed=60)
    other_side = order(2, "0.30", OrderKind.SELL, opened=60, identifier=1)
    watch.snapshot(other_side, closed=(turned,))
    book = left(watch)
    assert book.was_told(turned)
    assert not book.was_told(row(1, "0.30", OrderKind.SELL, deal=23, opened=60, closed=-7000))


def test_parts_are_no_news_of_which_there_were_more_than_are_remembered() -> None:
    watch = Watch()
    watch.starts(order(1, "0.30"))
    for number in range(SPENT_ROWS + 2):
        watch.book.roots[RootId("1")].spend((broker(number), 100 + number))
    book = left(watch)
    assert book.was_told(row(1, deal=100, closed=0))
    assert book.was_told(row(1, deal=101 + SPENT_ROWS, closed=1 + SPENT_ROWS))
    assert not book.was_told(row(1, deal=102 + SPENT_ROWS, closed=2 + SPENT_ROWS))


def test_what_opening_cost_is_told_once_however_often_the_account_is_removed() -> None:
    watch = Watch()
    watch.starts(order(1))
    again = Watch()
    again.book = left(watch)
    assert 1 in left(again).told


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


class Weighs(MemoryLog):
    """How much one commit held at most, and one record."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.heaviest = 0, 0

    def _put(self, messages: Sequence[Outgoing], owner: Any) -> None:
        super()._put(messages, owner)
        self.most = max(self.most, len(messages))
        self.heaviest = max(self.heaviest, *(len(out.value or b"") for out in messages))


def test_thousands_that_closed_in_the_last_day_are_imported_piece_by_piece() -> None:
    """And are no news once the clock is known, or put back."""
    count, hour = 3000, timedelta(hours=1)
    began_at_broker = BEGAN.replace(tzinfo=None) + 2 * hour
    closed = tuple(
        replace(row(number), opened_at_broker=at, closed_at_broker=at)
        for number in range(1, count + 1)
        for at in [began_at_broker - 23 * hour * (count - number) / count]
    )

    def history(since: datetime, until: datetime) -> History:
        within = (piece for piece in closed if since <= piece.closed_at_broker < until)
        return History(closed=tuple(within), operations=())

    async def work() -> None:
        log = Weighs()
        async with watched(platform=Platform.MT4, log=log, history_takes_s=0.1) as account:
            account.bridge.tells = history
            for number in range(40):
                account.bridge.tick(2 * hour if number < 20 else hour)
                await asyncio.sleep(3)
            account.bridge.ends_session(1.0)
            await asyncio.sleep(30)
            told = [event.root for event in account.told(m.PositionClosed)]
            assert sorted(told) == sorted({f"imported:{number}" for number in range(1, count + 1)})
        assert log.most <= 300
        assert log.heaviest <= 100_000

    run(work())


def is_imported(account: Watched) -> bool:
    kept = account.log.state(topics.WATCHER_STATE.name)
    values = (record.value or b"" for part in kept for record in part.values())
    return any(b'"history_done":true' in value for value in values)


class Paged:
    """A past of a closing and a payment each week, or so. Counts how often each of its pages was asked for."""

    def __init__(self) -> None:
        self.rows: list[ClosedOrder] = []
        self.operations: list[BalanceOperation] = []
        self.asked: list[datetime] = []
        self.fails = False
        self.loaded_from = NEVER
        """Of before nothing is told."""
        for week in range(1, 101):
            at = BEGAN.replace(tzinfo=None) - timedelta(weeks=week)
            self.rows.append(replace(row(week), opened_at_broker=at, closed_at_broker=at))
        self.operations.append(
            BalanceOperation(ticket=Ticket(900), kind="Balance", amount=D(10_000), time_broker=at)
        )

    def tells(self, since: datetime, until: datetime) -> History:
        self.asked.append(until)
        if self.fails:
            raise Unavailable("HTTP_429", "too many")
        since = max(since, self.loaded_from)
        return History(
            closed=tuple(one for one in self.rows if since <= one.closed_at_broker < until),
            operations=tuple(one for one in self.operations if since <= one.time_broker < until),
        )

    def is_told(self, account: Watched) -> bool:
        told = Counter(event.ticket for event in account.told(m.PositionClosed))
        paid = account.told(m.BalanceChanged)
        return told == Counter(range(1, 101)) and len(paid) == 1


def test_an_import_goes_on_where_the_session_before_ended() -> None:
    """They end within the five seconds that history may lag."""
    past = Paged()

    async def work() -> None:
        limits = WatcherLimits(session_stood_s=0.0)
        async with watched(limits, platform=Platform.MT4, history_takes_s=0.5) as account:
            account.bridge.tells = past.tells
            for _ in range(20):
                await asyncio.sleep(3.0)
                account.bridge.ends_session(1.0)
            assert is_imported(account)
            assert past.is_told(account)
            assert len(past.asked) <= 41 + 20 + 20, "and what looks and sessions asked"

    run(work())


def test_a_page_that_fails_is_read_again_in_the_same_session() -> None:
    past = Paged()
    past.fails = True

    async def work() -> None:
        async with watched(WatcherLimits(), platform=Platform.MT4, history_takes_s=0.1) as account:
            account.bridge.tells = past.tells
            await asyncio.sleep(2.0)
            past.fails = False
            await account.until(lambda: is_imported(account))
            assert past.is_told(account)

    run(work())


@pytest.mark.parametrize("days", [0, 40, 400])
def test_a_past_without_a_payment_is_read_again_while_its_bridge_loads_it(days: int) -> None:
    """Nothing of it, or only the last days."""
    past = Paged()
    past.loaded_from = BEGAN.replace(tzinfo=None) - timedelta(days=days)

    async def work() -> None:
        async with watched(WatcherLimits(), platform=Platform.MT4, history_takes_s=0.1) as account:
            account.bridge.tells = past.tells
            await asyncio.sleep(20.0)
            assert not is_imported(account)
            past.loaded_from = NEVER
            await account.until(lambda: is_imported(account))
            assert set(range(1, 101)) == {e.ticket for e in account.told(m.PositionClosed)}
            assert len(account.told(m.BalanceChanged)) == 1

    run(work())


def test_a_past_that_never_shows_a_payment_is_taken_as_it_is() -> None:
    past = Paged()
    past.operations.clear()

    async def work() -> None:
        async with watched(WatcherLimits(), platform=Platform.MT4, history_takes_s=0.1) as account:
            account.bridge.tells = past.tells
            await asyncio.sleep(600.0)
            assert is_imported(account)
            asked = len(past.asked)
            await asyncio.sleep(600.0)
            assert len(past.asked) == asked
            told = Counter(event.ticket for event in account.told(m.PositionClosed))
            assert told == Counter(range(1, 101)), "once"

    run(work())


def test_symbols_that_could_not_be_listed_are_listed_later_in_the_same_session() -> None:
    async def work() -> None:
        async with watched(history_takes_s=30.0) as account:
            await account.until(lambda: account.told(m.AccountSymbols, topics.ACCOUNT_SYMBOLS))
            account.bridge.away.add("symbols")
            account.bridge.ends_session(0.1)
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            await asyncio.sleep(1)
            account.bridge.away.clear()
            listed = len(account.told(m.AccountSymbols, topics.ACCOUNT_SYMBOLS))
            await account.until(
                lambda: len(account.told(m.AccountSymbols, topics.ACCOUNT_SYMBOLS)) > listed
            )
            assert len(account.told(m.AccountConnected)) == 2

    run(work())
