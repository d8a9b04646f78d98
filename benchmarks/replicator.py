"""The replicator alone: master orders a second, bytes in to bytes out.

A master order is one PositionOpened and leads to ten OpenCopy and ten CopyPlanned. Over the memory
log it shows what planning costs; over SQLite it is compared with a bare loop that writes the same
records, inputs and outputs, in one transaction for each turn of the replicator, into a table without
any index. All three by turns in one run; the medians of the rounds are told.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.envelope import encode, fact
from copypro.messages import Context, Deal, PositionOpened, Seen, StartCopier
from copypro.options import CopierOptions
from copypro.ports import Outgoing, Partition, Record
from copypro.readiness import Readiness
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import (
    AccountId,
    CopierId,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
    digest,
)
from copypro_replicator import service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MASTER = AccountId("0" * 32)
SLAVES = 10
SPEC = SymbolSpec(
    name="EURUSD",
    digits=5,
    point=Decimal("0.00001"),
    tick_size=Decimal("0.00001"),
    contract_size=Decimal(100_000),
    lot_min=Decimal("0.01"),
    lot_max=Decimal(100),
    lot_step=Decimal("0.01"),
)


def start_copiers(master: AccountId = MASTER) -> list[Outgoing]:
    commands = []
    for number in range(SLAVES):
        command = StartCopier(
            copier=CopierId(digest(master, number)),
            user=UserId("u"),
            master=master,
            slave=AccountId(f"{number + 1:032x}"),
            master_registration=RegistrationId("m"),
            slave_registration=RegistrationId("s"),
            same_server=False,
            options=CopierOptions(risk_value=Decimal("0.5")),
        )
        commands.append(encode(topics.COPIER_COMMANDS, master, fact(command, NOW, master, number)))
    return commands


def opened(number: int, master: AccountId = MASTER) -> Outgoing:
    event = PositionOpened(
        account=master,
        root=RootId(str(number)),
        ticket=Ticket(number),
        symbol="EURUSD",
        side=Side.BUY,
        lots=Decimal("0.10"),
        open_price=Decimal("1.10010"),
        opened_at_broker=datetime(2026, 1, 1),  # noqa: DTZ001
        opened_at_utc=NOW,
        seen=Seen.LIVE,
        seen_at_utc=NOW,
        deal=Deal(ticket=number, sequence=0, lots=Decimal("0.10"), price=Decimal("1.10010")),
        context=Context(
            figures=Figures(balance=Decimal(10_000), equity=Decimal(10_000)),
            currency="USD",
            spec=SPEC,
            quote=Quote(symbol="EURUSD", bid=Decimal("1.1"), ask=Decimal("1.1001")),
        ),
    )
    return encode(topics.ORDER_EVENTS, master, fact(event, NOW, master, number))


class Counting:
    """Passes everything on, keeps what was written, and says when enough inputs are consumed."""

    def __init__(self, partition: Partition, wanted: int) -> None:
        self._partition, self._left = partition, wanted
        self.batches: list[list[Record | Outgoing]] = []
        """What was read and written, turn by turn."""
        self.done = asyncio.Event()
        self.started = asyncio.Event()
        self.number = partition.number

    def restore(self) -> Any:
        return self._partition.restore()

    async def read(self) -> Sequence[Record]:
        return await self._partition.read()

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        await self._partition.commit(outputs, consumed)
        self.batches.append([*consumed, *outputs])
        self.started.set()
        self._left -= len(consumed)
        if self._left <= 0:
            self.done.set()

    def end_offset(self, topic: str) -> int:
        return self._partition.end_offset(topic)

    def give_up(self, reason: str) -> None:
        self._partition.give_up(reason)


async def replicated(
    log: MemoryLog | SqliteLog, orders: int
) -> tuple[float, list[list[Record | Outgoing]]]:
    """Seconds for all orders, and what was read and written, turn by turn."""
    owners = aiter(log.partitions(topics.REPLICATOR))
    partition = Counting(await anext(owners), SLAVES + orders)
    running = asyncio.create_task(
        service.replicate(partition, lambda: NOW, Readiness(topics.REPLICATOR.name))
    )
    await log.append(start_copiers())
    await partition.started.wait()
    inputs = [opened(number) for number in range(orders)]
    begun = time.perf_counter()
    await fed(log, [inputs[at : at + 250] for at in range(0, orders, 250)])
    await partition.done.wait()
    took = time.perf_counter() - begun
    running.cancel()
    return took, partition.batches[1:]


async def fed(log: MemoryLog | SqliteLog, batches: Sequence[Sequence[Outgoing]]) -> None:
    """Two appends under way at a time: while one becomes durable there is something to plan."""
    former: asyncio.Task[None] | None = None
    for batch in batches:
        append = asyncio.create_task(log.append(batch))
        if former is not None:
            await former
        former = append
    if former is not None:
        await former


def written_bare(batches: list[list[Record | Outgoing]], folder: Path) -> float:
    """Seconds for the same records in the same batches, nothing else: insert, commit, full fsync."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE records (topic, offset INTEGER, key, value, headers)")
    encode = msgspec.json.Encoder().encode
    begun = time.perf_counter()
    offset = 0
    for batch in batches:
        rows = []
        for record in batch:
            rows.append((record.topic, offset, record.key, record.value, encode(record.headers)))
            offset += 1
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - begun
    connection.close()
    return took


async def measure(orders: int = 4_000, rounds: int = 5) -> dict[str, float]:
    found = [await one_round(orders) for _ in range(rounds)]
    return {name: statistics.median(figures[name] for figures in found) for name in found[0]}


async def one_round(orders: int) -> dict[str, float]:
    memory, _ = await replicated(MemoryLog(), orders)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = await SqliteLog.open(folder)
        durable, batches = await replicated(log, orders)
        await log.close()
        bare = written_bare(batches, folder)
    return {
        "memory_orders_per_s": orders / memory,
        "sqlite_orders_per_s": orders / durable,
        "bare_writes_orders_per_s": orders / bare,
        "sqlite_ratio_to_bare": bare / durable,
    }


def main() -> None:
    import uvloop

    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the ring sets it
    print("replicator alone, ten slaves (wanted: memory ≥ 7,000 orders/s; SQLite ≥ 0.5 of bare)")
    for name, value in uvloop.run(measure()).items():
        print(f"  {name:28} {value:12,.2f}")


if __name__ == "__main__":
    main()
