"""Reports of MetaTrader by REST: accounts to look at, merged by ticket, never copied or traded."""

from __future__ import annotations

from typing import Any

import pytest
from copypro_standalone.explaining import story_of

from tests.documented import problems
from tests.journey.world import World
from tests.unit import statement_writer as write

pytestmark = pytest.mark.slow


def closed(ticket: int, day: int, profit: str = "10.00") -> str:
    at = f"2024.05.{day:02}"
    money = ("-1.00", "0.00", "0.50", profit)
    return write.mt4_closed(
        ticket, f"{at} 10:00:00", "buy", "0.10", "eurusd", ("1.10000", "1.10100"),
        f"{at} 12:00:00", money,
    )  # fmt: skip


DEPOSIT = write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "1000.00")


def report(*rows: str, balance: str = "1000.00") -> bytes:
    return write.mt4_statement(rows, [("Balance", balance)]).encode()


async def post(
    world: World, data: bytes, *, expect: int = 200, lenient: bool = False
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {world.key}"}
    address = f"/ImportStatement?lenient={str(lenient).lower()}"
    async with world.http.post(address, data=data, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == expect, answer
        assert problems("ImportStatement", response.status, answer) == []
        return answer


async def closed_orders(world: World, id_: str) -> list[dict[str, Any]]:
    """Oldest first."""
    rows: list[dict[str, Any]] = await world.call("ClosedOrders", accountId=id_)
    return rows[::-1]


async def test_a_report_is_an_account_that_is_looked_at(world: World) -> None:
    answer = await post(world, report(DEPOSIT, closed(2, 1), closed(3, 2), balance="1019.00"))
    assert (answer["added"], answer["same"], answer["contradictions"]) == (3, 0, [])
    shown = await world.call("GetAccount", accountId=answer["accountId"])
    assert (shown["kind"], shown["status"], shown["connected"]) == ("imported", "imported", False)
    assert shown["accountSummary"]["balance"] == 1019
    orders = await closed_orders(world, answer["accountId"])
    assert [(o["ticket"], o["symbol"], o["type"], o["profit"]) for o in orders] == [
        (2, "eurusd", "Buy", 10.0),
        (3, "eurusd", "Buy", 10.0),
    ]
    assert orders[0]["openTime"].startswith("2024-05-01T10:00:00")


async def test_an_imported_trade_is_explained_by_its_login_or_registration(world: World) -> None:
    answer = await post(world, report(DEPOSIT, closed(2, 1)))
    shown = await world.call("GetAccount", accountId=answer["accountId"])
    for account in (str(shown["user"]), answer["accountId"]):
        story = await story_of(world.settings(), account, 2)
        assert not isinstance(story, str), account
        assert [line.event for line in story.lines] == ["PositionOpened", "PositionClosed"]


async def test_the_same_file_twice_changes_nothing(world: World) -> None:
    data = report(DEPOSIT, closed(2, 1))
    first = await post(world, data)
    before = await closed_orders(world, first["accountId"])
    again = await post(world, data)
    assert (again["added"], again["same"]) == (0, 2)
    assert again["accountId"] == first["accountId"]
    assert await closed_orders(world, first["accountId"]) == before
    assert len(await world.call("Accounts")) == 1


async def test_files_that_overlap_merge_by_ticket_and_a_contradiction_is_named(
    world: World,
) -> None:
    first = await post(world, report(DEPOSIT, closed(2, 1), closed(3, 2)))
    second = await post(world, report(closed(3, 2, "99.00"), closed(4, 3)))
    assert (second["added"], second["same"]) == (1, 0)
    (text,) = second["contradictions"]
    assert text.startswith("3 is Buy 0.10 eurusd")
    assert "99.00" in text
    assert "but was imported as Buy 0.10 eurusd" in text
    orders = await closed_orders(world, first["accountId"])
    assert [(o["ticket"], o["profit"]) for o in orders] == [(2, 10.0), (3, 10.0), (4, 10.0)]


async def test_what_was_imported_is_remembered_after_a_restart(world: World) -> None:
    data = report(DEPOSIT, closed(2, 1))
    await post(world, data)
    await world.stop()
    await world.start()
    assert (await post(world, data))["same"] == 2


async def test_an_imported_account_is_never_copied_or_traded(world: World) -> None:
    live = await world.account("Alpha-MT4", 1001)
    id_ = (await post(world, report(DEPOSIT)))["accountId"]
    for master, slave in ((id_, live.id), (live.id, id_)):
        refused = await world.call(
            "Start", expect=400, masterAccountId=master, slaveAccountId=slave
        )
        assert refused["code"] == "IMPORTED_ACCOUNT"
    await world.call("RemoveAccount", accountId=id_)
    assert [account["id"] for account in await world.call("Accounts")] == [live.id]


async def test_a_large_report_arrives_in_pieces(world: World) -> None:
    rows = [closed(number, 1 + number % 28) for number in range(2, 1002)]
    answer = await post(world, report(DEPOSIT, *rows))
    assert answer["added"] == 1001
    orders = await world.call("ClosedOrders", accountId=answer["accountId"], limit=10_000)
    assert len({order["ticket"] for order in orders}) == 1000


async def test_what_cannot_be_read_is_refused_and_lenient_lists_it(world: World) -> None:
    data = report(closed(2, 1), closed(3, 2, "ten"))
    refused = await post(world, data, expect=400)
    assert refused["code"] == "BAD_STATEMENT"
    assert "line 6: expected a number as profit, found 'ten'" in refused["message"]
    assert await world.call("Accounts") == []
    answer = await post(world, data, lenient=True)
    assert answer["added"] == 1
    assert len(answer["problems"]) == 1


async def test_without_a_key_nothing_is_imported(world: World) -> None:
    world.key = ""
    refused = await post(world, report(DEPOSIT), expect=401)
    assert "key" in refused["message"].lower()
