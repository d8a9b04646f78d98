"""A leg is its position, whatever ticket the server gives it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.journey.shown import alerted, has, outcomes
from tests.journey.world import Account, World

pytestmark = [pytest.mark.slow, pytest.mark.brokers]


async def stop_is(world: World, slave: Account, stop: str) -> None:
    async def there() -> bool:
        return [Decimal(o["stop_loss"]) for o in await slave.positions()] == [Decimal(stop)]

    await world.eventually(there)


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
@pytest.mark.parametrize("tells", [True, False], ids=["identifier", "tag"])
async def test_a_copy_that_the_server_opened_anew_is_followed_to_its_end(
    world: World, mode: str, tells: bool
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, mode=mode)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    (before,) = await slave.positions()
    await world.control.reopen("Beta-MT5", 2001, before["ticket"], tells)
    await master.modify(ticket, "1.05", "0")
    await stop_is(world, slave, "1.05")
    rest = await master.close(ticket, "0.20")
    await has(world, slave, "0.30")
    await world.control.reopen("Beta-MT5", 2001, before["ticket"] + 1, tells)
    await master.close(rest)
    await has(world, slave)
    assert "detached" not in {row["outcome"] for row in await world.logs(copier)}


async def test_a_trade_that_the_server_opened_anew_and_closed_unseen_takes_its_copy_with_it(
    world: World,
) -> None:
    """No list ever showed the ticket that it closed under."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await world.control.bridge("MT5", down=True)
    await master.close(await world.control.reopen("Alpha-MT5", 1001, ticket))
    await world.control.bridge("MT5", down=False)
    await has(world, slave)
    await outcomes(world, copier, "closed")
    assert {row["outcome"] for row in await world.logs(copier)} == {"opened", "closed"}


async def test_a_stop_refused_for_a_ticket_that_is_gone_is_set_under_the_new_one(
    world: World,
) -> None:
    """The modify is faster than the look that shows the new ticket: nothing is taken for set."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    (before,) = await slave.positions()
    await world.control.stream("Beta-MT5", 2001, lose=9)
    await world.control.script(
        "MT5", endpoint="OpenedOrders", login=2001, delay_before_s=0.5, times=2
    )
    await world.control.reopen("Beta-MT5", 2001, before["ticket"])
    await master.modify(ticket, "1.05", "0")
    await stop_is(world, slave, "1.05")
    calls = await world.control.ledger("OrderModify", 2001)
    answers = [call["answer"] for call in calls]
    assert (answers[0], answers[-1]) == ("INVALID_TICKET", "ok")


async def test_a_netting_add_is_followed_with_its_position(world: World) -> None:
    """Two legs in one position: reduced together, closed together, and each told."""
    master = await world.account("Alpha-MT5", 1001, mode="Netting")
    slave = await world.account("Beta-MT5", 2001, mode="Netting")
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await master.open("EURUSD", "Buy", "0.30")
    await has(world, slave, "0.80")

    async def answered() -> bool:
        return [row["outcome"] for row in await world.logs(copier)] == ["opened", "opened"]

    await world.eventually(answered)
    (position,) = await master.positions()
    await master.close(position["ticket"], "0.40")
    await has(world, slave, "0.40")
    await world.control.reopen("Beta-MT5", 2001, (await slave.positions())[0]["ticket"])
    await master.close(position["ticket"])
    await has(world, slave)

    async def told() -> bool:
        rows = [row["outcome"] for row in await world.logs(copier)]
        return rows.count("closed") == 2 and "detached" not in rows

    await world.eventually(told)


async def test_what_vanished_without_proof_is_told_and_kept(world: World) -> None:
    """The list no longer has it and no history shows that it closed."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await has(world, slave, "0.50")
    orders = world.simulator.brokers.account("Alpha-MT5", 1001).orders
    gone = orders.pop(ticket)
    await alerted(world, "VANISHED")
    assert await slave.lots() == [Decimal("0.50")]
    orders[ticket] = gone

    async def clear() -> bool:
        return await world.call("Alerts") == []

    await world.eventually(clear)
