"""One trade of one master, and for each option a slave of its own: what its broker has, or the reason
why it has nothing. Options with a life of their own (pendings, strictClose, existing trades, reversal
over time, sizing by balances) have their journeys beside this one.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from tests.journey.world import EMBEDDED, Account, Stack, World

pytestmark = pytest.mark.slow


@pytest.fixture
def stack() -> Stack:
    """What an option does is decided alike on every stack, and thirty slaves are enough of a load."""
    return EMBEDDED


SAME, APART = "Beta-MT5", "Beta-MT4"
"""A broker with the master's prices, and one that is three pips above them."""
TRADE = {"stop_loss": "1.09000", "take_profit": "1.12000", "magic": 7, "comment": "scalp"}


class Has(Struct, frozen=True, kw_only=True):
    kind: str = "Buy"
    lots: str = "0.20"
    stop_loss: str = "1.09000"
    take_profit: str = "1.12000"


OPTIONS: dict[str, tuple[dict[str, Any], str, Has | str]] = {
    "none": ({}, SAME, Has()),
    "lotRefiner": ({"lotRefiner": "0.95"}, SAME, Has(lots="0.19")),
    "forceMinLot": ({"riskValue": "0.04", "forceMinLot": True}, SAME, Has(lots="0.01")),
    "forceMinLot, too far": ({"riskValue": "0.02", "forceMinLot": True}, SAME, "BELOW_MIN_LOT"),
    "below the minimum": ({"riskValue": "0.04"}, SAME, "BELOW_MIN_LOT"),
    "forceMaxLot": ({"riskValue": "5", "forceMaxLot": True}, SAME, Has(lots="0.50")),
    "above the maximum": ({"riskValue": "5"}, SAME, "ABOVE_MAX_LOT"),
    "riskMultiply": (
        {"riskType": "FixedLot", "riskValue": "0.44", "riskMultiply": "0.5"}, SAME, Has(lots="0.10"),
    ),
    "riskType=FixedLot": ({"riskType": "FixedLot", "riskValue": "0.03"}, SAME, Has(lots="0.03")),
    "copySL": ({"copySL": False}, SAME, Has(stop_loss="0")),
    "copyTP": ({"copyTP": False}, SAME, Has(take_profit="0")),
    "fixedSlPips": ({"copySL": False, "fixedSlPips": 30}, SAME, Has(stop_loss="1.09710")),
    "fixedTpPips": ({"copyTP": False, "fixedTpPips": 50}, SAME, Has(take_profit="1.10510")),
    "stopLossRefinementPips": (
        {"stopLossRefinementPips": 10}, SAME, Has(stop_loss="1.08900"),
    ),
    "takeProfitRefinementPips": (
        {"takeProfitRefinementPips": -5}, SAME, Has(take_profit="1.11950"),
    ),
    "reverseCopy": (
        {"reverseCopy": True}, SAME, Has(kind="Sell", stop_loss="1.11990", take_profit="1.08990"),
    ),
    "filterSide=CopySellOnly": ({"filterSide": "CopySellOnly"}, SAME, "FILTER_SIDE"),
    "filterSide=CopyBuyOnly": ({"filterSide": "CopyBuyOnly"}, SAME, Has()),
    "filterMagic Copy": ({"filterMagicOption": "Copy", "filterMagicValue": 7}, SAME, Has()),
    "filterMagic Ignore": (
        {"filterMagicOption": "Ignore", "filterMagicValue": 7}, SAME, "FILTER_MAGIC",
    ),
    "filterComment Copy": (
        {"filterCommentOption": "Copy", "filterCommentValue": "scalp"}, SAME, Has(),
    ),
    "filterComment Ignore": (
        {"filterCommentOption": "Ignore", "filterCommentValue": "scalp"}, SAME, "FILTER_COMMENT",
    ),
    "filterLot": (
        {"filterLotEnabled": True, "filterLotMin": "0.21", "filterLotMax": "9"}, SAME, "FILTER_LOTS",
    ),
    "marginReserve": ({"marginReserve": "0.999"}, SAME, "NOT_ENOUGH_MARGIN"),
    "minMarginLevel": ({"minMarginLevel": "1000000"}, SAME, "MARGIN_LEVEL"),
    "maxSlippage": ({"maxSlippage": "0.00020"}, APART, "SLIPPAGE"),
    "tradeDelayMs": ({"tradeDelayMs": 300}, SAME, Has()),
}  # fmt: skip


async def test_what_each_option_does_to_one_trade(world: World) -> None:
    for server in (SAME, APART):
        await world.control.add_symbol(
            server, name="EURUSD", digits=5, margin_currency="EUR", profit_currency="USD", lot_max="0.50",
        )  # fmt: skip
    await world.quote("EURUSD", "1.10000", "1.10010", servers=("Alpha-MT4", SAME))
    await world.quote("EURUSD", "1.10030", "1.10040", servers=(APART,))
    master = await world.account("Alpha-MT4", 1001)
    slaves = {
        name: await world.account(server, login, connected=False)
        for login, (name, (_, server, _)) in enumerate(OPTIONS.items(), 2001)
    }
    copiers = {
        name: await world.copier(master, slaves[name], **options)
        for name, (options, _, _) in OPTIONS.items()
    }
    await master.open("EURUSD", "Buy", "0.20", **TRADE)
    answers = await asyncio.gather(
        *(
            became(world, slaves[name], copiers[name], wanted)
            for name, (_, _, wanted) in OPTIONS.items()
        )
    )
    assert dict(zip(OPTIONS, answers, strict=True)) == {
        name: wanted for name, (_, _, wanted) in OPTIONS.items()
    }
    assert await sent_at(world, copiers["tradeDelayMs"]) > await sent_at(world, copiers["none"])


async def sent_at(world: World, copier: str) -> str:
    found: list[str] = []

    async def there() -> bool:
        rows = await world.logs(copier)
        found[:] = [row["times"]["sent"] for row in rows if row["success"]]
        return bool(found)

    await world.eventually(there)
    return found[0]


async def became(world: World, slave: Account, copier: str, wanted: Has | str) -> Has | str:
    """What is there once it is what is wanted, or when the time is over."""
    seen: Has | str = ""

    async def there() -> bool:
        nonlocal seen
        codes = [row["exceptionCode"] for row in await world.logs(copier) if row["exceptionCode"]]
        positions = await slave.positions()
        seen = _has(positions[0]) if positions else codes[0] if codes else ""
        return seen == wanted

    try:
        await world.eventually(there, within_s=20.0)
    except AssertionError:
        return seen
    return seen


def _has(position: dict[str, Any]) -> Has:
    return Has(
        kind=position["kind"],
        lots=f"{Decimal(position['lots']):.2f}",
        stop_loss=_level(position["stop_loss"]),
        take_profit=_level(position["take_profit"]),
    )


def _level(value: str) -> str:
    return f"{Decimal(value):.5f}" if Decimal(value) else "0"


STOPS = {"": "1.09030", "Offset": "1.09030", "Price": "1.09000", "Distance": "1.09030"}


async def test_where_a_stop_goes_at_a_broker_that_is_three_pips_above(world: World) -> None:
    """Both feeds must be seen at one moment: on a crowded machine that may take another trade."""
    await world.quote("EURUSD", "1.10030", "1.10040", servers=(APART,))
    master = await world.account("Alpha-MT4", 1001)
    slaves = {mode: await world.account(APART, login) for login, mode in enumerate(STOPS, 2001)}
    for mode, slave in slaves.items():
        await world.copier(master, slave, slMode=mode)

    async def placed() -> dict[str, str]:
        ticket = await master.open("EURUSD", "Buy", "0.20", stop_loss="1.09000")
        for slave in slaves.values():
            await world.eventually(slave.positions)
        found = {mode: (await slave.positions())[0] for mode, slave in slaves.items()}
        await master.close(ticket)
        for slave in slaves.values():
            await world.eventually(slave.is_flat)
        return {mode: _level(position["stop_loss"]) for mode, position in found.items()}

    async def as_meant() -> bool:
        await world.control.tick_again()
        return await placed() == STOPS

    await world.eventually(as_meant, within_s=30.0)


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "riskValue": {"riskType": "FixedRisk", "riskValue": "101"},
    "lotRefiner": {"lotRefiner": "0"},
    "riskMultiply": {"riskMultiply": "-1"},
    "fixedMasterBalance": {"fixedMasterBalance": "-1"},
    "copyTP": {"riskType": "FixedRisk", "reverseCopy": True, "copyTP": False},
    "pendingMode": {"copyPendingOrders": True, "pendingMode": "Ignore"},
    "filterLotMax": {"filterLotEnabled": True, "filterLotMin": "2", "filterLotMax": "1"},
    "magicNumber": {"copyMagicNumber": "Custom"},
    "fixedSlPips": {"fixedSlPips": -1},
    "tradeDelayMs": {"tradeDelayMs": 60_001},
    "marginReserve": {"marginReserve": "1"},
    "maxAgeS": {"maxAgeS": 0},
}


async def test_options_that_contradict_each_other_are_refused_by_name(world: World) -> None:
    for field, options in CONTRADICTIONS.items():
        wish = {"masterAccountId": "1", "slaveAccountId": "2", **options}
        answer = await world.call("Start", expect=400, **wish)
        assert answer["code"] == "INVALID_PARAMETER", field
        assert answer["message"].startswith(f"{field}:"), (field, answer)
