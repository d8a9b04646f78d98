"""What waits, and what ends the wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from copypro.envelope import decode
from copypro.topics import EXECUTIONS
from msgspec.structs import replace

from tests.journey.shown import has, outcomes
from tests.journey.world import FAST, MASTERS_SIZE, Stack, World, a_world

pytestmark = pytest.mark.slow
SLOW = replace(FAST, later_close_first_s=60.0, later_close_cap_s=60.0)


@pytest.fixture
async def patient(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    """A refused close is put off for a minute."""
    async with a_world(tmp_path / "data", SLOW, stack) as world:
        yield world


async def test_a_close_that_was_put_off_goes_out_in_the_next_session(patient: World) -> None:
    world = patient
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await world.control.script("MT5", endpoint="OrderClose", login=2001, error="MARKET_CLOSED")
    await master.close(ticket)

    async def refused() -> bool:
        return len(await world.control.ledger("OrderClose", 2001)) == 1

    await world.eventually(refused)
    await world.control.forget_sessions("MT5")
    await has(world, slave)


async def test_what_the_master_closes_while_our_open_waits_is_not_opened(world: World) -> None:
    """A delayed copier: half is closed before its time comes."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave, tradeDelayMs=3000)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    ticket = await master.close(ticket, "0.50")
    await world.eventually(slave.positions)
    assert await slave.lots() == [Decimal("0.50")]
    assert await world.control.ledger("OrderClose", 2001) == []
    ticket = await master.close(ticket, "0.25")
    await has(world, slave, "0.25")
    await master.close(ticket)
    await has(world, slave)


async def test_no_changing_call_leaves_without_a_committed_attempt(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50", stop_loss="1.05")
    await has(world, slave, "0.50")
    await master.modify(ticket, "1.06", "0")

    async def moved() -> bool:
        return [Decimal(o["stop_loss"]) for o in await slave.positions()] == [Decimal("1.06")]

    await world.eventually(moved)
    ticket = await master.close(ticket, "0.20")
    await has(world, slave, "0.30")
    await master.close(ticket)
    await has(world, slave)
    await world.call("UpdateCopier", id=copier, **MASTERS_SIZE, copyPendingOrders=True)
    pending = await master.open("EURUSD", "BuyLimit", "0.10", price="1.05")
    await has(world, slave, "0.10")
    await master.close(pending)
    await has(world, slave)
    calls = [
        entry
        for entry in await world.control.ledger("", slave.login)
        if entry["endpoint"].startswith("order") and "history" not in entry["endpoint"]
    ]
    unsent = {decode(r).message.attempt for r in await world.records(EXECUTIONS, "CopyNotSent")}
    started = await world.records(EXECUTIONS, "AttemptStarted")
    attempts = [record for record in started if decode(record).message.attempt not in unsent]
    assert len(calls) == len(attempts) >= 5
    for call, attempt in zip(calls, attempts, strict=True):
        assert attempt.recorded_at <= call["at"] + 0.001, "recorded before it left"
