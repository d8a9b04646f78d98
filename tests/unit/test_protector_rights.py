"""An equity protector whose registration may trade no more: off, and its user is told."""

from __future__ import annotations

import asyncio

import pytest
from copypro import messages as m
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run

from tests.unit.slave_builders import D
from tests.unit.watched import ACCOUNT, READS, REGISTRATION, TRADES, Watched, watched


async def password(account: Watched, sealed: str) -> None:
    before = len(account.told(m.AccountUpdated))
    await account.command(
        m.UpdateAccount(account=ACCOUNT, registration=REGISTRATION, sealed_password=sealed)
    )
    await account.until(lambda: len(account.told(m.AccountUpdated)) >= before + 2)  # and proved


async def loses(account: Watched, how: str) -> None:
    if how == "an investor's password":
        await password(account, READS)
        return
    account.bridge.refused.add(TRADES)
    await account.command(
        m.UpdateAccount(account=ACCOUNT, registration=REGISTRATION, sealed_password=TRADES)
    )


@pytest.mark.parametrize("how", ["an investor's password", "refused"])
def test_a_registration_that_may_trade_no_more_has_its_protector_switched_off(how: str) -> None:
    async def work() -> None:
        async with watched(WatcherLimits(reconnect_first_s=0.1)) as account:
            await account.protect(stop_loss_percent=D(5))
            await loses(account, how)
            await account.until(lambda: account.told(m.AlertRaised))
            codes = [alert.code for alert in account.told(m.AlertRaised)]
            assert codes[-1] == "PROTECTOR_OFF"
            assert not account.told(m.EquityProtectorUpdated)[-1].protector.settings.enabled
            account.bridge.refused.clear()
            await password(account, "trades as well")
            account.bridge.equity = D(9000)
            await account.looked()
            assert account.told(m.EquityProtectorTriggered) == [], "it is not back by itself"
            await account.protect(stop_loss_percent=D(5))
            cleared = [alert.cause for alert in account.told(m.AlertCleared)]
            assert f"equity-protector-off/{REGISTRATION}" in cleared
            account.bridge.equity = D(8000)
            await account.until(lambda: account.told(m.EquityProtectorTriggered))

    run(work())


def test_a_login_by_a_former_password_says_nothing_of_the_one_after_it() -> None:
    """The broker takes its time to refuse it, and the new one has been proved meanwhile."""

    async def work() -> None:
        async with watched(WatcherLimits(reconnect_first_s=0.1)) as account:
            bridge = account.bridge
            bridge.connects_s[TRADES], bridge.is_down = 5.0, True
            await account.until(lambda: account.told(m.AccountDisconnected))
            await asyncio.sleep(1.0)
            bridge.refused.add(TRADES)
            bridge.is_down = False
            await password(account, "new")
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            assert not account.told(m.AccountRefused)

    run(work())
