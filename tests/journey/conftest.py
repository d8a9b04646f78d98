"""One world per test, on each stack: the same bodies, embedded and on real servers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.journey.world import EMBEDDED, Stack, World, a_world
from tests.servers import database_on, topics_on

EVERY = "COPYPRO_TEST_EVERY_STACK"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's own parameters are about brokers and trades, which no stack changes: embedded it is run
    with each of them, on real servers with the first of those that are asked for, and not at all where
    the whole test is about that (the marker `brokers`); with each on both where COPYPRO_TEST_EVERY_STACK
    is set.
    """
    if os.environ.get(EVERY):
        return
    begun: set[str] = set()
    left: list[pytest.Item] = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is None or callspec.params.get("stack") != "servers":
            continue
        name = item.nodeid.partition("[")[0]
        if name in begun or item.get_closest_marker("brokers"):
            left.append(item)
        begun.add(name)
    if left:
        out = set(left)
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=left)


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
