"""What waits, and what ends the wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.journey.shown import has, outcomes
from tests.journey.world import FAST, Stack, World, a_world

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
