"""What an operator is told, code by code, and what it takes for each to be over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.journey.shown import alerted, alerts, has, outcomes
from tests.journey.test_ends import two
from tests.journey.world import FAST, Stack, World, a_world

pytestmark = pytest.mark.slow
SLAVES = pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])


@pytest.fixture
async def quick(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    """A close that is not done is told after a moment."""
    limits = replace(FAST, close_alert_after_s=0.4)
    async with a_world(tmp_path / "data", limits, stack) as world:
        yield world


async def all_clear(world: World) -> None:
    async def none() -> bool:
        return await alerts(world) == []

    await world.eventually(none)


async def magic_of(world: World) -> int:
    """Of the open that was sent."""
    sent: list[dict[str, Any]] = []

    async def there() -> bool:
        sent[:] = await world.control.ledger("OrderSend", 2001)
        return bool(sent)

    await world.eventually(there)
    parameters = sent[0]["parameters"]
    return int(parameters.get("expertid") or parameters["magic"])


@SLAVES
async def test_an_order_without_our_tag_is_taken_for_ours_by_its_shape(
    world: World, server: str
) -> None:
    """A broker may replace the comment; the magic number and the shape are left."""
    master, slave, copier = await two(world, server)
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, silent=True)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await slave.open("EURUSD", "Buy", "0.50", magic=await magic_of(world))
    await alerted(world, "INFERRED")
    await outcomes(world, copier, "opened")
    await master.close(ticket)
    await has(world, slave)
    await all_clear(world)


async def test_several_that_could_be_ours_are_for_a_person(world: World) -> None:
    master, slave, copier = await two(world, "Beta-MT5")
    await world.control.script("MT5", endpoint="OrderSend", login=2001, silent=True)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    magic = await magic_of(world)
    mine = await slave.open("EURUSD", "Buy", "0.50", magic=magic)
    await slave.open("EURUSD", "Buy", "0.40", magic=magic)
    await alerted(world, "NEEDS_PERSON")
    (attempt,) = await world.call("Unresolved")
    assert "open 0.5 EURUSD Buy" in attempt["evidence"], "what to look for in the terminal"
    (alert,) = await world.call("Alerts")
    assert attempt["evidence"] in alert["text"]
    assert "`copypro settle`" in alert["text"]
    await world.call("Settle", accountId=slave.id, attempt=attempt["id"], ticket=mine)
    await outcomes(world, copier, "opened")
    await all_clear(world)
    await master.close(ticket)
    await has(world, slave, "0.40")


@pytest.fixture
async def pausing(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    """Long enough that the pause is seen on a machine that is busy."""
    limits = replace(FAST, breaker_pause_s=8.0)
    async with a_world(tmp_path / "data", limits, stack) as world:
        yield world


@SLAVES
async def test_two_unclear_answers_pause_opens_for_a_while(pausing: World, server: str) -> None:
    world = pausing
    master, slave, copier = await two(world, server)
    await world.control.script(
        server[-3:], endpoint="OrderSend", login=2001, times=2, cut="before", execute=True
    )
    for symbol in ("EURUSD", "GBPUSD"):
        await master.open(symbol, "Buy", "0.10")
    await alerted(world, "OPENS_PAUSED")
    await master.open("AUDUSD", "Buy", "0.20")
    assert await world.code(copier) == "OPENS_PAUSED"
    await has(world, slave, "0.10", "0.10")
    await all_clear(world)
    await master.open("AUDUSD", "Buy", "0.30")
    await has(world, slave, "0.10", "0.10", "0.30")


async def test_a_broker_that_refuses_five_times_is_left_in_peace_for_a_while(
    pausing: World,
) -> None:
    world = pausing
    master, slave, copier = await two(world, "Beta-MT5")
    await world.control.script("MT5", endpoint="OrderSend", login=2001, times=5, error="NO_MONEY")
    for _ in range(5):
        await master.open("EURUSD", "Buy", "0.10")
    await alerted(world, "OPENS_PAUSED")
    await all_clear(world)
    await master.open("EURUSD", "Buy", "0.20")
    await has(world, slave, "0.20")

    async def each_is_decided() -> bool:
        rows = await world.logs(copier)
        found = sorted((row["outcome"], row["exceptionCode"]) for row in rows)
        return found == [("opened", None), *[("rejected", "NO_MONEY")] * 5]

    await world.eventually(each_is_decided)


@pytest.mark.parametrize("whose", ["a person's", "another copier's"])
async def test_a_netting_position_is_never_shared(world: World, whose: str) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, mode="Netting")
    copier = await world.copier(master, slave)
    if whose == "a person's":
        await slave.open("EURUSD", "Buy", "0.30")
    else:
        other = await world.account("Alpha-MT5", 1002)
        await world.copier(other, slave)
        await other.open("EURUSD", "Buy", "0.30")
    await has(world, slave, "0.30")
    ticket = await master.open("EURUSD", "Buy", "0.50")
    assert await world.code(copier) == "NETTING_SHARED"
    await master.close(ticket)
    await master.open("GBPUSD", "Buy", "0.50")
    await has(world, slave, "0.30", "0.50")


@pytest.mark.parametrize("why", ["bridge down", "refused"])
async def test_a_close_that_does_not_get_done_is_told_and_then_is(quick: World, why: str) -> None:
    world = quick
    master, slave, copier = await two(world, "Beta-MT5")
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    if why == "bridge down":
        await world.control.bridge("MT5", down=True)
    else:
        refused = {"endpoint": "OrderClose", "login": 2001, "error": "TRADE_DISABLED"}
        await world.control.script("MT5", times=-1, **refused)
    await master.close(ticket)
    await alerted(world, "CLOSE_FAILS")
    assert await slave.lots() == [Decimal("0.50")]
    await world.control.clear_scripts()
    await world.control.bridge("MT5", down=False)
    await has(world, slave)
    await all_clear(world)


@SLAVES
async def test_what_was_filled_is_the_copys_volume(world: World, server: str) -> None:
    """Filled less than asked; partial closes go by what was filled."""
    master, slave, copier = await two(world, server)
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, fill_lots="0.30")
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    assert await slave.lots() == [Decimal("0.30")]
    ticket = await master.close(ticket, "0.25")
    await has(world, slave, "0.15")
    await master.close(ticket)
    await has(world, slave)
    assert len(await world.control.ledger("OrderSend", 2001)) == 1
