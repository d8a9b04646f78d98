"""Mirrored pending orders that the slave's broker does not take as they are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.journey.shown import alerted, alerts, dated
from tests.journey.test_ends import SEVERAL_LOOKS_S
from tests.journey.test_pendings import linked, logged, shows
from tests.journey.world import FAST, Stack, World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.brokers]
CODES = {"Beta-MT4": "EXPIRATION_DISABLED", "Beta-MT5": "INVALID_EXPIRATION"}


async def sends(world: World) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = await world.control.ledger("OrderSend", 2001)
    return entries


@pytest.mark.parametrize("server", list(CODES))
async def test_an_order_whose_expiry_is_refused_is_placed_without_one(
    world: World, server: str
) -> None:
    """No expiry then, and we delete it ourselves, with the master's."""
    master, slave, _ = await linked(
        world, "Alpha-MT4", server, copyPendingOrders=True, copyExpiryTime=True
    )
    await master.open("GBPUSD", "Buy", "0.10")  # its quotes tell both clocks
    await world.eventually(slave.positions)
    await dated(world, "Alpha-MT4", 1001)
    await dated(world, server, 2001)
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, error=CODES[server])
    expires = (
        datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(hours=6)
    ).isoformat()
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000", expires_at=expires)
    await shows(world, slave, ("Buy", "0.10", "1.10010"), ("BuyLimit", "0.20", "1.09000"))
    (_, first, second) = await sends(world)
    assert first["answer"] == CODES[server]
    assert "expiration" in first["parameters"]
    assert "expiration" not in second["parameters"]
    await master.close(ticket)
    await shows(world, slave, ("Buy", "0.10", "1.10010"))


async def test_a_move_is_pursued_as_long_as_the_broker_says_later(world: World) -> None:
    master, slave, _ = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.control.script(
        "MT5", endpoint="OrderModify", login=2001, times=3, error="MARKET_CLOSED"
    )
    await master.modify(ticket, price="1.08000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.08000"))
    assert len(await world.control.ledger("OrderModify", 2001)) == 4


async def test_a_move_that_is_refused_for_good_is_told_and_not_tried_again(world: World) -> None:
    master, slave, _ = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000", stop_loss="1.05000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.control.script(
        "MT5", endpoint="OrderModify", login=2001, times=-1, error="TRADE_DISABLED"
    )
    await master.modify(ticket, "1.05000", price="1.08000")
    await alerted(world, "STOP_NOT_SET")
    await asyncio.sleep(SEVERAL_LOOKS_S)
    assert len(await world.control.ledger("OrderModify", 2001)) == 1
    await world.control.clear_scripts()
    await master.modify(ticket, "1.05000", price="1.07000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.07000"))


async def test_a_mirrored_order_that_came_and_went_between_two_looks_is_over(
    tmp_path: Path, stack: Stack
) -> None:
    """Nobody saw it in a list: history tells that it went, and nothing is deleted again and again."""
    limits = replace(FAST, snapshot_every_s=30.0)
    async with a_world(tmp_path / "data", limits, stack) as world:
        master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
        await world.control.stream("Beta-MT5", 2001, lose=99)
        ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
        await world.eventually(slave.positions)
        await logged(world, copier, "placed")
        (order,) = await slave.positions()
        await slave.close(order["ticket"])
        await master.close(ticket)
        await world.control.forget_sessions("MT5")
        await logged(world, copier, "removed")
        await world.eventually(lambda: told_nothing(world))


async def told_nothing(world: World) -> bool:
    return await alerts(world) == []


async def test_an_order_that_the_slave_does_not_place_is_told_in_the_row_that_planned_it(
    world: World,
) -> None:
    master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    await world.call("SymbolsEnable", accountId=slave.id, enableAllSymbols=True, off=["EURUSD"])
    await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await logged(world, copier, "denied")

    async def is_whole() -> bool:
        """The slave's half may come first."""
        return all(row["masterOrder"] for row in await world.logs(copier))

    await world.eventually(is_whole)
    (row,) = await world.logs(copier)
    assert (row["updateType"], row["exceptionCode"]) == ("PendingOpen", "SYMBOL_OFF")
    assert row["masterOrder"]["openPrice"] == 1.09
    await world.quote("EURUSD", "1.08900", "1.08910")

    async def told_of_its_fill() -> bool:
        return [r["updateType"] for r in await world.logs(copier)] == ["MarketOpen", "PendingOpen"]

    await world.eventually(told_of_its_fill)
    assert {r["exceptionCode"] for r in await world.logs(copier)} == {"SYMBOL_OFF"}
