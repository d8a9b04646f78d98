"""What a copier's options do to a trade: its side, its levels, its filters, its age."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.journey.world import MASTERS_SIZE, Account, World

pytestmark = [pytest.mark.slow, pytest.mark.brokers]


async def linked(world: World, **options: Any) -> tuple[Account, Account, str]:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    return master, slave, await world.copier(master, slave, **options)


async def the_copy(world: World, slave: Account) -> dict[str, Any]:
    await world.eventually(slave.positions)
    (position,) = await slave.positions()
    return position


async def test_a_reversed_copy_has_the_other_side_and_swapped_levels(world: World) -> None:
    master, slave, _ = await linked(world, reverseCopy=True)
    ticket = await master.open("EURUSD", "Buy", "0.20", stop_loss="1.09000", take_profit="1.12000")
    copy = await the_copy(world, slave)
    assert copy["kind"] == "Sell"
    # By their distances from the master's entry at 1.10010, from ours at 1.10000.
    assert Decimal(copy["stop_loss"]) == Decimal("1.11990")
    assert Decimal(copy["take_profit"]) == Decimal("1.08990")
    await master.close(ticket)

    await world.eventually(slave.is_flat)


async def test_a_reversed_copy_without_a_target_would_have_no_stop_and_is_refused(
    world: World,
) -> None:
    master, slave, copier = await linked(world, reverseCopy=True)
    await master.open("EURUSD", "Buy", "0.20", stop_loss="1.09000")
    assert await world.code(copier) == "REVERSE_NO_STOP"
    assert await slave.positions() == []


FILTERS = [
    ({"filterSide": "CopyBuyOnly"}, {"kind": "Sell"}, "FILTER_SIDE"),
    ({"filterMagicOption": "Copy", "filterMagicValue": 7}, {"magic": 8}, "FILTER_MAGIC"),
    ({"filterMagicOption": "Ignore", "filterMagicValue": 7}, {"magic": 7}, "FILTER_MAGIC"),
    (
        {"filterCommentOption": "Copy", "filterCommentValue": "scalp"},
        {"comment": "swing"},
        "FILTER_COMMENT",
    ),
    (
        {"filterLotEnabled": True, "filterLotMin": "0.5", "filterLotMax": "2"},
        {"lots": "0.40"},
        "FILTER_LOTS",
    ),
]


@pytest.mark.parametrize(("options", "trade", "code"), FILTERS, ids=lambda v: str(v)[:40])
async def test_a_filter_leaves_a_trade_out_with_its_code_and_never_blocks_a_close(
    world: World, options: dict[str, Any], trade: dict[str, Any], code: str
) -> None:
    master, slave, copier = await linked(world)
    before = await master.open("GBPUSD", "Sell", "0.40", magic=8, comment="swing")
    await the_copy(world, slave)
    await world.call("UpdateCopier", id=copier, **MASTERS_SIZE, **options)
    fields = {"kind": "Buy", "lots": "1.00", "magic": 8, "comment": "swing"} | trade
    kind, lots = fields.pop("kind"), fields.pop("lots")
    await master.open("EURUSD", kind, lots, **fields)
    assert await world.code(copier) == code
    assert len(await slave.positions()) == 1
    await master.close(before)

    await world.eventually(slave.is_flat)


async def test_levels_can_be_left_out(world: World) -> None:
    master, slave, _ = await linked(world, copySL=False, copyTP=False)
    await master.open("EURUSD", "Buy", "0.20", stop_loss="1.09000", take_profit="1.12000")
    copy = await the_copy(world, slave)
    assert Decimal(copy["stop_loss"]) == Decimal(copy["take_profit"]) == 0


async def test_fixed_levels_count_from_the_slaves_own_price(world: World) -> None:
    master, slave, _ = await linked(world, fixedSlPips=30, fixedTpPips=50)
    await master.open("EURUSD", "Buy", "0.20")
    copy = await the_copy(world, slave)
    price = Decimal(copy["open_price"])

    async def levels() -> bool:
        (position,) = await slave.positions()
        wanted = (price - Decimal("0.0030"), price + Decimal("0.0050"))
        return (Decimal(position["stop_loss"]), Decimal(position["take_profit"])) == wanted

    await world.eventually(levels)


@pytest.mark.parametrize(
    ("options", "magic"),
    [({"copyMagicNumber": "Yes"}, 4711), ({"copyMagicNumber": "Custom", "magicNumber": 99}, 99)],
)
async def test_the_magic_number_is_the_masters_or_the_copiers(
    world: World, options: dict[str, Any], magic: int
) -> None:
    master, slave, _ = await linked(world, **options)
    await master.open("EURUSD", "Buy", "0.20", magic=4711)
    copy = await the_copy(world, slave)
    assert copy["magic"] == magic


async def test_a_price_that_moved_too_far_is_refused_with_its_numbers(world: World) -> None:
    master, slave, copier = await linked(world, maxSlippage="0.00020")
    first = await master.open("EURUSD", "Buy", "0.10")
    await the_copy(world, slave)
    await master.close(first)
    await world.quote("EURUSD", "1.10050", "1.10060", servers=("Beta-MT5",))
    await master.open("EURUSD", "Buy", "0.20")
    assert await world.code(copier) == "SLIPPAGE"


async def test_a_paused_copier_opens_nothing_and_still_closes(world: World) -> None:
    master, slave, copier = await linked(world)
    ticket = await master.open("EURUSD", "Buy", "0.20")
    await the_copy(world, slave)
    await world.call("CopierPause", id=copier, paused=True)
    await master.open("GBPUSD", "Buy", "0.20")
    assert await world.code(copier) == "PAUSED"
    await master.close(ticket)

    await world.eventually(slave.is_flat)


async def test_an_existing_trade_is_joined_at_the_masters_market_and_not_at_its_old_price(
    world: World,
) -> None:
    """It has moved 100 pips since it opened: with the slave's market beside the master's it is
    joined, and not where the slave's is elsewhere.
    """
    master = await world.account("Alpha-MT4", 1001)
    near, far = await world.account("Beta-MT5", 2001), await world.account("Beta-MT4", 2002)
    await master.open("EURUSD", "Buy", "0.20")
    await world.quote("EURUSD", "1.11000", "1.11010", servers=("Alpha-MT4", "Beta-MT5"))
    await world.quote("EURUSD", "1.11300", "1.11310", servers=("Beta-MT4",))

    async def shown() -> bool:
        (order,) = await world.call("OpenOrders", accountId=master.id) or [{"closePrice": 0}]
        return order["closePrice"] == 1.11

    await world.eventually(shown)
    refused = await world.copier(master, far, copyExistingTrades=True)
    await world.copier(master, near, copyExistingTrades=True)
    await the_copy(world, near)
    assert await world.code(refused) == "SLIPPAGE"
    assert await far.positions() == []
