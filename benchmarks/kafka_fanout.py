"""The replicator on Kafka: master orders a second at ten slaves, beside what Kafka alone costs.

The bare loop reads the same inputs and writes the records that the replicator wrote, in transactions
as large as its own, with the same client and nothing else. A Faust agent fans the same inputs out by
ten without transactions. All on one broker, one after the other, from a backlog.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from aiokafka import TopicPartition
from copypro import topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.kafka_writer import TransactionalWriter, Write, partition_of
from copypro.errors import LogClosed
from copypro.ports import Outgoing
from copypro.readiness import Readiness
from copypro.values import AccountId
from copypro_replicator import service

from benchmarks.replicator import NOW, SLAVES, Counting, opened, start_copiers
from tests.servers import topics_on

EVENTS, OUT = topics.ORDER_EVENTS.name, topics.SLAVE_ORDERS.name
PIECE = 250
"""Inputs appended at once."""


async def fill(log: KafkaLog, orders: int) -> None:
    for at in range(0, orders, PIECE):
        await log.append([opened(number) for number in range(at, min(orders, at + PIECE))])


async def ours(settings: KafkaSettings, orders: int) -> tuple[float, list[list[Outgoing]]]:
    """Seconds for all orders, and the batches written."""
    log = await KafkaLog.open(settings)
    owners = aiter(log.partitions(topics.REPLICATOR))
    partition = Counting(await anext(owners), SLAVES + orders)
    await log.append(start_copiers())
    running = asyncio.create_task(
        service.replicate(partition, lambda: NOW, Readiness(topics.REPLICATOR.name))
    )
    await partition.started.wait()
    begun = time.perf_counter()
    filling = asyncio.create_task(fill(log, orders))
    await partition.done.wait()
    took = time.perf_counter() - begun
    await filling
    running.cancel()
    await log.close()
    return took, partition.batches[1:]


async def bare(
    settings: KafkaSettings, batches: Sequence[Sequence[Outgoing]], orders: int
) -> float:
    """Seconds: fetches the inputs, and writes these records in transactions of these sizes."""
    limits = KafkaLimits()
    clients = Clients(settings, limits)
    log = await KafkaLog.open(settings)
    writer = TransactionalWriter(clients, f"bare-{uuid.uuid4().hex}")
    await writer.start()
    place = TopicPartition(clients.name(EVENTS), 0)
    async with started(clients.consumer(), 30) as consumer:
        consumer.assign([place])
        consumer.seek(place, (await consumer.end_offsets([place]))[place])
        filling = asyncio.create_task(fill(log, orders))
        begun, seen = time.perf_counter(), 0
        for batch in batches:
            wanted = min(orders, seen + len(batch) * orders // max(1, sum(map(len, batches))))
            while seen < wanted:
                found = await consumer.getmany(place, timeout_ms=1000)
                seen += len(found.get(place, ()))
            await writer.submit([_write(clients, out) for out in batch])
        took = time.perf_counter() - begun
        await filling
    await writer.close(LogClosed("measured"))
    await log.close()
    return took


def _write(clients: Clients, out: Outgoing) -> Write:
    headers = [(name, value.encode()) for name, value in out.headers.items()]
    return Write(clients.name(out.topic), 0, out.key.encode(), out.value, headers)


FAUST = """
import sys, time, faust
bootstrap, prefix, wanted, result = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
sys.argv = [sys.argv[0], "worker", "-l", "error"]
app = faust.App(prefix + "faust", broker="kafka://" + bootstrap, store="memory://",
    topic_disable_leader=True, web_enabled=False, value_serializer="raw", key_serializer="raw",
    producer_linger_ms=5, stream_wait_empty=False, datadir=sys.argv[0] + prefix)
events = app.topic(prefix + "order-events", value_type=bytes)
orders = app.topic(prefix + "slave-orders", value_type=bytes)
seen, begun = 0, 0.0
@app.agent(events)
async def fan_out(stream):
    global seen, begun
    async for value in stream:
        begun = begun or time.perf_counter()
        for slave in range(10):
            await orders.send(key=b"%d" % slave, value=value)
        seen += 1
        if seen == wanted:
            open(result, "w").write(str(time.perf_counter() - begun))
            import os; os._exit(0)
app.main()
"""


async def faust(settings: KafkaSettings, orders: int) -> float:
    """Seconds from the first input to the last, by an agent in a process of its own."""
    log = await KafkaLog.open(settings)
    await fill(log, orders)
    await log.close()
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "agent.py"
        script.write_text(FAUST)
        result, said = Path(name) / "result", Path(name) / "said"
        with said.open("w") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(script), settings.bootstrap, settings.prefix, str(orders),
                str(result), stdout=out, stderr=subprocess.STDOUT, cwd=name,
            )  # fmt: skip
            async with asyncio.timeout(300):
                await process.wait()
        assert result.exists(), said.read_text()[-2000:]
        return float(result.read_text())


OWNER = """
import asyncio, sys, uvloop
from copypro.adapters.kafka_client import KafkaSettings
from copypro.adapters.kafka_log import KafkaLog
from copypro.envelope import utc_now
from copypro_replicator import service
async def main():
    log = await KafkaLog.open(KafkaSettings(bootstrap=sys.argv[1], prefix=sys.argv[2]))
    await service.run(log, utc_now)
uvloop.run(main())
"""


async def owners(address: str, processes: int, orders: int, partitions: int = 4) -> float:
    """Master orders a second, all partitions together, by so many processes."""
    async with topics_on(address, partitions) as settings:
        log = await KafkaLog.open(settings)
        masters = _one_master_per_partition(partitions)
        await log.append([out for master in masters for out in start_copiers(master)])
        command = [sys.executable, "-c", OWNER, settings.bootstrap, settings.prefix]
        running = [await asyncio.create_subprocess_exec(*command) for _ in range(processes)]
        try:
            await _until(settings, topics.COPIER_EVENTS.name, partitions * SLAVES)
            begun = time.perf_counter()
            for at in range(0, orders, PIECE):
                for master in masters:
                    await log.append([opened(n, master) for n in range(at, at + PIECE)])
            await _until(settings, OUT, partitions * orders * SLAVES)
            return partitions * orders / (time.perf_counter() - begun)
        finally:
            for process in running:
                process.kill()
                await process.wait()
            await log.close()


def _one_master_per_partition(partitions: int) -> list[AccountId]:
    found: dict[int, AccountId] = {}
    for number in range(1_000_000, 2_000_000):  # none of the slaves' numbers
        account = AccountId(f"{number:032x}")
        found.setdefault(partition_of(account, partitions), account)
        if len(found) == partitions:
            break
    return list(found.values())


async def _until(settings: KafkaSettings, topic: str, count: int) -> None:
    """Until a topic holds so many records (transaction markers count among offsets, so they are
    counted by reading, from where the last look ended).
    """
    clients = Clients(settings, KafkaLimits())
    async with started(clients.consumer(), 30) as consumer:
        layout = await KafkaLog.open(settings)
        places = [TopicPartition(clients.name(topic), n) for n in range(layout.layout.partitions)]
        await layout.close()
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        seen = 0
        async with asyncio.timeout(300):
            while seen < count:
                found = await consumer.getmany(timeout_ms=500)
                seen += sum(map(len, found.values()))


async def report(address: str, orders: int = 10_000) -> None:
    async with topics_on(address, 1) as settings:
        own, batches = await ours(settings, orders)
    async with topics_on(address, 1) as settings:
        floor = await bare(settings, batches, orders)
    async with topics_on(address, 1) as settings:
        agent = await faust(settings, orders)
    print("replicator at ten slaves, master orders a second (wanted: ≥ 0.5 of the bare loop)")
    print(
        f"  ours {orders / own:8.0f}   bare transactions {orders / floor:8.0f}   ratio {floor / own:.2f}"
    )
    print(
        f"  Faust, without transactions {orders / agent:8.0f}   ours is {agent / own:.1f} times as fast"
    )
    print("owners of four partitions, master orders a second together")
    for count in (1, 2, 4):
        print(f"  {count} processes {await owners(address, count, 2_000):8.0f}")
