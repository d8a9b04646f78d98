"""Each adapter of a port, for the port's one suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.ports import EventLog

from tests.contract.stores import MongoPlace, Place, SqlitePlace


@pytest.fixture(params=["sqlite", "memory"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    made: EventLog
    if request.param == "sqlite":
        made = await SqliteLog.open(tmp_path)
    else:
        made = MemoryLog(partitions=1, seed=1)
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
