"""What an owner promises about a commit: it is whole, whoever waits for it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.service import Owner
from copypro_account_watcher.turn import Turn


class SlowPartition:
    number = 0

    def __init__(self) -> None:
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()

    async def commit(self, *_: object) -> None:
        self.begun.set()
        await self.goes_on.wait()


def clock() -> datetime:
    return datetime.now(UTC)


async def test_what_is_recorded_as_begun_begins_though_its_session_is_lost_meanwhile() -> None:
    partition = SlowPartition()
    owner = Owner(cast(Any, partition), {}, cast(Any, None), clock, time.monotonic, WatcherLimits())
    turn = Turn(clock())
    turn.remember("copy/a/b", None)
    called = asyncio.Event()
    turn.then(lambda _: called.set())
    look = asyncio.create_task(owner.commit(turn))
    await partition.begun.wait()
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert not called.is_set()
    partition.goes_on.set()
    await asyncio.wait_for(called.wait(), 30)
