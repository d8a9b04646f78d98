"""An owner lost around the closes of an equity protector: it acts once, and what it began is done."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from copypro import messages as m
from copypro import topics
from copypro.envelope import encode, fact
from copypro.protection import ProtectorSettings
from copypro.values import Platform, RegistrationId

from tests.faults.test_watcher_memory_log import LOGIN, Point, Slave, a_slave

pytestmark = pytest.mark.slow
FLATTEN = ProtectorSettings(
    enabled=True, alert=True, close_all_trades=True, take_profit_absolute=Decimal(1)
)
"""Reached at the first look."""


async def protected(slave: Slave) -> None:
    command = m.UpdateEquityProtector(
        account=slave.account, registration=RegistrationId("b" * 32), settings=FLATTEN
    )
    message = fact(command, datetime.now(UTC), "protector")
    await slave.log.append([encode(topics.ACCOUNT_COMMANDS, slave.account, message)])


@pytest.mark.parametrize(
    "where", ["committed, not sent", "sent, not answered", "answered, not recorded"]
)
async def test_an_owner_lost_around_a_close_flattens_all_the_same_and_nothing_twice(
    where: str,
) -> None:
    point = Point()
    async with a_slave(Platform.MT5, point) as slave:
        await slave.opens()
        await slave.until(lambda: slave.told(m.CopyOpened))
        await slave.control.open(slave.server, LOGIN, "EURUSD", "Sell", "0.30")
        await slave.control.open(slave.server, LOGIN, "EURUSD", "BuyLimit", "0.20", price="1.05")
        point.armed = where
        await protected(slave)
        await slave.until(point.reached.is_set)

        async def flat() -> bool:
            return await slave.positions() == []

        await slave.until(flat)

        def reported() -> bool:
            told = slave.told(m.EquityProtectorUpdated, topics.ORDER_EVENTS.name)
            acted = [each for each in told if each.protector.tripped is not None]
            return bool(acted) and not acted[-1].protector.flattening

        await slave.until(reported)
        assert len(slave.told(m.EquityProtectorTriggered, topics.ORDER_EVENTS.name)) == 1
        codes = [e.code for e in slave.told(m.AlertRaised, topics.ORDER_EVENTS.name)]
        assert codes.count("EQUITY_PROTECTION") == 1
        calls = await slave.calls("OrderClose")
        assert sum(bool(call.get("executed")) for call in calls) == 3, "each once, whoever did it"
        started = slave.told(m.AttemptStarted)
        assert len(calls) <= len(started) - 1, "no call without its attempt; one was the open's"
