"""What happens on the master happens on the slave: every pairing of platforms and modes."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.journey.shown import has
from tests.journey.world import Account, World

PAIRS = {
    "MT4→MT4": ("Alpha-MT4", "Beta-MT4", "Hedging"),
    "MT4→MT5": ("Alpha-MT4", "Beta-MT5", "Hedging"),
    "MT5→MT4": ("Alpha-MT5", "Beta-MT4", "Hedging"),
    "hedging→netting": ("Alpha-MT5", "Beta-MT5", "Netting"),
}
pytestmark = pytest.mark.slow


@pytest.fixture(params=list(PAIRS))
async def pair(request: pytest.FixtureRequest, world: World) -> tuple[Account, Account, str]:
    master_server, slave_server, mode = PAIRS[request.param]
    master = await world.account(master_server, 1001)
    slave = await world.account(slave_server, 2001, mode=mode)
    return master, slave, await world.copier(master, slave)


async def test_an_open_and_its_close(world: World, pair: tuple[Account, Account, str]) -> None:
    master, slave, copier = pair
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await has(world, slave, "0.50")
    await master.close(ticket)
    await has(world, slave)

    async def logged() -> bool:
        rows = [row for row in await world.logs(copier) if row["success"]]
        return {row["outcome"] for row in rows} == {"opened", "closed"}

    await world.eventually(logged)


async def test_partial_closes_follow_the_cumulative_target_and_leave_nothing(
    world: World, pair: tuple[Account, Account, str]
) -> None:
    """0.07 lots at 75, 50, 25 and 0 percent."""
    master, slave, copier = pair
    await world.call("UpdateCopier", id=copier, riskType="FixedLot", riskValue="0.07", copySL=False)
    ticket = await master.open("EURUSD", "Sell", "1.00", stop_loss="1.2")
    await has(world, slave, "0.07")
    for left in ("0.05", "0.03", "0.01"):
        ticket = await master.close(ticket, "0.25")
        await has(world, slave, left)
    await master.close(ticket)
    await has(world, slave)


async def test_stops_follow_and_the_latest_wins(
    world: World, pair: tuple[Account, Account, str]
) -> None:
    master, slave, _ = pair
    ticket = await master.open("EURUSD", "Buy", "0.10", stop_loss="1.08", take_profit="1.13")

    async def with_levels(stop: str, target: str) -> bool:
        orders = await slave.positions()
        return [(Decimal(o["stop_loss"]), Decimal(o["take_profit"])) for o in orders] == [
            (Decimal(stop), Decimal(target))
        ]

    await world.eventually(lambda: with_levels("1.08", "1.13"))
    for pip in range(1, 9):
        await master.modify(ticket, f"1.08{pip}", "1.13")
    await world.eventually(lambda: with_levels("1.088", "1.13"))
    await master.modify(ticket, "0", "1.13")
    await world.eventually(lambda: with_levels("0", "1.13"))


async def test_a_stop_hit_on_the_master_closes_the_copy(
    world: World, pair: tuple[Account, Account, str]
) -> None:
    master, slave, _ = pair
    await master.open("EURUSD", "Buy", "0.10", stop_loss="1.09")
    await has(world, slave, "0.10")
    await world.control.quote(master.server, "EURUSD", "1.08900", "1.08910")
    await has(world, slave)


async def test_a_copy_closed_by_hand_is_never_opened_again(
    world: World, pair: tuple[Account, Account, str]
) -> None:
    master, slave, copier = pair
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await has(world, slave, "0.10")
    (mine,) = await slave.positions()
    await slave.close(mine["ticket"])

    async def detached() -> bool:
        return any(row["outcome"] == "detached" for row in await world.logs(copier))

    await world.eventually(detached)
    await master.modify(ticket, "1.05", "0")
    second = await master.open("GBPUSD", "Buy", "0.20")
    await has(world, slave, "0.20")
    await master.close(ticket)
    await master.close(second)
    await has(world, slave)


async def test_foreign_positions_are_left_alone(
    world: World, pair: tuple[Account, Account, str]
) -> None:
    master, slave, _ = pair
    await slave.open("GBPUSD", "Sell", "0.30")
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await has(world, slave, "0.10", "0.30")
    await master.close(ticket)
    await has(world, slave, "0.30")


async def test_two_equal_trades_in_one_second_stay_two(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    first = await master.open("EURUSD", "Buy", "0.10")
    second = await master.open("EURUSD", "Buy", "0.10")
    await has(world, slave, "0.10", "0.10")
    await master.close(first)
    await has(world, slave, "0.10")
    await master.close(second)
    await has(world, slave)


async def test_netting_adds_are_legs_and_a_reversal_is_a_close_and_an_open(world: World) -> None:
    master = await world.account("Alpha-MT5", 1001, mode="Netting")
    slave = await world.account("Beta-MT4", 2001)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.50")
    await has(world, slave, "0.50")
    await master.open("EURUSD", "Buy", "0.30")
    await has(world, slave, "0.30", "0.50")
    await master.open("EURUSD", "Sell", "1.00")
    await has(world, slave, "0.20")
    (left,) = await slave.positions()
    assert left["kind"] == "Sell"


async def test_a_close_by_is_two_closes(world: World) -> None:
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    one = await master.open("EURUSD", "Buy", "1.00")
    two = await master.open("EURUSD", "Sell", "0.40")
    await has(world, slave, "0.40", "1.00")
    await world.control.close_by(master.server, master.login, one, two)
    await has(world, slave, "0.60")


async def test_deposits_are_never_trades(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave, riskType="BalanceMultiplier")
    await world.control.deposit(master.server, master.login, "100000")
    await master.open("EURUSD", "Buy", "1.00")
    await has(world, slave, "0.50")

    async def logged() -> bool:
        return [row["outcome"] for row in await world.logs(copier)] == ["opened"]

    await world.eventually(logged)


async def test_existing_trades_are_skipped_or_joined_as_asked(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    skips = await world.account("Beta-MT4", 2001)
    joins = await world.account("Beta-MT5", 2002)
    ticket = await master.open("EURUSD", "Buy", "0.40")
    ticket = await master.close(ticket, "0.10")
    skipping = await world.copier(master, skips)
    await world.copier(master, joins, copyExistingTrades=True)
    assert await world.code(skipping) == "EXISTING"
    await has(world, joins, "0.30")
    await master.close(ticket)
    await has(world, joins)
    assert await skips.positions() == []


async def test_a_chain_of_copiers_does_not_copy_copies_and_a_loop_is_refused(world: World) -> None:
    one = await world.account("Alpha-MT4", 1001)
    two = await world.account("Beta-MT4", 2001)
    three = await world.account("Beta-MT5", 3001)
    await world.copier(one, two)
    second = await world.copier(two, three)
    await one.open("EURUSD", "Buy", "0.10")
    await has(world, two, "0.10")
    assert await world.code(second) == "IS_A_COPY"
    assert await three.positions() == []
    answer = await world.call("Start", expect=409, masterAccountId=two.id, slaveAccountId=one.id)
    assert answer["code"] == "LOOP"


async def test_remove_and_start_again_never_copies_a_root_twice(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await has(world, slave, "0.10")
    await world.call("Remove", id=copier)
    again = await world.copier(master, slave, copyExistingTrades=True)
    assert again != copier
    other = await master.open("GBPUSD", "Buy", "0.20")
    await has(world, slave, "0.10", "0.20")
    await master.close(ticket)
    await has(world, slave, "0.20")
    await master.close(other)
    await has(world, slave)
    assert len(await slave.trades()) == 2


@pytest.mark.parametrize("strict", [False, True])
async def test_a_copy_whose_volume_its_owner_changed_is_left_alone_unless_strict(
    world: World, strict: bool
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, strictClose=strict)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await has(world, slave, "0.50")

    async def answered() -> bool:
        return [row["outcome"] for row in await world.logs(copier)] == ["opened"]

    await world.eventually(answered)
    (position,) = await slave.positions()
    await slave.close(position["ticket"], "0.20")
    if not strict:
        await detached(world, copier, "VOLUME_CHANGED")
    await master.close(ticket)
    if strict:
        await has(world, slave)
    else:
        await asyncio.sleep(1.2)  # through several looks
        other = await master.open("EURUSD", "Sell", "0.10")
        await has(world, slave, "0.10", "0.30")
        await master.close(other)
        await has(world, slave, "0.30")


async def detached(world: World, copier: str, reason: str) -> None:
    async def there() -> bool:
        rows = [row for row in await world.logs(copier) if row["outcome"] == "detached"]
        return any(reason in str(row) for row in rows)

    await world.eventually(there)


async def test_what_is_over_when_our_close_arrives_is_recorded_as_closed(world: World) -> None:
    """The copy's own stop is faster than the close that the master's close asks for."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.50")
    await has(world, slave, "0.50")
    (position,) = await slave.positions()
    await world.control.script(
        "MT5", endpoint="OrderClose", login=2001, delay_before_s=0.3, error="INVALID_TICKET"
    )
    await master.close(ticket)

    async def asked() -> bool:
        return bool(await world.control.ledger("OrderClose", 2001))

    await world.eventually(asked)
    await slave.close(position["ticket"])

    async def logged() -> bool:
        rows = [row for row in await world.logs(copier) if row["success"]]
        return [row["outcome"] for row in rows].count("closed") == 1

    await world.eventually(logged)
