"""A transactional writer: what is submitted while a transaction runs shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)
from aiokafka.partitioner import murmur2
from msgspec import Struct

from copypro.adapters.kafka_client import Clients, meaning, start, stop
from copypro.errors import LogError, LogUnavailable, PartitionLost

Header = tuple[str, bytes]
RECORD_OVERHEAD = 16_384
"""Of a batch and of a record's key and headers, generously."""

logger = structlog.get_logger("kafka")


class Write(Struct, frozen=True, gc=False):
    """`topic` with its prefix; `value` None removes the key from a compacted topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Sequence[Header]


@lru_cache(100_000)
def partition_of(key: str, count: int) -> int:
    """As Kafka's own clients place a key: murmur2 over its UTF-8 bytes."""
    number: int = murmur2(key.encode())
    return (number & 0x7FFFFFFF) % count


class _Job:
    __slots__ = ("done", "offsets", "writes")

    def __init__(
        self, writes: Sequence[Write], offsets: Mapping[str, int], done: asyncio.Future[None]
    ) -> None:
        self.writes, self.offsets, self.done = writes, offsets, done


class TransactionalWriter:
    """Jobs become durable in the order in which they were submitted. After the first failure every
    later one fails with it: whoever uses it starts over with a new one.
    """

    def __init__(
        self,
        clients: Clients,
        transactional_id: str,
        remember: Callable[[Mapping[str, int]], Write] | None = None,
    ) -> None:
        """`remember` makes the record of what is consumed, once a transaction."""
        self._clients, self._id, self._remember = clients, transactional_id, remember
        self._producer: AIOKafkaProducer | None = None
        self._waiting: list[_Job] = []
        self._unsettled: set[asyncio.Future[None]] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure: LogError | None = None

    async def start(self) -> None:
        """Fences every former writer of this id. Errors: LogUnavailable, LogRefused."""
        producer = self._clients.producer(self._id)
        await start(producer, self._clients.limits.start_s)
        self._producer = producer
        self._task = asyncio.create_task(self._write(producer), name=f"write-{self._id}")
        self._task.add_done_callback(self._broken)

    def submit(
        self, writes: Sequence[Write], offsets: Mapping[str, int] | None = None
    ) -> asyncio.Future[None]:
        """Done when durable. Whoever waits may be cancelled: it is written all the same.
        `offsets`: of all that is consumed with and before this. Errors: the writer's failure.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsettled.add(done)
        done.add_done_callback(self._settled)
        if self.failure is not None:
            done.set_exception(self.failure)
        else:
            self._waiting.append(_Job(writes, offsets or {}, done))
            self._news.set()
        return done

    async def close(self, reason: LogError) -> None:
        """What waits or runs fails with `reason`; what a transaction had begun is never committed,
        or was committed whole.
        """
        self._fail(reason, [])
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await stop(producer)

    async def finish(self) -> None:
        """Waits for what was submitted, within the limit of a commit."""
        if self._unsettled:
            await asyncio.wait(self._unsettled, timeout=self._clients.limits.commit_s)

    async def _write(self, producer: AIOKafkaProducer) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            jobs, self._waiting = self._waiting, []
            if not jobs:
                continue
            try:
                async with asyncio.timeout(self._clients.limits.commit_s):
                    await self._transaction(producer, jobs)
            except asyncio.CancelledError:
                self._fail(self.failure or PartitionLost("the writer was closed"), jobs)
                raise
            except (KafkaError, TimeoutError, OSError, ValueError) as error:
                self._fail(_failure(error), jobs)
                return
            for job in jobs:
                if not job.done.done():
                    job.done.set_result(None)

    async def _transaction(self, producer: AIOKafkaProducer, jobs: Sequence[_Job]) -> None:
        # All of them first: what was sent before one turned out too large would hide what others write
        # to the same partition, until the transaction's time-out.
        batches = [
            (place, batch)
            for place, writes in _by_partition(self._with_offsets(jobs)).items()
            for batch in _batches(producer, writes, self._clients.limits.record_bytes)
        ]
        await producer.begin_transaction()
        sent = []
        for (topic, partition), batch in batches:
            future = await producer.send_batch(batch, topic, partition=partition)
            future.add_done_callback(_seen)  # where one fails, the others are not waited for
            sent.append(future)
        for future in sent:
            await future
        await producer.commit_transaction()

    def _with_offsets(self, jobs: Sequence[_Job]) -> list[Write]:
        writes = [write for job in jobs for write in job.writes]
        offsets = next((job.offsets for job in reversed(jobs) if job.offsets), None)
        if offsets is not None and self._remember is not None:
            writes.append(self._remember(offsets))
        return writes

    def _broken(self, task: asyncio.Task[None]) -> None:
        """By a defect, of ours or of the library: nobody waits for what is never written."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        logger.error("the writer broke", writer=self._id, exc_info=error)
        self._fail(LogUnavailable(f"the writer broke: {type(error).__name__}"), [])
        for done in list(self._unsettled):
            if not done.done():
                done.set_exception(self.failure or error)

    def _fail(self, error: LogError, jobs: Sequence[_Job]) -> None:
        self.failure = self.failure or error
        failed, self._waiting = [*jobs, *self._waiting], []
        for job in failed:
            if not job.done.done():
                job.done.set_exception(self.failure)

    def _settled(self, done: asyncio.Future[None]) -> None:
        """Whoever asked may have been cancelled meanwhile; the failure is the writer's anyway."""
        self._unsettled.discard(done)
        _seen(done)


def _by_partition(writes: Sequence[Write]) -> dict[tuple[str, int], list[Write]]:
    grouped: dict[tuple[str, int], list[Write]] = {}
    for write in writes:
        grouped.setdefault((write.topic, write.partition), []).append(write)
    return grouped


def _batches(
    producer: AIOKafkaProducer, writes: Sequence[Write], record_bytes: int
) -> list[object]:
    """In order, each no larger than a request may be. Errors: MessageSizeTooLargeError."""
    batches = []
    builder = producer.create_batch()
    for write in writes:
        texts = sum(len(name) + len(value) for name, value in write.headers)
        size = len(write.value or b"") + max(0, len(write.key) + texts - RECORD_OVERHEAD // 2)
        if size > record_bytes - RECORD_OVERHEAD:
            raise MessageSizeTooLargeError(f"{size} bytes for {write.topic}")
        while _append(builder, write) is None:
            builder.close()
            batches.append(builder)
            builder = producer.create_batch()
    builder.close()
    batches.append(builder)
    return batches


def _append(builder: object, write: Write) -> object:
    append = builder.append  # type: ignore[attr-defined]
    return append(timestamp=None, key=write.key, value=write.value, headers=write.headers)


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _failure(error: BaseException) -> LogError:
    if isinstance(error, (ProducerFenced, InvalidProducerEpoch)):
        return PartitionLost("another owner took over")
    if isinstance(error, MessageSizeTooLargeError):
        return LogUnavailable(f"a record is larger than Kafka takes: {error}")
    if isinstance(error, TimeoutError):
        return LogUnavailable("Kafka did not confirm a commit in time: nobody knows its outcome")
    if isinstance(error, KafkaError):
        return meaning(error)
    return LogUnavailable(f"{type(error).__name__}: {error}")
