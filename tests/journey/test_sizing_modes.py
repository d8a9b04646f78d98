"""Each sizing mode from REST to the slave's book, with the numbers of the rule book's examples."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.journey.world import World

pytestmark = pytest.mark.slow


async def sized(
    world: World,
    lots: str,
    symbol: str,
    master: dict[str, Any],
    slave: dict[str, Any],
    **options: Any,
) -> Decimal:
    more = options.pop("trade", {})
    one = await world.account("Alpha-MT4", 1001, **master)
    two = await world.account("Beta-MT5", 2001, **slave)
    await world.copier(one, two, **options)
    await one.open(symbol, "Buy", lots, **more)
    await world.eventually(two.positions)
    (position,) = await two.positions()
    return Decimal(position["lots"])


async def test_multiplier_with_other_contract_sizes(world: World) -> None:
    await world.control.add_symbol(
        "Beta-MT5",
        name="XAUUSD",
        digits=2,
        contract_size="10",
        margin_currency="XAU",
        calculation="CFD",
    )
    lots = await sized(
        world, "0.50", "XAUUSD", {"balance": "1000000"}, {"balance": "1000000"}, riskValue="1.5"
    )
    assert lots == Decimal("7.5")


async def test_contract_alignment_can_be_switched_off(world: World) -> None:
    await world.control.add_symbol(
        "Beta-MT5",
        name="XAUUSD",
        digits=2,
        contract_size="10",
        margin_currency="XAU",
        calculation="CFD",
    )
    big = {"balance": "1000000"}
    lots = await sized(world, "0.50", "XAUUSD", big, big, contractAlignment=False)
    assert lots == Decimal("0.50")


async def test_balance_ratio_across_currencies(world: World) -> None:
    """20,000 USD and 5,000 EUR at 1.10: 0.80 becomes 0.22."""
    await world.quote("EURUSD", "1.09995", "1.10005")
    lots = await sized(
        world,
        "0.80",
        "GBPUSD",
        {"balance": "20000"},
        {"balance": "5000", "currency": "EUR"},
        riskType="BalanceMultiplier",
        marginReserve="0",
    )
    assert lots == Decimal("0.22")


async def test_equity_ratio(world: World) -> None:
    lots = await sized(
        world,
        "0.80",
        "EURUSD",
        {"balance": "20000"},
        {"balance": "5000"},
        riskType="EquityMultiplier",
    )
    assert lots == Decimal("0.20")


async def test_fixed_master_balance(world: World) -> None:
    lots = await sized(
        world,
        "0.80",
        "EURUSD",
        {},
        {"balance": "3000"},
        riskType="FixedBalanceMultiplier",
        fixedMasterBalance="10000",
        marginReserve="0",
    )
    assert lots == Decimal("0.24")


async def test_fixed_lots(world: World) -> None:
    lots = await sized(world, "0.80", "EURUSD", {}, {}, riskType="FixedLot", riskValue="0.10")
    assert lots == Decimal("0.10")


async def test_fixed_risk_by_the_stop(world: World) -> None:
    """1 % of 10,000 USD at 0.400 of USDJPY and 150.00: floored, never above the risk."""
    await world.quote("USDJPY", "162.490", "162.500")
    lots = await sized(
        world,
        "1.00",
        "USDJPY",
        {},
        {"balance": "10000"},
        riskType="FixedRisk",
        riskValue="1",
        trade={"stop_loss": "162.100"},
    )
    loss = Decimal("0.400") * 100_000 / Decimal("162.495")
    assert lots == (100 / loss).quantize(Decimal("0.01"), "ROUND_FLOOR")


async def test_below_the_minimum_is_a_reason_with_its_numbers(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave, riskValue="0.1")
    await master.open("EURUSD", "Buy", "0.05")
    assert await world.code(copier) == "BELOW_MIN_LOT"
    (row,) = await world.logs(copier)
    messages = [message["message"] for message in row["messages"]]
    assert "raw_lots = 0.005" in messages
    assert "lot_min = 0.01" in messages
    assert row["success"] is False


async def test_a_mapping_overrides_symbol_and_size(world: World) -> None:
    await world.control.add_symbol("Beta-MT4", name="GBPUSD.x", margin_currency="GBP")
    await world.control.quote("Beta-MT4", "GBPUSD.x", "1.10000", "1.10010")
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001)
    copier = await world.copier(master, slave)
    await world.call(
        "AddSymbolMapping", id=copier, masterSymbol="GBPUSD", slaveSymbol="GBPUSD.x__0.2"
    )
    await master.open("GBPUSD", "Buy", "0.50")
    await world.eventually(slave.positions)
    (position,) = await slave.positions()
    assert (position["symbol"], Decimal(position["lots"])) == ("GBPUSD.x", Decimal("0.2"))


@pytest.mark.parametrize("lots", ["0", "-1", "1e9", "abc"])
async def test_impossible_lots_are_refused_by_name(world: World, lots: str) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001)
    answer = await world.call(
        "Start",
        expect=400,
        masterAccountId=master.id,
        slaveAccountId=slave.id,
        riskType="FixedLot",
        riskValue=lots,
    )
    assert answer["code"] == "INVALID_PARAMETER"
    assert "riskValue" in answer["message"]
