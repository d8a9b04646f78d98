"""Reads the log on Kafka from another process while the program runs; changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from aiokafka import TopicPartition

from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started, translated
from copypro.adapters.kafka_log import as_record
from copypro.errors import LogLayout
from copypro.ports import Record


class KafkaLogReader:
    def __init__(self, settings: KafkaSettings, limits: KafkaLimits | None = None) -> None:
        self._clients = Clients(settings, limits or KafkaLimits())

    def records(self, topic: str, since: int = 0) -> Iterator[Record]:
        """All records of a topic from an offset on: each partition's in order, one partition after
        another, up to the end as it was when this was asked. Blocks its caller.

        Errors: LogUnavailable, LogRefused, LogLayout (no such topic).
        """
        with ThreadPoolExecutor(1, "kafka-reader") as thread:
            runner = asyncio.Runner()
            found = aiter(self.read(topic, since))
            while batch := thread.submit(runner.run, _next(found)).result():
                yield from batch
            thread.submit(runner.close).result()

    async def read(self, topic: str, since: int = 0) -> AsyncIterator[list[Record]]:
        """The same, batch by batch."""
        name, limit = self._clients.name(topic), self._clients.limits.start_s
        numbers = await self._partitions(name)
        async with started(self._clients.consumer(), limit) as consumer:
            for number in numbers:
                place = TopicPartition(name, number)
                consumer.assign([place])
                end = (await translated(consumer.end_offsets([place]), limit))[place]
                begin = (await translated(consumer.beginning_offsets([place]), limit))[place]
                consumer.seek(place, max(begin, since))
                while await consumer.position(place) < end:
                    found = await translated(consumer.getmany(place, timeout_ms=200), limit)
                    for records in found.values():
                        yield [as_record(one, self._clients.settings.prefix) for one in records]

    async def _partitions(self, name: str) -> list[int]:
        limit = self._clients.limits.start_s
        async with started(self._clients.admin(), limit) as admin:
            (described,) = await translated(admin.describe_topics([name]), limit)
        if not described["partitions"]:
            raise LogLayout(f"there is no topic {name}: `copypro topics create` makes it")
        return sorted(part["partition"] for part in described["partitions"])


async def _next(found: AsyncIterator[list[Record]]) -> list[Record] | None:
    return await anext(found, None)
