"""An account that was removed and is added again: another generation under the same name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.ports import Outgoing, Record
from copypro.topics import Role
from copypro.values import Platform, RegistrationId, UserId
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run

from tests.unit.diff_builders import D, order
from tests.unit.watched import ACCOUNT, LOGIN, REGISTRATION, SERVER, TRADES, watched


class DiskTakesLong(MemoryLog):
    """What follows from a commit begins so much later."""

    def _own(self, role: Role, number: int) -> Any:
        partition = super()._own(role, number)
        commit = partition.commit

        async def slowly(outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
            await commit(outputs, consumed)
            await asyncio.sleep(0.05)

        partition.commit = slowly  # type: ignore[method-assign]
        return partition


def removal() -> m.RemoveAccount:
    return m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION, close_trades=False)


def again() -> m.RegisterAccount:
    return m.RegisterAccount(
        account=ACCOUNT,
        registration=RegistrationId("c" * 32),
        user=UserId("u"),
        platform=Platform.MT5,
        server=SERVER,
        login=LOGIN,
        name="again",
        sealed_password=TRADES,
    )


def test_what_a_session_shows_after_its_account_was_removed_is_not_told() -> None:
    """Its removal is still being written: added again, the account would open all its trades anew,
    as seen live.
    """

    async def work() -> None:
        async with watched(log=DiskTakesLong()) as account:
            account.bridge.orders = (order(7),)
            account.bridge.frame()
            await account.until(lambda: account.told(m.PositionOpened))
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            account.bridge.frame()
            await account.command(again())
            account.bridge.frame()
            await account.until(lambda: len(account.told(m.PositionOpened)) == 2)
            seen = [event.seen for event in account.told(m.PositionOpened)]
            assert seen == [m.Seen.LIVE, m.Seen.BASELINE]

    run(work())


def test_what_an_account_showed_last_is_not_shown_after_its_removal() -> None:
    """Whoever shows accounts would have it once more, and with its name no longer known."""

    async def work() -> None:
        async with watched(WatcherLimits(publish_every_s=0.03), log=DiskTakesLong()) as account:
            for equity in ("9000", "8000"):
                account.bridge.equity = D(equity)
                account.bridge.frame()
                await asyncio.sleep(0.001)
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            shown = len(account.log.all(topics.ACCOUNT_SNAPSHOTS.name))
            await asyncio.sleep(5.0)
            assert len(account.log.all(topics.ACCOUNT_SNAPSHOTS.name)) == shown

    run(work())


def test_an_account_that_is_added_again_tells_nothing_under_an_id_that_was_told() -> None:
    """A receiver of alerts takes a second one of the same id for the first one."""

    async def work() -> None:
        async with watched() as account:
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            await account.command(again())
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            told = account.log.all(topics.ORDER_EVENTS.name)
            ids = [record.headers["id"] for record in told]
            assert len(set(ids)) == len(ids)

    run(work())
