"""How a copy ended decides what becomes of a position that the broker shows of it, for as long as it may."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.journey.shown import alerted, alerts, has, outcomes
from tests.journey.world import Account, World

pytestmark = [pytest.mark.slow, pytest.mark.brokers]
SEVERAL_LOOKS_S = 1.2
"""Four snapshots of tests/journey/world.FAST."""


async def two(world: World, slave_server: str, **options: Any) -> tuple[Account, Account, str]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account(slave_server, 2001)
    return master, slave, await world.copier(master, slave, **options)


async def stays(world: World, slave: Account, *lots: str, told: tuple[str, ...] = ()) -> None:
    """Through several looks, and nobody is called another copier: these alerts stand, and no other."""
    await asyncio.sleep(SEVERAL_LOOKS_S)
    assert await slave.lots() == sorted(Decimal(volume) for volume in lots)
    assert await alerts(world) == list(told)


SLAVES = pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])
RESTARTS = pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])


async def again(world: World, restart: bool) -> None:
    if restart:
        await world.stop()
        await world.start()


# --- left --------------------------------------------------------------------------------------


@SLAVES
@RESTARTS
async def test_what_its_owner_reduced_stands_when_the_master_closes(
    world: World, server: str, restart: bool
) -> None:
    master, slave, copier = await two(world, server)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    (position,) = await slave.positions()
    await slave.close(position["ticket"], "0.20")
    await outcomes(world, copier, "detached")
    await master.close(ticket)
    await again(world, restart)
    await stays(world, slave, "0.30")
    await master.open("GBPUSD", "Buy", "0.10")
    await has(world, slave, "0.10", "0.30")


@SLAVES
@RESTARTS
async def test_what_was_left_on_removal_stands_when_the_account_is_added_again(
    world: World, server: str, restart: bool
) -> None:
    master, slave, copier = await two(world, server)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    (position,) = await slave.positions()
    answer = await world.call("RemoveAccount", accountId=slave.id)
    assert answer["leftOpen"] == [position["ticket"]]
    await again(world, restart)
    slave = await world.register(server, 2001)
    await world.eventually(lambda: world.is_connected(slave))
    await stays(world, slave, "0.50")
    await world.copier(master, slave)
    await master.open("GBPUSD", "Buy", "0.10")
    await has(world, slave, "0.10", "0.50")
    await master.close(ticket)
    await stays(world, slave, "0.10", "0.50")


async def test_what_a_removed_master_left_is_still_a_copy(world: World) -> None:
    """Whoever copies the slave does not copy it, and nothing is said to be another copier's."""
    master, slave, copier = await two(world, "Beta-MT5")
    await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await world.call("RemoveAccount", accountId=master.id)
    await again(world, True)
    third = await world.account("Beta-MT4", 3001)
    chained = await world.copier(slave, third, copyExistingTrades=True)
    assert await world.code(chained) == "IS_A_COPY"
    await stays(world, slave, "0.50", told=("LEFT_OPEN",))


# --- late --------------------------------------------------------------------------------------


LATE: dict[str, Any] = {"endpoint": "OrderSend", "login": 2001, "silent": True, "late_s": 5.0}
"""Filled long after everything was waited for."""


async def given_up(world: World, server: str) -> tuple[Account, Account, str, int]:
    master, slave, copier = await two(world, server)
    await world.control.script(server[-3:], **LATE)
    ticket = await master.open("EURUSD", "Buy", "0.50", stop_loss="1.05")
    assert await world.code(copier) == "NOT_RESENT"
    return master, slave, copier, ticket


@SLAVES
@RESTARTS
async def test_a_late_fill_is_the_copy_while_the_master_is_open(
    world: World, server: str, restart: bool
) -> None:
    """The master moved its stop and closed half meanwhile: it is brought to that, and it ends with it."""
    master, slave, copier, ticket = await given_up(world, server)
    await master.modify(ticket, "1.06", "0")
    ticket = await master.close(ticket, "0.25")
    await again(world, restart)
    await outcomes(world, copier, "opened")
    await has(world, slave, "0.25")
    await alerted(world, "LATE_FILL")

    async def follows() -> bool:
        return [Decimal(o["stop_loss"]) for o in await slave.positions()] == [Decimal("1.06")]

    await world.eventually(follows)
    await master.close(ticket)
    await has(world, slave)
    assert len(await world.control.ledger("OrderSend", 2001)) == 1

    async def all_clear() -> bool:
        return await alerts(world) == []

    await world.eventually(all_clear)


@SLAVES
@RESTARTS
async def test_a_late_fill_is_closed_when_the_master_is_flat(
    world: World, server: str, restart: bool
) -> None:
    master, slave, copier, ticket = await given_up(world, server)
    await master.close(ticket)
    await again(world, restart)

    async def came_and_went() -> bool:
        return len(await slave.trades()) == 1 and await slave.positions() == []

    await world.eventually(came_and_went)
    await outcomes(world, copier, "closed")
    assert len(await world.control.ledger("OrderSend", 2001)) == 1
    assert "OTHER_COPIER" not in await alerts(world)


# --- twice -------------------------------------------------------------------------------------


async def doubled(world: World, server: str, *, unanswered: bool) -> tuple[Account, Account, int]:
    """A second position with the tag of a leg."""
    master, slave, copier = await two(world, server)
    knob = {"silent": True, "execute": True} if unanswered else {"delay_after_s": 0.0}
    await world.control.script(server[-3:], endpoint="OrderSend", login=2001, **knob)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await world.eventually(slave.positions)
    if not unanswered:
        await outcomes(world, copier, "opened")
    (mine,) = await slave.positions()
    await slave.open("EURUSD", "Buy", "0.50", magic=mine["magic"], comment=mine["comment"])
    return master, slave, ticket


@SLAVES
@pytest.mark.parametrize("unanswered", [True, False], ids=["unanswered", "answered"])
async def test_of_two_positions_with_one_tag_the_first_is_kept_and_followed(
    world: World, server: str, unanswered: bool
) -> None:
    master, slave, ticket = await doubled(world, server, unanswered=unanswered)
    (first, _) = sorted(order["ticket"] for order in await slave.positions())
    await has(world, slave, "0.50")
    await alerted(world, "DUPLICATE")
    assert [order["ticket"] for order in await slave.positions()] == [first]
    await asyncio.sleep(SEVERAL_LOOKS_S)
    await master.modify(ticket, "1.05", "0")

    async def follows() -> bool:
        return [Decimal(o["stop_loss"]) for o in await slave.positions()] == [Decimal("1.05")]

    await world.eventually(follows)
    await master.close(ticket)
    await has(world, slave)
    assert len(await slave.trades()) == 2


@SLAVES
async def test_a_second_position_that_comes_after_the_copy_is_over_is_closed(
    world: World, server: str
) -> None:
    master, slave, copier = await two(world, server)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    (mine,) = await slave.positions()
    await master.close(ticket)
    await outcomes(world, copier, "closed")
    await slave.open("EURUSD", "Buy", "0.50", magic=mine["magic"], comment=mine["comment"])
    await has(world, slave)
    assert len(await slave.trades()) == 2
