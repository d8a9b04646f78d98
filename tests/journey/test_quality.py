"""Copy quality by REST: its figures are those of the brokers' own books."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.journey.world import Account, World

pytestmark = pytest.mark.slow


async def test_quality_by_rest_agrees_with_the_brokers_books(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.control.add_symbol(
        "Beta-MT5", name="EURUSD", digits=5, margin_currency="EUR", profit_currency="USD",
        commission_per_lot="7",
    )  # fmt: skip
    await world.quote("EURUSD", "1.10003", "1.10015", servers=("Beta-MT5",))
    copier = await world.copier(master, slave, riskValue=0.5, slMode="Price")
    for count, lots in enumerate(("0.40", "0.80", "0.01"), start=1):  # the last is too small
        ticket = await master.open("EURUSD", "Buy", lots)
        await world.eventually(lambda count=count: settled(world, copier, count))  # type: ignore[misc]
        # As wide as before: the next open may be planned by it.
        await world.quote("EURUSD", "1.10100", "1.10112")
        await master.close(ticket)
        await world.eventually(lambda: is_flat(slave))
        await world.quote("EURUSD", "1.10000", "1.10010", servers=("Alpha-MT4",))
        await world.quote("EURUSD", "1.10003", "1.10015", servers=("Beta-MT5",))

    async def told() -> dict[str, Any]:
        answer: dict[str, Any] = await world.call("CopyQuality", copierId=copier)
        return answer

    async def is_whole() -> bool:
        total = (await told())["total"]
        missed = [m["masterResult"]["USD"]["total"] for m in total["missed"]]
        return total["profit"].get("USD", {}).get("of") == 2 and missed != [None]

    await world.eventually(is_whole)
    total = (await told())["total"]
    assert (total["decided"], total["copied"], total["refused"]) == (3, 2, 1)
    book = await slave.trades()
    lots = sum(Decimal(piece["lots"]) for piece in book)
    assert lots == Decimal("0.60")
    cost = total["cost"]["USD"]
    # 5 points worse than the master's 1.10010, at 1 USD a point and lot; 12 points of spread.
    assert total["slippagePoints"] == {"mean": 5, "worst": 5, "of": 2}
    assert cost["slippage"]["total"] == float(lots * 5)
    assert cost["spread"]["total"] == float(lots * 12)
    assert cost["commission"]["total"] == float(lots * 7)
    results = sum(Decimal(piece["profit"]) for piece in book) - lots * 7
    assert total["profit"]["USD"]["total"] == float(results)
    # What the broker charged on entry is lost and belongs to no trade, as MetaTrader counts.
    stats = await world.call("TradeStatsWithoutCharts", apiId=slave.id)
    assert stats["summary"]["totalProfit"] == float(results)
    assert stats["comissions"] == float(-lots * 7)
    assert stats["averageWin"]["averageUsd"] * 2 == float(results + lots * 7)
    (missed,) = total["missed"]
    assert missed["code"] == "BELOW_MIN_LOT"
    least = min(await master.trades(), key=lambda piece: Decimal(piece["lots"]))
    assert missed["masterResult"]["USD"]["total"] == float(least["profit"])
    assert total["latencyMs"]["seenToPlanned"]["of"] == 3
    for leg in ("plannedToSent", "sentToFilled", "filledToRecorded"):
        assert total["latencyMs"][leg]["of"] == 2, leg
    await groups_and_rights(world, master, slave, copier)


async def groups_and_rights(world: World, master: Account, slave: Account, copier: str) -> None:
    whole = await world.call("CopyQuality", accountId=slave.id, groupBy="symbol")
    assert [(group["key"], group["decided"]) for group in whole["groups"]] == [("EURUSD", 3)]
    assert await world.call("CopyQuality", accountId=master.id, groupBy="symbol") == whole
    by_broker = await world.call("CopyQuality", groupBy="broker")
    assert [group["key"] for group in by_broker["groups"]] == ["Beta-MT5"]
    (growth,) = whole["growth"]
    assert growth["copierId"] == copier
    assert growth["points"][0] == {**growth["points"][0], "master": 0, "slave": 0}
    later = await world.call("CopyQuality", copierId=copier, **{"from": "2999-01-01"})
    assert later["total"]["decided"] == 0
    refused = await world.call("CopyQuality", expect=400, copierId=copier, groupBy="moon")
    assert "groupBy" in refused["message"] or "group_by" in refused["message"]
    world.key = ""
    await world.call("CopyQuality", expect=400)
    await world.call("CopyQuality", expect=404, copierId="nobody's")


async def settled(world: World, copier: str, count: int) -> bool:
    """So many opens were copied or refused."""
    ended = [
        row
        for row in await world.logs(copier)
        if row["updateType"] == "MarketOpen" and row["outcome"] in ("opened", "denied", "skipped")
    ]
    return len(ended) == count


async def is_flat(slave: Account) -> bool:
    return not await slave.positions()
