"""Topics of one test's own on a broker that many tests share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from copypro.adapters import kafka_topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started


@asynccontextmanager
async def topics_on(address: str, partitions: int) -> AsyncIterator[KafkaSettings]:
    settings = KafkaSettings(bootstrap=address, prefix=f"t{uuid.uuid4().hex[:12]}-")
    clients = Clients(settings, KafkaLimits())
    async with started(clients.admin(), 30) as admin:
        await kafka_topics.create(admin, settings.prefix, partitions, 1)
        yield settings
        await kafka_topics.remove(admin, settings.prefix)


async def fence(settings: KafkaSettings, role: str, number: int) -> None:
    """As another owner would begin: the present one's next commit fails."""
    clients = Clients(settings, KafkaLimits())
    async with started(clients.producer(clients.name(f"{role}-{number}")), 30):
        pass
