"""Frames that wait, and what else is read meanwhile: a trade that they show is seen live all the same."""

from __future__ import annotations

import asyncio

import pytest
from copypro.messages import Seen
from copypro.trading import OpenOrder
from copypro.values import Platform
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order
from tests.unit.test_untold_trades import at_broker, closes, opens, over, seen_as
from tests.unit.watched import Watched, watched


def opens_in(account: Watched, ticket: int, symbol: str, takes_s: float) -> OpenOrder:
    """Its symbol's terms take so long, and the look that shows it waits for them."""
    bridge = account.bridge
    bridge.answers_in_s[symbol] = takes_s
    new = replace(order(ticket, symbol=symbol), opened_at_broker=at_broker())
    bridge.orders = (*bridge.orders, new)
    return new


@pytest.mark.parametrize("platform", Platform)
def test_history_does_not_overtake_frames_that_wait(platform: Platform) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            bridge = account.bridge
            closes(account, opens(account, 5), "1")
            await asyncio.sleep(30)
            bridge.history_takes_s = 1.0
            read = bridge.histories
            bridge.reopens_stream()
            await account.until(lambda: bridge.histories > read)
            opens_in(account, 7, "GBPUSD", 0.9)
            await asyncio.sleep(0.3)
            bridge.frame()
            await asyncio.sleep(0.1)
            brief = opens(account, 8)
            await asyncio.sleep(0.2)
            closes(account, brief, "5")
            await account.until(lambda: "8" in over(account))
            assert seen_as(account)["8"] is Seen.LIVE

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_frames_wait_while_a_first_list_is_looked_at(platform: Platform) -> None:
    async def work() -> None:
        async with watched(platform=platform) as account:
            bridge = account.bridge
            closes(account, opens(account, 5), "1")
            await asyncio.sleep(30)
            opens_in(account, 7, "GBPUSD", 0.9)
            asked = bridge.snapshots
            bridge.reopens_stream()
            await account.until(lambda: bridge.snapshots > asked)
            await asyncio.sleep(0.3)
            brief = opens(account, 8)
            await asyncio.sleep(0.2)
            closes(account, brief, "5")
            await account.until(lambda: "8" in over(account))
            assert seen_as(account)["8"] is Seen.LIVE

    run(work())


@pytest.mark.parametrize("is_on_its_way", [False, True])
@pytest.mark.parametrize("platform", Platform)
def test_frames_that_come_while_a_first_list_is_read_are_looked_at_after_it(
    platform: Platform, is_on_its_way: bool
) -> None:
    """One that was asked for before the stream was lost is none: it is asked for again."""

    async def work() -> None:
        async with watched(platform=platform) as account:
            bridge = account.bridge
            closes(account, opens(account, 5), "1")
            await asyncio.sleep(30)
            bridge.snapshot_takes_s = 1.0
            asked = bridge.snapshots
            if not is_on_its_way:
                bridge.reopens_stream()
            await account.until(lambda: bridge.snapshots > asked)
            if is_on_its_way:
                bridge.reopens_stream()
            await asyncio.sleep(0.3)
            brief = opens(account, 8)
            await asyncio.sleep(0.2)
            closes(account, brief, "5")
            await account.until(lambda: "8" in over(account))
            assert seen_as(account)["8"] is Seen.LIVE

    run(work())
