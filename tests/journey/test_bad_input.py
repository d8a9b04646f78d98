"""What goes wrong around the trades: each with its clear error, and nothing lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from decimal import Decimal
from types import SimpleNamespace

import pytest
from copypro import topics
from copypro.envelope import decode

from tests.journey.world import CANARY, Account, World

pytestmark = [pytest.mark.slow, pytest.mark.brokers]


async def error_of(world: World, account: Account) -> dict[str, str]:
    found: list[dict[str, str]] = []

    async def there() -> bool:
        shown = await world.call("Accounts")
        found[:] = [a["connectError"] for a in shown if a["id"] == account.id and a["connectError"]]
        return bool(found)

    await world.eventually(there)
    return found[0]


async def test_a_wrong_password_is_tried_once_then_refused(world: World) -> None:
    await world.control.add_account(server="Alpha-MT4", platform="MT4", login=1, password="right")
    account = await world.register("Alpha-MT4", 1, "wrong")
    assert (await error_of(world, account))["code"] == "INVALID_ACCOUNT"
    await asyncio.sleep(0.5)
    tries = await world.control.ledger("ConnectEx", 1)
    assert len(tries) == 1
    again = await world.register("Alpha-MT4", 1, "right")
    assert again.id == account.id, "the same account is one"
    await world.eventually(lambda: world.is_connected(account))


async def test_an_unknown_server_is_said_by_name(world: World) -> None:
    for server in ("No-Such-MT4", "No-Such-MT5"):
        answer = await world.call(
            "AddAccount", type=server[-3:], user=5, password="x", server=server
        )
        account = Account(world, server, 5, answer["accountId"])
        error = await error_of(world, account)
        assert server in error["message"]


async def test_an_investor_password_reads_and_never_trades(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    await world.control.add_account(
        server="Beta-MT4", platform="MT4", login=7, password="t", investor_password="i"
    )
    slave = await world.register("Beta-MT4", 7, "i")
    await world.eventually(lambda: world.is_connected(slave))
    answer = await world.call(
        "Start", expect=400, masterAccountId=master.id, slaveAccountId=slave.id
    )
    assert answer["code"] == "READ_ONLY"
    assert await world.call("OpenOrders", accountId=slave.id) == []


async def test_a_bridge_that_is_down_is_waited_for(world: World) -> None:
    await world.control.bridge("MT4", down=True)
    await world.control.add_account(
        server="Alpha-MT4", platform="MT4", login=1001, password=CANARY, balance="10000"
    )
    master = await world.register("Alpha-MT4", 1001)
    assert (await error_of(world, master))["code"] == "UNREACHABLE"
    await world.control.bridge("MT4", down=False)
    await world.eventually(lambda: world.is_connected(master))


async def test_a_bridge_that_goes_down_in_flight_comes_back_to_the_same_books(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.bridge("MT5", down=True)
    await master.close(ticket)
    await asyncio.sleep(0.5)
    assert len(await slave.positions()) == 1
    await world.control.bridge("MT5", down=False)

    await world.eventually(slave.is_flat)


async def test_a_forgotten_session_is_taken_up_again(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    await world.control.forget_sessions("MT5")
    await world.control.forget_sessions("MT4")
    await asyncio.sleep(1.0)
    await world.eventually(lambda: world.is_connected(master))
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)


async def test_after_a_lost_session_quotes_are_streamed_again(world: World) -> None:
    """Nothing asks for it: without its quotes each later trade would read them first."""
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    for account in (master, slave):
        await world.eventually(lambda account=account: subscribed(world, account))
    await world.control.clear_ledger()
    for platform in ("MT4", "MT5"):
        await world.control.forget_sessions(platform)
    for account in (master, slave):
        await world.eventually(lambda account=account: subscribed(world, account))


async def subscribed(world: World, account: Account) -> bool:
    calls = [
        entry
        for name in ("Subscribe", "SubscribeMany")
        for entry in await world.control.ledger(name, account.login)
    ]
    return any(
        "EURUSD" in entry["parameters"].values() and entry["answer"] == "ok" for entry in calls
    )


async def test_the_session_limit_of_a_bridge_is_said(world: World) -> None:
    await world.control.bridge("MT4", max_sessions=1)
    await world.account("Alpha-MT4", 1001)
    await world.control.add_account(server="Alpha-MT4", platform="MT4", login=2, password=CANARY)
    second = await world.register("Alpha-MT4", 2)
    assert (await error_of(world, second))["code"] == "MAX_SESSIONS_REACHED"


async def code_of_a_symbol_that_the_slave_has_as(world: World, *names: str) -> str:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    await world.control.add_symbol("Alpha-MT4", name="NZDUSD", margin_currency="NZD")
    await world.control.quote("Alpha-MT4", "NZDUSD", "1.10000", "1.10010")
    for name in names:
        await world.control.add_symbol("Beta-MT5", name=name, margin_currency="NZD")
    await master.open("NZDUSD", "Buy", "0.10")
    code = await world.code(copier)
    assert await slave.positions() == []
    return code


async def test_a_symbol_that_the_slave_does_not_have_is_a_reason(world: World) -> None:
    assert await code_of_a_symbol_that_the_slave_has_as(world) == "UNMAPPED_SYMBOL"


async def test_two_suffixes_that_could_be_meant_are_another_reason(world: World) -> None:
    code = await code_of_a_symbol_that_the_slave_has_as(world, "NZDUSD.a", "NZDUSD.b")
    assert code == "AMBIGUOUS_SYMBOL"


async def test_a_price_ten_times_off_is_another_thing(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    await master.open("GBPUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    await world.control.quote("Beta-MT5", "XAUUSD", "240.00", "240.10")
    await world.control.quote("Alpha-MT4", "XAUUSD", "2400.00", "2400.10")
    await master.open("XAUUSD", "Buy", "0.10")
    assert await world.code(copier) == "SYMBOL_MISMATCH"
    assert len(await slave.positions()) == 1


async def test_terms_that_no_symbol_has_stop_no_other_account(world: World) -> None:
    """A price of forty digits is no number that anybody can compute with."""
    master = await world.account("Alpha-MT4", 1001)
    odd = await world.account("Beta-MT5", 2001)
    slave = await world.account("Beta-MT4", 2002)
    body = {
        "symbolInfo": {"digits": 40, "points": 0.00001, "contractSize": 100_000},
        "symbolGroup": {"minLots": 0.01, "maxLots": 100, "lotsStep": 0.01},
    }
    await world.control.script(
        "MT5", endpoint="SymbolParams", login=2001, times=-1, status=200, body=json.dumps(body)
    )
    for copying in (odd, slave):
        await world.copier(master, copying)
    ticket = await master.open("EURUSD", "Buy", "0.10", stop_loss="1.05")
    await world.eventually(slave.positions)
    await master.close(ticket)
    await world.eventually(slave.is_flat)
    assert await odd.positions() == []


async def test_stops_that_come_with_the_open_are_refused_and_set_afterwards(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001, market_execution_stops=False)
    await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10", stop_loss="1.08")

    async def protected() -> bool:
        return [Decimal(o["stop_loss"]) for o in await slave.positions()] == [Decimal("1.08")]

    await world.eventually(protected)


async def test_a_leg_whose_stop_cannot_be_set_is_closed(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT4", 2001, market_execution_stops=False)
    await world.copier(master, slave)
    await world.control.script(
        "MT4", endpoint="OrderModify", login=2001, times=-1, error="INVALID_SL_TP"
    )
    await master.open("EURUSD", "Buy", "0.10", stop_loss="1.08")

    async def closed() -> bool:
        return await slave.positions() == [] and len(await slave.trades()) == 1

    await world.eventually(closed)


@pytest.mark.parametrize("session", ["shut", "up"])
async def test_a_market_that_is_closed_closes_when_it_opens_and_does_not_open_late(
    world: World, session: str
) -> None:
    """`shut`: the bridge says that it is not connected, as at a weekend. `up`: only trades are
    refused.
    """
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave, maxAgeS=4)  # the first one must not be late
    first = await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    if session == "shut":
        await world.control.set_server("Beta-MT5", market_open=False)
    else:
        for call in ("OrderSend", "OrderClose"):
            await world.control.script(
                "MT5", endpoint=call, login=2001, times=-1, error="MARKET_CLOSED"
            )
    await master.open("GBPUSD", "Buy", "0.10")
    await master.close(first)

    async def expired() -> bool:
        return any(row["exceptionCode"] == "EXPIRED" for row in await world.logs(copier))

    await world.eventually(expired)
    assert [order["symbol"] for order in await slave.positions()] == ["EURUSD"], "still there"
    await world.control.set_server("Beta-MT5", market_open=True)
    await world.control.clear_scripts()

    await world.eventually(slave.is_flat)
    assert {piece["order"]["symbol"] for piece in await slave.trades()} == {"EURUSD"}


async def test_another_copier_on_the_account_pauses_opens_until_a_person_settles_it(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    from copypro.values import CopyId, leg_tag

    stranger = await slave.open("GBPUSD", "Buy", "0.30", comment=leg_tag(CopyId("0" * 32), 0))

    async def alerted() -> bool:
        return any(alert["code"] == "OTHER_COPIER" for alert in await world.call("Alerts"))

    await world.eventually(alerted)
    await master.open("EURUSD", "Buy", "0.10")
    assert await world.code(copier) == "OTHER_COPIER"
    await world.call("Settle", accountId=slave.id, ticket=stranger)
    await master.open("AUDUSD", "Buy", "0.20")

    async def copied() -> bool:
        return Decimal("0.20") in await slave.lots()

    await world.eventually(copied)
    assert await world.call("Alerts") == []


async def test_removing_an_account_leaves_or_closes_its_copies_as_asked(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    leaves = await world.account("Beta-MT4", 2001)
    closes = await world.account("Beta-MT5", 2002)
    await world.copier(master, leaves)
    await world.copier(master, closes)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(leaves.positions)
    await world.eventually(closes.positions)
    answer = await world.call("RemoveAccount", accountId=leaves.id)
    assert len(answer["leftOpen"]) == 1
    await world.call("RemoveAccountByApiId", apiId=closes.id, closeTrades=True)

    await world.eventually(closes.is_flat)
    assert len(await leaves.positions()) == 1
    assert [a["id"] for a in await world.call("Accounts")] == [master.id]
    await world.call("OpenOrders", expect=404, accountId=leaves.id)


async def test_with_a_wrong_clock_of_this_machine_nothing_is_opened_and_closes_go_on(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    first = await master.open("EURUSD", "Buy", "0.10")  # from here on both are sent quotes

    async def copied() -> bool:
        return len(await slave.positions()) == 1

    await world.eventually(copied)
    await world.control.shift_clock(20)
    codes: list[str] = []

    async def refused() -> bool:
        await world.control.tick_again()
        await master.open("EURUSD", "Sell", "0.10")
        codes[:] = [r["exceptionCode"] for r in await world.logs(copier) if r["exceptionCode"]]
        return "CLOCK_OFF" in codes

    await world.eventually(refused)
    await master.close(first)

    async def closed() -> bool:
        return all(p["kind"] == "Sell" for p in await slave.positions())

    await world.eventually(closed)  # closes wait for no clock


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
async def test_with_little_room_left_nothing_is_opened_and_closes_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    ticket = await master.open("EURUSD", "Buy", "0.10")

    async def copied() -> bool:
        return [p["kind"] for p in await slave.positions()] == ["Buy"]

    await world.eventually(copied)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 << 20))

        async def is_said() -> bool:
            async with world.http.get("/health/ready") as response:
                reasons = (await response.json())["reasons"]
                named = [
                    "the disk is nearly full (20 MB left): nothing is opened until there are 150 MB"
                ]
                return response.status == 503 and reasons == named

        await world.eventually(is_said)
        await master.open("GBPUSD", "Sell", "0.10")

        async def is_denied() -> bool:
            return "DISK_FULL" in [row["exceptionCode"] for row in await world.logs(copier)]

        await world.eventually(is_denied)
        (alert,) = await world.records(topics.ORDER_EVENTS, "AlertRaised")
        told = decode(alert).message
        assert told.code == "DISK_FULL"
        assert "or the data folder is not where it was" in told.text
        await master.close(ticket)

        async def flat() -> bool:
            return await slave.positions() == []

        await world.eventually(flat)

    async def is_ready() -> bool:
        async with world.http.get("/health/ready") as response:
            return response.status == 200

    await world.eventually(is_ready)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(copied)


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)  # the file's limit is SQLite's
async def test_a_full_disk_sends_nothing_says_so_and_resumes(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    assert world.ring is not None
    await world.ring.stores.log.limit_pages(1)
    ticket = await master.open("EURUSD", "Buy", "0.10")
    stops = itertools.cycle(("1.05", "1.06"))

    async def said() -> bool:
        """Written until nothing more goes in, pages that were free first; and REST says so."""
        await master.modify(ticket, next(stops))
        headers = {"Authorization": f"Bearer {world.key}"}
        body = {"id": copier, "masterSymbol": "GBPUSD", "slaveSymbol": "GBPUSD"}
        async with world.http.post("/AddSymbolMapping", json=body, headers=headers) as response:
            return response.status == 507

    await world.eventually(said)

    async def is_not_ready() -> bool:
        async with world.http.get("/health/ready") as response:
            return response.status == 503 and "disk is full" in await response.text()

    await world.eventually(is_not_ready)
    assert await world.control.ledger("OrderSend", slave.login) == []
    await world.ring.stores.log.limit_pages(10_000_000)

    async def settled() -> bool:
        return len(await slave.positions()) == 1 or bool(
            [row for row in await world.logs(copier) if row["exceptionCode"]]
        )

    await world.eventually(settled, within_s=30)
    assert len(await world.control.ledger("OrderSend", slave.login)) <= 1
    await master.close(ticket)

    await world.eventually(slave.is_flat)
    again = await master.open("EURUSD", "Sell", "0.10")

    async def copied() -> bool:
        return [p["kind"] for p in await slave.positions()] == ["Sell"]

    await world.eventually(copied)
    await master.close(again)
