"""What is seen of a log from outside: who owns what, how far it has got, what its commits cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.errors import LogClosed, PartitionLost
from copypro.observing import Lag, ObservedLog, ObservedPartition, Ownership
from copypro.ports import Outgoing

ROLE = topics.REPLICATOR
EVENTS = topics.ORDER_EVENTS.name


class Counted:
    """A Meter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        self.took_s: list[float] = []

    def assigned(self, role: str) -> None:
        self.told[f"{role} assigned"] += 1

    def restored(self, role: str, took_s: float) -> None:
        self.told[f"{role} restored"] += 1
        self.took_s.append(took_s)

    def lost(self, role: str) -> None:
        self.told[f"{role} lost"] += 1

    def committed(self, role: str, took_s: float) -> None:
        self.told[f"{role} committed"] += 1

    def commit_failed(self, role: str, error: str) -> None:
        self.told[f"{role} {error}"] += 1

    def call_answered(self, call: str, status: int, took_s: float) -> None:
        raise AssertionError("a log answers no calls")


class Seen:
    def __init__(self) -> None:
        self.meter, self.now = Counted(), 0.0
        self.ownership = Ownership(self.meter, lambda: self.now)
        self.inner = MemoryLog()
        self.log = ObservedLog(self.inner, self.ownership)
        owners = self.log.partitions(ROLE)
        assert isinstance(owners, AsyncGenerator)
        self.owners = owners

    async def take(self) -> ObservedPartition:
        partition = await asyncio.wait_for(anext(self.owners), 60)
        assert isinstance(partition, ObservedPartition)
        return partition

    async def append(self, count: int) -> None:
        await self.log.append([Outgoing(EVENTS, "a", b"{}") for _ in range(count)])


async def test_a_partition_is_not_ready_until_its_owner_has_restored_and_asks_for_more() -> None:
    seen = Seen()
    partition = await seen.take()
    assert seen.ownership.counts() == {"replicator": 1}
    assert seen.ownership.not_ready() == ["replicator: 1 of 1 partitions are being restored"]
    seen.now = 1.5
    assert [record async for record in partition.restore()] == []
    assert seen.ownership.not_ready() != []
    await seen.append(1)
    await partition.read()
    assert seen.ownership.not_ready() == []
    assert seen.meter.took_s == [1.5]


async def test_who_joins_is_not_ready_until_it_has_its_share_or_there_is_none_for_it() -> None:
    seen = Seen()
    seen.ownership.join(ROLE)
    assert seen.ownership.not_ready() == ["replicator: waiting for partitions"]
    seen.now = 20.0
    assert seen.ownership.not_ready() == []
    seen.ownership.join(ROLE)
    await seen.take()
    assert seen.ownership.not_ready() == ["replicator: 1 of 1 partitions are being restored"]


async def test_a_partition_whose_restoring_fails_again_and_again_is_never_ready_in_between() -> (
    None
):
    seen = Seen()
    first = await seen.take()
    seen.inner.lose(ROLE, 0)
    with pytest.raises(PartitionLost):
        await first.read()
    said = ["replicator: 1 of 1 partitions are being restored"]
    seen.now += 10.0
    assert seen.ownership.not_ready() == said
    second = await seen.take()
    assert seen.ownership.not_ready() == said
    await seen.append(1)
    await second.read()
    assert seen.ownership.not_ready() == []


async def test_a_partition_that_its_owner_gave_up_is_not_ready_before_the_next_has_restored_it() -> (
    None
):
    """It broke, and whether it does so again shows only then; the log may take its time to give it."""
    seen = Seen()
    first = await seen.take()
    await seen.append(1)
    await first.read()
    assert seen.ownership.not_ready() == []
    first.give_up("it broke")
    said = ["replicator: 1 of 1 partitions are being restored"]
    assert seen.ownership.not_ready() == said
    second = await seen.take()
    assert seen.ownership.not_ready() == said
    await second.read()
    assert seen.ownership.not_ready() == []


async def test_a_partition_that_another_process_restores_keeps_nobody_waiting_for_it() -> None:
    seen = Seen()
    partition = await seen.take()
    partition.give_up("assigned to another process")
    seen.now += 30.0
    assert seen.ownership.not_ready() == []


async def test_lag_is_what_is_read_or_waits_and_is_not_committed() -> None:
    seen = Seen()
    partition = await seen.take()
    await seen.append(3)
    records = await partition.read()
    assert list(seen.ownership.lags()) == [Lag("replicator", EVENTS, 0, 3)]
    await partition.commit([], records)
    left = 3 - len(records)
    assert list(seen.ownership.lags()) == [Lag("replicator", EVENTS, 0, left)]
    await seen.append(4)
    assert list(seen.ownership.lags()) == [Lag("replicator", EVENTS, 0, left + 4)]
    assert seen.meter.told["replicator committed"] == 1
    assert seen.meter.told["gateway committed"] == 2


async def test_who_lost_a_partition_owns_it_no_more_and_the_next_owner_counts_anew() -> None:
    seen = Seen()
    first = await seen.take()
    seen.inner.lose(ROLE, 0)
    with pytest.raises(PartitionLost):
        await first.commit([])
    assert seen.ownership.counts() == {}
    assert list(seen.ownership.lags()) == []
    second = await seen.take()
    with pytest.raises(PartitionLost):
        await first.read()
    assert seen.ownership.counts() == {"replicator": 1}, "a late word of the former owner"
    await seen.append(1)
    assert await second.read()
    told = seen.meter.told
    assert (told["replicator assigned"], told["replicator lost"]) == (2, 1)
    assert told["replicator PartitionLost"] == 1


async def test_a_partition_that_its_owner_reads_no_more_is_not_ready_and_is_named() -> None:
    """Whatever its owner waits for: the end of a task, a database, a thread."""
    seen = Seen()
    partition = await seen.take()
    await seen.append(1)
    await partition.read()
    seen.now = 20.0
    assert seen.ownership.not_ready() == []
    reading = asyncio.create_task(partition.read())
    await asyncio.sleep(0)
    seen.now = 3600.0
    assert seen.ownership.not_ready() == [], "it waits for more"
    reading.cancel()
    await asyncio.wait([reading])
    seen.now += 45.0
    said = "replicator partition 0: nobody has read on for 45 s: see the log"
    assert seen.ownership.not_ready() == [said]


async def test_a_closed_log_fails_what_is_appended_and_counts_it() -> None:
    seen = Seen()
    await seen.log.close()
    with pytest.raises(LogClosed):
        await seen.append(1)
    assert seen.meter.told == {"gateway LogClosed": 1}


async def test_whoever_drops_the_partitions_gives_them_up_to_the_log() -> None:
    ended = asyncio.Event()

    class Watched(MemoryLog):
        async def partitions(self, role):  # type: ignore[no-untyped-def]
            try:
                async for partition in super().partitions(role):
                    yield partition
            finally:
                ended.set()

    log = ObservedLog(Watched(), Seen().ownership)
    async with aclosing(log.partitions(ROLE)) as owners:  # type: ignore[type-var]
        await anext(owners)
    assert ended.is_set()
