"""Equity protectors at the brokers: what is reached, what is done, and that it is done once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copypro.topics import EXECUTIONS, ORDER_EVENTS
from copypro_standalone.explaining import story_of

from tests.journey.conftest import Stack
from tests.journey.world import FAST, Account, World, a_world

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    fast = msgspec.structs.replace(FAST, protect_every_s=0.05)
    async with a_world(tmp_path / "data", fast, stack) as made:
        yield made


async def protect(world: World, account: Account, **fields: Any) -> None:
    await world.call("UpdateEquityProtector", accountId=account.id, **fields)

    async def counted() -> bool:
        return (await protector(world, account))["startBalance"] is not None

    await world.eventually(counted)


async def protector(world: World, account: Account) -> dict[str, Any]:
    shown = await world.call("GetAccount", accountId=account.id)
    found: dict[str, Any] = shown["equityProtector"]
    return found


async def triggered(world: World, account: Account) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        shown = await protector(world, account)
        found[:] = [shown["triggered"]] if shown["triggered"] else []
        return bool(found)

    await world.eventually(there)
    return found[0]


async def stands(world: World, account: Account, count: int) -> None:
    async def there() -> bool:
        return len(await account.positions()) == count

    await world.eventually(there)


async def paused(world: World, copier: str, reason: str) -> None:
    async def there() -> bool:
        shown = await world.call("GetCopier", id=copier)
        return bool(shown["pauseReason"] == reason)

    await world.eventually(there)


async def acted(world: World) -> int:
    return len(await world.records(ORDER_EVENTS, "EquityProtectorTriggered"))


async def test_a_stop_closes_copies_pauses_their_copier_and_leaves_foreign_trades(
    world: World,
) -> None:
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT4", 2001, balance="10000")
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "1.00")
    foreign = await slave.open("GBPUSD", "Buy", "0.01")
    await stands(world, slave, 2)
    await protect(
        world, slave, stopLossPercent=5, alert=True, disableCopier=True, closeCopiedTrades=True
    )
    await world.quote("EURUSD", "1.09550", "1.09560")  # 460 lost: not yet
    await world.quote("EURUSD", "1.09400", "1.09410")  # 610 lost: 5 % is 500
    trip = await triggered(world, slave)
    assert (trip["rule"], trip["level"]) == ("stopLossPercent", 9500)
    assert trip["equity"] <= 9500
    await stands(world, slave, 1)
    assert [order["ticket"] for order in await slave.positions()] == [foreign]
    await paused(world, copier, "EquityProtection")
    assert [a["code"] for a in await world.call("Alerts")] == ["EQUITY_PROTECTION"]

    async def told() -> dict[str, Any] | None:
        rows = await world.logs(copier)
        return next((row for row in rows if row["tradeReason"] == "EquityProtector"), None)

    await world.eventually(told)
    row = await told()
    assert row is not None
    assert (row["updateType"], row["success"]) == ("MarketClose", True)
    said = {message["message"] for message in row["messages"]}
    assert {"why = EQUITY_PROTECTION", "rule = stopLossPercent"} <= said
    assert any(text.startswith("limit = 9500") for text in said)
    story = await story_of(world.settings(), slave.id, int(row["slaveTicket"]))
    assert not isinstance(story, str)
    texts = [line.text for line in story.lines]
    acting = next(n for n, text in enumerate(texts) if text.startswith("equity protector: "))
    assert "reached stopLossPercent, which is 9500" in texts[acting]
    assert [text for text in texts[acting:] if "tradeReason=EquityProtector" in text]
    refused = await world.call("CopierPause", expect=409, id=copier, paused=False)
    assert refused["code"] == "EQUITY_PROTECTION"
    assert await acted(world) == 1
    await world.stop()
    await world.start()
    assert (await triggered(world, slave))["timeUTC"] == trip["timeUTC"]
    await protect(world, slave, stopLossAbsolute=1, alert=True)
    await world.call("CopierPause", id=copier, paused=False)
    assert await world.call("Alerts") == []
    await master.open("AUDUSD", "Buy", "0.10")
    await stands(world, slave, 2)
    assert await acted(world) == 1


async def test_a_target_flattens_everything_whatever_happens_in_between(world: World) -> None:
    """The named flatten: foreign trades and pending orders too, by attempts like any other close; a
    bridge that refuses and a restart in the middle change nothing about that.
    """
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001, balance="10000")
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "1.00")
    await slave.open("GBPUSD", "Sell", "0.10")
    await slave.open("AUDUSD", "BuyLimit", "0.10", price="1.05000")
    await stands(world, slave, 3)
    await protect(world, slave, takeProfitValue=400, disableCopier=True, closeAllTrades=True)
    await world.control.script(
        "MT5", endpoint="OrderClose", login=2001, times=-1, error="MARKET_CLOSED"
    )
    await world.quote("EURUSD", "1.10600", "1.10610")
    trip = await triggered(world, slave)
    assert (trip["breach"], trip["rule"]) == ("TakeProfit", "takeProfitValue")

    async def tried() -> bool:
        calls = await world.control.ledger("OrderClose", 2001)
        return len(calls) > 6

    await world.eventually(tried)
    await world.stop()
    await world.control.clear_scripts()
    await master.open("USDCHF", "Buy", "0.10")
    await world.start()
    await world.eventually(slave.is_flat)

    async def reported() -> bool:
        return not (await protector(world, slave))["flattening"]

    await world.eventually(reported)
    assert await acted(world) == 1
    closes = [piece["order"]["ticket"] for piece in await slave.trades()]
    assert len(closes) == len(set(closes)) == 3
    calls = len(await world.control.ledger("OrderClose", 2001))
    started = [msgspec.json.decode(r.value or b"") for r in await world.records(
        EXECUTIONS, "AttemptStarted")]  # fmt: skip
    attempts = [a for a in started if a["request"]["type"] in ("close", "delete")]
    assert calls <= len(attempts), "never a call without its committed attempt"
    assert all(attempt["numbers"]["why"] == "EQUITY_PROTECTION" for attempt in attempts)
    rows = await world.call("TradeLogsAll")
    closed = [row for row in rows if row["outcome"] == "closed"]
    assert {row["copierId"] for row in closed} == {copier, slave.id}
    assert {row["tradeReason"] for row in closed} == {"EquityProtector"}
    sides = {(row["copierId"], row["masterApiId"], row["slaveApiId"]) for row in closed}
    assert sides == {(copier, master.id, slave.id), (slave.id, None, slave.id)}
    await paused(world, copier, "EquityProtection")
    await slave.open("GBPUSD", "Buy", "0.01")  # by its owner, later: not ours to close
    await stands(world, slave, 1)


async def test_a_new_day_of_the_brokers_counts_anew_and_money_paid_in_or_out_is_no_result(
    world: World,
) -> None:
    await world.control.set_server("Beta-MT5", offset_minutes=-12 * 60)
    master = await world.account("Alpha-MT5", 1001)
    slave = await world.account("Beta-MT5", 2001, balance="10000")
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "1.00")
    await stands(world, slave, 1)
    limits = {"stopLossPercent": 3, "takeProfitPercent": 50}
    acts = {"disableCopier": True, "closeCopiedTrades": True}
    await protect(world, slave, dailyReset=True, **limits, **acts)

    async def dated() -> bool:
        await world.control.tick_again()
        return (await protector(world, slave))["brokerDay"] is not None

    await world.eventually(dated)
    await world.control.deposit("Beta-MT5", 2001, "-5000")

    async def moved() -> bool:
        return bool((await protector(world, slave))["startBalance"] == 5000)

    await world.eventually(moved)
    assert await acted(world) == 0
    await world.quote("EURUSD", "1.09800", "1.09810")  # 210 lost: 3 % of 5000 is 150
    assert (await triggered(world, slave))["level"] == 4850
    await paused(world, copier, "EquityProtection")
    await world.eventually(slave.is_flat)
    await world.control.set_server("Beta-MT5", offset_minutes=14 * 60)  # at any hour another day

    async def reset() -> bool:
        await world.control.tick_again()
        return (await protector(world, slave))["triggered"] is None

    await world.eventually(reset)
    await paused(world, copier, "None")
    assert len(await world.records(ORDER_EVENTS, "EquityProtectorReset")) == 1
    assert 4700 < (await protector(world, slave))["startBalance"] < 4850
    assert await acted(world) == 1
