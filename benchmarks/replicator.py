"""The replicator alone: orders of masters a second, bytes in to bytes out.

    .venv/bin/python -m benchmarks.replicator [--orders 6000] [--slaves 10] [--runs 3] [--json]

Over the log in memory, where only our own work counts; and through the SQLite log against a bare
loop that writes the same records in the same batches to SQLite and does nothing else, both in the
same run. An order is one position that a master opened: for each slave one planned copy and one
slave order, and the root's state.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.envelope import encode, fact
from copypro.messages import Context, Deal, PositionOpened, Seen, StartCopier
from copypro.options import CopierOptions
from copypro.ports import EventLog, Outgoing, Partition, Record
from copypro.topics import Role
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import (
    CopierId,
    Platform,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
    account_id,
)
from copypro_replicator import service

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MASTER = account_id(Platform.MT4, "Amber", 1)
TARGET_ORDERS_PER_S = 7000.0
TARGET_SQLITE_RATIO = 0.5
APPEND_BATCH = 500


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of masters a second; outputs are slave orders, copier events and state records."""

    orders_per_s: float
    outputs_per_s: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    slaves: int
    orders: int
    memory_log: Figure
    sqlite_log: Figure
    bare_sqlite: Figure

    @property
    def sqlite_ratio(self) -> float:
        return self.sqlite_log.orders_per_s / self.bare_sqlite.orders_per_s


class Batch(msgspec.Struct, frozen=True):
    outputs: Sequence[Outgoing]
    consumed: Sequence[Record]


class Watched:
    """A log that counts what is committed, keeps the batches if asked to, and says when all inputs
    are consumed.
    """

    def __init__(self, log: EventLog, inputs: int, *, keeps: bool = False) -> None:
        self.log, self.inputs, self.keeps = log, inputs, keeps
        self.batches: list[Batch] = []
        self.outputs = 0
        self.done = asyncio.Event()

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await self.log.append(messages)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async for partition in self.log.partitions(role):
            yield WatchedPartition(partition, self)

    async def close(self) -> None:
        await self.log.close()

    def committed(self, batch: Batch) -> None:
        if self.keeps:
            self.batches.append(batch)
        self.outputs += len(batch.outputs)
        self.inputs -= len(batch.consumed)
        if self.inputs == 0:
            self.done.set()


class WatchedPartition:
    def __init__(self, partition: Partition, watched: Watched) -> None:
        self.number, self._partition, self._watched = partition.number, partition, watched
        self.restore, self.read = partition.restore, partition.read
        self.end_offset = partition.end_offset

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        await self._partition.commit(outputs, consumed)
        self._watched.committed(Batch(outputs, consumed))


# --- what is replicated -------------------------------------------------------------------------


def copiers(slaves: int) -> list[Outgoing]:
    return [
        encode(topics.COPIER_COMMANDS, MASTER, fact(_start(number), NOW, number))
        for number in range(slaves)
    ]


def _start(number: int) -> StartCopier:
    return StartCopier(
        copier=CopierId(f"{number:032x}"),
        user=UserId("user"),
        master=MASTER,
        slave=account_id(Platform.MT5, "Cobalt", 1000 + number),
        master_registration=RegistrationId("m" * 32),
        slave_registration=RegistrationId("s" * 32),
        same_server=False,
        options=CopierOptions(risk_value=Decimal("0.5"), lot_refiner=Decimal("0.95")),
    )


def orders(count: int) -> list[Outgoing]:
    return [
        encode(topics.ORDER_EVENTS, MASTER, fact(_opened(number), NOW, number))
        for number in range(count)
    ]


def _opened(number: int) -> PositionOpened:
    context = Context(
        figures=Figures(balance=Decimal("10000.00"), equity=Decimal("10120.50")),
        currency="EUR",
        spec=SymbolSpec(
            name="EURUSD",
            digits=5,
            point=Decimal("0.00001"),
            tick_size=Decimal("0.00001"),
            contract_size=Decimal(100000),
            lot_min=Decimal("0.01"),
            lot_max=Decimal(100),
            lot_step=Decimal("0.01"),
        ),
        quote=Quote(symbol="EURUSD", bid=Decimal("1.08001"), ask=Decimal("1.08003")),
    )
    price = Decimal("1.08002")
    return PositionOpened(
        account=MASTER,
        root=RootId(str(5_000_000 + number)),
        ticket=Ticket(5_000_000 + number),
        symbol="EURUSD",
        side=Side.BUY,
        lots=Decimal("0.20"),
        open_price=price,
        opened_at_broker=NOW.replace(tzinfo=None),
        opened_at_utc=NOW,
        seen=Seen.LIVE,
        seen_at_utc=NOW,
        deal=Deal(ticket=number, sequence=0, lots=Decimal("0.20"), price=price),
        stop_loss=Decimal("1.07000"),
        take_profit=Decimal("1.09000"),
        context=context,
    )


# --- the runs -----------------------------------------------------------------------------------


async def replicated(
    log: EventLog, count: int, slaves: int, *, keeps: bool = False
) -> tuple[Figure, list[Batch]]:
    """From the first order being read to the last one's outputs being committed."""
    started = Watched(log, slaves)
    await log.append(copiers(slaves))
    await _until_done(started)
    given = orders(count)
    for at in range(0, count, APPEND_BATCH):
        await log.append(given[at : at + APPEND_BATCH])
    watched = Watched(log, count, keeps=keeps)
    before = time.perf_counter()
    await _until_done(watched)
    took_s = time.perf_counter() - before
    return _figure(count, watched.outputs, took_s), watched.batches


async def _until_done(watched: Watched) -> None:
    running = asyncio.create_task(service.run(watched, lambda: NOW))
    await watched.done.wait()
    running.cancel()
    await asyncio.wait([running])


async def over_memory(count: int, slaves: int) -> Figure:
    log = MemoryLog()
    figure, _ = await replicated(log, count, slaves)
    await log.close()
    return figure


async def over_sqlite(count: int, slaves: int) -> tuple[Figure, Figure]:
    """Ours, and the bare loop's with the batches that ours made."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as bare:
        log = await SqliteLog.open(Path(ours))
        figure, batches = await replicated(log, count, slaves, keeps=True)
        await log.close()
        bare_s = write_bare(Path(bare) / "bare.db", batches)
    outputs = sum(len(batch.outputs) for batch in batches)
    return figure, _figure(count, outputs, bare_s)


def write_bare(path: Path, batches: list[Batch]) -> float:
    """Seconds to write these records as durably, one transaction a batch, everything encoded before."""
    rows = [[_row(number, out) for number, out in enumerate(b.outputs)] for b in batches]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE records (batch INTEGER, number INTEGER, topic TEXT, key TEXT, value BLOB,"
        " headers BLOB, PRIMARY KEY (batch, number)) WITHOUT ROWID"
    )
    before = time.perf_counter()
    for at, batch in enumerate(rows):
        connection.execute("BEGIN IMMEDIATE")
        insert = f"INSERT INTO records VALUES ({at}, ?, ?, ?, ?, ?)"
        connection.executemany(insert, batch)
        connection.execute("COMMIT")
    took_s = time.perf_counter() - before
    connection.close()
    return took_s


def _row(number: int, out: Outgoing) -> tuple[int, str, str, bytes | None, bytes]:
    return number, out.topic, out.key, out.value, msgspec.json.encode(out.headers)


def _figure(count: int, outputs: int, took_s: float) -> Figure:
    return Figure(orders_per_s=count / took_s, outputs_per_s=outputs / took_s)


async def measure(count: int, slaves: int) -> Results:
    memory = await over_memory(count, slaves)
    sqlite, bare = await over_sqlite(count, slaves)
    return Results(
        slaves=slaves, orders=count, memory_log=memory, sqlite_log=sqlite, bare_sqlite=bare
    )


def shown(results: Results) -> str:
    memory, sqlite, bare = results.memory_log, results.sqlite_log, results.bare_sqlite
    lines = [
        f"replicator, {results.slaves} slaves, {results.orders} master orders",
        f"  memory_log   {memory.orders_per_s:9,.0f} orders/s  {memory.outputs_per_s:9,.0f} outputs/s"
        f"   (aim: {TARGET_ORDERS_PER_S:,.0f} orders/s)",
        f"  sqlite_log   {sqlite.orders_per_s:9,.0f} orders/s  {sqlite.outputs_per_s:9,.0f} outputs/s",
        f"  bare SQLite  {bare.orders_per_s:9,.0f} orders/s  {bare.outputs_per_s:9,.0f} outputs/s",
        f"  sqlite_log / bare: {results.sqlite_ratio:.2f}   (aim: {TARGET_SQLITE_RATIO})",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=6000)
    parser.add_argument("--slaves", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for _ in range(arguments.runs):
        results = asyncio.run(measure(arguments.orders, arguments.slaves))
        if arguments.json:
            print(json.dumps({**msgspec.to_builtins(results), "ratio": results.sqlite_ratio}))
        else:
            print(shown(results))


if __name__ == "__main__":
    main()
