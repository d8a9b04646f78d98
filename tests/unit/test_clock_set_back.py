"""This machine's clock is set right while it trades, as CLOCK_OFF asks for: nothing waits until it is as
late again as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.errors import Refused
from copypro.trading import Done, History, OpenOrder, TradeRequest
from copypro.values import Mode, OrderKind
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import UTC_0, Watch, order, row
from tests.unit.slave_builders import D, places
from tests.unit.slave_story import OF, Broker
from tests.unit.watched import ACCOUNT, REGISTRATION, Watched, now, watched

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLOSE = m.CloseCopy(copy=OF, slave=ACCOUNT, reason="MASTER_CLIENT")


class Clock:
    def __init__(self) -> None:
        self.back = timedelta()

    def __call__(self) -> datetime:
        return now() - self.back


def rejected(account: Watched, times: int) -> Callable[[], bool]:
    return lambda: len(account.told(m.CopyRejected, topics.EXECUTIONS)) >= times


def alert(account: Watched, code: str) -> Callable[[], bool]:
    return lambda: code in [raised.code for raised in account.told(m.AlertRaised)]


async def closing(account: Watched, refusals: int) -> Broker:
    """A copy stands, its close was refused some times, and will be."""
    broker = Broker("MT5 hedging", ["full", *["refused"] * refusals], [])
    broker.attach(account)
    await account.open()
    await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
    await account.order(CLOSE)
    await account.until(rejected(account, 5))
    await asyncio.sleep(1)
    return broker


def test_a_close_that_was_refused_is_made_again() -> None:
    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            broker = await closing(account, refusals=5)
            clock.back = HOUR
            await account.until(lambda: not broker.stands)

    run(work())


@pytest.mark.parametrize("restarts", [False, True])
def test_a_close_that_fails_is_an_alert(restarts: bool) -> None:
    async def work() -> None:
        clock, log = Clock(), MemoryLog()
        async with watched(clock=clock, log=log) as account:
            broker = await closing(account, refusals=100)
            assert not alert(account, "CLOSE_FAILS")()
            clock.back = HOUR
            if not restarts:
                await account.until(alert(account, "CLOSE_FAILS"))
                return
        async with watched(clock=clock, log=log) as again:
            broker.attach(again)
            await again.until(alert(again, "CLOSE_FAILS"))

    run(work())


def test_an_account_that_is_out_of_reach_is_an_alert() -> None:
    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            broker = Broker("MT5 hedging", [], [])
            broker.attach(account)
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            account.bridge.away = {"connect"}
            account.bridge.ends_session(0.0)
            await account.until(lambda: account.told(m.AccountDisconnected))
            clock.back = HOUR
            await account.until(alert(account, "ACCOUNT_DOWN"))

    run(work())


def test_a_pause_of_opens_ends() -> None:
    async def work() -> None:
        clock = Clock()
        async with watched(WatcherLimits(breaker_stops=1), clock=clock) as account:
            account.bridge.does = _refuses
            await account.open()
            await account.until(alert(account, "OPENS_PAUSED"))
            clock.back = HOUR
            await account.until(lambda: account.told(m.AlertCleared))

    run(work())


async def _refuses(request: TradeRequest) -> Done:
    raise Refused("NO_MONEY", "no")


@pytest.mark.parametrize("is_away", [False, True])
def test_a_part_whose_deal_nobody_tells_is_told(is_away: bool) -> None:
    """Also where it was set back between two sessions."""

    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            shows(account, order(7, "0.10"))
            await account.until(lambda: account.told(m.PositionOpened))
            shows(account, order(7, "0.06"))
            await asyncio.sleep(0.1)
            if is_away:
                account.bridge.ends_session(8.0)
                await account.until(lambda: account.told(m.AccountDisconnected))
            clock.back = HOUR
            await account.until(lambda: account.told(m.PositionReduced))

    run(work())


def test_what_history_has_fewer_lots_of_is_closed_once_that_was_read_again() -> None:
    """A frame told of a growth that never was."""

    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            shows(account, order(7, "0.06"))
            await account.until(lambda: account.told(m.PositionOpened))
            shows(account, order(7, "0.10"))
            await account.until(lambda: account.told(m.PositionIncreased))
            account.bridge.closed = (row(7, "0.06"),)
            shows(account)
            await asyncio.sleep(2)
            clock.back, reads = HOUR, account.bridge.histories
            await account.until(lambda: account.told(m.PositionClosed))
            assert account.bridge.histories > reads + 3

    run(work())


@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_what_history_alone_shows_of_an_account_added_before_is_told(mode: Mode) -> None:
    watch = Watch(mode=mode)
    watch.later(3600).starts()
    watch.later(-3000).book.set_back(UTC_0 + timedelta(seconds=watch.at))
    ended = row(9, deal=90, opened=watch.at + 50, closed=watch.at + 55)
    watch.later(60).reads_history(closed=(ended,))
    watch.later(60).reads_history(closed=(ended,))
    assert [type(event) for event in watch.all] == [m.PositionOpened, m.PositionClosed]


def set_back_after(watch: Watch, *orders: OpenOrder) -> None:
    """An hour that was too late when these were first seen."""
    watch.later(3600).sees(*orders)
    watch.snapshot(*orders)
    watch.later(-3000).book.set_back(UTC_0 + timedelta(seconds=watch.at))


@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_what_history_has_fewer_lots_of_is_closed_that_was_first_seen_too_late(mode: Mode) -> None:
    """A frame told of a growth that never was. What closed since had closed before its first look."""
    watch = Watch(mode=mode)
    watch.starts()
    set_back_after(watch, order(7, "0.06", opened=600))
    watch.later(5).sees(order(7, "0.10", opened=600))
    ended = row(7, "0.06", deal=91, opened=600, closed=watch.at + 1)
    for _ in range(3):
        watch.later(10).reads_history(closed=(ended,))
    assert isinstance(watch.all[-1], m.PositionClosed)


def test_on_netting_a_fill_is_told_of_an_order_that_was_last_listed_too_late() -> None:
    watch = Watch(mode=Mode.NETTING)
    watch.starts()
    position = order(5, "0.10", opened=600)
    set_back_after(watch, position, order(7, "0.06", kind=OrderKind.BUY_LIMIT, opened=600))
    watch.later(10).reads_history(replace(position, lots=D("0.16")))
    assert watch.result.missing == ()


@pytest.mark.parametrize("stood", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("back", [HOUR, 400 * DAY])
def test_what_ended_while_the_bridge_was_away_is_told(
    back: timedelta, restarts: bool, stood: bool
) -> None:
    async def ends(account: Watched, clock: Clock) -> None:
        if stood:
            shows(account, order(9))
            await account.until(lambda: account.told(m.PositionOpened))
        account.bridge.ends_session(8.0)
        await account.until(lambda: account.told(m.AccountDisconnected))
        at = clock()
        ended = replace(
            row(9, deal=90),
            opened_at_broker=at.replace(tzinfo=None),
            closed_at_broker=at.replace(tzinfo=None),
            closed_at_utc=at,
        )

        def tells(since: datetime, until: datetime) -> History:
            is_of_it = since <= ended.closed_at_broker <= until
            return History(closed=(ended,) if is_of_it else (), operations=())

        account.bridge.tells, account.bridge.orders = tells, ()
        await account.until(lambda: account.told(m.PositionClosed))

    async def work() -> None:
        clock, log = Clock(), MemoryLog()
        async with watched(clock=clock, log=log) as account:
            await asyncio.sleep(60)
            clock.back = back
            if not restarts:
                await ends(account, clock)
                return
        async with watched(clock=clock, log=log) as again:
            await ends(again, clock)

    run(work())


def test_what_the_slaves_owner_sets_stands() -> None:
    """It counted as set before the master's latest, which was set again at each answer of the broker's."""

    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            broker = Broker("MT5 hedging", [], [])
            broker.attach(account)
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            stop = m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=D("1.05"), take_profit=None)
            await account.order(stop)
            await account.until(lambda: account.told(m.CopyModified, topics.EXECUTIONS))
            await account.order(stop)
            await asyncio.sleep(0.1)
            clock.back = HOUR
            await asyncio.sleep(30)
            (ticket,) = broker.ours
            broker.open[ticket] = replace(broker.open[ticket], stop_loss=D("1.04"))
            shows(account, *broker.listed)
            await asyncio.sleep(30)
            assert broker.open[ticket].stop_loss == D("1.04")

    run(work())


def test_a_mirrored_order_that_is_delayed_is_placed() -> None:
    async def work() -> None:
        clock = Clock()
        async with watched(clock=clock) as account:
            delayed = replace(
                places(OrderKind.BUY_LIMIT, "1.099", trade_delay_ms=5000),
                slave=ACCOUNT,
                registration=REGISTRATION,
                seen_at_utc=now(),
            )
            await account.order(delayed)
            await asyncio.sleep(1)
            clock.back = HOUR
            await account.until(lambda: account.told(m.AttemptStarted, topics.EXECUTIONS))

    run(work())


def shows(account: Watched, *orders: OpenOrder) -> None:
    account.bridge.orders = orders
    account.bridge.frame()
