"""Each adapter of a port, for the port's one suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_log import SqliteLog
from copypro.ports import EventLog


@pytest.fixture(params=["sqlite", "memory"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    made: EventLog
    if request.param == "sqlite":
        made = await SqliteLog.open(tmp_path)
    else:
        made = MemoryLog(partitions=1, seed=1)
    yield made
    await made.close()
