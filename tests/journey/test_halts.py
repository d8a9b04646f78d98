"""What must never happen: told at once, and the copier opens nothing more until a person has looked."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from copypro.envelope import decode
from copypro.topics import EXECUTIONS, ORDER_EVENTS

from tests.journey.shown import alerted, alerts, has, outcomes
from tests.journey.test_ends import doubled
from tests.journey.world import Account, World

pytestmark = pytest.mark.slow
SLAVES = pytest.mark.parametrize("server", ["Beta-MT4", "Beta-MT5"])


async def settled(world: World, slave: Account) -> None:
    (alert,) = await world.call("Alerts")
    ticket = int(alert["numbers"]["ticket"])
    await world.call("Settle", accountId=slave.id, ticket=ticket)
    assert await alerts(world) == []


async def refused(world: World, copier: str) -> dict[str, Any]:
    assert await world.code(copier) == "OPENS_PAUSED"
    rows = await world.logs(copier)
    return next(row for row in rows if row["exceptionCode"])


@SLAVES
@pytest.mark.parametrize(("taken", "left"), [("0", []), ("0.30", ["0.20"])])
async def test_a_close_that_took_more_than_it_was_asked(
    world: World, server: str, taken: str, left: list[str]
) -> None:
    """A bridge that does not know the parameter closes everything."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account(server, 2001)
    other = await world.account("Alpha-MT4", 1002)
    copier, beside = await world.copier(master, slave), await world.copier(other, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await world.control.script(server[-3:], endpoint="OrderClose", login=2001, close_lots=taken)
    await master.close(ticket, "0.10")
    await alerted(world, "CLOSED_TOO_MUCH")
    await has(world, slave, *left)
    await master.open("GBPUSD", "Buy", "0.20")
    await refused(world, copier)
    await other.open("AUDUSD", "Buy", "0.70")
    await has(world, slave, *left, "0.70")
    await settled(world, slave)
    await master.open("GBPUSD", "Sell", "0.40")
    await has(world, slave, *left, "0.40", "0.70")
    await master.close(ticket)
    await has(world, slave, "0.40", "0.70")
    assert "detached" not in {row["outcome"] for row in await world.logs(copier)}
    assert [row["outcome"] for row in await world.logs(beside)] == ["opened"]


async def test_a_close_that_was_given_up_and_executed_after_all(world: World) -> None:
    """The deal is one that we asked for: the copy is still ours, and what is left of it is closed."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    await world.control.script("MT5", endpoint="OrderClose", login=2001, silent=True, late_s=3.0)
    await master.close(ticket, "0.20")
    await has(world, slave, "0.30")  # given up, looked at and sent anew
    await has(world, slave, "0.10")
    await alerted(world, "CLOSED_TOO_MUCH")
    await master.open("GBPUSD", "Buy", "0.20")
    await refused(world, copier)
    await settled(world, slave)
    await master.close(ticket)
    await has(world, slave)
    assert "detached" not in {row["outcome"] for row in await world.logs(copier)}


@SLAVES
@pytest.mark.parametrize("answer", [{}, {"error": "TRADE_TIMEOUT", "execute": True}])
async def test_a_close_of_everything_after_one_that_was_given_up_takes_not_too_much(
    world: World, server: str, answer: dict[str, Any]
) -> None:
    """The earlier one, of a part, was never executed and is known to have been asked for."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account(server, 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await outcomes(world, copier, "opened")
    platform = server[-3:]
    await world.control.script(platform, endpoint="OrderClose", login=2001, silent=True)
    if answer:
        await world.control.script(platform, endpoint="OrderClose", login=2001, **answer)
    await master.close(ticket, "0.20")

    async def asked() -> bool:
        return (await world.control.ledger_counts()).get("orderclose", 0) > 0

    await world.eventually(asked)
    await master.close(ticket)
    await has(world, slave)
    await outcomes(world, copier, "closed")

    async def nothing_stands() -> bool:
        """Two unclear answers pause opens for a while; nothing else does."""
        return await alerts(world) == []

    await world.eventually(nothing_stands)
    await master.open("GBPUSD", "Buy", "0.20")
    await has(world, slave, "0.20")


@SLAVES
async def test_after_a_duplicate_its_copier_opens_nothing_until_a_person_looked(
    world: World, server: str
) -> None:
    master, slave, ticket = await doubled(world, server, unanswered=True)
    await has(world, slave, "0.50")
    await alerted(world, "DUPLICATE")
    (copier,) = [row["id"] for row in await world.call("UserCopiers")]
    await master.open("GBPUSD", "Buy", "0.20")
    await refused(world, copier)
    await settled(world, slave)
    await master.open("GBPUSD", "Sell", "0.40")
    await has(world, slave, "0.40", "0.50")
    await master.close(ticket)
    await has(world, slave, "0.40")


async def test_an_ordinary_partial_close_halts_nothing(world: World) -> None:
    """Nor what the owner takes afterwards, nor what fills in two pieces."""
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, strictClose=True)
    ticket = await master.open("EURUSD", "Buy", "1.00")
    await outcomes(world, copier, "opened")

    async def told() -> bool:
        """Both pieces, as answered and as seen."""
        answered = await world.records(EXECUTIONS, "CopyReduced")
        seen = [decode(r).message for r in await world.records(ORDER_EVENTS, "PositionReduced")]
        return len(answered) == 2 and len([e for e in seen if e.deal.lots == Decimal("0.10")]) == 2

    await world.control.script("MT5", endpoint="OrderClose", login=2001, close_lots="0.10")
    await master.close(ticket, "0.20")
    await has(world, slave, "0.80")
    await world.eventually(told)
    (position,) = await slave.positions()
    await slave.close(position["ticket"], "0.50")
    await asyncio.sleep(0.6)
    assert await alerts(world) == []
    assert await slave.lots() == [Decimal("0.30")]
