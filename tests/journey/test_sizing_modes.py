"""Each sizing mode from REST to the slave's book and the trade log, by worked examples, on
every pairing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct, field

from tests.journey.lives import PAIRINGS, a_pair
from tests.journey.world import World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
on_all_pairings = pytest.mark.parametrize("pairing", list(PAIRINGS))
MASTERS, SLAVES = ("Alpha-MT4", "Alpha-MT5"), ("Beta-MT4", "Beta-MT5")
RICH = {"balance": "1000000"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Brokers whose contracts differ: gold 100 and 10 ounces, the DAX 25 and 1 euro a point, the
    Australian dollar 100,000 and, for cent accounts, 1,000.
    """
    async with a_world(tmp_path_factory.mktemp("sizing") / "data") as made:
        for server in (*MASTERS, *SLAVES):
            at_master = server in MASTERS
            await add(made, server, "XAUUSD", "2400.00", "2400.20", 2, 100 if at_master else 10)
            await add(
                made, server, "AUDUSD", "1.10000", "1.10010", 5, 100_000 if at_master else 1000
            )
            await add(made, server, "EURJPY", "162.490", "162.500", 3, 100_000)
            await made.control.add_symbol(
                server,
                name="DE40",
                digits=1,
                contract_size="25" if at_master else "1",
                lot_min="0.1",
                lot_step="0.1",
                margin_currency="EUR",
                profit_currency="EUR",
                calculation="CFD",
                margin_calculation="Futures",
                margin_initial="4500" if at_master else "180",
            )
            await made.control.quote(server, "DE40", "18000.0", "18001.0")
            await made.control.quote(server, "USDJPY", "149.995", "150.005")
        yield made


async def add(
    world: World, server: str, name: str, bid: str, ask: str, digits: int, contract: int
) -> None:
    await world.control.add_symbol(
        server,
        name=name,
        digits=digits,
        contract_size=str(contract),
        margin_currency="USD" if name == "XAUUSD" else name[:3],
        profit_currency=name[3:],
        calculation="CFD" if name == "XAUUSD" else "Forex",
        margin_calculation="CFD" if name == "XAUUSD" else "Forex",
        margin_divider="20" if name == "XAUUSD" else "1",
    )
    await world.control.quote(server, name, bid, ask)


class Sized(Struct, kw_only=True):
    symbol: str = "EURUSD"
    lots: str
    becomes: str
    options: dict[str, Any]
    master: dict[str, Any] = field(default_factory=lambda: dict(RICH))
    slave: dict[str, Any] = field(default_factory=lambda: dict(RICH))
    trade: dict[str, Any] = {}
    credit: str = ""
    """Given to the master before it trades."""


EXAMPLES = {
    "multiplier": Sized(symbol="XAUUSD", lots="0.50", becomes="7.5", options={"riskValue": "1.5"}),
    "contract only": Sized(symbol="DE40", lots="0.4", becomes="10.0", options={}),
    "no contract": Sized(
        symbol="XAUUSD", lots="0.50", becomes="0.50", options={"contractAlignment": False}
    ),
    "balance ratio": Sized(
        symbol="GBPUSD",
        lots="0.80",
        becomes="0.22",
        options={"riskType": "BalanceMultiplier"},
        master={"balance": "20000"},
        slave={"balance": "5000", "currency": "EUR"},
    ),
    "balance ratio of a cent account": Sized(
        symbol="AUDUSD",
        lots="0.80",
        becomes="2.00",
        options={"riskType": "BalanceMultiplier"},
        master={"balance": "20000"},
        slave={"balance": "50000", "currency": "USC"},
    ),
    "equity ratio": Sized(
        lots="0.80",
        becomes="0.20",
        options={"riskType": "EquityMultiplier"},
        master={"balance": "15000"},
        credit="5000",
        slave={"balance": "5000"},
    ),
    "fixed master balance": Sized(
        lots="0.80",
        becomes="0.24",
        options={"riskType": "FixedBalanceMultiplier", "fixedMasterBalance": "10000"},
        slave={"balance": "3000"},
    ),
    "fixed lots": Sized(
        lots="0.80", becomes="0.10", options={"riskType": "FixedLot", "riskValue": "0.10"}
    ),
    "fixed risk": Sized(
        symbol="EURJPY",
        lots="1.00",
        becomes="0.37",
        options={"riskType": "FixedRisk", "riskValue": "1"},
        slave={"balance": "10000"},
        trade={"stop_loss": "162.100"},
    ),
}


@on_all_pairings
@pytest.mark.parametrize("name", list(EXAMPLES))
async def test_the_rule_books_example(world: World, name: str, pairing: str) -> None:
    given = EXAMPLES[name]
    await world.quote("EURUSD", "1.09995", "1.10005")
    pair_of = a_pair(
        world,
        PAIRINGS[pairing],
        of_master=given.master,
        of_slave=given.slave,
        **given.options,
    )
    async with pair_of as pair:
        master = pair.master
        if given.credit:
            await world.control.deposit(master.server, master.login, given.credit, "Credit")
        ticket = await master.open(given.symbol, "Buy", given.lots, **given.trade)
        await pair.has(given.becomes)
        await master.close(ticket)
        await pair.has()
        await pair.logged(("opened", given.becomes), ("closed", given.becomes))


@on_all_pairings
async def test_fixed_risk_counts_what_the_trade_before_was_charged(
    world: World, pairing: str
) -> None:
    """Of 10,000 USD the first leaves about 9,995: 99.95 / 266.67 = 0.374, and / 273.67 = 0.365."""
    for server in SLAVES:
        await world.control.set_symbol(server, "EURJPY", commission_per_lot="7")
    risk = {"riskType": "FixedRisk", "riskValue": "1"}
    given = a_pair(world, PAIRINGS[pairing], of_slave={"balance": "10000"}, **risk)
    async with given as pair:

        async def is_told() -> bool:
            closed = await world.call("ClosedOrders", accountId=pair.slave.id)
            return [order["commission"] for order in closed] == [-2.59]

        for becomes, by in (("0.37", "none"), ("0.36", "closed")):
            ticket = await pair.master.open("EURJPY", "Buy", "1.00", stop_loss="162.100")
            await pair.has(becomes)
            row = await pair.answered("opened", 1 if by == "none" else 2)
            assert f"cost_by = {by}" in [message["message"] for message in row["messages"]]
            await pair.master.close(ticket)
            await pair.has()
            if by == "none":
                await world.eventually(is_told)
    for server in SLAVES:
        await world.control.set_symbol(server, "EURJPY", commission_per_lot="0")


@on_all_pairings
async def test_below_the_minimum_is_a_reason_with_its_numbers(world: World, pairing: str) -> None:
    async with a_pair(world, PAIRINGS[pairing], riskValue="0.1") as pair:
        await pair.master.open("EURUSD", "Buy", "0.05")
        row = await pair.answered("denied")
        assert await pair.slave.positions() == []
    assert row["exceptionCode"] == "BELOW_MIN_LOT"
    messages = [message["message"] for message in row["messages"]]
    assert "raw_lots = 0.005" in messages
    assert "lot_min = 0.01" in messages
    assert row["success"] is False


async def test_a_mapping_overrides_symbol_and_size(world: World) -> None:
    await world.control.add_symbol("Beta-MT4", name="GBPUSD.x", margin_currency="GBP")
    await world.control.quote("Beta-MT4", "GBPUSD.x", "1.10000", "1.10010")
    async with a_pair(world, PAIRINGS["MT4→MT4"]) as pair:
        await world.call(
            "AddSymbolMapping", id=pair.copier, masterSymbol="GBPUSD", slaveSymbol="GBPUSD.x__0.2"
        )
        await pair.master.open("GBPUSD", "Buy", "0.50")
        await world.eventually(pair.slave.positions)
        (position,) = await pair.slave.positions()
    assert (position["symbol"], Decimal(position["lots"])) == ("GBPUSD.x", Decimal("0.2"))


@pytest.mark.parametrize("lots", ["0", "-1", "1e9", "abc"])
async def test_impossible_lots_are_refused_by_name(world: World, lots: str) -> None:
    async with a_pair(world, PAIRINGS["MT4→MT4"]) as pair:
        answer = await world.call(
            "Start",
            expect=400,
            masterAccountId=pair.master.id,
            slaveAccountId=pair.slave.id,
            riskType="FixedLot",
            riskValue=lots,
        )
    assert answer["code"] == "INVALID_PARAMETER"
    assert "riskValue" in answer["message"]
