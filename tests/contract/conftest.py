"""Each adapter of a port, for the port's one suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro.adapters.kafka_client import KafkaSettings
from copypro.adapters.kafka_log import KafkaLog
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.ports import EventLog

from tests.contract.stores import MongoPlace, Place, SqlitePlace
from tests.servers import topics_on


@pytest.fixture
async def kafka_settings(kafka_address: str) -> AsyncIterator[KafkaSettings]:
    """Topics of this test's own, two partitions each."""
    async with topics_on(kafka_address, partitions=2) as settings:
        yield settings


@pytest.fixture(params=["sqlite", "memory", pytest.param("kafka", marks=pytest.mark.slow)])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    made: EventLog
    if request.param == "sqlite":
        made = await SqliteLog.open(tmp_path)
    elif request.param == "memory":
        made = MemoryLog(partitions=1, seed=1)
    else:
        address = request.getfixturevalue("kafka_address")
        async with topics_on(address, partitions=1) as settings:
            made = await KafkaLog.open(settings)
            yield made
            await made.close()
            return
    yield made
    await made.close()


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.slow)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Where read models, users and the vault are kept."""
    made: Place
    if request.param == "sqlite":
        made = SqlitePlace(tmp_path)
    else:
        made = MongoPlace(request.getfixturevalue("mongo_url"))
    yield made
    await made.close()


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[MongoPlace]:
    made = MongoPlace(mongo_url)
    yield made
    await made.close()
