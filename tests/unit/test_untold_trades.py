"""Trades whose frames are all lost: nothing shows them but the balance, and history tells them."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from copypro import messages as m
from copypro.messages import Seen
from copypro.trading import ClosedOrder, History, OpenOrder
from copypro.values import Platform
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order, row
from tests.unit.slave_builders import D
from tests.unit.watched import EASTERN, Watched, now, watched

LIMITS = WatcherLimits()


def at_broker() -> datetime:
    return now().replace(tzinfo=None) + EASTERN


def opened(ticket: int, lots: str = "0.10") -> OpenOrder:
    return replace(order(ticket, lots), opened_at_broker=at_broker())


def ended(
    ticket: int,
    profit: str = "0",
    *,
    lots: str = "0.10",
    since: datetime | None = None,
    entry_cost: str = "0",
) -> ClosedOrder:
    at = at_broker()
    return replace(
        row(ticket, lots, deal=ticket + 1000, profit=D(profit), entry_cost=D(entry_cost)),
        opened_at_broker=since or at,
        closed_at_broker=at,
    )


def trades_unseen(account: Watched, ticket: int, profit: str) -> None:
    """Opened and closed, and no frame comes."""
    account.bridge.closed = (*account.bridge.closed, ended(ticket, profit))
    account.bridge.balance += D(profit)


def opens(account: Watched, ticket: int, charge: str = "0", lots: str = "0.10") -> OpenOrder:
    """Its charge is in the balance alone."""
    bridge = account.bridge
    new = opened(ticket, lots)
    bridge.balance += D(charge)
    bridge.orders = (*bridge.orders, new)
    bridge.frame()
    return new


def closes(account: Watched, standing: OpenOrder, profit: str, charge: str = "0") -> None:
    bridge = account.bridge
    over = ended(
        standing.ticket,
        profit,
        lots=str(standing.lots),
        since=standing.opened_at_broker,
        entry_cost=charge,
    )
    bridge.closed = (*bridge.closed, over)
    bridge.balance += D(profit)
    bridge.orders = tuple(each for each in bridge.orders if each.ticket != standing.ticket)
    bridge.frame(over)


def seen_as(account: Watched) -> dict[str, Seen]:
    return {event.root: event.seen for event in account.told(m.PositionOpened)}


def over(account: Watched) -> set[str]:
    return {event.root for event in account.told(m.PositionClosed)}


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("profit", ["5", "-0.70"])
@pytest.mark.parametrize("lags_s", [0, 4])
def test_what_was_traded_unseen_is_told_though_another_opens(
    platform: Platform, profit: str, lags_s: float
) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            await asyncio.sleep(30)
            before = account.bridge.closed
            trades_unseen(account, 9, profit)
            late, account.bridge.closed = account.bridge.closed, before
            opens(account, 10)
            await asyncio.sleep(lags_s)
            account.bridge.closed = late
            await asyncio.sleep(20)
            assert over(account) == {"9"}
            assert seen_as(account) == {"9": Seen.MISSED, "10": Seen.LIVE}

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_what_was_traded_unseen_is_told_though_another_closes(platform: Platform) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            standing = opens(account, 8)
            await asyncio.sleep(30)
            trades_unseen(account, 9, "5")
            closes(account, standing, "3")
            await asyncio.sleep(20)
            assert over(account) == {"8", "9"}

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_no_history_is_read_for_trades_that_are_charged_as_told(platform: Platform) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            await asyncio.sleep(30)
            histories = account.bridge.histories
            for ticket in range(10, 20):
                standing = opens(account, ticket)
                await asyncio.sleep(15)
                closes(account, standing, "3")
                await asyncio.sleep(15)
            assert len(over(account)) == 10
            assert account.bridge.histories == histories

    run(work())


@pytest.mark.parametrize("profit", ["5", "-0.70"])
def test_what_an_opening_costs_is_known_from_the_first_close_on(profit: str) -> None:
    """Its bridge tells it with the close alone."""

    async def work() -> None:
        async with watched() as account:
            closes(account, opens(account, 8, "-0.70"), "3", "-0.70")
            await asyncio.sleep(60)
            histories = account.bridge.histories
            for ticket in range(10, 20):
                standing = opens(account, ticket, "-1.05", "0.15")
                await asyncio.sleep(15)
                closes(account, standing, "3", "-1.05")
                await asyncio.sleep(15)
            assert account.bridge.histories == histories
            trades_unseen(account, 9, profit)
            opens(account, 20, "-0.70")
            await asyncio.sleep(20)
            assert account.bridge.histories == histories + 1
            assert "9" in over(account)

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_what_was_traded_unseen_and_brought_nothing_is_told_within_the_hour(
    platform: Platform,
) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            await asyncio.sleep(30)
            histories = account.bridge.histories
            trades_unseen(account, 9, "0")
            await asyncio.sleep(LIMITS.history_every_s + LIMITS.snapshot_every_s)
            assert over(account) == {"9"}
            await asyncio.sleep(5 * LIMITS.history_every_s)
            assert account.bridge.histories - histories <= 6

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_two_trades_that_outweigh_each_other_before_history_tells_are_told(
    platform: Platform,
) -> None:
    """No look shows either, and history lags behind both."""

    async def work() -> None:
        async with watched(platform=platform) as account:
            await asyncio.sleep(30)
            late: list[ClosedOrder] = []
            for ticket, profit in ((8, "5"), (9, "-5")):
                trades_unseen(account, ticket, profit)
                late += account.bridge.closed
                account.bridge.closed = ()
                account.bridge.frame()
                await asyncio.sleep(2)
            account.bridge.closed = tuple(late)
            await asyncio.sleep(20)
            assert over(account) == {"8", "9"}

    run(work())


def test_what_was_traded_without_a_stream_is_told_though_history_was_just_being_read() -> None:
    """It brought nothing, so no balance asks for it again: what was read before it tells nothing of it."""

    async def work() -> None:
        async with watched(history_takes_s=3.0) as account:
            await asyncio.sleep(30)
            bridge = account.bridge
            bridge.reopens_stream()
            reads = bridge.histories
            await account.until(lambda: bridge.histories > reads)
            before = bridge.closed
            bridge.tells = lambda *_: History(closed=before, operations=())
            trades_unseen(account, 9, "0")
            bridge.reopens_stream()
            await asyncio.sleep(3.5)
            bridge.tells = None
            await asyncio.sleep(20)
            assert over(account) == {"9"}

    run(work())
