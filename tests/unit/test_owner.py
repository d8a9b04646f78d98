"""What an owner promises about a commit: it is whole, whoever waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from copypro import topics
from copypro.envelope import encode, fact
from copypro.messages import CloseCopy
from copypro.ports import Record
from copypro.values import AccountId, CopyId
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.service import Owner
from copypro_account_watcher.turn import Turn
from structlog.testing import capture_logs


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
    await asyncio.wait_for(called.wait(), 60)


class FedPartition:
    """Gives these inputs at once, and makes nothing durable until it is let."""

    number = 0

    def __init__(self, inputs: list[Record]) -> None:
        self._inputs = inputs
        self.begun: list[list[Record]] = []
        self.news, self.goes_on = asyncio.Event(), asyncio.Event()
        self.given_up = asyncio.Event()

    def give_up(self, _: str) -> None:
        self.given_up.set()

    async def restore(self) -> AsyncIterator[Record]:
        nothing: list[Record] = []
        for record in nothing:
            yield record

    async def read(self) -> list[Record]:
        if not self._inputs:
            await asyncio.Event().wait()
        inputs, self._inputs = self._inputs, []
        return inputs

    async def commit(self, _: object, consumed: list[Record]) -> None:
        self.begun.append(consumed)
        self.news.set()
        await self.goes_on.wait()


def close(number: int) -> Record:
    """Of a copy that nobody knows: nothing follows from it but that it was read."""
    order = CloseCopy(copy=CopyId(f"{number}"), slave=AccountId("a"), reason="MASTER_FLAT")
    out = encode(topics.SLAVE_ORDERS, "a", fact(order, clock(), number))
    return Record(out.topic, 0, number, out.key, out.value, out.headers)


@pytest.mark.parametrize(("count", "pieces"), [(22, [10, 10, 2]), (101, [101])])
async def test_the_first_orders_are_committed_before_the_last_are_planned(
    count: int, pieces: list[int]
) -> None:
    records = [close(number) for number in range(count)]
    partition = FedPartition(records)
    owner = Owner(cast(Any, partition), {}, cast(Any, None), clock, time.monotonic, WatcherLimits())
    running = asyncio.create_task(owner.run())
    async with asyncio.timeout(60):
        while sum(map(len, partition.begun)) < count:
            partition.news.clear()
            await partition.news.wait()
    assert [len(piece) for piece in partition.begun] == pieces
    assert [record for piece in partition.begun for record in piece] == records
    partition.goes_on.set()
    running.cancel()
    await asyncio.wait([running])


async def test_an_owner_ends_though_one_of_its_tasks_was_cancelled_and_did_not_hear_it() -> None:
    partition = FedPartition([])
    owner = Owner(cast(Any, partition), {}, cast(Any, None), clock, time.monotonic, WatcherLimits())
    begun, heard = asyncio.Event(), []

    async def deaf_once() -> None:
        while len(heard) < 2:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                heard.append(error)

    with capture_logs() as said:
        running = asyncio.create_task(owner.run())
        owner.spawn(deaf_once(), "deaf")
        await begun.wait()
        running.cancel()
        async with asyncio.timeout(60):
            await asyncio.wait([running])
    assert running.cancelled()
    assert len(heard) == 2
    assert [(line["event"], line["tasks"]) for line in said] == [
        ("an owner waits for its end", ["deaf"])
    ]


async def test_work_that_ends_cancelled_though_nobody_cancelled_it_ends_its_owner() -> None:
    """What it waited for was cancelled: an account would not be followed any more, and nothing said so."""
    partition = FedPartition([])
    owner = Owner(cast(Any, partition), {}, cast(Any, None), clock, time.monotonic, WatcherLimits())

    async def waits_for_what_is_cancelled() -> None:
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waited.cancel()
        await waited

    with capture_logs() as said:
        running = asyncio.create_task(owner.run())
        owner.spawn(waits_for_what_is_cancelled(), "watch-1")
        async with asyncio.timeout(5):
            await partition.given_up.wait()
    assert ("an agent broke", "watch-1") in [(line["event"], line.get("task")) for line in said]
    running.cancel()
    await asyncio.wait([running])
