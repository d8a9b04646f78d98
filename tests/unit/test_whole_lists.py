"""Which lists are taken for whole: a bridge shows a part of one while its data load."""

from __future__ import annotations

import asyncio

from copypro import messages as m
from copypro.values import OrderKind
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run

from tests.unit.diff_builders import order
from tests.unit.watched import D, watched

LIMITS = WatcherLimits()


def test_pending_orders_that_take_margin_are_believed_after_a_while() -> None:
    """Exchanges ask for it; else nothing of such an account is ever seen again."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7, kind=OrderKind.BUY_LIMIT),)
            account.bridge.margin = D("100")
            await asyncio.sleep(LIMITS.margined_orders_s)
            assert not account.told(m.PendingPlaced), "its positions may be loading"
            await account.until(lambda: account.told(m.PendingPlaced))

    run(work())


def test_an_empty_list_beside_used_margin_is_never_believed() -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.margin, account.bridge.orders = D("100"), ()
            looks = account.bridge.snapshots
            await asyncio.sleep(LIMITS.margined_orders_s * 2)
            assert account.bridge.snapshots > looks
            account.bridge.orders = (order(7), order(8, kind=OrderKind.BUY_LIMIT))
            await account.until(lambda: account.told(m.PendingPlaced))
            assert not account.told(m.AlertRaised), "nothing vanished"

    run(work())


def test_figures_that_are_not_to_be_had_are_asked_for_a_little_later() -> None:
    """Not at once, over and over: a bridge answers so many reads only."""

    async def work() -> None:
        async with watched(WatcherLimits(figures_age_s=2.0)) as account:
            account.bridge.margin = D("100")
            await asyncio.sleep(60.0)
            looks = account.bridge.snapshots
            await account.open()
            await asyncio.sleep(20.0)
            assert account.bridge.snapshots - looks < 60

    run(work())


def test_a_position_that_vanished_without_proof_is_looked_for_less_often_after_a_while() -> None:
    """Each time the history is read, and all accounts of an address share so many reads."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.orders = ()
            await account.until(lambda: account.told(m.AlertRaised))
            await asyncio.sleep(LIMITS.missing_for_s)
            read = account.bridge.histories
            await asyncio.sleep(100.0)
            assert 5 < account.bridge.histories - read < 15

    run(work())
