"""Topics and a database of one test's own, on servers that many tests share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from copypro.adapters import kafka_topics
from copypro.adapters.kafka_client import Clients, KafkaLimits, KafkaSettings, started
from pymongo import AsyncMongoClient


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


@asynccontextmanager
async def database_on(url: str) -> AsyncIterator[str]:
    """The address of a database of one test's own, dropped in the end."""
    place = database_of_its_own(url)
    yield place
    await drop(place)


async def drop(place: str) -> None:
    async with AsyncMongoClient[dict[str, object]](place) as client:
        await client.drop_database(client.get_default_database())


def database_of_its_own(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/test_{uuid.uuid4().hex[:12]}"))
