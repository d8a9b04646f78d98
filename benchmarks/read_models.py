"""Read models: documents written a second, against bare bulk upserts of the same documents.

Ten copies of each trade, planned and opened: rows of two sources each, and a log line. The bare run is
what one would write without us: `$set` upserts in one ordered bulk_write per collection, majority,
no versions, no sources, nothing atomic. Beside it the same in a transaction, what stats makes of
events (decode, project, write), and SQLite. Needs a mongod of the tests (`infra/local`).
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from copypro import topics
from copypro.adapters.mongo_database import MongoDatabase, Session
from copypro.adapters.mongo_read_models import MongoReadModels
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.collections import INDEXED, TRADE_LOGS
from copypro.envelope import encode, fact
from copypro.messages import CopyOpened, CopyPlanned
from copypro.ports import Outgoing, ReadModels, Record, Upsert
from copypro.topics import Topic
from copypro.values import AccountId, AttemptId, CopierId, CopyId, RootId, Side, Ticket, digest
from copypro_stats.batch import Parts, batch_of
from pymongo import AsyncMongoClient, UpdateOne

from infra.local.servers import Mongo

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRADES = 600
COPIES = 10
BATCH = 200
"""Records that stats reads at once under load."""
Write = Callable[[Sequence[Record]], Awaitable[int]]


def records() -> list[Record]:
    made: list[Record] = []
    for trade in range(TRADES):
        for number in range(COPIES):
            made.append(_record(topics.COPIER_EVENTS, trade * COPIES + number, _planned))
        for number in range(COPIES):
            made.append(_record(topics.EXECUTIONS, trade * COPIES + number, _opened))
    return made


def _record(topic: Topic, offset: int, message: Callable[[dict[str, Any]], Any]) -> Record:
    trade, number = divmod(offset, COPIES)
    common = {
        "copy": CopyId(digest("copy", offset)),
        "copier": CopierId(f"{number:032x}"),
        "master": AccountId("0" * 32),
        "slave": AccountId(f"{number + 1:032x}"),
        "root": RootId(str(trade)),
        "leg": 0,
    }
    out: Outgoing = encode(topic, "0" * 32, fact(message(common), NOW, topic.name, offset))
    return Record(topic.name, 0, offset, out.key, out.value, out.headers, NOW.timestamp())


def _planned(common: dict[str, Any]) -> CopyPlanned:
    trade = {"symbol": "EURUSD", "side": Side.BUY, "lots": Decimal("0.10")}
    return CopyPlanned(**common, **trade, price=Decimal("1.10010"), seen_at_utc=NOW)


def _opened(common: dict[str, Any]) -> CopyOpened:
    trade = {"symbol": "EURUSD", "side": Side.BUY, "lots": Decimal("0.05")}
    return CopyOpened(
        **common,
        **trade,
        attempt=AttemptId(common["copy"]),
        ticket=Ticket(int(common["root"])),
        price=Decimal("1.10012"),
        slippage=Decimal("0.00002"),
        sent_at_utc=NOW,
        answered_at_utc=NOW,
    )


async def upserts_of(batch: Sequence[Record], models: ReadModels) -> list[Upsert]:
    return (await batch_of(batch, Parts(models))).upserts


async def bare(client: AsyncMongoClient[Any], *, transaction: bool) -> Write:
    """The same fields at the top level, with the same number of indexes."""
    database = client[f"bare_{uuid.uuid4().hex[:8]}"]
    for collection, fields in INDEXED.items():
        for at in range(len(fields)):
            await database[collection].create_index([*((f, 1) for f in fields[at:]), ("_id", 1)])

    async def put(prepared: dict[str, list[UpdateOne]], session: Session | None = None) -> None:
        for collection, operations in prepared.items():
            await database[collection].bulk_write(operations, session=session)

    async def write(batch: Sequence[Record]) -> int:
        prepared: dict[str, list[UpdateOne]] = {}
        changes = PREPARED[batch[0].topic, batch[0].offset]
        for change in changes:
            operation = UpdateOne({"_id": change.id}, {"$set": change.fields}, upsert=True)
            prepared.setdefault(change.collection, []).append(operation)
        if not transaction:
            await put(prepared)
        else:
            async with client.start_session() as session:
                await session.with_transaction(lambda s: put(prepared, s))
        return len(changes)

    return write


def adapter(models: ReadModels) -> Write:
    async def write(batch: Sequence[Record]) -> int:
        changes = PREPARED[batch[0].topic, batch[0].offset]
        await models.upsert(changes)
        return len(changes)

    return write


def stats(models: ReadModels) -> Write:
    parts = Parts(models)

    async def write(batch: Sequence[Record]) -> int:
        changes = (await batch_of(batch, parts)).upserts
        await models.upsert(changes)
        return len(changes)

    return write


PREPARED: dict[tuple[str, int], list[Upsert]] = {}
"""Each batch's changes by its first record: what is not measured is done before."""


async def rates(ways: dict[str, Write], batches: Sequence[Sequence[Record]]) -> dict[str, float]:
    """Every way writes each batch before the next one, so that all meet the same machine."""
    took = dict.fromkeys(ways, 0.0)
    written = dict.fromkeys(ways, 0)
    for number, batch in enumerate(batches):
        in_turn = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for way in in_turn:
            begun = time.perf_counter()
            written[way] += await ways[way](batch)
            took[way] += time.perf_counter() - begun
    return {way: written[way] / took[way] for way in ways}


async def read_ms(models: ReadModels, ids: Sequence[str]) -> float:
    begun = time.perf_counter()
    for id_ in ids:
        assert await models.get(TRADE_LOGS, id_) is not None
    return (time.perf_counter() - begun) / len(ids) * 1000


async def opened(url: str) -> MongoDatabase:
    """A database of its own."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    address = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    return await MongoDatabase.open(address, lambda: name)


async def measure(url: str, folder: Path) -> dict[str, float]:
    all_records = records()
    batches = [all_records[at : at + BATCH] for at in range(0, len(all_records), BATCH)]
    client: AsyncMongoClient[Any] = AsyncMongoClient(url, w="majority")
    database, projected = await opened(url), await opened(url)
    models, by_stats = await MongoReadModels.open(database), await MongoReadModels.open(projected)
    sqlite = await SqliteReadModels.open(folder)
    for batch in batches:
        PREPARED[batch[0].topic, batch[0].offset] = await upserts_of(batch, models)
    ways = {
        "bare_bulk_upserts_per_s": await bare(client, transaction=False),
        "bare_in_transactions_per_s": await bare(client, transaction=True),
        "mongo_upserts_per_s": adapter(models),
        "stats_on_mongo_per_s": stats(by_stats),
        "sqlite_upserts_per_s": adapter(sqlite),
    }
    found = await rates(ways, batches)
    first = PREPARED[topics.COPIER_EVENTS.name, 0]
    ids = [change.id for change in first if change.collection == TRADE_LOGS]
    found["mongo_get_ms"] = await read_ms(models, ids)
    found["sqlite_get_ms"] = await read_ms(sqlite, ids)
    for name in ("bare_in_transactions", "mongo_upserts", "stats_on_mongo"):
        found[f"{name}_ratio"] = found[f"{name}_per_s"] / found["bare_bulk_upserts_per_s"]
    for one in (database, projected, client):
        await one.close()
    await sqlite.close()
    return found


def main() -> None:
    import uvloop

    print("read models, 10 copies a trade (wanted: stats on MongoDB ≥ 0.5 of bare bulk upserts)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url, server = os.environ.get("COPYPRO_TEST_MONGODB", ""), None
        if not url:
            server = Mongo(folder / "mongod")
            server.start()
            url = server.url
        try:
            for way, value in uvloop.run(measure(url, folder)).items():
                print(f"  {way:28} {value:12,.2f}")
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    main()
