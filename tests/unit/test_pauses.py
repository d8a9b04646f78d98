"""The alert of what pauses an account's opens stands no longer than the pause does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import decode
from copypro.errors import Refused
from copypro.trading import Done, TradeRequest
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.unit.slave_builders import opens
from tests.unit.test_generations import again, removal
from tests.unit.watched import ACCOUNT, Watched, now, watched

FOR_GOOD = "ACCOUNT_DISABLED"
"""The broker will open nothing on this account."""


def refuses(account: Watched, code: str, after_s: float = 0.0) -> None:
    async def does(request: TradeRequest) -> Done:
        await asyncio.sleep(after_s)
        raise Refused(code, "no")

    account.bridge.does = does


async def is_refused(account: Watched) -> None:
    await account.open()
    await account.until(lambda: account.told(m.CopyRejected, topics.EXECUTIONS))


def standing(account: Watched) -> list[str]:
    """Causes of the alerts that are raised and not cleared."""
    causes: dict[str, None] = {}
    for record in account.log.all(topics.ORDER_EVENTS.name):
        match decode(record).message:
            case m.AlertRaised(cause=cause):
                causes[cause] = None
            case m.AlertCleared(cause=cause):
                del causes[cause]
    return list(causes)


def test_what_a_broker_refuses_for_good_is_no_alert_of_an_account_that_is_removed() -> None:
    async def work() -> None:
        async with watched() as account:
            refuses(account, FOR_GOOD)
            await is_refused(account)
            assert standing(account) == ["broker-stop"]
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            await asyncio.sleep(1)
            assert standing(account) == []

    run(work())


def test_an_answer_after_the_removal_raises_no_alert_that_nobody_would_clear() -> None:
    async def work() -> None:
        async with watched(WatcherLimits(breaker_stops=1)) as account:
            refuses(account, FOR_GOOD, after_s=5.0)
            await account.open()
            await account.until(lambda: account.told(m.AttemptStarted, topics.EXECUTIONS))
            await account.command(removal())
            await account.until(lambda: account.told(m.CopyRejected, topics.EXECUTIONS))
            await asyncio.sleep(1)
            assert standing(account) == []
            await account.command(again())
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            assert not account.told(m.AlertRaised)

    run(work())


def test_a_clock_that_is_ahead_is_no_alert_of_an_account_that_is_removed() -> None:
    async def work() -> None:
        async with watched() as account:
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            late = replace(opens(), slave=ACCOUNT, seen_at_utc=now() + timedelta(hours=1))
            await account.order(late)
            await account.until(lambda: account.told(m.CopyDenied, topics.EXECUTIONS))
            assert standing(account) == []

    run(work())


def test_a_pause_that_a_restart_ends_leaves_no_alert() -> None:
    """It would have stood for ever, and the next pause would have been told to nobody."""

    async def work() -> None:
        log, once = MemoryLog(), WatcherLimits(breaker_stops=1)
        async with watched(once, log=log) as account:
            refuses(account, "NO_MONEY")
            await is_refused(account)
            assert standing(account) == ["breaker"]
        async with watched(once, log=log) as account:
            await account.looked()
            assert standing(account) == []

    run(work())


def test_the_alert_of_a_pause_says_what_it_came_of_and_until_when_nothing_is_opened() -> None:
    async def work() -> None:
        limits = WatcherLimits(breaker_stops=1, breaker_pause_s=30.0)
        async with watched(limits) as account:
            refuses(account, "NO_MONEY")
            await account.open()
            await account.until(lambda: account.told(m.AlertRaised))
            text = account.told(m.AlertRaised)[0].text
            assert text == "refusals: 1, in 60 s: nothing is opened for 30 s, closes go on"

    run(work())


def test_a_read_that_failed_is_logged_by_what_was_read() -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.away = {"symbols"}
            with capture_logs() as lines:
                await account.open()
                await account.until(lambda: any("need" in line for line in lines))
            assert "the symbols' names" in [line.get("need") for line in lines]

    run(work())


def test_a_bridge_that_keeps_no_connection_is_not_asked_for_one_without_a_pause() -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.keeps_connections = False
            await account.open()
            await asyncio.sleep(10.0)
            assert 0 < account.bridge.warmed <= 11

    run(work())
