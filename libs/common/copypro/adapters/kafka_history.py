"""What the log on Kafka still has, read from another process while the program runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started, translated
from copypro.adapters.kafka_log import as_record
from copypro.errors import LogLayout
from copypro.ports import Record
from copypro.topics import Topic


class KafkaHistory:
    """A LogHistory. Errors of both calls: LogUnavailable, LogRefused, LogLayout (no such topic)."""

    def __init__(self, settings: KafkaSettings, limits: KafkaLimits | None = None) -> None:
        self._clients = Clients(settings, limits or KafkaLimits())

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        name, limit = self._clients.name(topic.name), self._clients.limits.start_s
        places = [TopicPartition(name, number) for number in await self._partitions(name)]
        async with started(self._clients.consumer(), limit) as consumer:
            consumer.assign(places)
            ends = await translated(consumer.end_offsets(places), limit)
            begins = await translated(consumer.beginning_offsets(places), limit)
        return {place.partition: (begins[place], ends[place]) for place in places}

    async def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        name, limit = self._clients.name(topic.name), self._clients.limits.start_s
        async with started(self._clients.consumer(), limit) as consumer:
            for number, (begin, end) in sorted(spans.items()):
                place = TopicPartition(name, number)
                consumer.assign([place])
                consumer.seek(place, begin)
                while await consumer.position(place) < end:
                    found = await translated(_next(consumer, place), limit)
                    batch = [
                        as_record(one, self._clients.settings.prefix)
                        for one in found
                        if one.offset < end
                    ]
                    if batch:
                        yield batch

    async def _partitions(self, name: str) -> list[int]:
        limit = self._clients.limits.start_s
        await self._clients.knock()
        async with started(self._clients.admin(), limit) as admin:
            (described,) = await translated(admin.describe_topics([name]), limit)
        if not described["partitions"]:
            raise LogLayout(f"there is no topic {name}: `copypro topics create` makes it")
        return [part["partition"] for part in described["partitions"]]


async def _next(consumer: AIOKafkaConsumer, place: TopicPartition) -> Sequence[ConsumerRecord]:
    """What follows, which may be nothing but the marks of transactions. A broker that is gone is no
    error to the library, and neither is a log that ends before: it waits for them for ever.
    """
    begun = await consumer.position(place)
    found: Sequence[ConsumerRecord] = ()
    while not found and await consumer.position(place) == begun:
        found = (await consumer.getmany(place, timeout_ms=200)).get(place, ())
    return found
