"""A backup made while the program trades, and the older state that it is brought back to: what
docs/operations.md says of both, on files and on servers.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from copypro import topics
from copypro.adapters import kafka_topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from copypro.envelope import utc_now
from cryptography.fernet import Fernet
from pymongo import AsyncMongoClient

from infra.local.servers import Kafka
from tests.conftest import own_server
from tests.journey.commands import copypro
from tests.journey.shown import require_as_rebuilt
from tests.journey.test_databases import has
from tests.journey.world import EMBEDDED, SERVERS, Stack, World, a_world
from tests.servers import database_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
FILES = ("log", "users", "vault")
COLLECTIONS = ("copypro", "users", "user_keys", "password_resets", "invites", "vault")
LEFT_OUT = re.compile(r".*_\d+|progress|repeats")
"""Read models and how far they are; answers to calls that an older log may not know of."""


class Backup(Protocol):
    stack: Stack

    async def make(self, world: World) -> None:
        """While it trades."""

    async def bring_back(self, world: World) -> None:
        """While it is stopped."""


class OfFiles:
    stack = EMBEDDED

    def __init__(self, to: Path) -> None:
        self._to = to

    async def make(self, world: World) -> None:
        """As the page says: SQLite's own copy of each, in this order, and the key."""
        self._to.mkdir()
        for name in FILES:
            with (
                closing(sqlite3.connect(world.data / f"{name}.db")) as source,
                closing(sqlite3.connect(self._to / f"{name}.db")) as target,
            ):
                source.backup(target)
        shutil.copy(world.data / "secret.key", self._to)

    async def bring_back(self, world: World) -> None:
        world.data = self._to


class OfServers:
    """The broker's volume at one moment, and after it what mongodump and mongorestore carry: all
    documents of the collections that are not made from the log.
    """

    def __init__(self, kafka: Kafka, database: str, to: Path) -> None:
        self._kafka, self._database, self._to = kafka, database, to
        self._dump: dict[str, list[dict[str, Any]]] = {}
        self.stack = {
            "kafka": kafka.address,
            "mongo": database,
            "secret_keys": Fernet.generate_key().decode(),
        }

    async def make(self, world: World) -> None:
        self._kafka.freeze()
        await self._copy(self._kafka.folder / "data", self._to)
        self._kafka.thaw()
        async with AsyncMongoClient[dict[str, Any]](self._database) as client:
            kept = client.get_default_database()
            for name in COLLECTIONS:
                self._dump[name] = await kept[name].find().to_list()
            there = set(await kept.list_collection_names())
        assert {name for name in there if not LEFT_OUT.fullmatch(name)} <= set(COLLECTIONS)

    async def bring_back(self, world: World) -> None:
        self._kafka.kill()
        shutil.rmtree(self._kafka.folder / "data")
        await self._copy(self._to, self._kafka.folder / "data")
        await asyncio.to_thread(self._kafka.start)
        async with AsyncMongoClient[dict[str, Any]](self._database) as client:
            await client.drop_database(client.get_default_database())
            kept = client.get_default_database()
            for name, documents in self._dump.items():
                if documents:
                    await kept[name].insert_many(documents)

    async def _copy(self, source: Path, target: Path) -> None:
        command = ["cp", "-r", "--sparse=always", str(source), str(target)]
        await asyncio.to_thread(subprocess.run, command, check=True)


@asynccontextmanager
async def of_servers(folder: Path, mongo: str) -> AsyncIterator[OfServers]:
    kafka = Kafka(folder / "kafka")
    with own_server(kafka):
        clients = Clients(KafkaSettings(bootstrap=kafka.address), KafkaLimits())
        async with started(clients.admin(), 30) as admin:
            await kafka_topics.create(admin, "", 2, 1)
        async with database_on(mongo) as database:
            yield OfServers(kafka, database, folder / "volume")


@pytest.fixture(params=["files", "servers"])
async def backup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backup]:
    if request.param == "files":
        yield OfFiles(tmp_path / "older")
        return
    async with of_servers(tmp_path, request.getfixturevalue("mongo_url")) as made:
        yield made


async def clocks_known(world: World) -> None:
    """So that what opens from now on is known to be younger than the copier. Brokers' times have whole
    seconds.
    """
    began = utc_now()

    async def is_known() -> bool:
        await world.control.tick_again()
        told = await world.records(topics.ACCOUNT_WATCHER.state)
        known = {
            r.key
            for r in told
            if r.key.startswith("account/") and b'"clock_offset' in (r.value or b"")
        }
        return len(known) == 2 and utc_now() - began > timedelta(seconds=3)

    await world.eventually(is_known)


async def alert_codes(world: World) -> set[str]:
    found: list[dict[str, Any]] = await world.call("Alerts")
    return {alert["code"] for alert in found}


async def test_an_older_state_copies_nothing_twice_and_asks_a_person_what_it_does_not_know(
    tmp_path: Path, backup: Backup
) -> None:
    async with a_world(tmp_path / "data", stack=backup.stack) as world:

        async def is_ready() -> bool:
            return world.ring is not None and not world.ring.not_ready()

        await world.eventually(is_ready, 90)  # a broker's first minute is slow
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        first = await master.open("EURUSD", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 1))
        (known,) = await slave.positions()

        await backup.make(world)

        await master.open("GBPUSD", "Buy", "0.20")
        await world.eventually(lambda: has(slave, 2))
        (unknown,) = (p for p in await slave.positions() if p["ticket"] != known["ticket"])
        await master.close(first)
        await world.eventually(lambda: has(slave, 1))
        await world.stop()

        await backup.bring_back(world)
        await world.start()
        code, said = await copypro(world, "rebuild", "stats")
        assert code == 0, said

        assert {a["id"] for a in await world.call("Accounts")} == {master.id, slave.id}
        await world.eventually(lambda: world.is_connected(slave))
        await world.eventually(lambda: world.is_connected(master))

        async def told() -> bool:
            return "OTHER_COPIER" in await alert_codes(world)

        await world.eventually(told)
        codes = {row["exceptionCode"] for row in await world.logs(copier)}
        assert "MISSED" in codes, codes
        assert [p["ticket"] for p in await slave.positions()] == [unknown["ticket"]], "never twice"

        settled = await copypro(
            world,
            "settle",
            slave.id,
            "--ticket",
            str(unknown["ticket"]),
            "--url",
            world.ring.url,
            key=world.key,  # type: ignore[union-attr]
        )
        assert settled[0] == 0, settled
        await master.open("USDJPY", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 2))


async def test_an_older_log_beside_newer_read_models_shows_what_the_log_says(
    tmp_path: Path,
) -> None:
    """Only log.db is put back. What is shown would stay as it was in the lost future, and what comes now
    would not show until the log was as far again.
    """
    backup = OfFiles(tmp_path / "older")
    async with a_world(tmp_path / "data", stack=backup.stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        first = await master.open("EURUSD", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 1))
        await backup.make(world)
        for _ in range(3):
            await master.close(first)
            await world.eventually(lambda: has(slave, 0))
            first = await master.open("EURUSD", "Buy", "0.10")
            await world.eventually(lambda: has(slave, 1))
        await world.call("CopierPause", copierId=copier, paused=True)
        await world.stop()

        for lost in world.data.glob("log.db-*"):
            lost.unlink()
        shutil.copy(tmp_path / "older" / "log.db", world.data / "log.db")
        await world.start()

        async def is_running() -> bool:
            return not (await world.call("GetCopier", copierId=copier))["paused"]

        await world.eventually(is_running)
        await world.call("CopierPause", copierId=copier, paused=True)
        await world.eventually(lambda: world.is_connected(slave))
        settings = world.settings()
        await world.stop()
        await require_as_rebuilt(settings)


async def test_what_an_older_state_plans_again_is_not_opened_beside_what_it_opened_before(
    tmp_path: Path,
) -> None:
    """Brought back within the age that an open may have; the plan is there before the first look shows
    the position that the lost future opened for it.
    """
    backup = OfFiles(tmp_path / "older")
    async with a_world(tmp_path / "data", stack=backup.stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave)
        await master.open("EURUSD", "Buy", "0.10")  # from here on both are sent quotes
        await world.eventually(lambda: has(slave, 1))

        await clocks_known(world)
        await backup.make(world)
        await master.open("GBPUSD", "Buy", "0.20")
        await world.eventually(lambda: has(slave, 2))
        standing = {position["ticket"] for position in await slave.positions()}
        await world.stop()

        await backup.bring_back(world)
        await world.control.script(
            "MT5", endpoint="ConnectEx", login=slave.login, times=1, delay_before_s=1.0
        )
        await world.start()
        assert (await copypro(world, "rebuild", "stats"))[0] == 0

        async def is_refused() -> bool:
            return "OTHER_COPIER" in {row["exceptionCode"] for row in await world.logs(copier)}

        await world.eventually(is_refused)
        assert "OTHER_COPIER" in await alert_codes(world)
        opened = await world.control.ledger("OrderSend", slave.login)
        assert len(opened) == len(standing)
        assert {position["ticket"] for position in await slave.positions()} == standing


@pytest.mark.parametrize("late", ["slave", "master"])
@pytest.mark.parametrize(
    ("server", "mode"),
    [("Beta-MT5", "Hedging"), ("Beta-MT5", "Netting"), ("Beta-MT4", "Hedging")],
)
async def test_what_an_older_state_plans_again_is_not_opened_if_it_was_copied_and_closed_since(
    tmp_path: Path, server: str, mode: str, late: str
) -> None:
    """Brought back within the age that an open may have; `late`: which account connects last."""
    backup = OfFiles(tmp_path / "older")
    async with a_world(tmp_path / "data", stack=backup.stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account(server, 2001, mode=mode)
        copier = await world.copier(master, slave)
        await master.open("EURUSD", "Buy", "0.10")  # from here on both are sent quotes
        await world.eventually(lambda: has(slave, 1))
        await clocks_known(world)
        await backup.make(world)
        await master.open("GBPUSD", "Buy", "0.20")
        await world.eventually(lambda: has(slave, 2))
        (copied,) = (p for p in await slave.positions() if p["symbol"] == "GBPUSD")
        await slave.close(copied["ticket"])
        sent = await world.control.ledger("OrderSend", slave.login)
        await world.stop()

        await backup.bring_back(world)
        waits = slave if late == "slave" else master
        await world.control.script(
            SERVERS[waits.server],
            endpoint="ConnectEx",
            login=waits.login,
            times=1,
            delay_before_s=1.0,
        )
        await world.start()
        assert (await copypro(world, "rebuild", "stats"))[0] == 0

        async def is_refused() -> bool:
            return "ALREADY_COPIED" in {row["exceptionCode"] for row in await world.logs(copier)}

        await world.eventually(is_refused)
        assert await world.control.ledger("OrderSend", slave.login) == sent

        await master.open("USDJPY", "Buy", "0.10")
        await world.eventually(lambda: has(slave, 2))


async def test_what_an_older_state_mirrors_again_is_not_placed_if_it_filled_and_closed_since(
    tmp_path: Path,
) -> None:
    """However old the master's order is: no age bounds how long it waits."""
    backup = OfFiles(tmp_path / "older")
    async with a_world(tmp_path / "data", stack=backup.stack) as world:
        master = await world.account("Alpha-MT4", 1001)
        slave = await world.account("Beta-MT5", 2001)
        copier = await world.copier(master, slave, copyPendingOrders=True)
        await master.open("EURUSD", "Buy", "0.10")  # from here on both are sent quotes
        await world.eventually(lambda: has(slave, 1))
        await clocks_known(world)
        await backup.make(world)
        await master.open("GBPUSD", "BuyLimit", "0.20", price="1.0990")
        await world.eventually(lambda: has(slave, 2))
        await world.quote("GBPUSD", "1.0980", "1.0982", servers=(slave.server,))
        (filled,) = (p for p in await slave.positions() if p["symbol"] == "GBPUSD")
        assert filled["kind"] == "Buy"
        await slave.close(filled["ticket"])
        await world.quote("GBPUSD", "1.1000", "1.1001", servers=(slave.server,))
        sent = await world.control.ledger("OrderSend", slave.login)
        await world.stop()

        await backup.bring_back(world)
        await world.start()
        assert (await copypro(world, "rebuild", "stats"))[0] == 0

        async def is_refused() -> bool:
            return "ALREADY_COPIED" in {row["exceptionCode"] for row in await world.logs(copier)}

        await world.eventually(is_refused)
        assert await world.control.ledger("OrderSend", slave.login) == sent
