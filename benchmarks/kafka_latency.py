"""From the master's frame to the slave's request on the wire, on Kafka, and what Kafka alone costs.

The floor is three bare transactional hops one after another on the same broker: a record is fetched
and another written in a transaction, three times, by clients that do nothing else. Both are taken by
turns, in one process, in the rhythm of single trades.
"""

from __future__ import annotations

import asyncio
import time
import uuid

from aiokafka import TopicPartition
from copypro import topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, stop
from copypro.adapters.kafka_writer import TransactionalWriter, Write
from copypro.errors import LogClosed

from benchmarks.latency import REST_S, one_trade
from benchmarks.world import Wire, spread, world
from tests.servers import topics_on

HOPS = (topics.ORDER_EVENTS.name, topics.SLAVE_ORDERS.name, topics.EXECUTIONS.name)
VALUE = b"x" * 1000


class Hops:
    """Three topics in a row; each is written by a transaction and read by a consumer of its own."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._clients = Clients(settings, KafkaLimits())
        self._writers = [
            TransactionalWriter(self._clients, f"hop-{uuid.uuid4().hex}") for _ in HOPS
        ]

    async def start(self) -> None:
        self._readers = []
        for writer, name in zip(self._writers, HOPS, strict=True):
            await writer.start()
            consumer = self._clients.consumer()
            await consumer.start()
            place = TopicPartition(self._clients.name(name), 0)
            consumer.assign([place])
            await consumer.seek_to_end(place)
            self._readers.append(consumer)

    async def once(self) -> float:
        """Milliseconds from the first write to the third record read."""
        begun = time.perf_counter()
        for writer, reader, name in zip(self._writers, self._readers, HOPS, strict=True):
            waiting = asyncio.ensure_future(reader.getone())
            await writer.submit([Write(self._clients.name(name), 0, b"k", VALUE, [])])
            await waiting
        return (time.perf_counter() - begun) * 1000

    async def close(self) -> None:
        for writer in self._writers:
            await writer.close(LogClosed("measured"))
        for reader in self._readers:
            await stop(reader)


async def measure(address: str, slaves: int, trades: int) -> tuple[list[float], list[float]]:
    """Milliseconds: the ring's own, one per request, and the floor's, one per trade."""
    floor: list[float] = []
    async with topics_on(address, 1) as bare, topics_on(address, 4) as ours:
        hops = Hops(bare)
        await hops.start()
        stack = {"kafka": ours.bootstrap, "topic_prefix": ours.prefix}
        async with world(slaves, stack) as made:
            with Wire() as wire:
                for _ in range(trades):
                    await one_trade(made)
                    await asyncio.sleep(REST_S)
                    floor.append(await hops.once())
                    await asyncio.sleep(REST_S)
            own = await made.own_ms(wire)
        await hops.close()
    assert len(own) == trades * slaves, len(own)
    return own, floor


async def report(address: str, trades: int = 100) -> None:
    print("own latency on Kafka, ms, against three bare transactional hops")
    print("(wanted: p50 ≤ 1.5×, p99 ≤ 2×)")
    for slaves in (1, 10):
        own, floor = await measure(address, slaves, trades)
        (own50, own99), (bare50, bare99) = spread(own), spread(floor)
        print(
            f"  {slaves:3} slaves: own p50 {own50:.1f} p99 {own99:.1f}"
            f"   floor p50 {bare50:.1f} p99 {bare99:.1f}"
            f"   ratio p50 {own50 / bare50:.2f} p99 {own99 / bare99:.2f}"
        )
