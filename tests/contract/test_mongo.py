"""What only MongoDB can do wrong: addresses, credentials, other people's databases, kills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from copypro import collections as c
from copypro.adapters.mongo_database import ABOUT, MongoDatabase, MongoLimits, Session
from copypro.adapters.mongo_vault import KEYS
from copypro.errors import (
    CopyProError,
    KeyDestroyed,
    SecretsError,
    SettingsError,
    StoreRefused,
    StoreUnavailable,
)
from copypro.ports import Document
from copypro.values import RegistrationId
from cryptography.fernet import Fernet
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from infra.local.servers import Mongo
from tests.conftest import start_or_skip
from tests.contract.stores import LIMITS, MongoPlace, new_id, put

pytestmark = pytest.mark.slow
Answer = TypeVar("Answer")
CANARY = "c4n4ry-p4ssw0rd"


class Standalone(Mongo):
    """A mongod as many have it: no replica set, so no transactions."""

    def _command(self) -> list[str]:
        command = super()._command()
        at = command.index("--replSet")
        return command[:at] + command[at + 2 :]

    def _serves(self, begins_at: int) -> bool:
        return "Waiting for connections" in self._said(begins_at)


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[Mongo]:
    """One that the test may kill."""
    yield from _started(Mongo(tmp_path / "mongod"))


def _started(server: Mongo) -> Iterator[Mongo]:
    start_or_skip(server.start)
    yield server
    server.stop()


async def refusal(url: str, **how: Any) -> CopyProError:
    with pytest.raises(CopyProError) as caught:
        await MongoDatabase.open(url, new_id, limits=LIMITS, **how)
    assert CANARY not in repr(caught.value)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__, "the driver may tell more"
    return error


# --- addresses and servers --------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://user:{CANARY}/@host/db",
        f"http://user:{CANARY}@host",
        f"mongodb://user:{CANARY}@host:port/db",
        f"mongodb://user:{CANARY}@host/a database",
    ],
)
async def test_what_is_no_address_is_refused_by_the_settings_name(url: str) -> None:
    error = await refusal(url)
    assert isinstance(error, SettingsError)
    assert "MongoDB" in str(error)


async def test_a_server_that_is_not_there_may_come_later() -> None:
    url = f"mongodb://user:{CANARY}@127.0.0.1:1/db"
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1") as caught:
        await MongoDatabase.open(url, new_id, limits=MongoLimits(select_s=0.3))
    assert CANARY not in str(caught.value)


async def test_wrong_credentials_are_refused_and_not_told(mongo: MongoPlace) -> None:
    url = mongo.url.replace("mongodb://", f"mongodb://somebody:{CANARY}@")
    error = await refusal(url)
    assert isinstance(error, StoreRefused)
    assert "user name or password" in str(error)


async def test_a_mongod_without_a_replica_set_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for server in _started(Standalone(tmp_path)):
        error = await refusal(f"mongodb://{server.address}/")
        assert isinstance(error, StoreRefused)
        assert "--replSet" in str(error)
        assert "rs.initiate()" in str(error)


# --- whose database it is ---------------------------------------------------------------------


async def test_a_new_database_takes_the_logs_installation_and_keeps_it(mongo: MongoPlace) -> None:
    first = await mongo.database("the-logs")
    assert first.installation_id == "the-logs"
    assert (await mongo.database()).installation_id == "the-logs"
    error = await refusal(mongo.url, installation="another")
    assert isinstance(error, StoreRefused)
    assert "the-logs" in str(error)
    assert "another" in str(error)
    assert "mixed up" in str(error)


async def test_of_many_processes_that_start_at_once_all_agree(mongo: MongoPlace) -> None:
    opened = await asyncio.gather(*(mongo.models() for _ in range(5)))
    await opened[0].upsert([put("1", "a/0", 1, {"copier": "x"})])
    ids = {(await mongo.database()).installation_id for _ in range(2)}
    assert len(ids) == 1
    assert await opened[4].get(c.TRADE_LOGS, "1") is not None


async def test_another_programs_database_is_refused_and_left_alone(mongo: MongoPlace) -> None:
    async with AsyncMongoClient[Document](mongo.url) as client:
        theirs = client.get_default_database()
        await theirs["invoices"].insert_one({"_id": "1"})
        error = await refusal(mongo.url)
        assert isinstance(error, StoreRefused)
        assert "another program" in str(error)
        assert await theirs.list_collection_names() == ["invoices"]


async def test_a_database_whose_first_document_is_still_to_come_is_nobodys(
    mongo: MongoPlace,
) -> None:
    """As another process's first write leaves it for a moment, or for good when it ends there."""
    async with AsyncMongoClient[Document](mongo.url) as client:
        await client.get_default_database().create_collection(ABOUT)
    assert (await mongo.database("the-logs")).installation_id == "the-logs"


async def test_anothers_collection_of_the_same_name_is_refused_and_left_alone(
    mongo: MongoPlace,
) -> None:
    async with AsyncMongoClient[Document](mongo.url) as client:
        theirs = client.get_default_database()[ABOUT]
        await theirs.insert_one({"_id": "us"})
        error = await refusal(mongo.url)
        assert isinstance(error, StoreRefused)
        assert "another program" in str(error)
        assert [one["_id"] async for one in theirs.find()] == ["us"]


async def test_reading_beside_the_program_makes_nothing(mongo: MongoPlace) -> None:
    with pytest.raises(StoreRefused, match="no data of CopyPro"):
        await MongoDatabase.open_existing(mongo.url, LIMITS)
    async with AsyncMongoClient[Document](mongo.url) as client:
        assert await client.get_default_database().list_collection_names() == []


async def test_a_newer_schema_is_refused(mongo: MongoPlace) -> None:
    database = await mongo.database()
    await database.about.update_one({"_id": "installation"}, {"$set": {"schema": 99}})
    error = await refusal(mongo.url)
    assert isinstance(error, StoreRefused)
    assert "newer version (99)" in str(error)


async def test_after_keys_that_were_lost_for_good_the_vault_begins_anew(mongo: MongoPlace) -> None:
    """As docs/operations.md says it, under *Secret keys*."""
    lost, new = ([Fernet.generate_key().decode()] for _ in range(2))
    one = RegistrationId("1" * 32)
    sealed = await (await mongo.vault(lost)).seal(one, "s3cret")
    with pytest.raises(SecretsError, match="restore the key"):
        await mongo.vault(new)
    async with AsyncMongoClient[dict[str, Any]](mongo.url) as client:
        database = client.get_default_database()
        await database[KEYS].drop()
        await database[ABOUT].delete_one({"_id": "canary"})
    vault = await mongo.vault(new)
    with pytest.raises(KeyDestroyed):
        await vault.unseal(one, sealed)
    assert await vault.unseal(one, await vault.seal(one, "an0ther")) == "an0ther"


async def test_every_declared_field_has_an_index_that_find_uses(mongo: MongoPlace) -> None:
    models = await mongo.models()
    await models.upsert([put(str(n), "a/0", 1, {"copier": "x", "time": str(n)}) for n in range(9)])
    rows = (await mongo.database()).collection("trade_logs_1")
    names = {tuple(index["key"]) for index in await (await rows.list_indexes()).to_list()}
    assert {("index.copier", "index.time", "_id"), ("index.time", "_id")} <= names
    plan = await rows.find({"index.copier": "x"}).sort({"index.time": -1, "_id": -1}).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"])


# --- trouble ----------------------------------------------------------------------------------


async def test_a_call_that_took_too_long_is_in_nobodys_way(mongo: MongoPlace) -> None:
    """Its transaction, which no time was left to abort, would block the document for a minute."""
    models = await mongo.models()
    await models.upsert([put("1", "a/0", 1, {"copier": "x"})])
    hasty = await MongoDatabase.open(mongo.url, new_id, limits=MongoLimits(write_s=0.3))
    rows = hasty.collection("trade_logs_1")

    async def dawdle(session: Session) -> None:
        await rows.update_one({"_id": "1"}, {"$set": {"index": None}}, session=session)
        await asyncio.sleep(0.4)
        await rows.find_one({"_id": "1"}, session=session)

    with pytest.raises(StoreUnavailable):
        await hasty.transaction(dawdle)
    async with asyncio.timeout(60):
        await models.upsert([put("1", "a/0", 2, {"copier": "y"})])
    assert await models.find(c.TRADE_LOGS, {"copier": "y"}) == [{"copier": "y", "id": "1"}]
    await hasty.close()


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_cancelled_in_the_moment_of_its_answer_ends(
    mongo: MongoPlace, *, fails: bool
) -> None:
    database = await mongo.database()
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asked = asyncio.Event()

    async def call() -> None:
        with database.asking():
            asked.set()
            await asyncio.wait_for(answer, 60)  # as the driver does

    calling = asyncio.create_task(call())
    await asked.wait()
    if fails:
        answer.set_exception(AutoReconnect("the connection is gone"))
    else:
        answer.set_result(None)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_whenever_a_call_is_cancelled_it_is_over(mongo: MongoPlace) -> None:
    """By the driver itself: of four thousand that did not listen, three hundred went on."""
    database = await mongo.database()
    loop, moments = asyncio.get_running_loop(), random.Random(7)
    went_on = 0

    async def call() -> None:
        with database.asking():
            await database.about.find_one()

    for _ in range(400):
        calling = asyncio.create_task(call())
        timer = loop.call_later(moments.uniform(0.0003, 0.0025), calling.cancel)
        await asyncio.wait([calling])
        timer.cancel()
        went_on += bool(calling.cancelling() and not calling.cancelled())
    assert went_on == 0


@pytest.fixture
async def killable(own_mongod: Mongo) -> AsyncIterator[MongoPlace]:
    made = MongoPlace(own_mongod.url, MongoLimits(select_s=2.0, write_s=6.0))
    yield made
    await made.close()


ROWS = 25


async def test_mongod_killed_amid_upserts_keeps_what_was_acknowledged_and_nothing_half(
    own_mongod: Mongo, killable: MongoPlace
) -> None:
    """Writers without a pause; four times `kill -9`, some with an upsert on its way."""
    models = await killable.models()
    acknowledged = {"a/0": 0, "b/0": 0}
    told = asyncio.Condition()
    stop = asyncio.Event()

    async def write(source: str) -> None:
        while not stop.is_set():
            version = acknowledged[source] + 1
            fields: Document = {"copier": source, "time": str(version)}
            rows = [put(f"{source}-{n}", source, version, fields) for n in range(ROWS)]
            await _answered(partial(models.upsert, rows))
            acknowledged[source] = version
            async with told:
                told.notify_all()

    async def stored(source: str) -> int:
        """The version that all of its rows have."""
        rows = await _answered(lambda: models.find(c.TRADE_LOGS, {"copier": source}))
        assert len(rows) == ROWS
        (time,) = {row["time"] for row in rows}
        return int(str(time))

    async with asyncio.TaskGroup() as tasks:
        for source in acknowledged:
            tasks.create_task(write(source))
        for _ in range(4):
            wanted = {source: version + 5 for source, version in acknowledged.items()}
            async with told:
                await told.wait_for(lambda: all(acknowledged[s] >= wanted[s] for s in wanted))  # noqa: B023
            await asyncio.to_thread(own_mongod.kill)
            before = dict(acknowledged)
            await asyncio.to_thread(own_mongod.start)
            for source in acknowledged:
                assert await stored(source) >= before[source]
        stop.set()
    for source in acknowledged:
        assert await stored(source) == acknowledged[source]


async def _answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """As the projection does: asked again until the database answers."""
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            continue
