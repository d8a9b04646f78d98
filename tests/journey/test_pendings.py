"""Pending orders in their three modes, and what happens when the two sides fill at different times."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from copypro import topics

from tests.journey.world import Account, World

pytestmark = [pytest.mark.slow, pytest.mark.brokers]
PAIRS = {
    "MT4→MT4": ("Alpha-MT4", "Beta-MT4", "Hedging"),
    "MT4→MT5": ("Alpha-MT4", "Beta-MT5", "Hedging"),
    "MT5→MT4": ("Alpha-MT5", "Beta-MT4", "Hedging"),
    "MT5→MT5": ("Alpha-MT5", "Beta-MT5", "Hedging"),
    "hedging→netting": ("Alpha-MT5", "Beta-MT5", "Netting"),
}


async def linked(
    world: World, master_server: str, slave_server: str, mode: str = "Hedging", **options: Any
) -> tuple[Account, Account, str]:
    master = await world.account(master_server, 1001)
    slave = await world.account(slave_server, 2001, mode=mode)
    return master, slave, await world.copier(master, slave, **options)


async def shows(world: World, slave: Account, *wanted: tuple[str, str, str]) -> None:
    """The slave's open orders: (kind, lots, open price), in any order."""
    expected = sorted((kind, Decimal(lots), Decimal(price)) for kind, lots, price in wanted)

    async def there() -> bool:
        found = [
            (order["kind"], Decimal(order["lots"]), Decimal(order["open_price"]))
            for order in await slave.positions()
        ]
        return sorted(found) == expected

    await world.eventually(there)


async def logged(world: World, copier: str, outcome: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [row for row in await world.logs(copier) if row["outcome"] == outcome]
        return bool(found)

    await world.eventually(there)
    return found[0]


@pytest.mark.parametrize("pair", list(PAIRS))
async def test_a_mirrored_order_is_placed_moved_and_removed_with_the_masters(
    world: World, pair: str
) -> None:
    master, slave, _ = await linked(world, *PAIRS[pair], copyPendingOrders=True, riskValue="0.5")
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000", stop_loss="1.08000")
    await shows(world, slave, ("BuyLimit", "0.10", "1.09000"))
    (order,) = await slave.positions()
    assert Decimal(order["stop_loss"]) == Decimal("1.08")
    await master.modify(ticket, "1.08000", "0", price="1.08900")
    await shows(world, slave, ("BuyLimit", "0.10", "1.08900"))
    await master.close(ticket)
    await shows(world, slave)
    assert [t for t in await slave.trades() if t["order"]["kind"] in ("Buy", "Sell")] == []


@pytest.mark.parametrize("pair", list(PAIRS))
async def test_a_mirrored_order_that_fills_on_both_sides_is_one_copy(
    world: World, pair: str
) -> None:
    master, slave, copier = await linked(world, *PAIRS[pair], copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.quote("EURUSD", "1.08980", "1.08990")
    await logged(world, copier, "opened")

    async def one_buy() -> bool:
        return [(p["kind"], Decimal(p["lots"])) for p in await slave.positions()] == [
            ("Buy", Decimal("0.20"))
        ]

    await world.eventually(one_buy)
    await master.close(ticket)
    await shows(world, slave)
    assert len([t for t in await slave.trades() if t["order"]["kind"] == "Buy"]) == 1


async def test_when_only_the_masters_order_fills_ours_is_deleted_before_the_market(
    world: World,
) -> None:
    master, slave, _ = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    await master.open("EURUSD", "BuyLimit", "0.20", price="1.09990")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09990"))
    await world.quote("EURUSD", "1.09970", "1.09980", servers=("Alpha-MT4",))

    async def one_buy() -> bool:
        await world.control.quote("Beta-MT5", "EURUSD", "1.09990", "1.10000")
        return [(p["kind"], Decimal(p["lots"])) for p in await slave.positions()] == [
            ("Buy", Decimal("0.20"))
        ]

    await world.eventually(one_buy)
    calls = [e["endpoint"] for e in await world.control.ledger("", 2001)]
    changes = [c for c in calls if c in ("ordersend", "orderclose", "orderdelete")]
    assert changes.count("ordersend") == 2, "placed once, then at the market once"
    assert changes[0] == "ordersend"
    assert changes[-1] == "ordersend", "deleted first"


async def test_when_the_masters_order_filled_and_closed_before_ours_did_the_reason_is_told(
    world: World,
) -> None:
    master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.quote("EURUSD", "1.08980", "1.08990", servers=("Alpha-MT4",))
    await master.close(ticket)
    await shows(world, slave)
    assert await world.code(copier) == "MASTER_FLAT"
    assert [t for t in await slave.trades() if t["order"]["kind"] == "Buy"] == []


async def test_ours_that_filled_alone_is_closed_when_the_masters_is_removed(world: World) -> None:
    master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.quote("EURUSD", "1.08980", "1.08990", servers=("Beta-MT5",))
    row = await logged(world, copier, "opened")
    assert row["timeUTC"] == row["times"]["filled"]
    await master.close(ticket)
    await shows(world, slave)
    await logged(world, copier, "closed")


async def test_ours_that_fills_unseen_within_the_grace_is_a_copy_and_not_closed_as_an_order(
    world: World,
) -> None:
    """No frame tells of it, and MT5's bridge deletes by closing: a list is asked for first."""
    master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09990")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09990"))
    await world.control.stream("Beta-MT5", 2001, lose=99)
    await world.control.script(
        "MT5", endpoint="OpenedOrders", login=2001, delay_before_s=0.5, times=4
    )
    await world.quote("EURUSD", "1.09970", "1.09980", servers=("Alpha-MT4",))
    await world.quote("EURUSD", "1.09970", "1.09980", servers=("Beta-MT5",))
    await logged(world, copier, "opened")
    assert [e["endpoint"] for e in await world.control.ledger("OrderClose", 2001)] == []
    await master.close(ticket)
    await shows(world, slave)


async def none_stands(world: World) -> bool:
    return await world.call("Alerts") == []


@pytest.mark.parametrize("is_gone", [True, False], ids=["removed", "filled"])
async def test_ours_that_fills_just_as_it_is_deleted_is_told_as_closed_by_us(
    world: World, is_gone: bool
) -> None:
    """The call is on its way, and closes the position that the order has become."""
    master, slave, copier = await linked(world, "Alpha-MT4", "Beta-MT5", copyPendingOrders=True)
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09990")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09990"))
    await world.control.script("MT5", endpoint="OrderClose", login=2001, delay_before_s=0.6)
    if is_gone:
        await master.close(ticket)
    else:
        await world.quote("EURUSD", "1.09970", "1.09980", servers=("Alpha-MT4",))

    async def arrived() -> bool:
        return (await world.control.ledger_counts()).get("orderclose", 0) > 0

    await world.eventually(arrived)
    await world.quote("EURUSD", "1.09970", "1.09980", servers=("Beta-MT5",))
    await logged(world, copier, "closed")
    assert await slave.lots() == []
    (closed,) = await world.records(topics.EXECUTIONS, "CopyClosed")
    reason = msgspec.json.decode(closed.value or b"")["reason"]
    assert reason == ("MASTER_deleted" if is_gone else "FILLED_WHEN_DELETED")
    alerts = [alert["code"] for alert in await world.call("Alerts")]
    assert alerts == ([] if is_gone else ["MIRROR_CLOSED"])
    if not is_gone:
        await master.close(ticket)
        await world.eventually(lambda: none_stands(world))
    sends = await world.control.ledger("OrderSend", 2001)
    assert len(sends) == 1, "what we closed ourselves is not opened again"


@pytest.mark.parametrize("slave_server", ["Beta-MT4", "Beta-MT5"])
async def test_ours_that_filled_before_its_placing_was_answered_is_a_position(
    world: World, slave_server: str
) -> None:
    """The broker's books settle the attempt, and by then they show no pending order any more."""
    master, slave, copier = await linked(world, "Alpha-MT4", slave_server, copyPendingOrders=True)
    await world.control.script(
        slave_server[-3:], endpoint="OrderSend", login=2001, silent=True, execute=True
    )
    ticket = await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")
    await shows(world, slave, ("BuyLimit", "0.20", "1.09000"))
    await world.quote("EURUSD", "1.08980", "1.08990", servers=(slave_server,))
    await logged(world, copier, "opened")
    await master.close(ticket)
    await shows(world, slave)
    await logged(world, copier, "closed")
    deletes = [
        *await world.control.ledger("OrderDelete", 2001),
        *[e for e in await world.control.ledger("OrderClose", 2001) if e["answer"] != "ok"],
    ]
    assert deletes == []


@pytest.mark.parametrize("pair", list(PAIRS))
async def test_by_default_a_pending_order_is_copied_at_the_market_when_it_fills(
    world: World, pair: str
) -> None:
    master, slave, _ = await linked(world, *PAIRS[pair])
    ticket = await master.open("EURUSD", "SellStop", "0.30", price="1.09500")
    await world.quote("EURUSD", "1.09490", "1.09500")

    async def one_sell() -> bool:
        return [(p["kind"], Decimal(p["lots"])) for p in await slave.positions()] == [
            ("Sell", Decimal("0.30"))
        ]

    await world.eventually(one_sell)
    sends = await world.control.ledger("OrderSend", 2001)
    assert [send["parameters"]["operation"] for send in sends] == ["Sell"]
    await master.close(ticket)
    await shows(world, slave)


async def test_ignored_pending_orders_are_recorded_and_never_copied(world: World) -> None:
    master, slave, copier = await linked(world, "Alpha-MT5", "Beta-MT5", pendingMode="Ignore")
    await master.open("EURUSD", "BuyStop", "0.30", price="1.10500")
    await world.quote("EURUSD", "1.10490", "1.10500")

    async def filled() -> bool:
        return [p["kind"] for p in await master.positions()] == ["Buy"]

    await world.eventually(filled)

    async def both() -> bool:
        codes = [row["exceptionCode"] for row in await world.logs(copier)]
        return codes.count("PENDING_IGNORED") >= 1

    await world.eventually(both)
    marker = await master.open("GBPUSD", "Buy", "0.10")  # what comes after it is copied
    await shows(world, slave, ("Buy", "0.10", "1.10010"))
    assert marker
    assert len(await world.control.ledger("OrderSend", 2001)) == 1


async def test_a_stop_limit_towards_mt4_is_copied_when_it_fills(world: World) -> None:
    """MT4 has no such order."""
    master, slave, _ = await linked(world, "Alpha-MT5", "Beta-MT4", copyPendingOrders=True)
    await master.open("EURUSD", "BuyStopLimit", "0.20", price="1.10500", stop_limit="1.10450")
    await world.quote("EURUSD", "1.10490", "1.10500")
    await world.quote("EURUSD", "1.10440", "1.10450")  # near enough to copy before ours has come

    async def one_buy() -> bool:
        return [(p["kind"], Decimal(p["lots"])) for p in await slave.positions()] == [
            ("Buy", Decimal("0.20"))
        ]

    await world.eventually(one_buy)
    sends = await world.control.ledger("OrderSend", 2001)
    assert [send["parameters"]["operation"] for send in sends] == ["Buy"]


async def test_pending_orders_of_before_the_start_are_joined_only_if_asked(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    joining, leaving = await world.account("Beta-MT5", 2001), await world.account("Beta-MT5", 2002)
    await master.open("EURUSD", "BuyLimit", "0.20", price="1.09000")

    async def seen() -> bool:
        return len(await world.call("OpenOrders", accountId=master.id)) == 1

    await world.eventually(seen)
    await world.copier(master, joining, copyPendingOrders=True, copyExistingTrades=True)
    other = await world.copier(master, leaving, copyPendingOrders=True)
    await shows(world, joining, ("BuyLimit", "0.20", "1.09000"))
    assert await world.code(other) == "EXISTING"
    assert await leaving.positions() == []
