"""One world per test, on each stack: the same bodies, embedded and on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey.world import EMBEDDED, Stack, World, a_world
from tests.kafka import topics_on


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.slow)])
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    if request.param == "embedded":
        yield EMBEDDED
        return
    address = request.getfixturevalue("kafka_address")
    async with topics_on(address, partitions=2) as settings:
        yield {"kafka": settings.bootstrap, "topic_prefix": settings.prefix}


@pytest.fixture
async def world(tmp_path: Path, stack: Stack) -> AsyncIterator[World]:
    async with a_world(tmp_path / "data", stack=stack) as made:
        yield made
