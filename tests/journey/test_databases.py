"""The ring on either database: what REST and the command line show, a rebuild under way, an outage."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from copypro.topics import TOPICS
from pymongo import AsyncMongoClient

from infra.local.servers import Mongo
from tests.conftest import start_or_skip
from tests.journey.commands import copypro, run_command
from tests.journey.shown import outcomes, require_as_rebuilt
from tests.journey.world import CANARY, Account, World, a_world

pytestmark = pytest.mark.slow


async def trade(master: Account, slave: Account, rounds: int) -> None:
    """Opened, partly closed, closed: each copied."""
    for _ in range(rounds):
        ticket = await master.open("EURUSD", "Buy", "0.30")
        rest = await master.close(ticket, "0.10")
        await master.world.eventually(lambda: has(slave, 1))
        await master.close(rest or ticket)
        await master.world.eventually(lambda: has(slave, 0))


async def has(account: Account, positions: int) -> bool:
    return len(await account.positions()) == positions


async def test_what_is_shown_equals_a_rebuild_and_a_rebuild_may_run_at_any_time(
    world: World,
) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    await trade(master, slave, 2)
    trading = asyncio.create_task(trade(master, slave, 6))
    code, text = await copypro(world, "rebuild", "stats")
    assert code == 0, text
    assert text.startswith("rebuilt from ")
    await trading

    async def shown() -> bool:
        closed = await world.call("ClosedOrders", id=slave.id)
        return len({order["ticket"] for order in closed}) == 8

    await world.eventually(shown)
    assert {row["success"] for row in await world.logs(copier)} == {True}
    settings = world.settings()
    await world.stop()
    await require_as_rebuilt(settings)


async def test_an_operators_commands_read_and_write_the_same_database(world: World) -> None:
    assert await copypro(world, "alerts") == (0, "no alerts\n")
    assert await copypro(world, "unresolved") == (0, "nothing is unresolved\n")
    assert json.loads((await copypro(world, "alerts", "--json"))[1]) == []
    password = f"{CANARY}\n{CANARY}\n"
    code, text = await copypro(world, "users", "add", "b@example.com", answers=password)
    assert code == 0, text
    world.key = text.split()[-1]
    assert await world.call("Accounts") == []


async def test_the_password_is_nowhere(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    copier = await world.copier(master, slave)
    await master.open("EURUSD", "Buy", "0.10")
    await outcomes(world, copier, "opened")
    answers = [
        await world.call(name)
        for name in ("Accounts", "UserCopiers", "TradeLogsAll", "Alerts", "Unresolved")
    ]
    assert CANARY not in str(answers)
    for topic in TOPICS:
        for record in await world.records(topic):
            assert CANARY.encode() not in (record.value or b""), topic.name
    if "mongo" in world.stack:
        async with AsyncMongoClient[dict[str, Any]](world.stack["mongo"]) as client:
            database = client.get_default_database()
            for name in await database.list_collection_names():
                assert CANARY not in str(await database[name].find().to_list()), name
    for file in world.data.iterdir() if world.data.exists() else ():
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize("command", ["alerts", "rebuild stats", "users add a@b.c"])
async def test_a_database_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, command: str
) -> None:
    mongo = f"mongodb://user:{CANARY}@127.0.0.1:1/db"
    answers = "secret-word\nsecret-word\n"
    code, text = await run_command(
        *command.split(),
        answers=answers,
        COPYPRO_DATA=str(tmp_path),
        MongoDB=mongo,
        ApiMT5="http://127.0.0.1:1",
    )
    assert code == 2, text
    assert "Traceback" not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("copypro: ")
    assert ("127.0.0.1:1/db" in last) or (command == "rebuild stats" and "COPYPRO_DATA" in last)


async def test_an_outage_of_the_database_stops_no_copy_and_is_caught_up_with(
    tmp_path: Path,
) -> None:
    """What is traded does not wait for what is shown."""
    server = Mongo(tmp_path / "mongod")
    start_or_skip(server.start)
    async with a_world(tmp_path / "data", stack={"mongo": server.url}) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        await asyncio.to_thread(server.kill)
        ticket = await master.open("EURUSD", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 1))
        answer = await world.call("Accounts", expect=503)
        assert answer["code"] == "STORE_UNAVAILABLE"
        await asyncio.to_thread(server.start)

        async def shown() -> bool:
            async with world.http.get(f"/TradeLogs?id={copier}") as response:
                return response.status == 200 and len(await response.json()) == 1

        await world.eventually(shown, within_s=40)
        await master.close(ticket)
        await world.eventually(lambda: has(slave, 0))
    server.stop()
