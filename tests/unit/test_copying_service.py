"""The loop: what is read, decided and committed together, and how it starts over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.envelope import decode
from copypro.errors import LogFull
from copypro.ports import EventLog, Outgoing, Partition, Record
from copypro.topics import Role
from copypro.values import RootId
from copypro_replicator import service
from msgspec.structs import replace

from tests.unit.copying_builders import MASTER, SLAVE, T0, closed, opened, outgoing, reduced, start


class FullOnce:
    """A log whose disk is full at the first commits, as the SQLite log says it: the partition is lost
    with it, and given anew at once.
    """

    def __init__(self, log: MemoryLog, times: int) -> None:
        self.log, self.times, self.tried = log, times, 0

    async def append(self, messages: Sequence[Outgoing]) -> None:
        await self.log.append(messages)

    async def partitions(self, role: Role) -> AsyncIterator[Partition]:
        async for partition in self.log.partitions(role):
            yield FullPartition(partition, self, role)

    async def close(self) -> None:
        await self.log.close()


class FullPartition:
    def __init__(self, partition: Partition, owner: FullOnce, role: Role) -> None:
        self.number, self._partition = partition.number, partition
        self._owner, self._role = owner, role
        self.restore, self.read = partition.restore, partition.read
        self.end_offset, self.give_up = partition.end_offset, partition.give_up

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        owner = self._owner
        owner.tried += 1
        if owner.tried <= owner.times:
            owner.log.lose(self._role, self.number)
            raise LogFull("no room")
        await self._partition.commit(outputs, consumed)


@asynccontextmanager
async def running(log: EventLog) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(service.run(log, lambda: T0, retry_full_s=0.01))
    try:
        yield task
    finally:
        await log.close()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


READERS = {
    topics.SLAVE_ORDERS.name: (topics.ACCOUNT_WATCHER, SLAVE),
    topics.COPIER_EVENTS.name: (topics.STATS, MASTER),
}


async def _given(log: MemoryLog, role: Role) -> AsyncGenerator[Partition, None]:
    async for partition in log.partitions(role):
        yield partition


async def told(log: MemoryLog, topic: str, count: int) -> list[str]:
    """The kinds of the first records of a topic, once there are so many, as its reader sees them."""
    kinds: list[str] = []
    role, key = READERS[topic]
    async with asyncio.timeout(60), aclosing(_given(log, role)) as partitions:
        async for partition in partitions:
            if partition.number != log.partition_of(key):
                continue
            while len(kinds) < count:
                records = await partition.read()
                kinds += [r.headers["type"] for r in records if r.topic == topic]
            return kinds
    raise AssertionError("the log closed")


async def test_what_a_master_does_reaches_the_slave_and_the_record() -> None:
    log = MemoryLog()
    async with running(log):
        await log.append([outgoing(start())])
        await told(log, topics.COPIER_EVENTS.name, 1)
        await log.append([outgoing(opened()), outgoing(reduced("0.5")), outgoing(closed())])
        asked = await told(log, topics.SLAVE_ORDERS.name, 3)
    assert asked == ["OpenCopy", "ReduceCopy", "CloseCopy"]
    kinds = [record.headers["type"] for record in log.all(topics.COPIER_EVENTS.name)]
    assert kinds == ["CopierStarted", "CopyPlanned"]


async def test_it_ends_when_the_log_closes() -> None:
    log = MemoryLog(partitions=3)
    async with running(log) as task:
        await log.append([outgoing(start())])
        await told(log, topics.COPIER_EVENTS.name, 1)
        await log.close()
        async with asyncio.timeout(60):
            await task


async def test_a_full_disk_is_tried_again_and_nothing_is_lost() -> None:
    log = MemoryLog()
    full = FullOnce(log, times=3)
    async with running(full):
        await log.append([outgoing(start())])
        assert await told(log, topics.COPIER_EVENTS.name, 1) == ["CopierStarted"]
    assert full.tried == 4


async def test_a_record_nobody_can_read_is_put_aside_and_consumed() -> None:
    log = MemoryLog()
    async with running(log):
        await log.append([replace(outgoing(opened()), value=b"{"), outgoing(opened())])
        await log.append([outgoing(start())])
        await told(log, topics.COPIER_EVENTS.name, 2)
    (letter,) = log.all(topics.DEAD_LETTERS.name)
    assert isinstance(decode(letter).message, m.DeadLetter)
    assert log.consumed["replicator", 0, topics.ORDER_EVENTS.name] == 2


async def test_a_new_owner_goes_on_from_the_state_alone() -> None:
    log = MemoryLog()
    async with running(log):
        await log.append([outgoing(start())])
        await told(log, topics.COPIER_EVENTS.name, 1)
        await log.append([outgoing(opened())])
        await told(log, topics.SLAVE_ORDERS.name, 1)
        log.lose(topics.REPLICATOR, 0)
        await log.append([outgoing(closed()), outgoing(opened(RootId("9")), "9")])
        asked = await told(log, topics.SLAVE_ORDERS.name, 3)
    assert asked == ["OpenCopy", "CloseCopy", "OpenCopy"]
