"""One world per test, on each stack: the same bodies, embedded and on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.journey.world import EMBEDDED, Stack, World, a_world
from tests.servers import database_on, topics_on


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.slow)])
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    if request.param == "embedded":
        yield EMBEDDED
        return
    address, mongo = request.getfixturevalue("kafka_address"), request.getfixturevalue("mongo_url")
    async with topics_on(address, partitions=2) as settings, database_on(mongo) as database:
        yield {
            "kafka": settings.bootstrap,
            "topic_prefix": settings.prefix,
            "mongo": database,
            "secret_keys": Fernet.generate_key().decode(),
        }


@pytest.fixture
async def world(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", stack=stack) as made:
        yield made
