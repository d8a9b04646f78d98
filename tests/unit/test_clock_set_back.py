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
from copypro.trading import Done, TradeRequest
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run

from tests.unit.slave_story import OF, Broker
from tests.unit.watched import ACCOUNT, Watched, now, watched

HOUR = timedelta(hours=1)
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
