"""No stop is lost in silence: it is set, or an operator is told, or the copy is closed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.journey.shown import alerted, alerts, has, outcomes
from tests.journey.test_tickets import stop_is
from tests.journey.world import FAST, Account, Stack, World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.brokers]


async def opened(world: World, server: str, **more: Any) -> tuple[Account, Account, str, int]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account(server, 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50", **more)
    await outcomes(world, copier, "opened")
    return master, slave, copier, ticket


SERVERS = pytest.mark.parametrize(
    ("server", "code"), [("Beta-MT4", "INVALID_SL_TP"), ("Beta-MT5", "INVALID_STOPS")]
)


@SERVERS
async def test_a_copy_without_the_masters_later_stop_is_closed_and_told(
    world: World, server: str, code: str
) -> None:
    """Not set within the limit, so the leg goes."""
    master, slave, copier, ticket = await opened(world, server)
    await world.control.script(
        server[-3:], endpoint="OrderModify", login=2001, times=-1, error=code
    )
    await master.modify(ticket, "1.09", "0")
    await alerted(world, "STOP_NOT_SET")
    await has(world, slave)

    async def told() -> bool:
        rows = await world.logs(copier)
        return ["STOP_NOT_SET" in str(r) for r in rows if r["outcome"] == "closed"] == [True]

    await world.eventually(told)
    await master.close(ticket)

    async def clear() -> bool:
        return await alerts(world) == []

    await world.eventually(clear)


@SERVERS
async def test_a_copy_keeps_its_former_stop_while_the_next_one_is_refused(
    world: World, server: str, code: str
) -> None:
    master, slave, _, ticket = await opened(world, server, stop_loss="1.05")
    await world.control.script(
        server[-3:], endpoint="OrderModify", login=2001, times=-1, error=code
    )
    await master.modify(ticket, "1.09", "0")
    await alerted(world, "STOP_NOT_SET")
    (position,) = await slave.positions()
    assert Decimal(position["stop_loss"]) == Decimal("1.05")
    await world.control.clear_scripts()
    await stop_is(world, slave, "1.09")

    async def clear() -> bool:
        return await alerts(world) == []

    await world.eventually(clear)


@pytest.mark.parametrize("error", ["MARKET_CLOSED", "TOO_MANY_REQUESTS", "OFF_QUOTES"])
async def test_a_stop_is_pursued_as_long_as_the_broker_says_later(world: World, error: str) -> None:
    _, slave, _, ticket = await opened(world, "Beta-MT4", stop_loss="1.05")
    master = Account(world, "Alpha-MT4", 1001, "")
    await world.control.script("MT4", endpoint="OrderModify", login=2001, times=6, error=error)
    await master.modify(ticket, "1.09", "0")
    await stop_is(world, slave, "1.09")
    assert len(await world.control.ledger("OrderModify", 2001)) == 7


async def test_a_stop_that_is_refused_for_good_is_told(world: World) -> None:
    master, slave, _, ticket = await opened(world, "Beta-MT5", stop_loss="1.05")
    await world.control.script(
        "MT5", endpoint="OrderModify", login=2001, times=-1, error="TRADE_DISABLED"
    )
    await master.modify(ticket, "1.09", "0")
    await alerted(world, "STOP_NOT_SET")
    assert len(await slave.positions()) == 1


async def test_a_bridge_that_is_down_costs_no_copy_its_life(world: World) -> None:
    """Nobody could set a stop meanwhile: the time to set it counts from when somebody can."""
    master, slave, _, ticket = await opened(world, "Beta-MT5")
    await world.control.bridge("MT5", down=True)
    await master.modify(ticket, "1.09", "0")
    await asyncio.sleep(1.5 * FAST.stops_within_s)
    await world.control.bridge("MT5", down=False)
    await stop_is(world, slave, "1.09")


async def test_an_unanswered_call_is_told_while_it_lasts(tmp_path: Path, stack: Stack) -> None:
    limits = replace(FAST, unresolved_alert_after_s=0.2, absence_wait_mt5_s=2.0)
    async with a_world(tmp_path / "data", limits, stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        await world.control.script("MT5", endpoint="OrderSend", login=2001, cut="before")
        await master.open("EURUSD", "Buy", "0.50")
        await alerted(world, "UNRESOLVED")
        assert await world.code(copier) in ("NO_ANSWER", "NOT_RESENT")

        async def clear() -> bool:
            return await alerts(world) == []

        await world.eventually(clear)
